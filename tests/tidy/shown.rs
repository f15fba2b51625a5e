//! What the documentation says is shown by a test, is: each `fn name` that it names is a test that there is.

use std::collections::HashSet;

use crate::source::Source;

/// The tests of a file, by their names.
pub(crate) fn tests_in(source: &Source) -> HashSet<String> {
    let mut is_test = false;
    let mut found = HashSet::new();
    for line in source.text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split('(').next().unwrap_or(rest);
            if std::mem::take(&mut is_test) {
                found.insert(name.to_owned());
            }
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    found
}

/// The names of tests in a page, in the order in which they stand there.
pub(crate) fn named_in(page: &str) -> Vec<&str> {
    let spans = page.split('`').skip(1).step_by(2);
    spans.filter_map(|span| span.strip_prefix("fn ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_is_one() {
        let text = "#[test]\nfn one() {}\n\nfn two() {}\n#[test]\n/// Why.\n#[should_panic]\nfn three() {}\n#[test]\nx\nfn four() {}";
        let mut found = Vec::from_iter(tests_in(&Source::new("tests/x.rs", text)));
        found.sort();
        assert_eq!(found, ["one", "three"]);
    }

    #[test]
    fn names_stand_between_backquotes() {
        let page = "fn no `fn yes` and `nor this` `fn too`";
        assert_eq!(named_in(page), ["yes", "too"]);
    }
}
