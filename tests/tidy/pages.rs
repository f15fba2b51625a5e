//! What pages say is true of the tree: each example in them is run by a script, or says why it cannot be; each link leads somewhere.
//!
//! An example is a fenced block of a language that can be run. The line before it is a comment: `<!-- tests/NAME.sh runs this: WHAT -->`, where the
//! script names the page and what it calls the block, or `<!-- not run: REASON -->`. That a script runs all that name it is for the
//! script itself to see (`every_block_was_run` in `tests/pages.sh`). Blocks of Rust are for `cargo test --doc`.

use std::collections::{HashMap, HashSet};

use super::Slip;

/// What can be run. Everything else is to be read.
const RUNNABLE: [&str; 8] = [
    "c",
    "sh",
    "bash",
    "console",
    "shell",
    "python",
    "js",
    "javascript",
];
/// A reason that is shorter says nothing.
const REASON_LEAST: usize = 20;

/// One Markdown file, by its path from the root.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A line of a page that is no part of a fenced block, or the fence that opens one.
struct Line<'a> {
    number: usize,
    text: &'a str,
    /// What stands behind the fence that it is.
    opens: Option<&'a str>,
}

impl Page {
    fn slip(&self, line: usize, message: impl Into<String>) -> Slip {
        Slip {
            path: self.path.clone(),
            line,
            message: message.into(),
        }
    }

    fn lines(&self) -> Vec<Line<'_>> {
        let mut is_within = false;
        let mut lines = Vec::new();
        for (index, text) in self.text.lines().enumerate() {
            let fence = text.trim_start().strip_prefix("```");
            if !is_within {
                lines.push(Line {
                    number: index + 1,
                    text,
                    opens: fence.map(str::trim),
                });
            }
            is_within ^= fence.is_some();
        }
        lines
    }

    /// What links may name behind `#`, as GitHub makes it of headings.
    pub(crate) fn anchors(&self) -> HashSet<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut anchors = HashSet::new();
        for line in self.lines() {
            let marks = line.text.bytes().take_while(|byte| *byte == b'#').count();
            let Some(heading) = line.text[marks..].strip_prefix(' ') else {
                continue;
            };
            if !(1..=6).contains(&marks) {
                continue;
            }
            let anchor = anchor(heading);
            let again = seen.entry(anchor.clone()).or_insert(0);
            anchors.insert(match *again {
                0 => anchor,
                again => format!("{anchor}-{again}"),
            });
            *again += 1;
        }
        anchors
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    // Of a link in a heading its words are taken.
    let kept = kept.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

/// What a comment on a line of its own says.
fn comment(line: &str) -> Option<&str> {
    line.trim_start()
        .strip_prefix("<!-- ")?
        .strip_suffix(" -->")
}

/// Each example that no script runs and that gives no reason, and each comment that says so of nothing. `script` yields, by its path, the
/// text of a script that is a step of `.ci/run`.
pub(crate) fn examples<'a>(page: &Page, script: impl Fn(&str) -> Option<&'a str>) -> Vec<Slip> {
    let lines = page.lines();
    let mut slips = Vec::new();
    let mut named = HashSet::new();
    for (at, line) in lines.iter().enumerate() {
        let is_runnable = line
            .opens
            .is_some_and(|language| RUNNABLE.contains(&language));
        let before = at
            .checked_sub(1)
            .and_then(|before| comment(lines[before].text));
        if is_runnable {
            let reason = before.and_then(|comment| comment.strip_prefix("not run: "));
            let runs = before.and_then(|comment| comment.split_once(" runs this: "));
            match (reason, runs) {
                (Some(reason), _) if reason.len() >= REASON_LEAST => {}
                (Some(_), _) => slips.push(page.slip(line.number, "the reason why this is not run says too little")),
                (_, Some((by, name))) => {
                    slips.extend(run_by(by, name, page, script(by)).map(|message| page.slip(line.number, message)));
                    if !named.insert((by, name)) {
                        slips.push(page.slip(line.number, format!("{by} runs another example of that name here: {name}")));
                    }
                }
                _ => slips.push(page.slip(
                    line.number,
                    "who runs this example? `<!-- tests/NAME.sh runs this: WHAT -->` on the line before it, or `<!-- not run: REASON -->`",
                )),
            }
        } else if before.is_some_and(|comment| {
            comment.starts_with("not run: ") || comment.contains(" runs this: ")
        }) {
            slips.push(page.slip(
                line.number,
                "the line before is about an example, and here is none",
            ));
        }
    }
    slips
}

