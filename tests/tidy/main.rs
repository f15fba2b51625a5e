//! The house rules as a test: the arrows between layers, what no file may hold, what may be built with, what pages may say.
//!
//! Reads the source tree as text, and what cargo says of the dependencies. Each rule is a function from one
//! file to its slips, so that each can be shown to fail on a made-up file; the tests of the rules stand beside them.

mod arrows;
mod dependencies;
mod face;
mod header;
mod pages;
mod release;
mod rules;
mod shown;
mod source;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use pages::Page;
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

/// Every Markdown file below `folder`, or directly in the root, by its path.
fn pages_below(folder: &Path, found: &mut Vec<Page>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with(BUILD_FOLDER) && folder != root() {
            pages_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let relative = path.strip_prefix(root()).expect("below the root");
            found.push(Page {
                path: relative.to_string_lossy().into_owned(),
                text: fs::read_to_string(&path).expect("UTF-8"),
            });
        }
    }
}

fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    pages_below(root(), &mut pages);
    for folder in FOLDERS {
        pages_below(&root().join(folder), &mut pages);
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(pages.len() > 10, "the pages were not found");
    pages
}

#[track_caller]
fn assert_none(slips: &[Slip]) {
    let slips: Vec<String> = slips.iter().map(Slip::to_string).collect();
    assert!(slips.is_empty(), "\n{}", slips.join("\n"));
}

#[test]
fn each_example_in_a_page_is_run_or_says_why_not() {
    let pages = pages();
    let steps = fs::read_to_string(root().join(".ci/run")).expect("the steps");
    let scripts: HashMap<String, String> = fs::read_dir(root().join("tests"))
        .expect("the tests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .map(|path| {
            let relative = path.strip_prefix(root()).expect("below the root");
            let text = fs::read_to_string(&path).expect("UTF-8");
            (relative.to_string_lossy().into_owned(), text)
        })
        .filter(|(path, _)| {
            let mut steps = steps.lines();
            steps.any(|step| step.starts_with("step ") && step.ends_with(path.as_str()))
        })
        .collect();
    let script = |path: &str| scripts.get(path).map(String::as_str);
    let slips = pages.iter().flat_map(|page| pages::examples(page, script));
    assert_none(&slips.collect::<Vec<_>>());
}

#[test]
fn each_link_in_a_page_leads_somewhere() {
    let pages = pages();
    let exists = |path: &str| root().join(path).exists();
    let slips = pages
        .iter()
        .flat_map(|page| pages::links(page, &pages, exists));
    assert_none(&slips.collect::<Vec<_>>());
}

/// What the changelog says of other versions was true of them.
#[test]
fn each_path_in_a_page_is_there() {
    let exists = |path: &str| root().join(path).exists();
    let pages = pages();
    let pages = pages.iter().filter(|page| page.path != "CHANGELOG.md");
    assert_none(
        &pages
            .flat_map(|page| pages::paths(page, exists))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_index_leads_to_every_page() {
    let pages = pages();
    let index = pages.iter().find(|page| page.path == "docs/README.md");
    assert_none(&pages::missing_in(index.expect("an index"), &pages));
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
fn the_librarys_face_is_shown_by_examples() {
    let slips = face::is_shown_by_examples(&sources());
    let slips: Vec<String> = slips.iter().map(Slip::to_string).collect();
    assert!(slips.is_empty(), "\n{}", slips.join("\n"));
}

#[test]
fn every_file_keeps_the_rules() {
    let sources = sources();
    let slips = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)));
    assert_none(&slips.collect::<Vec<_>>());
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
