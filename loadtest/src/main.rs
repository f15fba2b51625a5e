//! Measures a whole loiter server from outside, over TCP, as its clients meet it.
//!
//! What does a waiting poll cost ([`idle`]), how fast does a message reach all who wait ([`fanout`], [`spread`]), how many
//! messages become durable ([`send`]), what does a small request cost ([`rps`]), what stays behind of those who vanish ([`churn`]),
//! what if all come at once ([`storm`]), does it stand whatever they do ([`mod@chaos`]). Each run also checks what it sees, message by message, and fails when anything was
//! lost, doubled or unexpected: a fast wrong server has no figures.
//!
//! It knows the server by its documented API and by what the kernel shows of its process, and links none of its code.

mod askers;
mod bars;
mod chaos;
mod chart;
mod churn;
mod client;
mod clock;
mod cluster;
mod compare;
mod connect;
mod contenders;
mod crew;
mod dialect;
mod error;
mod expire;
mod fanout;
mod files;
mod floor;
mod gets;
mod host;
mod http;
mod idle;
mod interrupt;
mod list;
mod machine;
mod marker;
mod nchan;
mod options;
mod page;
mod parking;
mod plan;
mod plot;
mod pollers;
mod probe;
mod progress;
mod report;
mod requests;
mod rps;
mod scenarios;
mod send;
mod sends;
mod series;
mod server_stats;
mod settle;
mod setup;
mod spread;
mod sqlite;
mod standing;
mod storm;
mod strace;
mod subject;
mod swarm;
mod tally;
mod told;
mod worker;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use serde_json::json;

use crate::chaos::ChaosOptions;
use crate::cluster::ClusterOptions;
use crate::error::Error;
use crate::files::Files;
use crate::host::Launch;
use crate::options::{Command, CompareOptions, Options, ServerOptions};
use crate::page::Page;
use crate::progress::say;
use crate::report::Outcome;
use crate::server_stats::Process;
use crate::subject::Subject;
use crate::tally::Tally;

fn main() -> ExitCode {
    let command = Options::parse().command;
    crew::raise_file_limit();
    let server = match &command {
        Command::Worker => return ended(worker::run()),
        Command::Floor(options) => return ended(floor::run(options)),
        Command::Compare(options) => return compare(options),
        Command::Chaos(options) => return chaos(options),
        Command::Cluster(options) => return cluster(options),
        other => other.server(),
    };
    let (process, files) = match prepare(server) {
        Ok(prepared) => prepared,
        Err(why) => refused(why),
    };
    match run(&command, server, process) {
        Ok(outcome) => finish(&outcome, files),
        Err(e) => ended(Err(e)),
    }
}

fn ended(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // What is ended from under a run fails; who interrupted it knows, and the program ends elsewhere.
        Err(_) if interrupt::has_come() => loop {
            thread::park();
        },
        Err(e) => {
            say(format_args!("loiter-loadtest: {e}"));
            ExitCode::FAILURE
        }
    }
}

fn refused(why: String) -> ! {
    Options::command()
        .error(ErrorKind::InvalidValue, why)
        .exit()
}

/// Checks what the options name.
fn prepare(server: &ServerOptions) -> Result<(Option<Process>, Files), String> {
    let process = server.pid.map(|pid| {
        let process = Process::new(pid);
        process.map_err(|e| format!("invalid value '{pid}' for '--pid <PID>': {e}"))
    });
    if server.pin && !host::can_pin() {
        return Err("--pin needs CPU 0 and CPU 1, which this program may not use".into());
    }
    if server.strace && server.url.is_some() && server.pid.is_none() {
        return Err("--strace needs --pid with --url".into());
    }
    Ok((process.transpose()?, Files::check(&server.output, &None)?))
}

/// Measures the server that is given, or one that lives as long as the measurement.
fn run(
    command: &Command,
    server: &ServerOptions,
    process: Option<Process>,
) -> Result<Outcome, Error> {
    interrupt::listen()?;
    let mut subject = subject(server, process)?;
    let outcome = measure(command, &subject);
    let ended = subject.host.take().map_or(Ok(()), host::Host::end);
    match (outcome, ended) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        (Err(e), Err(Error::Host(how))) if !matches!(e, Error::Host(_)) => {
            Err(Error::Host(format!("{e}; {how}")))
        }
        (Err(e), _) | (Ok(_), Err(e)) => Err(e),
    }
}

