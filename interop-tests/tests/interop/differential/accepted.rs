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

    accepted("* add?m*", ".M", &[Facet::Shape], "modes and times are told where they are stored"),
    accepted("* add?pin=false (*", ".M", &[Facet::Shape], "modes and times are told where they are stored"),
    accepted("*pin/add?*progress=true*", ".Bytes", &[Facet::Shape], "progress of pins is in blocks"),
    accepted("*name/publish?*ipns-base=*", "", &[Facet::Body], "the base that was asked for"),
    accepted("* add?*progress=true*", "", &[Facet::Body], "small files are told of together"),
    accepted("* add?silent=true*", "", &[Facet::Body], "silent is silent of directories too"),
    accepted("*encoding=text*", "&{", &[Facet::Body], "Kubo prints how Go keeps it"),
    accepted("* add?encoding=xml*", "", &[Facet::Body], "fields that are not given are not there"),

    // Refused, where Kubo does what nobody means.
    accepted("*%ff*", "", ANOTHER, "arguments are UTF-8"),
    accepted("*%zz*", "", ANOTHER, "a query with a wrong escape is refused, not taken without that part"),
    accepted("* version?arg=%*", "", ANOTHER, "a query with a wrong escape is refused, not taken without that part"),
    accepted("* version?number=1;n=2*", "", ANOTHER, "a semicolon is a part of the value"),
    accepted("* version?timeout=*", "", ANOTHER, "a timeout that is none is an error, and no empty answer"),
    accepted("*cid-base=nothing*", "", ANOTHER, "a base that does not exist is found before anything is done"),
    accepted("*key/gen?arg=*/*", "", ANOTHER, "a name of a key is no path"),
    accepted("*key/rename?arg=*/*", "", ANOTHER, "a name of a key is no path"),
    accepted("config?arg=*arg=nothing&bool=true*", "", ANOTHER, "what is no flag does not become false"),
    accepted("*bootstrap/rm*", "", ANOTHER, "to remove nothing is a mistake"),
    accepted("* cat?arg=//ipfs*", "", ANOTHER, "paths are not cleaned: what is behind a slash is a name"),
    accepted("* cat?arg=/ipfs/*/.*", "", ANOTHER, "paths are not cleaned: what is behind a slash is a name"),
    accepted("* routing/put*(no record)", "", ANOTHER, "a record that is none is no record"),
    accepted("* pin*", "a subcommand", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin?*", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin/no*", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin/", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),
    accepted("* pin/ ()", "", ANOTHER, "our `pin PATH` is short for `pin add PATH`"),

    // Bodies that are no forms.
    accepted("* (cut *", "", ANOTHER, "what breaks off is refused, and none of it is kept"),
    accepted("* (a bad *", "", ANOTHER, "lines that are no headers are passed over"),
    accepted("* (no head)", "", ANOTHER, "a part without a name is a part"),
    accepted("* (a file in a file)", "", ANOTHER, "a name may not be both: the last one counts"),
    accepted("* (a form inside)", "", ANOTHER, "a part of an unknown type is a file"),
    accepted("* (text only)", "", ANOTHER, "the command tells, which reads the body while it comes"),
    accepted("* (another boundary)", "", ANOTHER, "the command tells, which reads the body while it comes"),
    accepted("* (an empty form)", "", ANOTHER, "the command tells, which reads the body while it comes"),
    accepted("* (*boundary)", "", ANOTHER, "bodies that nobody reads are not looked at"),
    accepted("* (a broken type)", "", ANOTHER, "bodies that nobody reads are not looked at"),
    accepted("* (lines)", "", ANOTHER, "empty lines are no arguments"),
    accepted("* add?to-files=*(two files)", "", ANOTHER, "one after the other, as with a directory"),

    accepted("* (no json)", "", ANOTHER, "nothing is no node"),
    accepted("* (no car)", "", ANOTHER, "nothing is no archive"),
    accepted("* (a cut car)", "", ANOTHER, "half of an archive is none"),
    accepted("* key/*key=probe*", "", ANOTHER, "of several keys to remove all are removed, or none"),

    // When it is told.
    accepted("* name/resolve?stream=1*", "", ANOTHER, "a name that is not found is an error, also in a stream"),
    accepted("* block/rm?*", "", ANOTHER, "an error that the records tell is told at the end too, to who takes trailers"),
    accepted("* refs?*arg=nothing*", "", ANOTHER, "what can be listed is, before the error"),
    accepted("* swarm/disconnect?*", "", ANOTHER, "offline is an error"),
    accepted("* provide/clear*", "", ANOTHER, "offline is an error"),
    accepted("* repo/verify?heal-timeout=*", "", ANOTHER, "the time to heal matters with --heal"),
    accepted("* config/show?encoding=xml*", "", ANOTHER, "maps have a form in XML"),
    accepted("* version?encoding=yaml*", "", ANOTHER, "our encodings are more"),

    // Browsers and redirects.
    accepted("*Origin=*", "", &[Facet::Header], "a page that may ask may send any header, however it is written, and may see refusals"),
    accepted("* (Access-Control-Request-Method=*", "", &[Facet::Header], "a page that may ask may send any header, however it is written, and may see refusals"),
    accepted("* / ()", "", &[Facet::Header], "all answers depend on the origin"),
    accepted("* /api/v*", "", ANOTHER, "nothing is redirected: it would lose the body"),
    accepted("*HTTP://*", "", ANOTHER, "schemes are written small"),

    // What is not there.
    accepted("* object/patch/*&=*", "", ANOTHER, "options have names"),
    accepted("*diag/datastore*", "404", ANOTHER, "it looks into Kubo's datastore"),
    accepted("*pin/remote/service/rm?arg=*&arg=*", "", ANOTHER, "arguments too many are passed over, as by other commands"),
    accepted("*repo/migrate*", "404", ANOTHER, "a daemon says so too that there is nothing to migrate"),
    accepted("* diag/cmds*", "", ANOTHER, "options are told as they were written, secrets are not, and it is written in every encoding"),
    accepted("* diag/sys*", ".memory.resident", &[Facet::Shape], "a field more: the memory in use"),
    accepted("* diag/sys?encoding=xml*", "", ANOTHER, "what has no form in XML is an error, and no empty answer"),

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
