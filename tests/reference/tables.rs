//! The table of calls as tables for people, between two marks of `docs/api.md`.

use std::fmt::Write as _;

use loiter::api::{Kind, OPERATIONS, Operation, Success};

const BEGIN: &str = "<!-- made of src/api/operations.rs by tests/reference: change it there -->\n";
const END: &str = "<!-- end -->\n";

/// A page with what stands between its marks made anew.
pub(crate) fn within(page: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("it has the first mark");
    let (_, behind) = rest.split_once(END).expect("it has the second mark");
    format!(
        "{before}{BEGIN}\n{}\n{}\n{END}{behind}",
        calls(),
        parameters()
    )
}

fn calls() -> String {
    let mut table =
        "| call | what it does | 200 | what can fail |\n| --- | --- | --- | --- |\n".to_owned();
    for operation in &OPERATIONS {
        let failures: Vec<_> = (operation.own_failures.iter())
            .map(|(status, code)| format!("{status} `{code}`"))
            .collect();
        writeln!(
            table,
            "| `{} {}` | {} | {} | {} |",
            operation.method(),
            target(operation),
            operation.summary,
            shape(operation.success),
            failures.join(" · "),
        )
        .expect("a String takes all");
    }
    table
}

/// The path with its parameters; those in brackets may be missing.
fn target(operation: &Operation) -> String {
    let mut target = format!("{}/", operation.path);
    for (at, parameter) in operation.parameters.iter().enumerate() {
        let mark = if at == 0 { '?' } else { '&' };
        let (open, close) = if parameter.is_required {
            ("", "")
        } else {
            ("[", "]")
        };
        write!(target, "{open}{mark}{}={close}", parameter.name).expect("a String takes all");
    }
    target
}

fn shape(success: Success) -> &'static str {
    match success {
        Success::Done => r#"`{"status":"ok"}`"#,
        Success::User => "user",
        Success::Users {
            none_is_object: false,
        } => "array of users",
        Success::Users {
            none_is_object: true,
        } => "array of users, or `{}`",
        Success::Ids => "`[1,7]`",
        Success::Id => r#"`{"chatroomid":7}`"#,
        Success::Chatroom => "chatroom",
        Success::Overview => {
            r#"array of `{"chatroomid":7,"name":"tea","admin":1,"participants":3,"last":12}`"#
        }
        Success::Messages => "list of messages",
        Success::Ended => r#"`{"status":"ok","ended":1,"messages":[…]}`"#,
        Success::Events => "server-sent events",
    }
}

/// Each parameter once, with the calls that take it.
fn parameters() -> String {
    let mut rows: Vec<(&str, Kind, &str, Vec<&str>)> = Vec::new();
    for operation in &OPERATIONS {
        let call = operation.path.rsplit('/').next().expect("a name");
        for parameter in operation.parameters {
            let key = (parameter.name, parameter.kind, parameter.about);
            match rows.iter_mut().find(|row| (row.0, row.1, row.2) == key) {
                Some(row) => row.3.push(call),
                None => rows.push((parameter.name, parameter.kind, parameter.about, vec![call])),
            }
        }
    }
    let mut table = "| parameter | of | is | |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, kind, about, calls) in rows {
        let calls = calls.join(", ");
        let is = described(kind);
        let about = with_options_as_code(about);
        writeln!(table, "| `{name}` | {calls} | {is} | {about} |").expect("a String takes all");
    }
    table
}

/// Text in which `--options` stand between backticks.
fn with_options_as_code(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let option = word.trim_end_matches([';', ',', '.']);
        match option.starts_with("--") {
            true => format!("`{option}`{}", &word[option.len()..]),
            false => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn described(kind: Kind) -> String {
    match kind {
        Kind::Integer(1, i64::MAX) => "an id".to_owned(),
        Kind::Integer(0, i64::MAX) => "an id, or 0".to_owned(),
        Kind::Integer(min, max) => format!("{min} to {max}"),
        Kind::Text => "text".to_owned(),
        Kind::Bytes(min, max) => format!("{min} to {max} bytes"),
        Kind::Name => "a name".to_owned(),
        Kind::User => "a user's id or name".to_owned(),
        Kind::Chatrooms => "ids, or `all`".to_owned(),
        Kind::Sinces => "an id or 0, or pairs".to_owned(),
    }
}
