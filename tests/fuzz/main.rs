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
use std::iter;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use targets::TARGETS;

/// Inputs that are tried beside each that was kept.
const NEIGHBOURS: u64 = 12;
/// What an input is changed to, beside what stands in it.
const BYTES: &[u8] = b"\r\n\t :;,=%+x0\0\xff\x80";
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

/// The same input with a few bytes changed: the same for the same seed.
fn neighbour(input: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=bytes.len());
        let byte = BYTES[rng.usize(..BYTES.len())];
        match rng.u8(..3) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes
}

fn assert_stays_found(target: &str) {
    let (_, run) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    let (mut files, mut bytes) = (0_u64, 0);
    for path in corpus(target) {
        let input = fs::read(&path).expect("a file");
        files += 1;
        bytes += input.len() as u64;
        // What was kept reaches all of the code as it is; what is near to it may show what is amiss in code to come.
        let near = (1..=NEIGHBOURS).map(|n| neighbour(&input, files << 32 | n));
        for input in iter::once(input.clone()).chain(near) {
            let ran = panic::catch_unwind(AssertUnwindSafe(|| run(&input)));
            let shown = input.escape_ascii();
            assert!(
                ran.is_ok(),
                "{} fails, or near to it {shown}",
                path.display()
            );
        }
    }
    println!("{target}: {files} inputs, {bytes} bytes");
    assert!(files > 10, "the corpus of {target} is not there");
    assert!(bytes < CORPUS_MAX, "the corpus of {target} is not small");
}

#[test]
fn what_was_found_in_heads_stays_found() {
    assert_stays_found("head");
}

#[test]
fn what_was_found_in_bodies_stays_found() {
    assert_stays_found("body");
}

#[test]
fn what_was_found_in_parameters_stays_found() {
    assert_stays_found("parameters");
}

#[test]
fn what_was_found_in_the_engine_stays_found() {
    assert_stays_found("engine");
}
