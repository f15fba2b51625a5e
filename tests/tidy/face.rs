//! The library's face: what `src/lib.rs` names for hosts, each type of it with an example; and nothing else that a host would see.

use super::Slip;
use super::source::Source;

/// The one module that is a part of the face, with all that is in it.
const MODULE: &str = "config";
const LIB: &str = "src/lib.rs";

/// A type of the face, and where its definition is looked for.
struct Named {
    line: usize,
    module: String,
    name: String,
}

/// Every module of the library is hidden, but for the one, and whatever is left is shown by an example.
pub(crate) fn is_shown_by_examples(sources: &[Source]) -> Vec<Slip> {
    let Some(lib) = sources.iter().find(|source| source.path == LIB) else {
        return Vec::new();
    };
    let mut slips = modules_that_show(lib);
    for Named { line, module, name } in types_of(lib, sources) {
        let message = match example_of(sources, &module, &name) {
            Some(true) => continue,
            Some(false) => format!("{name} is a part of the face and has no example of its own"),
            None => format!("{name} is a part of the face, and nowhere in {module} is it defined"),
        };
        slips.push(lib.slip(line, message));
    }
    slips
}

/// The modules that a host's documentation would show.
fn modules_that_show(lib: &Source) -> Vec<Slip> {
    let hidden = ["#", "[", "doc", "(", "hidden", ")", "]"];
    let is_module = |at: usize| lib.holds_at(at, &["pub", "mod"]);
    let modules = (0..lib.tokens.len()).filter(|&at| is_module(at));
    let shows = |&at: &usize| {
        let is_hidden = at.checked_sub(hidden.len());
        lib.tokens[at + 2].text != MODULE
            && !is_hidden.is_some_and(|before| lib.holds_at(before, &hidden))
    };
    modules
        .filter(shows)
        .map(|at| {
            let name = &lib.tokens[at + 2].text;
            let message = format!(
                "the module {name} is shown to hosts; #[doc(hidden)] hides it, and its types are named again one by one"
            );
            lib.slip(lib.tokens[at].line, message)
        })
        .collect()
}

fn types_of(lib: &Source, sources: &[Source]) -> Vec<Named> {
    let of_module = (sources.iter())
        .filter(|source| is_in(&source.path, MODULE))
        .flat_map(|source| source.text.lines().filter_map(defined))
        .map(|name| Named {
            line: 1,
            module: MODULE.to_owned(),
            name: name.to_owned(),
        });
    let named_again = (0..lib.tokens.len())
        .filter(|&at| lib.holds_at(at, &["pub", "use"]))
        .flat_map(|at| {
            let module = lib.tokens[at + 2].text.clone();
            let names = lib.tokens[at + 3..]
                .iter()
                .take_while(|token| !token.is(";"));
            let names = names.filter(|token| token.text.starts_with(char::is_uppercase));
            names.map(move |token| Named {
                line: token.line,
                module: module.clone(),
                name: token.text.clone(),
            })
        });
    of_module.chain(named_again).collect()
}

fn is_in(path: &str, module: &str) -> bool {
    let rest = path
        .strip_prefix("src/")
        .and_then(|rest| rest.strip_prefix(module));
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The type that a line begins to define, where that is public.
fn defined(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

/// Whether a type's documentation has an example that is compiled; `None` for one that is not there.
fn example_of(sources: &[Source], module: &str, name: &str) -> Option<bool> {
    let mut files = sources.iter().filter(|source| is_in(&source.path, module));
    files.find_map(|source| {
        let lines = Vec::from_iter(source.text.lines());
        // A macro's argument defines it too.
        let is_it = |line: &&str| defined(line) == Some(name) || line.trim() == name;
        let at = lines.iter().position(is_it)?;
        let above = lines[..at].iter().rev().map(|line| line.trim());
        let mut above = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
        Some(above.any(|line| line == "/// ```" || line == "/// ```no_run"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slips(lib: &str, file: (&str, &str)) -> Vec<String> {
        let sources = [Source::new(LIB, lib), Source::new(file.0, file.1)];
        let slips = is_shown_by_examples(&sources);
        slips.iter().map(Slip::to_string).collect()
    }

    #[track_caller]
    fn refused(lib: &str, file: (&str, &str), with: &str) {
        let slips = slips(lib, file);
        assert_eq!(slips.len(), 1, "{slips:?}");
        assert!(slips[0].contains(with), "{slips:?}");
    }

    const SHOWN: &str =
        "/// Why.\n///\n/// ```\n/// f();\n/// ```\n#[derive(Debug)]\npub struct A {}\n";

    #[test]
    fn a_type_without_an_example_is_named() {
        let lib = "\n#[doc(hidden)]\npub mod a;\npub use a::{A};\n";
        assert_eq!(slips(lib, ("src/a/b.rs", SHOWN)), [""; 0]);
        let bare = "/// Why.\npub struct A {}\n";
        refused(
            lib,
            ("src/a.rs", bare),
            "src/lib.rs:4: A is a part of the face and has no",
        );
        let another = format!("{SHOWN}\npub enum B {{}}");
        let both = "#[doc(hidden)] pub mod a; pub use a::{A, B};";
        refused(both, ("src/a.rs", &another), "B is a part");
        let text = SHOWN
            .replacen("```\n", "```text\n", 1)
            .replacen("/// ```\n#", "///\n#", 1);
        refused(lib, ("src/a.rs", &text), "A is a part");
        refused(lib, ("src/b.rs", SHOWN), "nowhere in a");
    }

    #[test]
    fn what_a_macro_defines_is_found() {
        let lib = "#[doc(hidden)]\npub mod a;\npub use a::A;";
        let text = "id! {\n    /// It.\n    ///\n    /// ```\n    /// ```\n    A\n}";
        assert_eq!(slips(lib, ("src/a.rs", text)), [""; 0]);
    }

    #[test]
    fn a_module_that_is_shown_is_named_and_one_is_a_part() {
        refused("pub mod a;", ("src/a.rs", ""), "the module a is shown");
        refused(
            "#[doc(hidden)]\npub mod b;\npub mod a;",
            ("src/a.rs", ""),
            "module a",
        );
        assert_eq!(slips("pub mod config;", ("src/config.rs", SHOWN)), [""; 0]);
        let bare = "pub enum B { C }";
        refused("pub mod config;", ("src/config/b.rs", bare), "B is a part");
    }
}
