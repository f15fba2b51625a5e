//! The files that the server gives to browsers.

use crate::serving::{Answer, Request, Serving, get, post};

const FILES: [(&str, &str, &[u8]); 2] = [
    (
        "/loiter.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../src/web/loiter.js"),
    ),
    (
        "/loiter.d.ts",
        "text/plain; charset=utf-8",
        include_bytes!("../../src/web/loiter.d.ts"),
    ),
];

fn tag(answer: &Answer) -> String {
    answer.field("etag").expect("a tag").to_owned()
}

#[test]
fn a_file_needs_no_session() {
    let serving = Serving::start();
    for (path, content_type, content) in FILES {
        for path in [path.to_owned(), format!("{path}/")] {
            let answer = serving.ask(&get(&path));
            assert_eq!((answer.status, &*answer.body), (200, content), "{path}");
            assert_eq!(answer.field("content-type"), Some(content_type));
            let head = serving.ask(&Request::new("HEAD", &path));
            assert_eq!((head.status, head.length()), (200, Some(content.len())));
            assert_eq!(tag(&head), tag(&answer));
        }
    }
}

#[test]
fn a_file_has_the_methods_of_what_only_reads() {
    let serving = Serving::start();
    let allow = Some("GET, HEAD, OPTIONS");
    for (path, ..) in FILES {
        let options = serving.ask(&Request::new("OPTIONS", path));
        assert_eq!((options.status, options.field("allow")), (204, allow));
        for method in ["POST", "PUT", "DELETE"] {
            let answer = serving.ask(&Request::new(method, path));
            answer.assert_failed(405, "method_not_allowed");
            assert_eq!(answer.field("allow"), allow);
        }
    }
}

#[test]
fn who_has_a_file_is_told_that_it_is_the_same() {
    let serving = Serving::start();
    for (path, ..) in FILES {
        let strong = tag(&serving.ask(&get(path)));
        assert!(strong.starts_with('"') && strong.ends_with('"'), "{strong}");
        let asked = |method: &str, known: &str| {
            serving.ask(&Request::new(method, path).field("If-None-Match", known))
        };
        for known in [
            strong.clone(),
            format!("W/{strong}"),
            format!(r#""a", W/"b" ,{strong}"#),
            "*".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = asked(method, &known);
                assert_eq!((answer.status, &*answer.body), (304, &b""[..]), "{known}");
                assert_eq!(tag(&answer), strong);
            }
        }
        for other in [
            r#""a""#.to_owned(),
            strong.trim_matches('"').to_owned(),
            strong.replacen('"', "\"0", 1),
            String::new(),
        ] {
            assert_eq!(asked("GET", &other).status, 200, "{other}");
        }
        let in_two = get(path).field("If-None-Match", r#""a""#);
        let in_two = in_two.field("if-none-match", &strong);
        assert_eq!(serving.ask(&in_two).status, 304);
    }
}

/// The next request on the connection is found where the answer without a body ends.
#[test]
fn a_connection_goes_on_behind_a_file() {
    let serving = Serving::start();
    let mut client = serving.connect();
    for (path, _, content) in FILES {
        let answer = client.ask(&get(path));
        assert_eq!(answer.body, content);
        let again = get(path).field("If-None-Match", &tag(&answer));
        assert_eq!(client.ask(&again).status, 304);
        client.ask(&get("/healthz")).ok();
    }
}

#[test]
fn files_are_beside_the_calls_not_among_them() {
    let serving = Serving::start();
    for path in ["/loiter", "/LOITER.JS", "/message/loiter.js", "/web/mod.rs"] {
        serving.ask(&get(path)).assert_failed(404, "not_found");
        serving.ask(&post(path)).assert_failed(404, "not_found");
    }
}