fn subject(server: &ServerOptions, process: Option<Process>) -> Result<Subject, Error> {
    if let Some(target) = &server.url {
        let mut target = target.clone();
        target.dialect = server.dialect;
        return Ok(Subject {
            target,
            behind: server.behind,
            process,
            strace: server.strace,
            patience: server.patience,
            host: None,
        });
    }
    if machine::is_in_memory(&std::env::temp_dir()) {
        say("the temporary folder is in memory: messages are not durable; TMPDIR names another");
    }
    let program = server.server.clone().unwrap_or_else(host::beside);
    let host = Launch::loiter(program, &server.server_args, server.pin).start()?;
    let process = Process::new(host.pid);
    Ok(Subject {
        target: host.target.clone(),
        behind: None,
        process: Some(process.map_err(Error::io("read the server's process"))?),
        strace: server.strace,
        patience: server.patience,
        host: Some(host),
    })
}

fn measure(command: &Command, subject: &Subject) -> Result<Outcome, Error> {
    match command {
        Command::Idle(options) => idle::run(subject, options),
        Command::Fanout(options) => fanout::run(subject, options),
        Command::Spread(options) => spread::run(subject, options),
        Command::Send(options) => send::run(subject, options),
        Command::Rps(options) => rps::run(subject, options),
        Command::Expire(options) => expire::run(subject, options),
        Command::Churn(options) => churn::run(subject, options),
        Command::Storm(options) => storm::run(subject, options),
        Command::Chaos(_)
        | Command::Cluster(_)
        | Command::Compare(_)
        | Command::Floor(_)
        | Command::Worker => {
            unreachable!("none of these measures one server")
        }
    }
}

fn finish(outcome: &Outcome, files: Files) -> ExitCode {
    let clean = outcome.tally.is_clean();
    let options: Vec<String> = std::env::args().skip(1).collect();
    let figures = json!({
        "clean": clean,
        "version": env!("CARGO_PKG_VERSION"),
        "options": options,
        "figures": outcome.to_json(),
        "plots": outcome.plots.iter().map(plot::Plot::to_json).collect::<Vec<_>>(),
    });
    let page = Page::of(&options, outcome).html();
    let written = files.write(&format!("{figures:#}"), &page, "");
    concluded(written.and(shown(&outcome.table())), &outcome.tally)
}

/// Shows the table. To want no more of it, as `head` does, is no failure.
fn shown(table: &str) -> Result<(), Error> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(table.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::io("show the figures")),
    }
}

/// Says what went wrong, of which the exit status tells whether it was anything.
fn concluded(written: Result<(), Error>, tally: &Tally) -> ExitCode {
    for example in &tally.examples {
        say(format_args!("loiter-loadtest: {example}"));
    }
    match written {
        Err(e) => ended(Err(e)),
        Ok(()) if tally.is_clean() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

fn chaos(options: &ChaosOptions) -> ExitCode {
    let files = Files::check(&options.output, &None);
    let files = files.unwrap_or_else(|why| refused(why));
    match chaos::run(options) {
        Ok(outcome) => finish(&outcome, files),
        Err(e) => ended(Err(e)),
    }
}

fn cluster(options: &ClusterOptions) -> ExitCode {
    let files = Files::check(&options.output, &None);
    let files = files.unwrap_or_else(|why| refused(why));
    finish(&cluster::run(options), files)
}

fn compare(options: &CompareOptions) -> ExitCode {
    let files = Files::check(&options.output, &options.markdown);
    let files = files.unwrap_or_else(|why| refused(why));
    let compared = interrupt::listen().and_then(|()| compare::run(options));
    let compared = match compared {
        Ok(compared) => compared,
        Err(e) => return ended(Err(e)),
    };
    let words: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("loiter-loadtest {}", words.join(" "));
    let json = format!("{:#}", compared.to_json());
    let (html, markdown) = (compared.html(&command), compared.markdown(&command));
    let written = files.write(&json, &html, &markdown);
    concluded(written.and(shown(&compared.table())), &compared.tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let words = ["x", "fanout", "--url", "http://127.0.0.1:1"];
        let options = Options::try_parse_from(words).unwrap();
        let mut server = options.command.server().clone();
        server.output.json = Some(dir.path().join("figures.json"));
        server.output.html = Some(dir.path().join("figures.html"));
        assert!(prepare(&server).is_ok());
        server.output.json = Some(dir.path().to_owned());
        assert!(prepare(&server).err().unwrap().contains("--json"));
        server.output.json = server.output.html.clone();
        assert!(prepare(&server).err().unwrap().contains("the same"));
        server.output.json = None;
        server.strace = true;
        assert!(prepare(&server).err().unwrap().contains("--strace"));
        server.pid = Some(u32::MAX);
        assert!(prepare(&server).err().unwrap().contains("--pid"));
    }
}
