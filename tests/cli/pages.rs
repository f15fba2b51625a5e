//! What is made from the same definitions as `--help`: completions and the manual page. And what the guides say of options.

use std::process::{Command, Stdio};

use super::{assert_holds, loiter, run, text};

fn printed(arguments: &[&str]) -> String {
    let output = run(loiter().args(arguments));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).to_owned()
}

/// The options that `--help` tells of.
fn options(help: &str) -> Vec<&str> {
    fn first(line: &str) -> &str {
        let line = line.trim_start();
        let line = line
            .strip_prefix("-h, ")
            .or(line.strip_prefix("-V, "))
            .unwrap_or(line);
        line.split(' ').next().unwrap_or_default()
    }
    let is_option = |word: &&str| {
        let is_part = |byte: u8| byte == b'-' || byte.is_ascii_lowercase();
        word.starts_with("--") && word.bytes().all(is_part)
    };
    help.lines().map(first).filter(is_option).collect()
}

#[test]
fn every_shell_completes_every_option_and_command() {
    let help = printed(&["--help"]);
    let options = options(&help);
    assert!(options.len() > 30, "{options:?}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        for option in &options {
            assert_holds(&script, &[option.trim_start_matches("--")]);
        }
        assert_holds(
            &script,
            &["backup", "check", "completions", "password-stdin"],
        );
    }
}

#[test]
fn a_shell_takes_its_script() {
    let script = printed(&["completions", "bash"]);
    assert_holds(&script, &["complete -F _loiter"]);
    // Where there is none, as on a machine with another shell, there is nothing to complete.
    let Ok(bash) = Command::new("bash").arg("--version").output() else {
        return;
    };
    assert!(bash.status.success());
    let mut check = Command::new("bash");
    let asks = "COMP_WORDS=(loiter --dura) COMP_CWORD=1; _loiter loiter --dura loiter; echo \"${COMPREPLY[@]}\"";
    check.args(["--norc", "-c", &format!("{script}\n{asks}")]);
    let output = run(check.stdin(Stdio::null()));
    assert_eq!(text(&output.stdout).trim(), "--durability", "{output:?}");
}

#[test]
fn the_manual_page_has_all_that_help_has() {
    let page = printed(&["man"]);
    // As roff writes a hyphen that is one.
    let plain = page
        .replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fR", "")
        .replace("\\fI", "");
    let help = printed(&["--help"]);
    for option in options(&help) {
        let variable = format!("LOITER_{}", option[2..].replace('-', "_").to_uppercase());
        assert_holds(&plain, &[option]);
        if !["--help", "--version"].contains(&option) {
            assert_holds(&plain, &[&variable]);
        }
    }
    let parts = [
        "loiter user add [OPTIONS] <NAME>",
        "loiter check [OPTIONS]",
        "--password-stdin",
        "SH SIGNALS",
        "SH \"EXIT STATUS\"",
    ];
    assert_holds(&plain, &parts);
    assert!(!plain.contains("loiter-backup(1)"), "all is on one page");
}

/// Where `man` is: machines that only build have none.
#[test]
fn man_has_no_complaint() {
    let page = printed(&["man"]);
    let folder = super::serving::folder();
    let file = folder.path().join("loiter.1");
    std::fs::write(&file, page).expect("written");
    let mut man = Command::new("man");
    man.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    man.args(["--warnings", "--encoding=UTF-8", "-l"])
        .arg(&file);
    // Images that were made small have something of that name that is none.
    let version = Command::new("man").arg("--version").output();
    if !version.is_ok_and(|version| version.stdout.starts_with(b"man ")) {
        return;
    }
    let output = run(man.stdin(Stdio::null()));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    assert_holds(text(&output.stdout), &["LOITER_DATABASE", "EXIT STATUS"]);
}

/// Options that stand between backquotes at the beginning of something: `--recent`, `--for 1000000`.
fn options_named(page: &str) -> Vec<&str> {
    let spans = page.split('`').skip(1).step_by(2);
    let words = spans.filter_map(|span| span.split([' ', '=']).next());
    words.filter(|word| word.starts_with("--")).collect()
}

#[test]
fn the_options_that_the_guides_name_are_there() {
    let commands: [&[&str]; 7] = [
        &[],
        &["backup"],
        &["check"],
        &["health"],
        &["user", "add"],
        &["user", "list"],
        &["user", "password"],
    ];
    let helps: Vec<String> = (commands.iter())
        .map(|command| printed(&[command, &["--help"][..]].concat()))
        .collect();
    let there: Vec<&str> = helps.iter().flat_map(|help| options(help)).collect();
    let pages = [
        include_str!("../../README.md"),
        include_str!("../../CHANGELOG.md"),
        include_str!("../../docs/api.md"),
        include_str!("../../docs/architecture.md"),
        include_str!("../../docs/clients.md"),
        include_str!("../../docs/getting-started.md"),
        include_str!("../../docs/operating.md"),
        include_str!("../../docs/reliability.md"),
        include_str!("../../docs/security.md"),
        include_str!("../../docs/sizing.md"),
    ];
    let named: Vec<&str> = pages.into_iter().flat_map(options_named).collect();
    assert!(named.len() > 100, "{named:?}");
    // Docker's.
    for option in named.into_iter().filter(|option| *option != "--ulimit") {
        assert!(there.contains(&option), "{option} is none of {there:?}");
    }
}
