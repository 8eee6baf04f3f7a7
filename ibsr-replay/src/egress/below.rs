// SPDX-License-Identifier: MIT OR Apache-2.0
//! Paths of cgroups, with or without slashes at their ends.

/// Whether a cgroup is `above` or below it.
#[must_use]
pub fn is_below(path: &str, above: &str) -> bool {
    let above = above.trim_matches('/');
    let rest = path.trim_matches('/').strip_prefix(above);
    rest.is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn a_cgroup_is_below_those_that_its_path_goes_through() {
        assert!(is_below("/a/b", "a") && is_below("a", "/a/") && is_below("a", "/"));
        assert!(!is_below("/ab", "a") && !is_below("/a", "a/b") && !is_below("/", "a"));
    }
}
