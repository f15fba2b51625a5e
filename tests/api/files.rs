//! The files that the server gives to browsers.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::serving::{Answer, Request, Serving, get, post};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The page, one file of each type, and the client with its types.
const FILES: [(&str, &str, &[u8]); 6] = [
    ("/", HTML, include_bytes!("../../src/web/page/index.html")),
    (
        "/page/page.css",
        CSS,
        include_bytes!("../../src/web/page/page.css"),
    ),
    (
        "/page/page.js",
        JAVASCRIPT,
        include_bytes!("../../src/web/page/page.js"),
    ),
    (
        "/page/icon.svg",
        "image/svg+xml",
        include_bytes!("../../src/web/page/icon.svg"),
    ),
    (
        "/loiter.js",
        JAVASCRIPT,
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
        for path in [path, &format!("{}/", path.trim_end_matches('/'))] {
            let answer = serving.ask(&get(path));
            assert_eq!((answer.status, &*answer.body), (200, content), "{path}");
            assert_eq!(answer.field("content-type"), Some(content_type));
            assert_eq!(answer.field("content-encoding"), None);
            let head = serving.ask(&Request::new("HEAD", path));
            assert_eq!((head.status, head.length()), (200, Some(content.len())));
            assert_eq!(tag(&head), tag(&answer));
        }
    }
}

fn compressed(method: &str, path: &str) -> Request {
    Request::new(method, path).field("Accept-Encoding", "gzip, deflate, br")
}

#[test]
fn a_file_is_compressed_for_who_takes_it() {
    let serving = Serving::start();
    let mut client = serving.connect();
    for (path, content_type, content) in FILES {
        let answer = client.ask(&compressed("GET", path));
        assert_eq!(answer.field("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(answer.field("content-type"), Some(content_type));
        let mut unpacked = Vec::new();
        let mut decoder = GzDecoder::new(&*answer.body);
        decoder.read_to_end(&mut unpacked).expect("it is sound");
        assert_eq!(unpacked, content, "{path}");
        let head = client.ask(&compressed("HEAD", path));
        assert_eq!(head.length(), Some(answer.body.len()));
        assert_eq!(head.field("content-encoding"), Some("gzip"));
    }
}

/// Two forms with one tag would let a cache give one for the other.
#[test]
fn each_form_has_its_tag_and_is_known_by_no_other() {
    let serving = Serving::start();
    for (path, ..) in FILES {
        let plain = tag(&serving.ask(&get(path)));
        let packed = tag(&serving.ask(&compressed("GET", path)));
        assert_ne!(plain, packed);
        for (tag, as_plain, as_packed) in [(&plain, 304, 200), (&packed, 200, 304)] {
            let known = |request: Request| serving.ask(&request.field("If-None-Match", tag)).status;
            assert_eq!(known(get(path)), as_plain, "{path}");
            assert_eq!(known(compressed("GET", path)), as_packed, "{path}");
        }
    }
}

#[test]
fn a_cache_is_told_that_there_are_two_forms() {
    let serving = Serving::start();
    for (path, ..) in FILES {
        for request in [get(path), compressed("GET", path)] {
            let answer = serving.ask(&request);
            let again = serving.ask(&request.field("If-None-Match", &tag(&answer)));
            assert_eq!((answer.status, again.status), (200, 304), "{path}");
            for answer in [answer, again] {
                assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{path}");
                assert_eq!(answer.field("cache-control"), Some("no-cache"));
            }
        }
    }
}

/// Word by word: what is allowed more needs a reason.
#[test]
fn a_file_may_do_no_more_than_the_page_needs() {
    const POLICY: [&str; 10] = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    let serving = Serving::start();
    for (path, ..) in FILES {
        let answer = serving.ask(&get(path));
        let again = serving.ask(&get(path).field("If-None-Match", &tag(&answer)));
        for answer in [answer, again] {
            let policy = answer.field("content-security-policy").expect("a policy");
            assert_eq!(policy.split("; ").collect::<Vec<_>>(), POLICY, "{path}");
            assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
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
    for path in [
        "//",
        "/page",
        "/page/",
        "/page/index.html",
        "/index.html",
        "/loiter",
        "/LOITER.JS",
        "/message/loiter.js",
        "/web/mod.rs",
    ] {
        serving.ask(&get(path)).assert_failed(404, "not_found");
        serving.ask(&post(path)).assert_failed(404, "not_found");
    }
}
