//! The options of `chaos`, and what a size comes to.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::floods::FLOODS;
use crate::options::{OutputOptions, few, program};

#[derive(Args, Clone, Debug)]
pub(crate) struct ChaosOptions {
    /// Let loose these only
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = flood)]
    pub(crate) only: Vec<&'static str>,
    /// The size of every flood, in percent of the whole
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = few(1_000))]
    pub(crate) scale: u64,
    /// How often each flood comes, but for those that come once: from the second time on nothing more may stay behind
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = few(1_000))]
    pub(crate) rounds: u64,
    /// What the started servers get as --keepalive: how soon they ask the silent whether they are still there, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(5..=7_200))]
    pub(crate) keepalive: u64,
    /// Leave how long anything took out of the verdicts: for a machine that does other things as well
    #[arg(long)]
    pub(crate) untimed: bool,
    /// The loiter to start [default: the one beside this program, or else the one in PATH]
    #[arg(long, value_name = "PATH", value_parser = program)]
    pub(crate) server: Option<PathBuf>,
    /// An option for the servers that are started, as `--server-arg=--loops=2`; may be given several times
    #[arg(long = "server-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_args: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

impl ChaosOptions {
    /// What `whole` comes to at this scale, but `least` at least: less would not show what is to be shown.
    pub(crate) fn scaled(&self, whole: u64, least: u64) -> u64 {
        (whole * self.scale / 100).max(least)
    }

    /// How soon the server promises to have found whoever vanished silently.
    pub(crate) fn silence_max(&self) -> Duration {
        // 57 s at 25 s, told as 60 s; a look now and then takes its time too.
        Duration::from_millis(self.keepalive * 2_300).mul_f64(60.0 / 57.5)
    }

    /// Whether this flood takes place.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.contains(&name)
    }
}

fn flood(text: &str) -> Result<&'static str, String> {
    let mut names = FLOODS.iter().map(|flood| flood.name);
    names.find(|name| *name == text).ok_or_else(|| {
        let names = Vec::from_iter(FLOODS.iter().map(|flood| flood.name));
        format!("the floods are {}", names.join(", "))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::{Command, Options};

    pub(in crate::chaos) fn chaos(line: &str) -> ChaosOptions {
        let words = ["loiter-loadtest", "chaos"]
            .into_iter()
            .chain(line.split_whitespace());
        match Options::try_parse_from(words).unwrap().command {
            Command::Chaos(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_size_never_falls_below_what_shows_anything() {
        let options = chaos("--scale 10");
        assert_eq!(options.scaled(2_000, 50), 200);
        assert_eq!(options.scaled(200, 50), 50);
        assert_eq!(chaos("").scaled(2_000, 50), 2_000);
    }

    #[test]
    fn some_can_be_picked_by_name() {
        let options = chaos("--only slow-heads,queue");
        assert!(options.wants("queue") && !options.wants("files"));
        assert!(chaos("").wants("files"));
        let words = ["x", "chaos", "--only", "slow-heads,fire"];
        let refused = Options::try_parse_from(words).unwrap_err().to_string();
        assert!(
            refused.contains("the floods are calm, slow-heads"),
            "{refused}"
        );
    }

    #[test]
    fn silence_is_bounded_by_what_is_promised() {
        assert_eq!(chaos("").silence_max(), Duration::from_secs(60));
        let brief = chaos("--keepalive 5").silence_max();
        assert_eq!(brief, Duration::from_secs(12));
    }
}
