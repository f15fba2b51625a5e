//! The house rules as a test: the arrows between layers, what no file may hold, what may be built with.
//!
//! Reads the source tree as text, and what cargo says of the dependencies. Each rule is a function from one
//! file to its slips, so that each can be shown to fail on a made-up file; the tests of the rules stand beside them.

mod arrows;
mod dependencies;
mod release;
mod rules;
mod shown;
mod source;

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// The folders that a visitor sees, and no others.
const FOLDERS: [&str; 5] = ["benches", "docs", "loadtest", "src", "tests"];
/// What cargo makes; not a part of the tree.
const BUILD_FOLDER: &str = "target";

/// One place that breaks a rule.
#[derive(Debug)]
struct Slip {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

type Rule = fn(&Source) -> Vec<Slip>;

const RULES: [Rule; 10] = [
    arrows::between_layers,
    arrows::logic_without_io,
    arrows::client_without_server,
    rules::opens_with_its_purpose,
    rules::is_not_long,
    rules::is_finished,
    rules::does_not_sleep,
    rules::is_safe,
    rules::leaves_sql_to_the_store,
    rules::has_speaking_names,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, by its path from the root with `/` between its parts.
fn sources_below(folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with(BUILD_FOLDER) {
            sources_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let relative = path.strip_prefix(root()).expect("below the root");
            found.push(Source::new(&relative.to_string_lossy(), &text));
        }
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in FOLDERS.map(|folder| root().join(folder)) {
        if folder.is_dir() {
            sources_below(&folder, &mut sources);
        }
    }
    assert!(sources.len() > 10, "the tree was not found");
    sources
}

#[test]
fn the_tests_that_pages_name_are_there() {
    let tests: HashSet<String> = sources().iter().flat_map(shown::tests_in).collect();
    let mut named = 0;
    for page in fs::read_dir(root().join("docs")).expect("the pages") {
        let path = page.expect("a page").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            for name in shown::named_in(&text) {
                named += 1;
                let path = path.display();
                assert!(tests.contains(name), "{path}: there is no test {name}");
            }
        }
    }
    assert!(named > 30, "{named} were found");
}

#[test]
fn every_file_keeps_the_rules() {
    let sources = sources();
    let slips: Vec<String> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .map(|slip| slip.to_string())
        .collect();
    assert!(slips.is_empty(), "\n{}", slips.join("\n"));
}

#[test]
fn the_visible_folders_are_those_agreed() {
    let mut visible: Vec<String> = fs::read_dir(root())
        .expect("the root")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != BUILD_FOLDER)
        .collect();
    visible.sort();
    assert_eq!(visible, FOLDERS, "a new folder needs a decision first");
}
