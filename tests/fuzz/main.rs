//! Hostile bytes: what the fuzzer tries, and every input that it has kept, tried again.
//!
//! A target takes bytes and asserts what must hold of them. `libfuzzer` (a workspace of its own) feeds the targets what
//! it makes up, led by the code that it reaches; here they get the files below `corpus`, so that what was found once
//! stays found, on a plain `cargo test`.
//!
//! - `head`: requests, read against `reference`, a reading of RFC 9112 that shares no line with the server.
//! - `body`: bodies by length and in chunks, against the same and against what was encoded.
//! - `parameters`: forms and JSON objects, against another decoding, and what a call makes of them.
//! - `engine`: the whole server, on `connection`s that a `script` cuts, stalls and breaks, with a store in memory.
//!
//! `framing` drives the server's HTTP layer, and `pieces` cuts an input as a network might.

mod body;
mod engine;
mod framing;
mod head;
mod parameters;
mod pieces;
mod reference;
mod targets;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// Bytes of one target's corpus: it is to stay small.
const CORPUS_MAX: u64 = 100 * 1024;

fn corpus(target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_found_stays_found() {
    for (name, run) in TARGETS {
        let (mut files, mut bytes) = (0, 0);
        for path in corpus(name) {
            let input = fs::read(&path).expect("a file");
            files += 1;
            bytes += input.len() as u64;
            let ran = panic::catch_unwind(AssertUnwindSafe(|| run(&input)));
            assert!(ran.is_ok(), "{} fails {name}", path.display());
        }
        println!("{name}: {files} inputs, {bytes} bytes");
        assert!(files > 10, "the corpus of {name} is not there");
        assert!(bytes < CORPUS_MAX, "the corpus of {name} is not small");
    }
}
