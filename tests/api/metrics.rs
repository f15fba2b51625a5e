//! What is counted, and how it is told.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use loiter::MetricKind;

use crate::serving::database::is_file;
use crate::serving::{PATIENCE, Serving, get, saying};

fn watched() -> Serving {
    Serving::alone("what it counts is its own", |config| {
        config.metrics_addr = Some(([127, 0, 0, 1], 0).into())
    })
}

/// What is answered at the address for metrics, head and all.
fn ask(serving: &Serving, request: &str) -> String {
    let address = serving.metrics_address().expect("it has one");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("UTF-8");
    answer
}

/// The sum of a metric over all labels that begin so.
fn sum(text: &str, metric: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let (_, value) = rest.rsplit_once(' ')?;
        matches!(rest.as_bytes()[0], b'{' | b' ' | b',')
            .then(|| value.parse::<f64>())?
            .ok()
    });
    values.sum()
}

/// Numbers are said at a turn's end, when its answers have gone out.
#[track_caller]
fn assert_comes_to(serving: &Serving, wanted: &[(&str, f64)]) {
    let patience = Instant::now() + PATIENCE;
    loop {
        let text = serving.metrics().encode();
        let wrong = wanted
            .iter()
            .find(|(metric, value)| sum(&text, metric) != *value);
        let Some((metric, value)) = wrong else { return };
        assert!(
            Instant::now() < patience,
            "{metric} is not {value}:\n{text}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn what_happens_is_counted() {
    let serving = watched();
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    let mut polls = [(); 3].map(|()| serving.poll(&ann, chatroom));
    assert_comes_to(
        &serving,
        &[
            ("loiter_polls_parked", 3.0),
            ("loiter_connections", 3.0),
            ("loiter_connections_by_state", 3.0),
        ],
    );
    let text = serving.metrics().encode();
    let parked = numbers(&text)
        .into_iter()
        .filter(|(named, _)| named.contains(r#"state="parked""#));
    assert!((parked.map(|(_, count)| count).sum::<f64>() - 3.0).abs() < 0.5);
    serving.say(&ann, chatroom, "hi");
    polls.iter_mut().for_each(|poll| drop(poll.answer().ok()));
    serving
        .ask(&saying(&ann, chatroom + 1, "hi"))
        .assert_failed(500, "not_a_participant");
    serving
        .ask(&get("/nowhere"))
        .assert_failed(404, "not_found");
    let bad = get("/message/longpoll").of(&ann);
    serving.ask(&bad).assert_failed(400, "bad_parameter");
    assert_comes_to(
        &serving,
        &[
            ("loiter_polls_parked", 0.0),
            ("loiter_deliveries_total", 3.0),
            (
                r#"loiter_requests_total{call="/message/longpoll",status="200"}"#,
                3.0,
            ),
            (
                r#"loiter_requests_total{call="/message/sendMessage",status="200"}"#,
                1.0,
            ),
            (
                r#"loiter_requests_total{call="/message/sendMessage",status="500"}"#,
                1.0,
            ),
            (r#"loiter_requests_total{call="none",status="404"}"#, 1.0),
            (r#"loiter_refusals_total{reason="bad_request"}"#, 1.0),
            (r#"loiter_refusals_total{reason="rate"}"#, 0.0),
            ("loiter_commits_failed_total", 0.0),
            ("loiter_queue_jobs", 0.0),
            ("loiter_unsent_bytes", 0.0),
        ],
    );
    let text = serving.metrics().encode();
    let mut at_least = vec![
        ("loiter_wakes_total", 1.0),
        ("loiter_session_loads_total", 1.0),
        ("loiter_session_hits_total", 5.0),
        ("loiter_commit_writes_count", 3.0),
        // A registration, a login, a chatroom, a message.
        ("loiter_commit_writes_sum", 4.0),
        ("loiter_turn_seconds_count", 1.0),
        ("loiter_open_files", 10.0),
    ];
    // The size of a file, which only a file has.
    if is_file() {
        at_least.push(("loiter_database_bytes", 1.0));
    }
    for (metric, least) in at_least {
        assert!(sum(&text, metric) >= least, "{metric}:\n{text}");
    }
    assert!(
        text.contains(r#"le="+Inf""#) && text.ends_with("# EOF\n"),
        "{text}"
    );
}

/// Each number of a text, with its name and labels.
fn numbers(text: &str) -> Vec<(String, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let numbers = lines.map(|line| {
        let (named, value) = line.rsplit_once(' ').expect("a number");
        (named.to_owned(), value.parse().expect("a number"))
    });
    numbers.collect()
}

#[test]
fn a_host_is_told_what_the_text_says() {
    let serving = Serving::alone("what it counts is its own", |config| config.loops = 2);
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    serving.say(&ann, chatroom, "hi");
    // Nobody asks for anything meanwhile, and yet turns are counted until they rest.
    let patience = Instant::now() + PATIENCE;
    let (told, text) = loop {
        let before = serving.metrics().encode();
        let mut told = Vec::new();
        serving.metrics().visit(|sample| {
            let of_counters = ["_total", "_sum", "_count", "_bucket"];
            let grows = of_counters.iter().any(|end| sample.name.ends_with(end));
            assert_eq!(sample.kind == MetricKind::Counter, grows, "{sample:?}");
            assert!(before.contains(sample.help), "{sample:?}");
            let labels = sample.labels.iter();
            let labels = labels.map(|(name, value)| format!("{name}=\"{value}\""));
            let labels = Vec::from_iter(labels).join(",");
            let labels = if labels.is_empty() {
                labels
            } else {
                format!("{{{labels}}}")
            };
            told.push((format!("{}{labels}", sample.name), sample.value));
        });
        let after = serving.metrics().encode();
        if before == after {
            break (told, after);
        }
        assert!(Instant::now() < patience, "{before}\n{after}");
    };
    let said = numbers(&text);
    assert!(said.len() > 100, "{text}");
    for (told, said) in told.iter().zip(&said) {
        assert_eq!(told, said);
    }
    assert_eq!(told.len(), said.len());
}

#[test]
fn they_are_told_at_an_address_of_their_own_and_nowhere_else() {
    let serving = watched();
    let head = "HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = ask(&serving, &format!("GET /metrics {head}"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(
        "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
    ));
    assert!(answer.ends_with("\n# EOF\n"));
    let answer = ask(&serving, &format!("HEAD /metrics/ {head}"));
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let elsewhere = ask(&serving, &format!("GET / {head}"));
    assert!(elsewhere.ends_with("is at /metrics\n"), "{elsewhere}");
    for (request, status) in [
        (format!("GET /whoami {head}"), "404 Not Found"),
        (format!("POST /metrics {head}"), "405 Method Not Allowed"),
        (
            "GET /metrics HTTP/1.1\r\n\r\n".to_owned(),
            "400 Bad Request",
        ),
        (
            format!("GET /{} {head}", "x".repeat(20_000)),
            "400 Bad Request",
        ),
    ] {
        let answer = ask(&serving, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
    serving
        .ask(&get("/metrics"))
        .assert_failed(404, "not_found");
}

#[test]
fn who_connects_and_goes_without_a_word_holds_up_nobody() {
    let serving = watched();
    let address = serving.metrics_address().expect("it has one");
    let silent = TcpStream::connect(address).expect("it listens");
    drop(silent);
    assert!(ask(&serving, "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 200"));
}

/// Names of metrics in a text, without what a histogram adds to them.
fn named(text: &str) -> std::collections::BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("loiter_")).collect()
}

#[test]
fn the_dashboard_the_alerts_and_the_guides_ask_for_what_there_is() {
    let serving = watched();
    serving.user("ann");
    let text = serving.metrics().encode();
    let there = named(&text);
    let asked = [
        include_str!("../../docs/operations/grafana.json"),
        include_str!("../../docs/operations/alerts.yml"),
        include_str!("../../docs/operating.md"),
        include_str!("../../docs/sizing.md"),
    ];
    for metric in asked.iter().flat_map(|text| named(text)) {
        assert!(there.contains(metric), "{metric} is none of {there:?}");
    }
    serde_json::from_str::<serde_json::Value>(asked[0]).expect("JSON");
}
