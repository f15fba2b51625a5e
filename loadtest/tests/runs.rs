//! The built program measuring its own floor: each subcommand runs, writes what it was told to, and ends as it has to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

struct Floor {
    process: Child,
    url: String,
}

impl Floor {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
            .args(["floor", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ");
        let url = url.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { process, url }
    }

    fn measured(&self, words: &str, folder: &Path) -> (Output, Value, String) {
        let (json, html) = (folder.join("a.json"), folder.join("a.html"));
        let pid = self.process.id().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
            .args(words.split(' '))
            .args(["--url", &self.url, "--pid", &pid, "--dialect", "floor"])
            .arg("--json")
            .arg(&json)
            .arg("--html")
            .arg(&html)
            .output()
            .unwrap();
        let figures = fs::read_to_string(json).unwrap();
        let figures = serde_json::from_str(&figures).unwrap_or_default();
        (output, figures, fs::read_to_string(html).unwrap())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_measurement_of_the_floor_is_clean() {
    let floor = Floor::start();
    let folder = tempfile::tempdir().unwrap();
    for (words, key) in [
        (
            "idle --polls 60 --chatrooms 3 --hold 1 --processes 2",
            "private_dirty_per_poll",
        ),
        (
            "fanout --polls 60 --messages 3 --probe-rate 100",
            "probe_p99_ns",
        ),
        (
            "fanout --polls 60 --messages 3 --rest",
            "cpu_per_delivery_alone_ns",
        ),
        (
            "spread --polls 60 --chatrooms 6 --senders 3 --seconds 1",
            "delivery_p99_ns",
        ),
        ("send --senders 3 --seconds 1 --rate 300", "late_p99_ns"),
        ("rps --connections 3 --seconds 1", "cpu_per_answer_ns"),
        ("churn --polls 60 --chatrooms 3 --rounds 2", "leaked"),
        ("storm --polls 60 --messages 2", "connect_p99_ns"),
    ] {
        let (output, figures, page) = floor.measured(words, folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {said}");
        assert_eq!(figures["clean"], true, "{words}");
        assert!(figures["figures"][key].is_number(), "{words}: {figures:#}");
        assert!(
            page.contains("<svg") && page.ends_with("</html>\n"),
            "{words}"
        );
    }
}

#[test]
fn a_server_that_answers_otherwise_fails_the_run() {
    let floor = Floor::start();
    let output = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
        .args(["idle", "--polls", "5", "--hold", "1", "--dialect", "nchan"])
        .args(["--patience", "1", "--url", &floor.url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("sendMessage/ was answered 404"), "{said}");
}

#[test]
fn whoever_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let output = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
        .args(["rps", "--url", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Connection refused"), "{said}");
}

#[test]
fn figures_are_written_though_nobody_reads_the_table() {
    let floor = Floor::start();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json");
    let mut run = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
        .args(["rps", "--connections", "1", "--seconds", "1"])
        .args(["--dialect", "floor", "--url", &floor.url, "--json"])
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((run.stdout.take(), run.stderr.take()));
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let figures: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(figures["clean"], true);
}

/// One that closes each connection behind its second answer: what the schedule had for it can no longer be asked.
#[test]
fn a_schedule_that_is_not_kept_fails_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            for _ in 0..2 {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]");
            }
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
        .args([
            "rps",
            "--connections",
            "1",
            "--seconds",
            "1",
            "--rate",
            "50",
        ])
        .args(["--dialect", "nchan", "--patience", "1", "--url", &url])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("49 requests of the schedule were never asked"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_comparison_that_breaks_off_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let [server, axum, json] = ["server", "axum", "a.json"].map(|name| folder.path().join(name));
    let floor = env!("CARGO_BIN_EXE_loiter-loadtest");
    let script =
        format!("#!/bin/sh\n[ \"$1\" = --version ] || exec '{floor}' floor --listen 127.0.0.1:0\n");
    for (path, script) in [(&server, &*script), (&axum, "#!/bin/sh\n")] {
        fs::write(path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let compare = |server: &Path| {
        Command::new(floor)
            .args([
                "compare",
                "--only",
                "rps",
                "--seconds",
                "1",
                "--repetitions",
                "1",
            ])
            .arg("--axum")
            .arg(&axum)
            .arg("--server")
            .arg(server)
            .arg("--json")
            .arg(&json)
            .output()
            .unwrap()
    };
    let output = compare(&server);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("ended early: axum: ") && said.contains("axum did not begin to listen"),
        "{said}"
    );
    let figures: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(figures["faults"]["unexpected"], 1);
    let rate = figures["metrics"].as_array().unwrap().iter();
    let mut rate = rate.filter(|metric| metric["name"] == "get_rate");
    let samples = &rate.next().unwrap()["of"]["loiter"]["samples"];
    assert_eq!(samples.as_array().map(Vec::len), Some(1), "{figures:#}");

    // Where nothing was measured there is nothing to keep.
    let output = compare(&axum);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_flood_without_a_server_fails_and_the_next_one_comes_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json");
    let output = Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
        .args(["chaos", "--only", "calm,queue,followers-and-kills"])
        .args(["--server", "/bin/false", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let figures: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(figures["clean"], false);
    let floods = figures["figures"].as_array().unwrap().iter();
    let verdicts = floods.map(|flood| {
        let example = flood["examples"][0].as_str().unwrap();
        assert!(example.contains("did not begin to listen"), "{example}");
        (
            flood["flood"].as_str().unwrap(),
            flood["verdict"].as_str().unwrap(),
        )
    });
    let failed = ["calm", "queue", "followers-and-kills"].map(|name| (name, "FAILED"));
    assert_eq!(Vec::from_iter(verdicts), failed);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(table.matches("FAILED").count(), 3, "{table}");
}
