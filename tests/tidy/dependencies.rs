//! What the lock file holds: no package that asks for a newer Rust than ours says is enough.
//!
//! Cargo keeps to `rust-version` when it picks versions, but only as far as each package states its own: one that
//! states none may bring in another that asks for more. Reads `cargo metadata` for this machine's platform, offline:
//! whatever has built this test has those packages at hand.

use std::process::Command;

use serde_json::Value;

/// A version of Rust, such as 1.89 or 1.89.0, as numbers that compare.
fn version(text: &str) -> Vec<u32> {
    let mut parts: Vec<u32> = text
        .split('.')
        .map(|part| part.parse().expect("a version is digits and dots"))
        .collect();
    parts.resize(3, 0);
    parts
}

/// Each package that asks for more than `allowed`, and what for. Those that say nothing pass: there is
/// nothing to hold them to.
fn too_new(packages: &[Value], allowed: &str) -> Vec<String> {
    let asks = |package: &Value| {
        let asked = package["rust_version"].as_str()?;
        (version(asked) > version(allowed)).then(|| {
            let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} asks for Rust {asked}", text("name"), text("version"))
        })
    };
    packages.iter().filter_map(asks).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(super::root())
        .output()
        .expect("the cargo that built this");
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {reason}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_we_do() {
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--frozen",
        "--filter-platform",
        host.expect("cargo says where it runs"),
    ]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let ours = packages.iter().find(|package| package["name"] == "loiter");
    let allowed = ours.expect("this package")["rust_version"].as_str();
    let slips = too_new(packages, allowed.expect("a rust-version"));
    assert!(
        slips.is_empty(),
        "pin an older one (cargo update --precise), or raise rust-version here and in the README:\n{}",
        slips.join("\n")
    );
}

#[test]
fn a_dependency_that_asks_for_more_is_refused() {
    let package =
        |asked: Value| serde_json::json!({"name": "x", "version": "2.0", "rust_version": asked});
    for (asked, is_refused) in [
        ("1.90", true),
        ("1.89.1", true),
        ("2.0", true),
        ("1.89", false),
        ("1.89.0", false),
        ("1.9", false),
    ] {
        let slips = too_new(&[package(asked.into())], "1.89");
        assert_eq!(!slips.is_empty(), is_refused, "{asked}: {slips:?}");
    }
    assert!(too_new(&[package(Value::Null)], "1.89").is_empty());
}
