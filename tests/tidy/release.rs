//! What a release build must be made with.
//!
//! A calculation with a peer's number that overflows must be a defect that ends in a panic, never a wrong number that goes on:
//! the checks that a build for tests has by itself have to be asked for in one for users.

use std::panic::catch_unwind;

use super::root;

/// The value of a key in a section of a manifest, as it stands there.
fn value<'a>(manifest: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut lines = manifest.lines().map(str::trim);
    lines.find(|line| *line == section)?;
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find_map(|(name, value)| (name.trim() == key).then(|| value.trim()))
}

#[test]
fn a_release_checks_its_calculations_and_unwinds() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let release = |key| value(&manifest, "[profile.release]", key);
    assert_eq!(release("overflow-checks"), Some("true"));
    // A panic that aborts could not be contained: every job's defect would end the process.
    assert_eq!(release("panic"), None);
}

/// Of the profile that it is run with: `cargo test --release --test tidy` shows it of a release.
#[test]
fn this_build_checks_its_calculations() {
    let most = std::hint::black_box(u64::MAX);
    assert!(catch_unwind(|| std::hint::black_box(most + std::hint::black_box(1))).is_err());
}

#[test]
fn a_key_is_found_in_its_section_only() {
    let manifest = "[a]\nx = 1\n[b]\ny = true\n";
    assert_eq!(value(manifest, "[b]", "y"), Some("true"));
    assert_eq!(value(manifest, "[a]", "y"), None);
    assert_eq!(value(manifest, "[c]", "x"), None);
}
