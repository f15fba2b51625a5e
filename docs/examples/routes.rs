//! A host's own routes on loiter's loop: builds, whose status a client can wait for. Nothing of it has to do with chat.
//!
//! `cargo run --example routes` (or with another address: `-- 127.0.0.1:8000`), and then, in bash:
//!
//! ```sh
//! curl -s -d running localhost:8000/builds/web
//! #> {"build":"web","status":"running","version":1}
//! curl -s 'localhost:8000/builds/web?seen=0'
//! #> {"build":"web","status":"running","version":1}
//! curl -s 'localhost:8000/builds/web?seen=1' & # … waits for what comes behind version 1
//! curl -s -d passed localhost:8000/builds/web
//! wait
//! #> {"build":"web","status":"passed","version":2}
//! #> {"build":"web","status":"passed","version":2}
//! curl -s -d 'take your time' localhost:8000/reversed
//! #> emit ruoy ekat
//! curl -s localhost:8000/builds/docs
//! #> {"error":"no_such_build","message":"Nobody has told of such a build."}
//! ```

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use loiter::{Answer, Config, Gone, Request, Response, Routes, Server, Waker};

/// How long a client waits at most, before it is told what it knows. Shorter than what proxies have patience for.
const WAIT_MAX: Duration = Duration::from_secs(50);
/// Builds that are remembered: whatever a client can make grow has an end.
const BUILDS_MAX: usize = 1000;
/// Keys from here on are of one request each; those before are builds.
const ALONE: u64 = 1 << 32;

struct Build {
    /// What is woken when it changes.
    key: u64,
    version: u64,
    status: String,
}

/// What the loops' handlers share. Each has a copy.
#[derive(Clone)]
struct Host {
    builds: Arc<Mutex<HashMap<String, Build>>>,
    waker: Waker,
    /// For a thread of the host's own, which may take its time.
    work: mpsc::Sender<(u64, String)>,
    alone: Arc<AtomicU64>,
    /// Keys of that work for which somebody waits.
    wanted: Arc<Mutex<HashSet<u64>>>,
}

impl Routes for Host {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        match (request.method(), request.path()) {
            ("POST", "/reversed") => self.reverse(request),
            (method, path) => match (method, path.strip_prefix("/builds/")) {
                ("GET", Some(name)) => self.look(name, request.parameter("seen")),
                ("POST", Some(name)) => self.change(name, request.body()).into(),
                _ => Response::error(404, "not_found", "There is nothing to do here.").into(),
            },
        }
    }

    fn at_drain(&mut self, _key: u64) -> Response {
        Response::error(503, "restarting", "The server restarts: ask again.")
    }

    /// What nobody waits for need not be done.
    fn gone(&mut self, key: u64, _how: Gone) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.remove(&key);
    }
}

impl Host {
    /// What is known, if the client has not seen it yet; else it waits.
    fn look(&self, name: &str, seen: Option<String>) -> Answer {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(build) = builds.get(name) else {
            let message = "Nobody has told of such a build.";
            return Response::error(404, "no_such_build", message).into();
        };
        match seen == Some(build.version.to_string()) {
            true => Answer::park(build.key, WAIT_MAX, shown(name, build)),
            false => shown(name, build).into(),
        }
    }

    /// Changes first, and wakes then: whoever has looked before the change is woken by it.
    fn change(&self, name: &str, body: &[u8]) -> Response {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let count = builds.len();
        if count >= BUILDS_MAX && !builds.contains_key(name) {
            return Response::error(507, "too_many", "No more builds can be remembered.");
        }
        let build = builds.entry(name.to_owned()).or_insert_with(|| Build {
            key: count as u64,
            version: 0,
            status: String::new(),
        });
        build.version += 1;
        build.status = String::from_utf8_lossy(body).into_owned();
        let response = shown(name, build);
        match self.waker.wake(build.key, response.clone()) {
            Ok(()) => response,
            // What has changed has changed. Those who wait hear of it when their time is over.
            Err(error) => Response::error(503, "not_told", &format!("Nobody was told: {error}.")),
        }
    }

    /// What takes long is done elsewhere, and the request waits under a key that nobody else has.
    fn reverse(&self, request: &Request<'_>) -> Answer {
        let key = ALONE + self.alone.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(key);
        match self.work.send((key, text)) {
            Ok(()) => Answer::park(key, WAIT_MAX, Response::empty(504)),
            Err(_) => Response::empty(503).into(),
        }
    }
}

fn shown(name: &str, build: &Build) -> Response {
    let Build {
        version, status, ..
    } = build;
    let json = serde_json::json!({ "build": name, "version": version, "status": status });
    Response::json(json.to_string())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let config = Config {
        listen: vec![address.as_deref().unwrap_or("127.0.0.1:8000").parse()?],
        database: "builds.db".into(),
        ..Config::default()
    };
    let builds = Arc::default();
    let alone = Arc::default();
    let wanted = Arc::default();
    let (work, queue) = mpsc::channel();
    let prefixes = ["/builds", "/reversed"];
    let mut server = Server::with_routes(config, Vec::new(), &prefixes, |_loop, waker| Host {
        builds: Arc::clone(&builds),
        alone: Arc::clone(&alone),
        wanted: Arc::clone(&wanted),
        waker: waker.clone(),
        work: work.clone(),
    })?;
    let waker = server.waker();
    thread::spawn(move || {
        for (key, text) in queue {
            let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if !wanted.remove(&key) {
                continue;
            }
            drop(wanted);
            let reversed: String = text.chars().rev().collect();
            // Where nobody waits any more by now, nobody is told.
            if let Err(error) = waker.wake(key, Response::text(reversed + "\n")) {
                eprintln!("not told: {error}");
            }
        }
    });
    println!("listening on http://{}", server.addresses()[0]);
    server.run()?;
    Ok(())
}
