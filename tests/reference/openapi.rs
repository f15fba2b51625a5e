//! The table of calls as OpenAPI 3.1.

use std::collections::BTreeMap;

use loiter::api::{Kind, OPERATIONS, Operation, Parameter, Success};
use serde_json::{Map, Value, json};

const ABOUT: &str = "A chat server whose clients wait. Every path works with and without its trailing slash; GET answers HEAD too, but for longpoll, endpoll and stream. \
    On a POST the parameters may stand in the query string instead of the body. The whole contract in words: docs/api.md.";

/// The document, as text.
pub(crate) fn document() -> String {
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut failures = Map::new();
    failures.insert("Refused".to_owned(), refused());
    for operation in &OPERATIONS {
        for (status, codes) in codes(operation) {
            failures.insert(name_of(status, &codes), failure(status, &codes));
        }
        let method = operation.method().to_ascii_lowercase();
        let path = format!("{}/", operation.path);
        paths.insert(path, json!({ method: described(operation) }));
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "loiter",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "session",
                    "description": "Set by login. With --secure-cookies its name is __Host-session.",
                },
            },
            "schemas": schemas(),
            "responses": failures,
        },
    });
    let text = serde_json::to_string_pretty(&document).expect("it is JSON");
    format!("{text}\n")
}

fn described(operation: &Operation) -> Value {
    let name = format!("{:?}", operation.route);
    let mut described = json!({
        "operationId": name[..1].to_ascii_lowercase() + &name[1..],
        "summary": operation.summary,
        "security": if operation.needs_session { json!([{ "session": [] }]) } else { json!([]) },
        "responses": responses(operation),
    });
    if operation.parameters.is_empty() {
        return described;
    }
    match operation.method() {
        "POST" => described["requestBody"] = body(operation.parameters),
        _ => {
            let parameters = operation.parameters.iter().map(in_query);
            let last_event_id = (operation.success == Success::Events).then(last_event_id);
            described["parameters"] = parameters.chain(last_event_id).collect();
        }
    }
    described
}

fn in_query(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.is_required,
        "description": parameter.about,
        "schema": schema(parameter.kind),
    })
}

fn last_event_id() -> Value {
    json!({
        "name": "Last-Event-ID",
        "in": "header",
        "required": false,
        "description": "The newest message that the client has; a browser's EventSource sends it when it comes again.",
        "schema": schema(Kind::Integer(0, i64::MAX)),
    })
}

fn body(parameters: &[Parameter]) -> Value {
    let required: Vec<&str> = (parameters.iter())
        .filter(|parameter| parameter.is_required)
        .map(|parameter| parameter.name)
        .collect();
    let object = |schema: fn(Kind) -> Value| {
        let properties: Map<String, Value> = (parameters.iter())
            .map(|parameter| {
                let mut schema = schema(parameter.kind);
                schema["description"] = parameter.about.into();
                (parameter.name.to_owned(), schema)
            })
            .collect();
        json!({ "schema": { "type": "object", "properties": properties, "required": required } })
    };
    json!({
        "required": !required.is_empty(),
        "content": {
            "application/x-www-form-urlencoded": object(schema),
            "application/json": object(schema_in_json),
        },
    })
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Integer(min, max) => {
            json!({ "type": "integer", "format": "int64", "minimum": min, "maximum": max })
        }
        Kind::Text | Kind::User => json!({ "type": "string", "minLength": 1 }),
        Kind::Bytes(min, max) => json!({ "type": "string", "minLength": min, "maxLength": max }),
        Kind::Name => json!({ "type": "string", "minLength": 1, "maxLength": 64 }),
        Kind::Chatrooms => {
            json!({ "type": "string", "pattern": "^(all|[1-9][0-9]{0,17}(,[1-9][0-9]{0,17})*)$" })
        }
        Kind::Sinces => json!({
            "type": "string",
            "pattern": "^([0-9]{1,18}|([1-9][0-9]{0,17}:[0-9]{1,18}(,[1-9][0-9]{0,17}:[0-9]{1,18})*)?)$",
        }),
    }
}

/// A JSON body's numbers may stand in quotes, and its texts may be numbers.
fn schema_in_json(kind: Kind) -> Value {
    match kind {
        Kind::Integer(..) => {
            json!({ "anyOf": [schema(kind), { "type": "string", "pattern": "^[0-9]{1,19}$" }] })
        }
        _ => {
            let mut schema = schema(kind);
            schema["type"] = json!(["string", "number"]);
            schema
        }
    }
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), success(operation));
    for (status, codes) in codes(operation) {
        responses.insert(status.to_string(), response(&name_of(status, &codes)));
    }
    responses.insert("default".to_owned(), response("Refused"));
    Value::Object(responses)
}

/// Why a call may fail, by status.
fn codes(operation: &Operation) -> BTreeMap<u16, Vec<&'static str>> {
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, code) in operation.failures() {
        codes.entry(status).or_default().push(code);
    }
    codes
}

