//! `loiter man`: the manual page, made from what `--help` is made of.
//!
//! One page has all of it. clap_mangen would give each command a page of its own, and leave what stands behind the options as one lump.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The page, for `man`.
///
/// # Errors
/// None of its own: those of what it is written to.
pub(super) fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut command = command.term_width(0);
    command.build();
    let about = command.get_about().map(ToString::to_string);
    let about = about.unwrap_or_default();
    // A name and what it is, as `whatis` wants it: no sentence.
    let about = about.strip_prefix("A ").unwrap_or(&about);
    let man = Man::new(command.clone().about(about.to_owned())).manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(&command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    Roff::new()
        .control("SH", ["COMMANDS"])
        .to_writer(&mut page)?;
    for command in commands(&command) {
        describe(&command, &mut page)?;
    }
    let behind = command.get_after_long_help().map(ToString::to_string);
    behind_options(&behind.unwrap_or_default()).to_writer(&mut page)?;
    Ok(without_repetition(page))
}

/// Each part begins with what roff is to make of an apostrophe, which it needs to be told once.
fn without_repetition(page: Vec<u8>) -> Vec<u8> {
    let mut beginning = Vec::new();
    Roff::new().to_writer(&mut beginning).expect("a vector");
    let page = String::from_utf8_lossy(&page).into_owned();
    let beginning = String::from_utf8_lossy(&beginning).into_owned();
    let parts: String = page.split(beginning.as_str()).collect();
    format!("{beginning}{parts}").into_bytes()
}

/// Those that do something, not those that only have others, or that tell what stands here.
fn commands(parent: &Command) -> Vec<Command> {
    let is_told = |own: &&Command| !own.is_hide_set() && own.get_name() != "help";
    let own = parent.get_subcommands().filter(is_told);
    own.flat_map(|own| match own.has_subcommands() {
        true => commands(own),
        false => vec![own.clone()],
    })
    .collect()
}

/// How a command is called, as `--help` says it.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    usage.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let name = command.get_name();
    roff.text([bold(name), roman(" [OPTIONS]")]);
    for command in commands(command) {
        let usage = usage(&command);
        let arguments = usage.strip_prefix(name).unwrap_or(&usage);
        roff.control("br", []);
        roff.text([bold(name), roman(arguments)]);
    }
    roff
}

/// A command: how it is called, what it does, and its own options.
fn describe(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SS", [usage(command).as_str()]);
    let about = command.get_long_about().or_else(|| command.get_about());
    paragraphs(
        &mut roff,
        &about.map(ToString::to_string).unwrap_or_default(),
    );
    roff.to_writer(page)?;
    let mut options = Vec::new();
    // What all commands take stands among the options, and what clap adds to each is known.
    let own = command.clone().mut_args(|arg| {
        let is_everybodys = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(is_everybodys)
    });
    Man::new(own).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options).into_owned();
    // What is in no group stands below a heading of its own, which is one of the whole page.
    page.extend(options.replace(".SH OPTIONS\n", "").as_bytes());
    Ok(())
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (at, paragraph) in text.split("\n\n").enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(
            paragraph.split_whitespace().collect::<Vec<_>>().join(" "),
        )]);
    }
}

/// What stands behind the options: a heading at the beginning of a line, and what is below it. Two spaces part a name from what it means.
fn behind_options(text: &str) -> Roff {
    let mut roff = Roff::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(heading) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            roff.control("SH", [heading.to_uppercase().as_str()]);
            continue;
        }
        match line.trim().split_once("  ") {
            Some((name, meaning)) => {
                roff.control("TP", []);
                roff.text([bold(name)]);
                roff.text([roman(meaning)]);
            }
            None => {
                roff.text([roman(line.trim())]);
            }
        }
    }
    roff
}
