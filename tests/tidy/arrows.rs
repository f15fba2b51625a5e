//! Which layer may know which: the table of docs/architecture.md, and what logic must not touch.
//!
//! Unit tests are held to the same arrows as the code beside them: a test that needs two layers is
//! a test of their meeting, and belongs into `tests/`.

use super::Slip;
use super::rules::CLIENT;
use super::source::Source;

/// Layers that know nothing but one another.
const LEAVES: [&str; 7] = [
    "arena", "buffer", "config", "counters", "job", "model", "timers",
];
/// Layers without socket, disk, clock, thread or randomness, so that a simulator can drive them.
const LOGIC: [&str; 6] = ["http", "chat", "web", "routes", "api", "engine"];
/// What of the library the binary may name beside its types: the module of its settings.
const FACE: &str = "config";
/// A program of its own, which runs while the library is built.
const BUILD_SCRIPT: &str = "src/build/";

/// What a layer may name beside itself; `None` for a layer that nobody has decided on.
fn known_to(layer: &str) -> Option<Vec<&'static str>> {
    let with_leaves = |layers: &[&'static str]| [layers, &LEAVES].concat();
    Some(match layer {
        leaf if LEAVES.contains(&leaf) => LEAVES.to_vec(),
        "web" => Vec::new(),
        "http" => vec!["config"],
        "runtime" => vec!["arena", "buffer", "model", "config"],
        "chat" => LEAVES.to_vec(),
        "store" => vec!["model", "job", "config", "counters"],
        "routes" => with_leaves(&["http"]),
        "api" => with_leaves(&["http", "chat", "routes", "web"]),
        "engine" => with_leaves(&["api", "http", "chat", "routes"]),
        // The meeting point hands settings, jobs and completions from one side to the other.
        "metrics" => with_leaves(&["api", "http"]),
        // The face, by its types' names at the root.
        "capi" => vec![
            "config",
            "Answer",
            "Backup",
            "BackupError",
            "BadField",
            "Config",
            "Gone",
            "Handle",
            "MetricKind",
            "Metrics",
            "NotWoken",
            "Panicked",
            "Request",
            "Response",
            "Routes",
            "Sample",
            "Server",
            "StartError",
            "Users",
            "UsersError",
            "Waker",
        ],
        "server" => with_leaves(&["engine", "metrics", "routes", "runtime", "store"]),
        _ => return None,
    })
}

pub(crate) fn between_layers(source: &Source) -> Vec<Slip> {
    let Some(module) = module(&source.path) else {
        return Vec::new();
    };
    match module.first().map(String::as_str) {
        None if source.path == "src/lib.rs" => Vec::new(),
        None | Some("cli") => of_the_binary(source, &module),
        Some(layer) => of_a_layer(source, &module, layer),
    }
}

fn of_a_layer(source: &Source, module: &[String], layer: &str) -> Vec<Slip> {
    let Some(known) = known_to(layer) else {
        let message = format!("no row of the layers' table tells what {layer} may know");
        return vec![source.slip(1, message)];
    };
    roots_named(source, module)
        .into_iter()
        .filter(|(_, named)| named != layer && !known.contains(&named.as_str()))
        .map(|(line, named)| {
            let known = known.join(", ");
            source.slip(
                line,
                format!("{layer} names {named} of the crate's root; it may know {known}"),
            )
        })
        .collect()
}

fn of_the_binary(source: &Source, module: &[String]) -> Vec<Slip> {
    let own = roots_named(source, module)
        .into_iter()
        .filter(|(_, named)| named != "cli");
    let of_the_library = (0..source.tokens.len())
        .filter(|&at| source.holds_at(at, &["loiter", "::"]))
        .flat_map(|at| names_at(source, at + 2))
        .filter(|(_, named)| named != FACE && !named.starts_with(char::is_uppercase));
    own.chain(of_the_library)
        .map(|(line, named)| {
            let message = format!(
                "the binary names {named}; it may know the library's face only: its types, and {FACE}"
            );
            source.slip(line, message)
        })
        .collect()
}

/// The modules that a file of `src` is in; none for those at the root, `None` for other files, the build script among them.
fn module(path: &str) -> Option<Vec<String>> {
    if path.starts_with(BUILD_SCRIPT) {
        return None;
    }
    let mut parts: Vec<String> = path
        .strip_prefix("src/")?
        .strip_suffix(".rs")?
        .split('/')
        .map(str::to_owned)
        .collect();
    if matches!(parts.last()?.as_str(), "mod" | "lib" | "main") {
        parts.pop();
    }
    Some(parts)
}