/// What a response of several calls is called.
fn name_of(status: u16, codes: &[&str]) -> String {
    format!("{status}.{}", codes.join("."))
}

fn response(name: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{name}") })
}

fn success(operation: &Operation) -> Value {
    let list = |of: &str| json!({ "type": "array", "items": named(of) });
    let ok = json!({ "type": "string", "const": "ok" });
    let (about, schema) = match operation.success {
        Success::Done => ("It is done.", named("Done")),
        Success::User => ("The user.", named("User")),
        Success::Users {
            none_is_object: false,
        } => ("The users.", list("User")),
        Success::Users {
            none_is_object: true,
        } => (
            "The users; an empty object for none.",
            json!({ "oneOf": [list("User"), { "type": "object", "maxProperties": 0 }] }),
        ),
        Success::Ids => ("The ids.", json!({ "type": "array", "items": named("Id") })),
        Success::Id => (
            "The new chatroom's id.",
            object(&["chatroomid"], json!({ "chatroomid": named("Id") })),
        ),
        Success::Chatroom => ("The chatroom.", named("Chatroom")),
        Success::Overview => ("The chatrooms.", list("ChatroomOverview")),
        Success::Messages => ("The messages, oldest first.", list("Message")),
        Success::Ended => (
            "How many polls were ended, and the messages, oldest first.",
            object(
                &["status", "ended", "messages"],
                json!({ "status": ok, "ended": { "type": "integer", "minimum": 0 }, "messages": list("Message") }),
            ),
        ),
        Success::Events => {
            let content = json!({ "text/event-stream": { "schema": { "type": "string" } } });
            return json!({ "description": "Events, each a message with its id.", "content": content });
        }
    };
    let mut success = json!({
        "description": about,
        "content": { "application/json": { "schema": schema } },
    });
    let headers = match operation.path {
        "/message/sendMessage" => Some(("Loiter-Message-Id", named("Id"))),
        "/login" | "/logout" | "/whoami" => Some(("Set-Cookie", json!({ "type": "string" }))),
        _ => None,
    };
    if let Some((name, schema)) = headers {
        success["headers"] = json!({ name: { "schema": schema } });
    }
    success
}

fn failure(status: u16, codes: &[&str]) -> Value {
    let is = match codes {
        [code] => json!({ "const": code }),
        codes => json!({ "enum": codes }),
    };
    let schema = json!({ "allOf": [named("Failure"), { "properties": { "error": is } }] });
    let mut failure = json!({
        "description": codes.join(" or "),
        "content": { "application/json": { "schema": schema } },
    });
    if matches!(status, 429 | 503) {
        let seconds = json!({ "schema": { "type": "integer", "minimum": 1 } });
        failure["headers"] = json!({ "Retry-After": seconds });
    }
    failure
}

/// What HTTP itself refuses, or the path.
fn refused() -> Value {
    json!({
        "description": "Refused before it was a call: bad_request, not_found, method_not_allowed, request_timeout, body_too_large, uri_too_long, expectation_failed, head_too_large, not_implemented, version_not_supported.",
        "content": { "application/json": { "schema": named("Failure") } },
    })
}

fn schemas() -> Value {
    let id = json!({ "type": "integer", "format": "int64", "minimum": 1 });
    let text = json!({ "type": "string" });
    let name = json!({ "type": "string", "description": "Only where the chatroom has one." });
    json!({
        "Id": id,
        "Done": object(&["status"], json!({ "status": { "const": "ok" } })),
        "Failure": object(
            &["error", "message"],
            json!({
                "error": { "type": "string", "description": "A code, which is stable." },
                "message": { "type": "string", "description": "A sentence for a person." },
                "chatroomid": { "type": "integer", "description": "since_ahead, since_expired of several chatrooms: which." },
                "last": { "type": "integer", "description": "since_ahead: the newest message's id." },
                "first": { "type": "integer", "description": "since_expired: the oldest id that is kept." },
            }),
        ),
        "User": object(&["userid", "username"], json!({ "userid": named("Id"), "username": text })),
        "Message": object(
            &["id", "chatroomid", "userid", "username", "message", "time"],
            json!({
                "id": named("Id"),
                "chatroomid": named("Id"),
                "userid": named("Id"),
                "username": text,
                "message": text,
                "time": { "type": "string", "format": "date-time" },
            }),
        ),
        "Chatroom": object(
            &["chatroomid", "admin", "participants"],
            json!({
                "chatroomid": named("Id"),
                "name": name,
                "admin": named("Id"),
                "participants": { "type": "array", "items": named("User") },
            }),
        ),
        "ChatroomOverview": object(
            &["chatroomid", "admin", "participants", "last"],
            json!({
                "chatroomid": named("Id"),
                "name": name,
                "admin": named("Id"),
                "participants": { "type": "integer", "minimum": 0 },
                "last": { "type": "integer", "format": "int64", "minimum": 0 },
            }),
        ),
    })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn named(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
