//! libFuzzer's end of the targets: one program, whose target the environment names.
//!
//! `LOITER_FUZZ` is a name of `TARGETS`. `tests/fuzz/run.sh` builds it so that the code that an input reaches is counted, and runs it.

#![no_main]

#[path = "../../body.rs"]
mod body;
#[path = "../../engine/mod.rs"]
mod engine;
#[path = "../../framing.rs"]
mod framing;
#[path = "../../head.rs"]
mod head;
#[path = "../../parameters.rs"]
mod parameters;
#[path = "../../pieces.rs"]
mod pieces;
#[path = "../../reference.rs"]
mod reference;
#[path = "../../targets.rs"]
mod targets;

use std::sync::LazyLock;

static RUN: LazyLock<targets::Run> = LazyLock::new(|| {
    let wanted = std::env::var("LOITER_FUZZ").expect("LOITER_FUZZ names a target");
    let target = targets::TARGETS.iter().find(|(name, _)| *name == wanted);
    target.expect("LOITER_FUZZ is a target's name").1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| RUN(data));
