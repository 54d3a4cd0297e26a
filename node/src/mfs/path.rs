//! Paths of the mutable file system, cut as Go's `path` cuts them.

/// The names in a path. Slashes at both ends do not count; two in the middle leave an empty name, which nothing has.
pub fn names(path: &str) -> Vec<&str> {
    let inner = path.trim_matches('/');
    if inner.is_empty() {
        return Vec::new();
    }
    inner.split('/').collect()
}

/// What stands before and behind the last slash.
pub fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |at| at + 1))
}

/// The directory that a path names or lies in: without what stands behind the last slash, and cleaned.
pub fn parent(path: &str) -> String {
    clean(split(path).0)
}

/// The last name of a path; `/` where there is none.
pub fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" };
    }
    split(trimmed).1
}

/// An absolute path without `.`, `..`, empty names and a slash at the end.
pub fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_go_cuts_them() {
        for (path, cleaned, base_name, parent_path) in [
            ("/", "/", "/", "/"),
            ("/a", "/a", "a", "/"),
            ("/a/b", "/a/b", "b", "/a"),
            ("/a/b/", "/a/b", "b", "/a/b"),
            ("/a/../../b/./c", "/b/c", "c", "/b"),
            ("//a//b", "/a/b", "b", "/a"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
            assert_eq!(base(path), base_name, "{path}");
            assert_eq!(parent(path), parent_path, "{path}");
        }
        assert_eq!(split("/a/b/"), ("/a/b/", ""));
        assert_eq!(split("a"), ("", "a"));
        assert_eq!(names("/a//b/"), ["a", "", "b"]);
        assert!(names("/").is_empty());
    }
}