/// What is wrong where a page says that a script runs one of its examples.
fn run_by(by: &str, name: &str, page: &Page, script: Option<&str>) -> Option<String> {
    let Some(script) = script else {
        return Some(format!("no step of .ci/run is {by}"));
    };
    let has_word = |word: &str| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        script.match_indices(word).any(|(at, _)| {
            let (before, after) = (&script[..at], &script[at + word.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
    };
    if !has_word(&page.path) || !has_word(name) {
        return Some(format!("{by} does not name {} and {name}", page.path));
    }
    let asks_for_all = script
        .lines()
        .any(|line| line.trim() == "every_block_was_run");
    (!asks_for_all)
        .then(|| format!("{by} does not see to it that it runs all: every_block_was_run"))
}

/// The targets of links and pictures, each with its line. What stands between backquotes is no link.
fn targets(page: &Page) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for line in page.lines().iter().filter(|line| line.opens.is_none()) {
        let spoken: String = line.text.split('`').step_by(2).collect();
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for rest in spoken.split(opening).skip(1) {
                let target = rest.split([closing, ' ']).next().unwrap_or(rest);
                found.push((line.number, target.to_owned()));
            }
        }
    }
    found
}

/// The path that a link leads to, from the root, and what it names there. `None` where it leads elsewhere, or out of the tree.
fn resolved<'a>(from: &str, target: &'a str) -> Option<(String, Option<&'a str>)> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    if path.is_empty() {
        return Some((from.to_owned(), anchor));
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some((parts.join("/"), anchor))
}

/// Each link that leads nowhere. `exists` is asked of paths from the root.
pub(crate) fn links(page: &Page, pages: &[Page], exists: impl Fn(&str) -> bool) -> Vec<Slip> {
    let mut slips = Vec::new();
    for (line, target) in targets(page) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let Some((path, anchor)) = resolved(&page.path, &target) else {
            slips.push(page.slip(line, format!("{target} leads out of the tree")));
            continue;
        };
        if !exists(&path) {
            slips.push(page.slip(line, format!("{target}: there is no {path}")));
        } else if let Some(anchor) = anchor {
            let there = pages.iter().find(|page| page.path == path);
            if !there.is_some_and(|there| there.anchors().contains(anchor)) {
                slips.push(page.slip(line, format!("{target}: {path} has no heading for that")));
            }
        }
    }
    slips
}

/// Each path between backquotes at which nothing is: from the root, or of a Rust file below `src`. One with a word in capitals stands for many.
pub(crate) fn paths(page: &Page, exists: impl Fn(&str) -> bool) -> Vec<Slip> {
    let is_path = |span: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
        span.split_once('/').is_some_and(|(folder, rest)| {
            super::FOLDERS.contains(&folder) || !folder.is_empty() && rest.ends_with(".rs")
        }) && span.chars().all(is_part)
    };
    let mut slips = Vec::new();
    for line in page.lines().iter().filter(|line| line.opens.is_none()) {
        let spans = line.text.split('`').skip(1).step_by(2);
        for path in spans.filter(|span| is_path(span)) {
            if !exists(path) && !exists(&format!("src/{path}")) {
                slips.push(page.slip(line.number, format!("there is no {path}")));
            }
        }
    }
    slips
}

