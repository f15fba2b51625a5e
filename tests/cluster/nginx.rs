//! nginx before several servers: the sample of `docs/operations/proxies` with all of them in it, and what its comments say of several.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::Instant;

use loiter_client::strict::PATIENCE;
use tempfile::TempDir;

use crate::nodes::free;

const SAMPLE: &str = include_str!("../../docs/operations/proxies/nginx.conf");

/// Ended when it is dropped.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    child: Child,
    folder: TempDir,
}

fn id(option: &str) -> String {
    let output = Command::new("id").arg(option).output().expect("id");
    String::from_utf8(output.stdout)
        .expect("a name")
        .trim()
        .to_owned()
}

/// The lines of the sample without those that have `part`, of which there must be some.
fn without(text: &str, part: &str) -> String {
    assert!(text.contains(part), "the sample has no {part}");
    let lines = text.lines().filter(|line| !line.contains(part));
    lines.collect::<Vec<_>>().join("\n")
}

/// The text, in which there must be such a part.
fn with(text: &str, part: &str, other: &str) -> String {
    assert!(text.contains(part), "the sample has no {part}");
    text.replace(part, other)
}

/// Where it waits for an answer no longer than this, polls must be shorter.
pub(crate) const READ_TIMEOUT: &str = "4s";

fn configuration(folder: &str, address: SocketAddr, nodes: &[SocketAddr]) -> String {
    let mut text = SAMPLE.to_owned();
    // As on any machine: who runs it, where it writes, how much it takes.
    for part in [
        "listen 80;",
        "listen [::]",
        "return 308",
        "ssl_",
        "Strict-Transport-Security",
    ] {
        text = without(&text, part);
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary
        .map(|of| format!("{of}_temp_path {folder}/{of};"))
        .concat();
    let user = format!("user {} {};", id("-un"), id("-gn"));
    for (part, other) in [
        ("user www-data;", &*user),
        ("/run/nginx.pid", &format!("{folder}/nginx.pid")),
        ("/var/log/nginx/error.log", "stderr"),
        ("/var/log/nginx/access.log", &format!("{folder}/access.log")),
        ("worker_processes auto;", "worker_processes 2;"),
        ("worker_rlimit_nofile 131072;", "worker_rlimit_nofile 1024;"),
        ("worker_connections 65536;", "worker_connections 512;"),
        ("keepalive 32768;", "keepalive 64;"),
        ("http {", &format!("http {{ {temporary}")),
        ("listen 443 ssl http2", &format!("listen {address}")),
    ] {
        text = with(&text, part, other);
    }
    // What there is to change for several, each number smaller.
    let nodes = nodes
        .iter()
        .map(|node| format!("server {node} max_fails=1 fail_timeout=2s;\n"));
    let nodes: String = nodes.collect();
    for (part, other) in [
        ("server 127.0.0.1:8000 max_fails=0;", &*nodes),
        (
            "proxy_next_upstream off;",
            "proxy_next_upstream error timeout;",
        ),
        (
            "proxy_read_timeout 6m;",
            &format!("proxy_read_timeout {READ_TIMEOUT};"),
        ),
    ] {
        text = with(&text, part, other);
    }
    text
}

impl Nginx {
    /// Nothing where there is no nginx, as `tests/cluster.sh` has said.
    pub(crate) fn before(nodes: &[SocketAddr]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let address = free(9);
        let path = folder.path().join("nginx.conf");
        let text = configuration(folder.path().to_str().expect("a path"), address, nodes);
        std::fs::write(&path, text).expect("written");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .args(["-g", "daemon off;"])
            .stderr(File::create(folder.path().join("error.log")).expect("a file"))
            .spawn();
        let nginx = Self {
            address,
            child: child.ok()?,
            folder,
        };
        Some(nginx.started())
    }

    fn started(mut self) -> Self {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if begun.elapsed() > PATIENCE || self.child.try_wait().expect("our child").is_some() {
                panic!("nginx does not answer");
            }
            std::thread::yield_now();
        }
        self
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers go with it.
        let kill = format!("kill -TERM {}", self.child.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for log in ["access.log", "error.log"] {
                let text = std::fs::read_to_string(self.folder.path().join(log));
                let text = text.unwrap_or_default();
                let lines = Vec::from_iter(text.lines().rev().take(30));
                eprintln!("nginx's {log}, the newest first:\n{}", lines.join("\n"));
            }
        }
    }
}
