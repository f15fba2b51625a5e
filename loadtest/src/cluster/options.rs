//! What is simulated, and what everything costs there.

use clap::{Args, ValueEnum};

use crate::options::OutputOptions;

/// A cluster on paper. The defaults of what things cost are measured ones: see docs/scaling.md.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClusterOptions {
    /// Servers
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10,100,1000", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) nodes: Vec<u32>,
    /// Polls that wait in one chatroom, at whichever servers
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2,100,10000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) chatroom_polls: Vec<u32>,
    /// Polls that are parked at each server
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) polls: u32,
    /// Servers that the polls of one chatroom are at, where the balancer goes by the chatroom [default: all]
    ///
    /// Hints then go by as many channels as there are such groups, and each server hears those of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) spread: Option<u32>,
    /// Messages a second, at all servers together
    #[arg(long, value_name = "N", default_value_t = 2000.0, value_parser = positive)]
    pub(crate) messages: f64,
    /// How often each server asks the database, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        value_delimiter = ',',
        default_value = "1",
        value_parser = positive
    )]
    pub(crate) ask_every: Vec<f64>,
    /// What hints travel by
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', default_values_t = [Carrier::Notify, Carrier::Redis])]
    pub(crate) hints: Vec<Carrier>,
    /// Of a thousand hints to a server, how many are lost, where some are
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = positive)]
    pub(crate) lost: f64,
    /// Questions a second to all servers (endpoll, presence)
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = positive)]
    pub(crate) questions: f64,
    /// Seconds that are simulated
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = positive)]
    pub(crate) seconds: f64,
    /// The seed; the same options and the same seed give the same figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) costs: Costs,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What hints travel by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Carrier {
    /// The database sends them; commits that do so wait for each other
    Notify,
    /// A Redis does, after the commit
    Redis,
}

/// Microseconds, of which a core of the database takes those that are named CPU.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What it costs, in microseconds")]
pub(crate) struct Costs {
    /// To the database and back, or to the Redis and on to a server
    #[arg(long, value_name = "US", default_value_t = 500.0, value_parser = positive)]
    pub(crate) round_trip: f64,
    /// What a commit waits for the disk; with NOTIFY for so long all others wait for it
    #[arg(long, value_name = "US", default_value_t = 1800.0, value_parser = positive)]
    pub(crate) flush: f64,
    /// CPU of a small query
    #[arg(long, value_name = "US", default_value_t = 100.0, value_parser = positive)]
    pub(crate) query: f64,
    /// CPU of finding one row of what a batch has written, among many
    #[arg(long, value_name = "US", default_value_t = 0.7, value_parser = positive)]
    pub(crate) row: f64,
    /// CPU of asking for one chatroom, among many
    #[arg(long, value_name = "US", default_value_t = 3.0, value_parser = positive)]
    pub(crate) asked: f64,
    /// CPU of handing one notification to one server
    #[arg(long, value_name = "US", default_value_t = 30.0, value_parser = positive)]
    pub(crate) notified: f64,
    /// Cores of the database
    #[arg(long, value_name = "N", default_value_t = 32.0, value_parser = positive)]
    pub(crate) cores: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            round_trip: 500.0,
            flush: 1800.0,
            query: 100.0,
            row: 0.7,
            asked: 3.0,
            notified: 30.0,
            cores: 32.0,
        }
    }
}

fn positive(given: &str) -> Result<f64, String> {
    match given.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e9 => Ok(number),
        _ => Err("must be more than 0, and at most 1000000000".to_owned()),
    }
}
