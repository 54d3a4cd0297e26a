//! Which entries of a directory are left out.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::AddOptions;
use crate::error::{Error, Result};

/// Hidden entries and those that a rule in the form of a `.gitignore` line matches.
pub struct Rules {
    hidden: bool,
    rules: Gitignore,
}

impl Rules {
    /// Reads the rules of the options and their rules file.
    ///
    /// # Errors
    /// [`Error::LocalFile`] when the rules file cannot be read, [`Error::BadOption`] for a malformed rule.
    pub fn new(options: &AddOptions) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        let bad = |option: &'static str, error: ignore::Error| Error::BadOption {
            option,
            reason: error.to_string(),
        };
        if let Some(path) = &options.ignore_rules {
            let text = std::fs::read_to_string(path).map_err(|source| Error::LocalFile {
                action: "read",
                path: path.clone(),
                source,
            })?;
            for line in text.lines() {
                builder
                    .add_line(None, line)
                    .map_err(|error| bad("ignore-rules-path", error))?;
            }
        }
        for rule in &options.ignore {
            builder
                .add_line(None, rule)
                .map_err(|error| bad("ignore", error))?;
        }
        let rules = builder.build().map_err(|error| bad("ignore", error))?;
        Ok(Self {
            hidden: options.hidden,
            rules,
        })
    }

    /// Whether no rule could ever leave out anything.
    pub fn keep_all(&self) -> bool {
        self.hidden && self.rules.is_empty()
    }

    /// Whether an entry is left out. `below` is its path from the directory that was given to add.
    pub fn leave_out(&self, below: &Path, is_directory: bool) -> bool {
        let Some(name) = below.file_name() else {
            return false;
        };
        if !self.hidden && name.as_encoded_bytes().starts_with(b".") {
            return true;
        }
        if self.rules.is_empty() {
            return false;
        }
        // Kubo matches names only, so a rule that matches the name alone counts at any depth.
        let matched = self.rules.matched(below, is_directory);
        if matched.is_none() {
            self.rules
                .matched(Path::new(name), is_directory)
                .is_ignore()
        } else {
            matched.is_ignore()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_names_and_rules() {
        let options = AddOptions {
            ignore: vec![
                "*.log".to_owned(),
                "build/".to_owned(),
                "a/deep.txt".to_owned(),
                "!keep.log".to_owned(),
            ],
            ..AddOptions::default()
        };
        let rules = Rules::new(&options).unwrap();
        let out = |path: &str, dir: bool| rules.leave_out(Path::new(path), dir);
        assert!(out(".git", true) && out("x/.hidden", false));
        assert!(out("x/y.log", false) && !out("x/keep.log", false));
        assert!(out("x/build", true) && !out("x/build", false));
        assert!(out("a/deep.txt", false) && !out("b/deep.txt", false));
        assert!(!out("plain", false));
    }

    #[test]
    fn a_rules_file_must_exist() {
        let options = AddOptions {
            ignore_rules: Some("/nonexistent/rules".into()),
            ..AddOptions::default()
        };
        assert!(
            Rules::new(&options)
                .err()
                .unwrap()
                .to_string()
                .contains("/nonexistent/rules")
        );
    }
}
