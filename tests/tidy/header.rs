//! `loiter.h` and the functions behind it: the same names, types, order of arguments, and numbers.
//!
//! Both are read as tokens, which is enough: what C can be told has few types, and one that is not in the table below is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::source::{Source, Token};

/// Rust's types, and how the header writes them. Of a lifetime the tokens have no quote.
const TYPES: [(&str, &str); 12] = [
    ("c_char", "char"),
    ("c_int", "int"),
    ("c_void", "void"),
    ("f64", "double"),
    ("i64", "int64_t"),
    ("u16", "uint16_t"),
    ("u64", "uint64_t"),
    ("usize", "size_t"),
    ("LoiterConfig", "loiter_config"),
    ("LoiterRequest<_>", "loiter_request"),
    ("LoiterResponse", "loiter_response"),
    ("LoiterServer", "loiter_server"),
];
/// Where there may be none, a callback is NULL.
const CALLBACKS: [(&str, &str); 4] = [
    ("AnswerFn", "loiter_answer_fn"),
    ("GoneFn", "loiter_gone_fn"),
    ("LogFn", "loiter_log_fn"),
    ("MetricFn", "loiter_metric_fn"),
];

/// A function, or a callback's type: its name, and all else as C writes it.
type Signatures = BTreeMap<String, String>;

fn texts(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// A type of Rust's in C.
fn in_c(rust: &[&str]) -> String {
    let joined = rust.concat();
    match rust {
        ["*", "mut", of @ ..] => format!("{} *", in_c(of)).replace("* *", "**"),
        ["*", "const", "*", ..] => format!("{} const *", in_c(&rust[2..])),
        ["*", "const", of @ ..] => format!("const {} *", in_c(of)),
        ["Option", "<", callback, ">"] => named(&CALLBACKS, callback),
        _ => named(&TYPES, &joined),
    }
}

fn named(table: &[(&str, &str)], rust: &str) -> String {
    let found = table.iter().find(|(of, _)| *of == rust);
    let (_, c) = found.unwrap_or_else(|| panic!("no type of C is known for {rust}"));
    (*c).to_owned()
}

/// The places of what stands between the parenthesis at `open` and its end, divided at commas; and where that end is.
fn arguments<'a>(texts: &[&'a str], open: usize) -> (Vec<Vec<&'a str>>, usize) {
    assert_eq!(texts[open], "(");
    let end = open
        + texts[open..]
            .iter()
            .position(|&of| of == ")")
            .expect("an end");
    let arguments = texts[open + 1..end].split(|&of| of == ",");
    let arguments = arguments.filter(|argument| !argument.is_empty());
    (arguments.map(<[_]>::to_vec).collect(), end)
}

/// The functions and callbacks of a file of Rust.
fn of_rust(source: &Source, found: &mut Signatures) {
    let texts = texts(&source.tokens);
    for at in 0..texts.len() {
        // The language's name is a literal, and so no token.
        if !source.holds_at(at, &["extern", "fn"]) {
            continue;
        }
        let (name, open) = match texts[at + 2] {
            "(" => {
                let before = texts[..at].iter().rposition(|&of| of == "type");
                let name = before.map(|before| texts[before + 1]).expect("a name");
                let Some((_, name)) = CALLBACKS.iter().find(|(of, _)| *of == name) else {
                    panic!("no name in C is known for {name}");
                };
                (*name, at + 2)
            }
            name if name.starts_with("loiter_") => (name, at + 3),
            // A test's callback.
            _ => continue,
        };
        let (arguments, end) = arguments(&texts, open);
        let arguments = arguments.iter().map(|argument| match &argument[..] {
            [name, ":", of @ ..] => format!("{} {name}", in_c(of)),
            other => panic!("{name}: {other:?} is no argument"),
        });
        let arguments = Vec::from_iter(arguments).join(", ");
        let yields = match &texts[end + 1..] {
            ["-", ">", rest @ ..] => {
                let until = rest.iter().position(|&of| of == "{" || of == ";");
                in_c(&rest[..until.expect("a body")])
            }
            _ => "void".to_owned(),
        };
        let signature = format!("{yields} ({arguments})");
        assert_eq!(found.insert(name.to_owned(), signature), None, "{name}");
    }
}

