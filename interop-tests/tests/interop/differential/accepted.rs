//! The differences that are meant, each with its reason. One that is not found any more fails the test.

use super::compare::{Difference, Facet};

/// Differences that are meant.
#[derive(Debug)]
pub struct Accepted {
    /// The cases, by their names; `*` stands for any text.
    pub case: &'static str,
    /// What has to stand in what differs; nothing if anything may.
    pub detail: &'static str,
    /// Where they may differ.
    pub facets: &'static [Facet],
    /// Why.
    pub reason: &'static str,
}

impl Accepted {
    /// Whether it is about this difference.
    pub fn covers(&self, name: &str, difference: &Difference) -> bool {
        self.facets.contains(&difference.facet)
            && difference.detail.contains(self.detail)
            && matches(self.case, name)
    }
}

/// Everything of an answer that is another one.
const ANOTHER: &[Facet] = &[
    Facet::Status,
    Facet::Header,
    Facet::Code,
    Facet::Text,
    Facet::Shape,
    Facet::Body,
    Facet::Whole,
];

const fn accepted(
    case: &'static str,
    detail: &'static str,
    facets: &'static [Facet],
    reason: &'static str,
) -> Accepted {
    Accepted {
        case,
        detail,
        facets,
        reason,
    }
}

/// All of them; the first that fits counts.
#[rustfmt::skip]
pub const ACCEPTED: &[Accepted] = &[
    // What the answer says of itself.
    accepted("*", ".Rust string", &[Facet::Shape], "a field more: what the program is built with"),
    accepted("* version?number=true*", "", &[Facet::Body], "our version"),
    accepted("* repo/version*", "", &[Facet::Body], "our format of repos"),
    accepted("*config/*", ".Datastore.Spec", &[Facet::Shape], "our datastore is one file, and no mounts"),
    accepted("* cid/codecs?supported=true*", "", &[Facet::Body], "git-raw and dag-jose are plugins"),
    accepted("* get?*", "", &[Facet::Body], "archives have no extended headers, which hold the time of the request"),
    accepted("*", "null", &[Facet::Shape], "an empty list is a list, also where Go has none"),

    // Refused, where Kubo does what nobody means.
    accepted("*%ff*", "", ANOTHER, "arguments are UTF-8"),
    accepted("*%zz*", "", ANOTHER, "a query with a wrong escape is refused, not taken without that part"),
    accepted("* version?arg=%*", "", ANOTHER, "a query with a wrong escape is refused, not taken without that part"),
    accepted("* version?timeout=*", "", ANOTHER, "a timeout that is none is an error, and no empty answer"),
    accepted("* key/gen?arg=*/*", "", ANOTHER, "a name of a key is no path"),
    accepted("* key/rename?arg=*/*", "", ANOTHER, "a name of a key is no path"),
    accepted("config?arg=*arg=nothing&bool=true*", "", ANOTHER, "what is no flag does not become false"),
    accepted("* bootstrap/rm*", "name the peers", ANOTHER, "to remove nothing is a mistake"),
    accepted("* pin*", "a subcommand", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin?*", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin/no*", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin/", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin/ ()", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* (cut *", "", ANOTHER, "what breaks off is refused, and none of it is kept"),
    accepted("* (a bad head)", "", ANOTHER, "lines that are no headers are passed over"),

    // Browsers and redirects.
    accepted("* /api/v0 ()", "", ANOTHER, "nothing is redirected: it would lose the body"),
    accepted("* /api/v0//version ()", "", ANOTHER, "nothing is redirected: it would lose the body"),
    accepted("*HTTP://*", "", ANOTHER, "schemes are written small"),

    // What is not there.
    accepted("*object/*", "404", ANOTHER, "deprecated; `files cp` and `files rm` do it"),
    accepted("* bitswap/reprovide*", "404", ANOTHER, "deprecated; `routing reprovide` does it"),
    accepted("* version/check*", "", ANOTHER, "it looks for releases of Kubo"),
    accepted("* pubsub/reset*", "404", ANOTHER, "there is no store of sequence numbers to reset"),
    accepted("*filestore*", "", ANOTHER, "not yet"),
    accepted("*fscache*", "", ANOTHER, "not yet"),
    accepted("*nocopy*", "", ANOTHER, "not yet"),
    accepted("*pin/remote*", "", ANOTHER, "not yet"),
    accepted("* log*", "404", ANOTHER, "not yet"),
    accepted("* diag*", "404", ANOTHER, "not yet"),

    // All the words that differ: ours say what to do.
    accepted("*", "", &[Facet::Text], "errors say what to change"),
];

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
