//! What holds for every file by itself.

use super::Slip;
use super::source::{Source, Token};

/// What tests and tools share; no test itself.
pub(crate) const CLIENT: &str = "tests/client/";
/// A file longer than this has a seam somewhere.
const LINES_MAX: usize = 500;

impl Source {
    pub(crate) fn slip(&self, line: usize, message: String) -> Slip {
        Slip {
            path: self.path.clone(),
            line,
            message,
        }
    }

    /// A slip for each token that `is_one`.
    fn slips_where(&self, message: &str, is_one: impl Fn(usize, &Token) -> bool) -> Vec<Slip> {
        let tokens = self.tokens.iter().enumerate();
        tokens
            .filter(|(at, token)| is_one(*at, token))
            .map(|(_, token)| self.slip(token.line, format!("`{}`: {message}", token.text)))
            .collect()
    }

    fn is_below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }
}

pub(crate) fn opens_with_its_purpose(source: &Source) -> Vec<Slip> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    let message = "a file opens with `//! ` and what it is for";
    vec![source.slip(1, message.to_owned())]
}

pub(crate) fn is_not_long(source: &Source) -> Vec<Slip> {
    let is_test = (source.is_below(&["tests/"]) && !source.is_below(&[CLIENT]))
        || source.path.ends_with("/tests.rs");
    let lines = source.lines_without_tests();
    if is_test || lines <= LINES_MAX {
        return Vec::new();
    }
    let message =
        format!("{lines} lines before its tests; {LINES_MAX} are allowed: is there a seam?");
    vec![source.slip(lines, message)]
}

pub(crate) fn is_finished(source: &Source) -> Vec<Slip> {
    let message = "nothing unfinished and no traces of debugging are kept";
    source.slips_where(message, |at, token| {
        ["todo", "unimplemented", "dbg"].contains(&token.text.as_str())
            && source.holds_at(at + 1, &["!"])
    })
}

pub(crate) fn does_not_sleep(source: &Source) -> Vec<Slip> {
    if !source.is_below(&["src/", "tests/"]) {
        return Vec::new();
    }
    let message = "wait for what is to happen, with a limit, not for a time to pass";
    source.slips_where(message, |at, token| {
        let before = at
            .checked_sub(1)
            .map(|before| source.tokens[before].text.as_str());
        token.is("sleep") && matches!(before, Some("::" | "{" | ","))
    })
}

pub(crate) fn is_safe(source: &Source) -> Vec<Slip> {
    if source.is_below(&["src/runtime/memory.rs"]) {
        return Vec::new();
    }
    if source.is_below(&["src/capi/"]) {
        return has_reasons(source);
    }
    let message = "allowed in src/runtime/memory.rs and src/capi only, measured or needed, and with its reason";
    source.slips_where(message, |_, token| token.is("unsafe"))
}

/// A block and an `impl` have a comment `SAFETY:` above the statement that they are in, a function that is for ours a section `# Safety`. What
/// C calls has neither: the header says what it asks for.
fn has_reasons(source: &Source) -> Vec<Slip> {
    const LINES_ABOVE: usize = 8;
    let lines: Vec<&str> = source.text.lines().collect();
    let message = "there is no reason above it: `// SAFETY: …`, or a section `# Safety`";
    source.slips_where(message, |at, token| {
        let is_for_c = source.holds_at(at + 1, &["extern"]);
        let is_attribute = source.holds_at(at + 1, &["("]);
        let above = &lines[token.line.saturating_sub(LINES_ABOVE)..token.line];
        let has_reason = above
            .iter()
            .any(|line| line.contains("// SAFETY: ") || line.contains("/// # Safety"));
        token.is("unsafe") && !is_for_c && !is_attribute && !has_reason
    })
}

pub(crate) fn leaves_sql_to_the_store(source: &Source) -> Vec<Slip> {
    const KEYWORDS: [&str; 14] = [
        "ALTER",
        "ATTACH",
        "BEGIN",
        "COMMIT",
        "CREATE",
        "DELETE",
        "DROP",
        "INSERT",
        "PRAGMA",
        "RELEASE",
        "ROLLBACK",
        "SAVEPOINT",
        "SELECT",
        "UPDATE",
    ];
    if !source.is_below(&["src/"]) || source.is_below(&["src/store/"]) {
        return Vec::new();
    }
    let is_statement = |text: &str| {
        // HTTP has a method DELETE: a statement has more than its first word.
        text.trim_start()
            .split_once(char::is_whitespace)
            .is_some_and(|(word, rest)| KEYWORDS.contains(&word) && !rest.trim().is_empty())
    };
    let strings = source.strings.iter();
    strings
        .filter(|string| is_statement(&string.text))
        .map(|string| source.slip(string.line, "SQL is allowed in src/store only".to_owned()))
        .collect()
}