/// What a file names of its crate's root, by `crate::` or by as many `super::` as lead there.
fn roots_named(source: &Source, module: &[String]) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    // The inline modules that are open, each with the depth of braces around it.
    let (mut inline, mut depth) = (Vec::new(), 0);
    let mut at = 0;
    while at < source.tokens.len() {
        let mut next = at + 1;
        match source.tokens[at].text.as_str() {
            "mod" if source.holds_at(at + 2, &["{"]) => inline.push(depth),
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.pop_if(|around| *around == depth);
            }
            "crate" if source.holds_at(next, &["::"]) => named.extend(names_at(source, at + 2)),
            "super" => {
                let mut supers = 1;
                while source.holds_at(next, &["::", "super"]) {
                    supers += 1;
                    next += 2;
                }
                if supers >= module.len() + inline.len() {
                    named.extend(names_at(source, next + 1));
                }
            }
            _ => {}
        }
        at = next;
    }
    named
}

/// The first names of the path, or of the group of paths, that begins at a token.
fn names_at(source: &Source, at: usize) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let (mut depth, mut expects_name) = (0, true);
    for token in source.tokens.get(at..).unwrap_or_default() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => expects_name = true,
            text if expects_name => {
                names.push((token.line, text.to_owned()));
                expects_name = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

pub(crate) fn logic_without_io(source: &Source) -> Vec<Slip> {
    const FORBIDDEN: [&str; 13] = [
        "Instant",
        "SystemTime",
        "SystemRandom",
        "TcpListener",
        "TcpStream",
        "UdpSocket",
        "fs",
        "mio",
        "r2d2",
        "r2d2_sqlite",
        "rusqlite",
        "socket2",
        "thread",
    ];
    let layer = module(&source.path).and_then(|module| module.into_iter().next());
    let Some(layer) = layer.filter(|layer| LOGIC.contains(&layer.as_str())) else {
        return Vec::new();
    };
    // Only as a part of a path: a field may be called `fs`.
    let in_a_path = |at: usize| {
        source.holds_at(at + 1, &["::"])
            || at
                .checked_sub(1)
                .is_some_and(|before| source.holds_at(before, &["::"]))
    };
    (0..source.tokens.len())
        .filter(|&at| FORBIDDEN.contains(&source.tokens[at].text.as_str()) && in_a_path(at))
        .map(|at| {
            let token = &source.tokens[at];
            let message = format!(
                "{layer} is logic, and names {}: sockets, disk, clocks, threads and randomness are runtime's, store's and server's",
                token.text
            );
            source.slip(token.line, message)
        })
        .collect()
}

/// What the client knows of the server is the contract. Were it to use the server's own code, both could be wrong in the same way.
pub(crate) fn client_without_server(source: &Source) -> Vec<Slip> {
    if !source.path.starts_with(CLIENT) {
        return Vec::new();
    }
    (0..source.tokens.len())
        .filter(|&at| source.holds_at(at, &["loiter", "::"]))
        .map(|at| {
            let message = "the client names the server's crate; it may know the contract only";
            source.slip(source.tokens[at].line, message.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slips(path: &str, text: &str) -> Vec<String> {
        let slips = between_layers(&Source::new(path, text));
        slips.iter().map(Slip::to_string).collect()
    }

    #[track_caller]
    fn refused(path: &str, text: &str, named: &str) {
        let slips = slips(path, text);
        assert_eq!(slips.len(), 1, "{text}: {slips:?}");
        assert!(slips[0].contains(&format!("names {named}")), "{slips:?}");
    }

    #[test]
    fn the_tables_arrows_are_allowed() {
        for (path, text) in [
            (
                "src/http/parse.rs",
                "use crate::config::Config; use crate::http::form;",
            ),
            (
                "src/chat/mod.rs",
                "use crate::{arena::Key, job::{Job, Fault}, model};",
            ),
            ("src/engine.rs", "use crate::{api, chat, http, model::Now};"),
            (
                "src/server.rs",
                "use crate::engine::Engine; use crate::config::Config;",
            ),
            (
                "src/model/mod.rs",
                "use crate::arena::Key; pub(crate) struct A;",
            ),
            ("src/lib.rs", "pub use server::Server; use crate::store;"),
            ("tests/wire.rs", "use crate::anything;"),
        ] {
            assert_eq!(slips(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn every_other_arrow_is_refused() {
        refused("src/http/parse.rs", "use crate::chat::Chat;", "chat");
        refused("src/chat/rooms.rs", "use crate::store;", "store");
        refused("src/runtime/mod.rs", "use crate::http::Parser;", "http");
        refused(
            "src/store/mod.rs",
            "use crate::timers::Deadlines;",
            "timers",
        );
        refused("src/api/mod.rs", "use crate::engine::Engine;", "engine");
        refused("src/engine.rs", "use crate::runtime::Reactor;", "runtime");
        refused("src/model/mod.rs", "use crate::chat;", "chat");
        refused("src/server.rs", "use crate::api::route;", "api");
    }

    #[test]
    fn arrows_are_found_wherever_they_hide() {
        refused(
            "src/http/a.rs",
            "use crate::{config::{self, X}, store::{Y, Z}};",
            "store",
        );
        refused("src/http/a.rs", "fn f() { crate::store::open() }", "store");
        refused("src/http/mod.rs", "use super::store;", "store");
        refused("src/http/a.rs", "use super::super::store::Y;", "store");
        refused(
            "src/http/a.rs",
            "mod tests { use super::super::super::{store}; }",
            "store",
        );
        refused(
            "src/http/a.rs",
            "mod tests { use super::*; }\nuse super::super::chat;",
            "chat",
        );
        refused("src/http/a.rs", "use crate::*;", "*");
        refused("src/http/a.rs", "use crate::Server;", "Server");
        refused("src/http/a.rs", "pub(in crate::store) fn f() {}", "store");
    }

    #[test]
    fn what_stays_in_its_layer_is_no_arrow() {
        for text in [
            "use super::form::Form;",
            "mod tests { use super::*; use super::super::form; }",
            "// use crate::store;\n/// [`crate::store`]\nfn f() {}",
            "fn f() { g(\"crate::store\") }",
        ] {
            assert_eq!(slips("src/http/parse.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_layer_without_a_row_is_refused() {
        let slips = slips("src/plugins/mod.rs", "");
        assert!(slips[0].contains("no row"), "{slips:?}");
    }

    #[test]
    fn the_binary_knows_the_face_only() {
        let face = "use loiter::{Config, Server}; use loiter::config::Durability; use crate::cli;";
        assert_eq!(slips("src/cli/options.rs", face), [""; 0]);
        refused("src/main.rs", "use loiter::store::Store;", "store");
        refused(
            "src/cli/a.rs",
            "use loiter::{Config, engine::Engine};",
            "engine",
        );
        refused("src/cli/a.rs", "use crate::engine;", "engine");
    }

    #[test]
    fn a_slip_tells_file_and_line() {
        let slips = slips(
            "src/http/a.rs",
            "//! x\n\nuse crate::{\n    config,\n    chat,\n};",
        );
        assert!(
            slips[0].starts_with("src/http/a.rs:5: http names chat"),
            "{slips:?}"
        );
        assert!(slips[0].ends_with("it may know config"), "{slips:?}");
    }

    #[test]
    fn logic_has_no_clock_and_no_socket() {
        let refused =
            |path: &str, text: &str| !logic_without_io(&Source::new(path, text)).is_empty();
        assert!(refused("src/chat/mod.rs", "let now = Instant::now();"));
        assert!(refused("src/http/mod.rs", "use std::net::TcpStream;"));
        assert!(refused("src/engine.rs", "std::thread::spawn(f);"));
        assert!(!refused(
            "src/chat/mod.rs",
            "use std::net::IpAddr; use std::time::Duration;"
        ));
        assert!(!refused("src/runtime/mod.rs", "let now = Instant::now();"));
        assert!(refused("src/web/mod.rs", "use std::fs;"));
        assert!(!refused("src/build/packed.rs", "fs::read(path)"));
    }

    #[test]
    fn the_client_knows_nothing_of_the_server() {
        let is_refused =
            |path: &str, text: &str| !client_without_server(&Source::new(path, text)).is_empty();
        assert!(is_refused("tests/client/src/a.rs", "use loiter::Config;"));
        assert!(!is_refused(
            "tests/client/src/a.rs",
            "use loiter_client::Client; // loiter::x"
        ));
        assert!(!is_refused("tests/serving/mod.rs", "use loiter::Config;"));
    }
}