/// Each page below the index's folder that the index does not lead to.
pub(crate) fn missing_in(index: &Page, pages: &[Page]) -> Vec<Slip> {
    let named: HashSet<String> = (targets(index).iter())
        .filter_map(|(_, target)| Some(resolved(&index.path, target)?.0))
        .collect();
    let folder = index.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let below = pages
        .iter()
        .filter(|page| page.path.starts_with(folder) && page.path != index.path);
    below
        .filter(|page| !named.contains(&page.path))
        .map(|page| index.slip(1, format!("the index does not lead to {}", page.path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page {
            path: "docs/a.md".to_owned(),
            text: text.to_owned(),
        }
    }

    fn slips_of(text: &str, script: &str) -> Vec<String> {
        let script = |path: &str| (path == "tests/a.sh").then_some(script);
        let slips = examples(&page(text), script);
        slips.iter().map(Slip::to_string).collect()
    }

    const RUNS: &str = "run docs/a.md 'the walk'\nevery_block_was_run\n";

    #[track_caller]
    fn refused(text: &str, script: &str, why: &str) {
        let slips = slips_of(text, script);
        assert!(
            matches!(&slips[..], [slip] if slip.contains(why)),
            "{slips:?}"
        );
    }

    #[test]
    fn an_example_that_a_script_runs_or_that_says_why_not_is_allowed() {
        for text in [
            "x\n<!-- tests/a.sh runs this: the walk -->\n```sh\nls\n```\n",
            "<!-- not run: it takes seven minutes -->\n```bash\nls\n```\n",
            "1. x\n\n   <!-- tests/a.sh runs this: the walk -->\n   ```sh\n   ls\n   ```\n",
            "```text\nls\n```\n",
            "```\n```sh\n",
        ] {
            assert_eq!(slips_of(text, RUNS), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_example_that_nobody_runs_is_refused() {
        refused("x\n\n```sh\nls\n```\n", RUNS, "docs/a.md:3: who runs this");
        refused(
            "```text\n```\n```console\n$ ls\n```\n",
            RUNS,
            "docs/a.md:3: who runs this",
        );
        refused(
            "<!-- not run: no -->\n```sh\n```\n",
            RUNS,
            "says too little",
        );
        let far = "<!-- tests/a.sh runs this: the walk -->\n\n```sh\n```\n";
        assert_eq!(slips_of(far, RUNS).len(), 2);
    }

    #[test]
    fn a_script_that_does_not_run_the_example_is_refused() {
        let text = "<!-- tests/a.sh runs this: the walk -->\n```sh\n```\n";
        refused(
            &text.replace("a.sh", "b.sh"),
            RUNS,
            "no step of .ci/run is tests/b.sh",
        );
        refused(
            text,
            "run docs/a.md 'the walks'\nevery_block_was_run\n",
            "does not name",
        );
        refused(
            text,
            "run docs/a.mdx 'the walk'\nevery_block_was_run\n",
            "does not name",
        );
        refused(text, "run docs/a.md 'the walk'\n", "every_block_was_run");
        refused(
            &format!("{text}{text}"),
            RUNS,
            "another example of that name",
        );
    }

    #[test]
    fn a_comment_without_an_example_is_refused() {
        refused(
            "<!-- tests/a.sh runs this: the walk -->\nls\n",
            RUNS,
            "docs/a.md:2: ",
        );
        refused(
            "<!-- not run: it takes seven minutes -->\n```text\n```\n",
            RUNS,
            "docs/a.md:2: ",
        );
    }

    fn dead(text: &str) -> Vec<String> {
        let other = Page {
            path: "docs/b/c.md".to_owned(),
            text: "# One `thing`, twice\n## Two\n## Two\n```sh\n# none\n```\n".to_owned(),
        };
        let from = page(text);
        let slips = links(&from, &[page(text), other], |path| {
            ["docs/a.md", "docs/b/c.md", "docs/b", "LICENSE"].contains(&path)
        });
        slips.iter().map(Slip::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_allowed() {
        let text = "# Here\n[a](b/c.md) [b](../LICENSE) [c](#here) [d](b/c.md#one-thing-twice) [e](b/c.md#two-1) [f](b/) [g](https://x.example/y)\n`[no](link)`\n```text\n[no](link)\n```\n";
        assert_eq!(dead(text), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        for (link, why) in [
            ("[a](c.md)", "there is no docs/c.md"),
            ("![a](c.png)", "there is no docs/c.png"),
            ("<img src=\"c.png\" alt=\"x\">", "there is no docs/c.png"),
            ("[a](#there)", "has no heading"),
            ("[a](b/c.md#three)", "has no heading"),
            ("[a](b/c.md#none)", "has no heading"),
            ("[a](b/c.md#two-2)", "has no heading"),
            ("[a](../../x)", "out of the tree"),
        ] {
            let slips = dead(&format!("# Here\n{link}\n"));
            assert!(
                matches!(&slips[..], [slip] if slip.starts_with("docs/a.md:2: ") && slip.contains(why)),
                "{link}: {slips:?}"
            );
        }
    }

    #[test]
    fn a_path_at_which_nothing_is_is_refused() {
        let exists = |path: &str| ["tests/a.sh", "src/chat/b.rs", "src/c.rs"].contains(&path);
        let text = "`tests/a.sh` `chat/b.rs` `src/c.rs` `/loiter.js` `GET /x` `a/b` `tests/TARGET/x` tests/z.sh\n```text\n`tests/z.sh`\n```\n";
        assert!(paths(&page(text), exists).is_empty());
        for path in ["tests/b.sh", "chat/c.rs", "src/chat/c.rs", "docs/x"] {
            let slips = paths(&page(&format!("x\ny `{path}`\n")), exists);
            assert!(
                matches!(&slips[..], [slip] if slip.line == 2),
                "{path}: {slips:?}"
            );
        }
    }

    #[test]
    fn a_page_that_the_index_leaves_out_is_refused() {
        let pages = || {
            [
                page(""),
                Page {
                    path: "docs/b.md".to_owned(),
                    text: String::new(),
                },
            ]
        };
        let index = |text: &str| Page {
            path: "docs/README.md".to_owned(),
            text: text.to_owned(),
        };
        assert!(missing_in(&index("[a](a.md) [b](b.md#x)"), &pages()).is_empty());
        let slips = missing_in(&index("[a](a.md)"), &pages());
        assert_eq!(slips.len(), 1, "{slips:?}");
    }
}
