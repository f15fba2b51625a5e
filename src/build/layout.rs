//! Where in the binary its code lies: what a server on a file hardly ever runs stands together, behind the rest.
//!
//! The kernel maps a program's code 64 KiB at a time, so that a function which runs brings its neighbours into memory. The client of
//! PostgreSQL, TLS and what else runs for a command, a scrape or a panic is half of the code; spread through the rest it would nearly
//! all be in memory for nothing (docs/operating.md, "Small machines").
//!
//! Functions are named by the crates and modules that they are of, never one by one, so that nothing here must follow a change. It is
//! by their names as mangled in the way "v0", which `.cargo/config.toml` asks for; mangled in another way, or with names that are
//! gone, they stay where they would be. So they do where a linker does not know how to: it is tried on a small program first, and
//! a build never fails for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Generic code that is the same to the byte for many types is kept once, under the name of any of them.
const OFTEN: [&str; 6] = [
    "alloc::raw_vec",
    "alloc::sync",
    "alloc::vec::into_iter",
    "clap_builder::builder::value_parser",
    "tokio_postgres::config::UnknownOption",
    "tokio_postgres::simple_query::SimpleColumn",
];

/// Crates and modules. What is generic is of the crates of its types too.
const RARE: [&str; 78] = [
    // Commands, help, errors in options.
    "clap_builder::error",
    "clap_builder::output::help_template",
    "clap_complete",
    "clap_mangen",
    "loiter::cli::check",
    "loiter::cli::man",
    "loiter::cli::migrate",
    "loiter::cli::tips",
    "loiter::store::migrate",
    "loiter::store::sqlite::backup",
    "loiter::store::sqlite::users",
    "roff",
    "rpassword",
    "strsim",
    // Metrics.
    "core::fmt::float",
    "core::num::flt2dec",
    "dtoa",
    "loiter::metrics",
    "prometheus_client",
    // Panics.
    "addr2line",
    "gimli",
    "miniz_oxide",
    "object",
    "rustc_demangle",
    "std::backtrace",
    "std::backtrace_rs",
    // JSON is written by hand, and seldom read.
    "serde_json::de",
    "serde_json::error",
    "serde_json::read",
    // PostgreSQL.
    "base64",
    "block_buffer",
    "chacha20",
    "const_oid",
    "der",
    "digest",
    "futures_channel",
    "futures_core",
    "futures_sink",
    "futures_util",
    "hmac",
    "loiter::store::postgres",
    "md5",
    "phf",
    "postgres_protocol",
    "postgres_types",
    "sha2",
    "siphasher",
    "spki",
    "stringprep",
    "tokio",
    "tokio_postgres",
    "tokio_postgres_rustls",
    "tokio_rustls",
    "tokio_util",
    "unicode_bidi",
    "whoami",
    "x509_cert",
    // TLS.
    "openssl_probe",
    "ring::aead",
    "ring::agreement",
    "ring::arithmetic",
    "ring::ec",
    "ring::hkdf",
    "ring::io",
    "ring::limb",
    "ring::rsa",
    "ring::signature",
    "rustls",
    "rustls_native_certs",
    "rustls_pki_types",
    "webpki",
    // What is shown of a value in a message for developers.
    "core::fmt::Debug",
    // A command that is run: its options are read at each start.
    "_R*_6loiter3cli5users*3run*",
    "_R*_6loiter3cli8commands*7Command3run*",
    // Of the C compiler's names: window functions, VACUUM, dates.
    "*Window*",
    "window*",
    "*Vacuum*",
    "*dateFunc",
];

/// Files of `ring` that are not from Rust.
const RARE_OBJECTS: [&str; 13] = [
    "-mont",
    "aes-gcm",
    "aes_nohw",
    "aesni",
    "aesv8",
    "chacha",
    "curve25519",
    "ghash",
    "nistz",
    "p256",
    "poly1305",
    "sha512",
    "vpaes",
];

/// Has the binary laid out where it is for users and the linker can.
pub(super) fn lay_out() {
    let is = |name, value| env::var_os(name).is_some_and(|is| is == value);
    if env::var_os("CARGO_FEATURE_CLI").is_none()
        || !is("CARGO_CFG_TARGET_OS", "linux")
        || !is("PROFILE", "release")
    {
        return;
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    let script = folder.join("layout.ld");
    fs::write(&script, linker_script()).expect("a file that can be written");
    let layout = format!("-Wl,-T,{}", script.display());
    if links(&folder, &[&layout], false) {
        println!("cargo::rustc-link-arg-bins={layout}");
    }
    // Addresses that the system fills in at the start, packed: a fortieth of the binary, and as much of its memory. A system's C library
    // may not know how to unpack them (glibc before 2.36): so it is tried here, where the binary is for this machine.
    if is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var_os("HOST") == env::var_os("TARGET")
        && links(&folder, &[PACKED], true)
    {
        println!("cargo::rustc-link-arg-bins={PACKED}");
    }
}

const PACKED: &str = "-Wl,-z,pack-relative-relocs";

/// Whether a small program can be linked as the binary will be, with these arguments too; and run, if it is to be.
fn links(folder: &Path, arguments: &[&str], is_to_run: bool) -> bool {
    let source = folder.join("probe.rs");
    fs::write(&source, "fn main() {}\n").expect("a file that can be written");
    let program = folder.join("probe");
    let said = |name| env::var_os(name).expect("cargo says with what, and for what");
    let mut rustc = Command::new(said("RUSTC"));
    rustc.arg("--target").arg(said("TARGET"));
    rustc.arg(&source).arg("-o").arg(&program);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    for argument in arguments {
        rustc.arg(format!("-Clink-arg={argument}"));
    }
    let is_done = |mut command: Command| command.output().is_ok_and(|made| made.status.success());
    let works = is_done(rustc) && (!is_to_run || is_done(Command::new(&program)));
    // Several megabytes, and there only where it could be linked.
    let _ = fs::remove_file(program);
    works
}

/// Added to what the linker does by itself.
fn linker_script() -> String {
    let often = OFTEN.map(|path| format!("*(.text.*_{}*)", mangled(path)));
    let rare = RARE.map(|path| match path {
        "core::fmt::Debug" => "*(.text._R*3fmt5Debug3fmt*)".to_owned(),
        c if c.contains('*') => format!("*(.text.{c})"),
        // Not where it is the last of a name, which is the crate that had generic code compiled.
        path => format!("*(.text.*_{}[0-9A-Z]*)", mangled(path)),
    });
    let of_objects = |section| {
        let parts = RARE_OBJECTS.map(|part| format!("*{part}*.o({section} {section}.*)"));
        parts.join("\n")
    };
    format!(
        "SECTIONS\n{{\n.text.often : {{\n{}\n}}\n.text.rare : {{\n{}\n{}\n}}\n}}\nINSERT AFTER .text;\n\
         SECTIONS\n{{\n.rodata.rare : {{\n{}\n}}\n}}\nINSERT AFTER .rodata;\n",
        often.join("\n"),
        rare.join("\n"),
        of_objects(".text"),
        of_objects(".rodata"),
    )
}

/// A path as it stands in a symbol's name: each part behind its length.
fn mangled(path: &str) -> String {
    let parts = path.split("::");
    parts.map(|part| format!("{}{part}", part.len())).collect()
}