pub(crate) fn has_speaking_names(source: &Source) -> Vec<Slip> {
    const HOLLOW: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];
    let mut parts = source.path.trim_end_matches(".rs").split('/');
    let mut slips: Vec<Slip> = parts
        .find(|part| HOLLOW.contains(part))
        .map(|part| {
            source.slip(
                1,
                format!("{part} says nothing: name the file after what it owns"),
            )
        })
        .into_iter()
        .collect();
    let message =
        "a getter is named after what it yields (`get_mut` is the standard library's own)";
    slips.extend(source.slips_where(message, |at, token| {
        let is_function = at
            .checked_sub(1)
            .is_some_and(|before| source.holds_at(before, &["fn"]));
        is_function && token.text.starts_with("get_") && !token.is("get_mut")
    }));
    slips
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rule;

    #[track_caller]
    fn refused(rule: Rule, path: &str, text: &str, at: &str) {
        let slips = rule(&Source::new(path, text));
        let [slip] = &slips[..] else {
            panic!("{path}: {text}: {slips:?}");
        };
        assert!(slip.to_string().starts_with(&format!("{at}: ")), "{slip}");
    }

    #[track_caller]
    fn allowed(rule: Rule, path: &str, text: &str) {
        let slips = rule(&Source::new(path, text));
        assert!(slips.is_empty(), "{path}: {text}: {slips:?}");
    }

    #[test]
    fn a_file_without_its_purpose_is_refused() {
        refused(
            opens_with_its_purpose,
            "src/a.rs",
            "use std::io;\n//! late",
            "src/a.rs:1",
        );
        refused(opens_with_its_purpose, "tests/a.rs", "", "tests/a.rs:1");
        allowed(opens_with_its_purpose, "src/a.rs", "//! What it owns.\n");
    }

    #[test]
    fn a_long_file_is_refused() {
        let (long, right) = ("x\n".repeat(501), "x\n".repeat(500));
        refused(is_not_long, "src/a.rs", &long, "src/a.rs:501");
        refused(
            is_not_long,
            "loadtest/src/a.rs",
            &long,
            "loadtest/src/a.rs:501",
        );
        allowed(is_not_long, "src/a.rs", &right);
        let tested = format!("{right}#[cfg(test)]\nmod tests {{\n{long}}}\n");
        allowed(is_not_long, "src/a.rs", &tested);
        allowed(is_not_long, "src/http/tests.rs", &long);
        allowed(is_not_long, "tests/a.rs", &long);
        let client = "tests/client/src/a.rs";
        refused(is_not_long, client, &long, &format!("{client}:501"));
    }

    #[test]
    fn unfinished_code_is_refused() {
        for text in [
            "\ntodo!()",
            "\nunimplemented!(\"later\")",
            "\nlet a = dbg!(b);",
        ] {
            refused(is_finished, "src/a.rs", text, "src/a.rs:2");
        }
        allowed(
            is_finished,
            "src/a.rs",
            "// no todo!() here\nlet todo = dbg;",
        );
    }

    #[test]
    fn a_sleep_is_refused() {
        refused(
            does_not_sleep,
            "tests/a.rs",
            "std::thread::sleep(d);",
            "tests/a.rs:1",
        );
        refused(
            does_not_sleep,
            "src/a.rs",
            "use std::thread::{self, sleep};",
            "src/a.rs:1",
        );
        refused(
            does_not_sleep,
            "src/a.rs",
            "use std::thread::{sleep as wait};",
            "src/a.rs:1",
        );
        allowed(does_not_sleep, "loadtest/src/a.rs", "thread::sleep(d)");
        allowed(
            does_not_sleep,
            "src/a.rs",
            "let sleep = 1; // thread::sleep",
        );
    }

    #[test]
    fn unsafe_code_is_refused() {
        refused(
            is_safe,
            "src/http/a.rs",
            "\n\nunsafe { f() }",
            "src/http/a.rs:3",
        );
        refused(is_safe, "tests/a.rs", "unsafe fn f() {}", "tests/a.rs:1");
        refused(
            is_safe,
            "src/runtime/a.rs",
            "unsafe { f() }",
            "src/runtime/a.rs:1",
        );
        allowed(is_safe, "src/runtime/memory.rs", "unsafe { f() }");
        let capi = "src/capi/a.rs";
        refused(is_safe, capi, "\nunsafe { f() }", "src/capi/a.rs:2");
        refused(is_safe, capi, "unsafe fn f() {}", "src/capi/a.rs:1");
        allowed(is_safe, capi, "// SAFETY: it is.\nunsafe { f() }");
        allowed(is_safe, capi, "/// # Safety\n/// It is.\nunsafe fn f() {}");
        allowed(
            is_safe,
            capi,
            "#[unsafe(no_mangle)]\nunsafe extern \"C\" fn f() {}",
        );
        allowed(is_safe, "src/a.rs", "#![deny(unsafe_code)] // unsafe");
    }

    #[test]
    fn sql_outside_the_store_is_refused() {
        let sql = "f(\"SELECT 1\")";
        refused(
            leaves_sql_to_the_store,
            "src/chat/a.rs",
            sql,
            "src/chat/a.rs:1",
        );
        let raw = "f(r#\"\n  INSERT INTO users\"#)";
        refused(
            leaves_sql_to_the_store,
            "src/server.rs",
            raw,
            "src/server.rs:1",
        );
        allowed(leaves_sql_to_the_store, "src/store/sqlite/sql.rs", sql);
        allowed(leaves_sql_to_the_store, "tests/store.rs", sql);
        allowed(
            leaves_sql_to_the_store,
            "src/http/a.rs",
            "f(\"DELETE\", \"Select one\")",
        );
    }

    #[test]
    fn hollow_names_are_refused() {
        for path in ["src/utils.rs", "src/http/misc/a.rs", "tests/common/mod.rs"] {
            refused(has_speaking_names, path, "", &format!("{path}:1"));
        }
        refused(
            has_speaking_names,
            "src/a.rs",
            "\nfn get_name() {}",
            "src/a.rs:2",
        );
        allowed(
            has_speaking_names,
            "src/a.rs",
            "fn get(); fn get_mut(); map.get_key_value()",
        );
    }
}
