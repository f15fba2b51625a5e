//! What is made of the table of calls (`loiter::api::OPERATIONS`): `src/web/openapi.json`, which the server gives to whoever asks, and
//! the tables in `docs/api.md`. They stand in the repository, so that a change of the API shows in what is reviewed; here they are
//! made anew and compared. `LOITER_WRITE=1 cargo test --workspace --test reference` writes them.

mod openapi;
mod tables;

use std::fs;
use std::path::PathBuf;

/// The file's text, or what was made in its place where it is to be written.
fn compare(path: &str, made: impl FnOnce(&str) -> String) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let there = fs::read_to_string(&file).unwrap_or_default();
    let made = made(&there);
    if std::env::var_os("LOITER_WRITE").is_some() {
        fs::write(&file, made).expect("the repository can be written");
        return;
    }
    let differs = there
        .lines()
        .zip(made.lines())
        .find(|(old, new)| old != new);
    assert!(
        there == made,
        "{path} is not what the table of calls says; LOITER_WRITE=1 cargo test --workspace --test reference writes it. The first line that differs: {differs:?}"
    );
}

#[test]
fn openapi_is_what_the_table_says() {
    compare("src/web/openapi.json", |_| openapi::document());
}

#[test]
fn the_reference_is_what_the_table_says() {
    compare("docs/api.md", tables::within);
}