/// What the header declares, and the numbers that it names.
fn of_c(header: &str) -> (Signatures, BTreeMap<String, String>) {
    // What is for C++ alone, and for the preprocessor, is no declaration.
    let mut is_for_both = true;
    let lines = header.lines().map(|line| {
        let is_directive = line.starts_with('#');
        is_for_both = match line {
            "#ifdef __cplusplus" => false,
            "#endif" => true,
            _ => is_for_both,
        };
        if is_directive || !is_for_both {
            ""
        } else {
            line
        }
    });
    let source = Source::new("loiter.h", &Vec::from_iter(lines).join("\n"));
    let texts = texts(&source.tokens);
    let (mut signatures, mut numbers) = (Signatures::new(), BTreeMap::new());
    for statement in texts.split(|&of| of == ";") {
        match statement {
            ["enum", _, "{", named @ .., "}"] => {
                for number in named.split(|&of| of == ",") {
                    let [name, "=", value] = number else {
                        panic!("{number:?} has no number of its own");
                    };
                    numbers.insert((*name).to_owned(), (*value).to_owned());
                }
            }
            ["typedef", "struct", of, name] => assert_eq!(of, name),
            ["typedef", yields, "(", "*", name, ")", "(", ..] => {
                let (arguments, _) = arguments(statement, 6);
                let signature = format!("{yields} ({})", declared(&arguments));
                signatures.insert((*name).to_owned(), signature);
            }
            [] => {}
            _ => {
                let open = statement.iter().position(|&of| of == "(");
                let open = open.unwrap_or_else(|| panic!("what is {statement:?}?"));
                let (arguments, _) = arguments(statement, open);
                let (name, yields) = statement[..open].split_last().expect("a name");
                let signature = format!("{} ({})", spaced(yields), declared(&arguments));
                signatures.insert((*name).to_owned(), signature);
            }
        }
    }
    (signatures, numbers)
}

fn declared(arguments: &[Vec<&str>]) -> String {
    let arguments = arguments
        .iter()
        .filter(|&argument| argument[..] != ["void"]);
    let arguments = arguments.map(|argument| {
        let (name, of) = argument.split_last().expect("a name");
        format!("{} {name}", spaced(of))
    });
    Vec::from_iter(arguments).join(", ")
}

fn spaced(tokens: &[&str]) -> String {
    tokens.join(" ").replace("* *", "**")
}

/// `BadArgument` as the header has it: `LOITER_BAD_ARGUMENT`.
fn constant(variant: &str) -> String {
    let mut name = "LOITER".to_owned();
    for letter in variant.chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn sources() -> Vec<Source> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capi");
    let files = fs::read_dir(folder).expect("a folder");
    let paths = files.map(|file| file.expect("a file").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|of| of == "rs"));
    paths
        .map(|path| Source::new("src/capi", &fs::read_to_string(path).expect("UTF-8")))
        .collect()
}

const HEADER: &str = include_str!("../../src/capi/loiter.h");

#[test]
fn the_header_declares_what_there_is_and_nothing_else() {
    let mut functions = Signatures::new();
    let mut exported = 0;
    for source in sources() {
        of_rust(&source, &mut functions);
        let attributes = 0..source.tokens.len();
        exported += attributes
            .filter(|&at| source.holds_at(at, &["no_mangle"]))
            .count();
    }
    let (declared, _) = of_c(HEADER);
    for (name, signature) in &functions {
        assert_eq!(declared.get(name), Some(signature), "{name}");
    }
    for name in declared.keys() {
        assert!(functions.contains_key(name), "there is no {name}");
    }
    assert_eq!(functions.len(), exported + CALLBACKS.len());
    assert!(exported > 15, "{functions:?}");
}

#[test]
fn the_headers_numbers_are_those_that_functions_yield() {
    let (_, numbers) = of_c(HEADER);
    let mut statuses = 0;
    for source in sources() {
        let texts = texts(&source.tokens);
        let Some(at) = (0..texts.len()).find(|&at| source.holds_at(at, &["enum", "Status", "{"]))
        else {
            continue;
        };
        let end = at
            + texts[at..]
                .iter()
                .position(|&of| of == "}")
                .expect("an end");
        for variant in texts[at + 3..end].split(|&of| of == ",") {
            if let [name, "=", value] = variant {
                let found = numbers.get(&constant(name));
                assert_eq!(found.map(String::as_str), Some(*value), "{name}");
                statuses += 1;
            }
        }
    }
    // The others are the levels of the log, the kinds of metrics and how requests end, which src/capi/tests.rs looks at.
    assert_eq!(statuses + 6 + 2 + 4, numbers.len(), "{numbers:?}");
    let version = format!("#define LOITER_VERSION \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(HEADER.contains(&version), "{version}");
}

#[test]
fn what_differs_is_seen() {
    let mut functions = Signatures::new();
    let rust = "extern \"C\" fn loiter_a(b: *const c_char, c: *mut *mut LoiterServer, e: *const *const c_char) -> c_int {}
        type LogFn = unsafe extern \"C\" fn(user: *mut c_void, level: c_int);
        extern \"C\" fn loiter_b() {}";
    of_rust(&Source::new("src/capi/a.rs", rust), &mut functions);
    let same = "/* A text. */ int loiter_a(const char *b, loiter_server **c, const char *const *e);
        typedef void (*loiter_log_fn)(void *user, int level); void loiter_b(void);";
    assert_eq!(of_c(same).0, functions);
    for (from, to) in [
        ("const char", "char"),
        ("**c", "*c"),
        ("*const *e", "**e"),
        ("int loiter_a", "void loiter_a"),
        ("*b", "*d"),
        ("*user, int level", "*user, size_t level"),
        ("(void)", "(int a)"),
        ("loiter_b", "loiter_c"),
    ] {
        let other = same.replacen(from, to, 1);
        assert_ne!(of_c(&other).0, functions, "{other}");
    }
}
