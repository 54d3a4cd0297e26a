//! Which method a name of the Python kit means.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::documents::Method;

/// Names of the kit that mean something else than the method of that name in the table.
const KIT: &[(&str, &str)] = &[
    ("connect", "swarm/connect"),
    // The kit's `get` gives the content, not an archive.
    ("get", "cat"),
    ("read", "cat"),
    ("list_pins", "pin/ls"),
    ("peers", "swarm/peers"),
    ("pin", "pin/add"),
    ("publish", "name/publish"),
    ("resolve", "name/resolve"),
    ("unpin", "pin/rm"),
    // The core class.
    ("add_bytes", "add"),
    ("add_file", "add"),
    ("add_string", "add"),
];

/// Methods by their words, as `pin_add`.
static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let all = Method::all().into_iter();
    all.map(|method| (plain(&method.words.join("/")), method))
        .collect()
});

/// The method of that name: `add`, `pin/add`, `pin.add`, `pin_add`, `ipfs_pin_add`, or a name of the kit.
pub fn find(name: &str) -> Option<&'static Method> {
    let name = plain(name);
    let short = name.strip_prefix("ipfs_").unwrap_or(&name);
    let kit = KIT.iter().find(|(kit, _)| *kit == short);
    METHODS.get(&kit.map_or_else(|| short.to_owned(), |(_, method)| plain(method)))
}

fn plain(name: &str) -> String {
    name.replace(['/', '.', '-'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_methods_have_one_name() {
        assert_eq!(METHODS.len(), Method::all().len());
        for (kit, method) in KIT {
            assert!(METHODS.contains_key(&plain(method)), "{kit}");
        }
    }

    #[test]
    fn methods_are_found_however_they_are_written() {
        let words = |name| find(name).map(|method| method.words.join("/"));
        for name in ["pin/add", "pin.add", "pin_add", "ipfs_pin_add", "pin"] {
            assert_eq!(words(name).as_deref(), Some("pin/add"), "{name}");
        }
        assert_eq!(words("get").as_deref(), Some("cat"));
        assert_eq!(words("ipfs_add").as_deref(), Some("add"));
        assert_eq!(words("files/mkdir").as_deref(), Some("files/mkdir"));
        for none in ["", "nothing", "files", "pin//add", "/add", "add/"] {
            assert_eq!(words(none), None, "{none}");
        }
    }
}
