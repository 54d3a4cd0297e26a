//! Documents made from the table of methods: the list of them, an OpenAPI description and a reference
//! page. Nothing in them is written by hand a second time.

mod listing;
mod openapi;
mod reference;

pub use listing::listing;
pub use openapi::openapi;
pub use reference::reference;

use crate::command::{Argument, Command, Source};
use crate::methods::ROOT;
use crate::server::{ApiVersion, ROOT_PATH};

/// A method that can be called.
#[derive(Debug, Clone)]
pub struct Method {
    /// The words that select it.
    pub words: Vec<&'static str>,
    /// Its entry in the table.
    pub command: &'static Command,
}

impl Method {
    /// All of them, in the order of the table.
    pub fn all() -> Vec<Method> {
        fn walk(words: &[&'static str], command: &'static Command, all: &mut Vec<Method>) {
            // What only the command line runs has no address.
            if command
                .run
                .and_then(crate::command::Run::function)
                .is_some()
            {
                all.push(Method {
                    words: words.to_vec(),
                    command,
                });
            }
            for below in command.subcommands {
                walk(&[words, &[below.name]].concat(), below, all);
            }
        }
        let mut all = Vec::new();
        walk(&[], &ROOT, &mut all);
        all
    }

    /// Where it is called.
    pub fn path(&self) -> String {
        format!("{ROOT_PATH}/{}", self.words.join("/"))
    }

    /// Where it is called in a version of the API.
    pub fn path_in(&self, version: ApiVersion) -> String {
        format!("{}/{}", version.root(), self.words.join("/"))
    }

    /// Arguments that are given as `arg`.
    fn words_taken(&self) -> impl Iterator<Item = &'static Argument> {
        self.command
            .arguments
            .iter()
            .filter(|argument| !argument.is_file())
    }

    /// The argument that comes as the body, if there is one.
    fn body(&self) -> Option<&'static Argument> {
        self.command
            .arguments
            .iter()
            .find(|argument| argument.is_file() || argument.source == Source::Lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_there_once_and_nothing_else() {
        let paths: Vec<String> = Method::all().iter().map(Method::path).collect();
        let mut unique = paths.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), paths.len());
        for there in ["/api/v0/add", "/api/v0/files/rm", "/api/v0/pin/ls"] {
            assert!(paths.iter().any(|path| path == there), "{there}");
        }
        // A group, and two that only the command line has.
        for absent in [
            "/api/v0/files",
            "/api/v0/config/edit",
            "/api/v0/files/chroot",
        ] {
            assert!(!paths.iter().any(|path| path == absent), "{absent}");
        }
    }
}
