//! The differences that are meant, each with its reason. One that is not found any more fails the test.

use super::compare::Facet;

/// Differences that are meant.
#[derive(Debug)]
pub struct Accepted {
    /// The cases, by their names; `*` stands for any text.
    pub case: &'static str,
    /// Where they may differ.
    pub facets: &'static [Facet],
    /// Why.
    pub reason: &'static str,
}

impl Accepted {
    /// Whether it is about this difference.
    pub fn covers(&self, name: &str, facet: Facet) -> bool {
        self.facets.contains(&facet) && matches(self.case, name)
    }
}

/// All of them; the first that fits counts.
pub const ACCEPTED: &[Accepted] = &[];

/// Commands that are not sent, and why.
pub const NOT_SENT: &[(&str, &str)] = &[
    ("shutdown", "it ends the daemon"),
    ("mount", "it needs FUSE and changes the machine"),
    ("log/tail", "it never ends"),
    ("pubsub/sub", "it never ends"),
    ("diag/profile", "it takes its 30 s to measure"),
];

fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(head) else {
        return false;
    };
    loop {
        if matches(tail, rest) {
            return true;
        }
        let mut chars = rest.chars();
        if chars.next().is_none() {
            return false;
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, wanted) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
