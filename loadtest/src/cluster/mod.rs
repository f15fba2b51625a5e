//! A cluster on paper: so many servers on one database, so many polls at each. What do they cost it, how late is a message told, and where does it end?
//!
//! Writing lanes ([`lanes`]) and listening threads ([`listener`]) are simulated in virtual time, and each does as `store/postgres` does; the rest
//! is arithmetic. What is left out: that polls of one chatroom gather at some servers, connections that break, the clients' own network, and the
//! database's queues but for one figure, by which all its work is slowed: one over the share of its cores that is free.

mod lanes;
mod listener;
mod options;
mod random;

pub(crate) use options::{Carrier, ClusterOptions};

use lanes::{Commit, Lanes};
use listener::{Heard, Listener, News};
use random::Random;

use crate::report::{Figure, Outcome, Report};

const US: f64 = 1e-6;

/// Statements of a batch of messages before its commit: begin, lock, participants, messages, last messages; and the hint.
const STATEMENTS: f64 = 6.0;

/// Small queries with each asking: what others have written, what else has changed, that this server is there.
const ASKED: f64 = 3.0;

/// Seconds in which each chatroom that is held is asked for once, and how many at once.
const ROUND: f64 = 60.0;
const SLICE: f64 = 1000.0;

/// Bytes of a chatroom in a question: two numbers of eight bytes with their lengths.
const ASKED_BYTES: f64 = 24.0;
/// Bytes of a row of what a batch has written, with two arrays, and of each chatroom in it: two numbers with their lengths.
const ROW_BYTES: f64 = 60.0;
const WRITTEN_BYTES: f64 = 24.0;

/// Bytes of a hint: who tells it, and for each chatroom its number and its message's; roughly, as text.
const HINT_BYTES: f64 = 20.0;
const HINTED_BYTES: f64 = 12.0;

/// Servers that are looked at, at least and at most; all are alike, but for when they ask.
const OBSERVED_MIN: u32 = 10;
const OBSERVED_MAX: u32 = 40;
/// … and beyond the least no more than tell as much as this.
const TOLD_MAX: f64 = 40_000.0;

/// How much of the database's cores may be taken before its queues are what is waited for.
const LOAD_MAX: f64 = 0.9;

/// One of the clusters that are asked for.
#[derive(Clone, Copy, Debug)]
struct Cluster<'a> {
    options: &'a ClusterOptions,
    nodes: u32,
    chatroom_polls: u32,
    ask_every: f64,
    hints: Carrier,
}

/// What it comes to, for each second and at all servers together unless it says otherwise.
#[derive(Debug)]
struct Costing {
    /// Chatrooms that one server holds.
    held: f64,
    commits: f64,
    fetches: f64,
    /// The database's cores that are taken.
    cores: f64,
    /// … of these by asking alone.
    asking_cores: f64,
    /// Seconds that one asking takes.
    ask: f64,
    /// Seconds from a message's coming until the loops are told: with all hints, with some lost, with none.
    latencies: Option<[Vec<f64>; 3]>,
}

/// Simulates all that is asked for.
pub(crate) fn run(options: &ClusterOptions) -> Outcome {
    let mut outcome = Outcome::default();
    let mut lines = vec![HEAD.to_owned()];
    for &hints in &options.hints {
        for &ask_every in &options.ask_every {
            for &nodes in &options.nodes {
                for &chatroom_polls in &options.chatroom_polls {
                    let cluster = Cluster {
                        options,
                        nodes,
                        chatroom_polls,
                        ask_every,
                        hints,
                    };
                    let costing = cluster.cost();
                    lines.push(cluster.line(&costing));
                    outcome.reports.push(cluster.report(&costing));
                }
            }
        }
    }
    lines.push(String::new());
    lines.push(questions(options));
    lines.push(String::new());
    outcome.summary = Some(lines.join("\n"));
    outcome
}

const HEAD: &str = "\
All of a second, at all servers together, unless it says otherwise. Cores are the database's; with a * more than nine tenths of them, and nothing is known of
times. Told: from when a message came until the loops of another server were told of it, in milliseconds: half of them, 99 of 100, and the last.

 hints  every  nodes  polls/room  held/node   commits     hinted   fetched  asked MB/s  one ask ms     cores  asking | told by hints p50 p99 max |  some lost p50 p99 max |  asking alone p50 p99 max";

impl Cluster<'_> {
    /// Servers that a chatroom's polls may be at.
    fn spread(&self) -> f64 {
        let spread = self.options.spread.unwrap_or(self.nodes);
        f64::from(spread.min(self.nodes))
    }

    /// The share of servers that hold a chatroom with so many polls, each of which is at any of those that it may be at.
    fn held_share(&self) -> f64 {
        let elsewhere = 1.0 - 1.0 / self.spread();
        let share = 1.0 - elsewhere.powi(self.chatroom_polls as i32);
        share * self.spread() / f64::from(self.nodes)
    }

    /// Servers that hear of a commit, which has so many messages.
    fn hearing(&self, messages: f64) -> f64 {
        (self.spread() * messages).min(f64::from(self.nodes))
    }

    fn held(&self) -> f64 {
        let polls = f64::from(self.options.polls) * f64::from(self.nodes);
        polls / f64::from(self.chatroom_polls) * self.held_share()
    }

    fn cost(&self) -> Costing {
        // First as if the database had nothing else to do, then as slowly as it is with what that has come to.
        let idle = self.simulate(1.0);
        match idle.cores / self.options.costs.cores {
            load if load < LOAD_MAX => self.simulate(1.0 / (1.0 - load)),
            _ => Costing {
                latencies: None,
                ..idle
            },
        }
    }

    fn simulate(&self, slower: f64) -> Costing {
        let (options, costs) = (self.options, &self.options.costs);
        let query = (costs.round_trip + costs.query * slower) * US;
        let held = self.held();
        let lanes = Lanes {
            nodes: self.nodes,
            messages: options.messages,
            work: STATEMENTS * query,
            flush: (costs.flush + costs.round_trip) * US,
            is_serial: self.hints == Carrier::Notify,
        };
        let mut random = Random::new(options.seed);
        let commits = lanes.run(options.seconds, &mut random);
        let seconds = commits.last().map_or(1.0, |last| last.at);
        let per_second = commits.len() as f64 / seconds;
        let rows = per_second * self.ask_every;
        let ask_cpu = ASKED * costs.query + rows * costs.row;
        let in_slice = held.clamp(1.0, SLICE);
        let slice_cpu = costs.query + in_slice * costs.asked;
        let listener = Listener {
            ask_every: self.ask_every,
            ask: (ASKED * costs.round_trip + ask_cpu * slower) * US,
            slice_every: ROUND * in_slice / held,
            slice: (costs.round_trip + slice_cpu * slower) * US,
            fetch: query,
        };
        let lost = [0.0, options.lost / 1000.0, 1.0];
        let [all, some, none] = lost.map(|lost| self.listen(&listener, &commits, lost));
        let each = f64::from(self.nodes) / f64::from(self.observed());
        let fetches = all.fetches as f64 * each / seconds;
        let asks = f64::from(self.nodes) / self.ask_every;
        let notified = match self.hints {
            Carrier::Notify => {
                per_second * self.hearing(options.messages / per_second) * costs.notified
            }
            Carrier::Redis => 0.0,
        };
        let slices = f64::from(self.nodes) / listener.slice_every;
        let asking_cores = (asks * ask_cpu + slices * slice_cpu) * US;
        let written = per_second * (STATEMENTS + 1.0) * costs.query;
        Costing {
            held,
            commits: per_second,
            fetches,
            cores: asking_cores + (written + fetches * costs.query + notified) * US,
            asking_cores,
            ask: listener.ask,
            latencies: Some([all.latencies, some.latencies, none.latencies]),
        }
    }

    /// What the observed servers hear of what others have committed, each of those chatrooms as likely held as any.
    fn listen(&self, listener: &Listener, commits: &[Commit], lost: f64) -> Heard {
        let late = self.options.costs.round_trip * US;
        let share = self.held_share();
        let mut all = Heard::default();
        for node in 0..self.observed() {
            let mut random = Random::new(self.options.seed ^ u64::from(node) << 32);
            let mut news = Vec::new();
            for commit in commits.iter().filter(|commit| commit.node != node) {
                let is_lost = random.share() < lost;
                for &came in &commit.came {
                    if random.share() < share {
                        news.push(News {
                            at: commit.at,
                            heard: (!is_lost).then_some(commit.at + late),
                            came,
                        });
                    }
                }
            }
            let heard = listener.run(&news, &mut random);
            all.latencies.extend(heard.latencies);
            all.fetches += heard.fetches;
            all.asks += heard.asks;
        }
        all.latencies.sort_by(f64::total_cmp);
        all
    }

    fn observed(&self) -> u32 {
        let each = self.options.messages * self.options.seconds * self.held_share();
        let enough = (TOLD_MAX / each) as u32;
        enough.clamp(OBSERVED_MIN, OBSERVED_MAX).min(self.nodes)
    }

    fn hinted(&self, costing: &Costing) -> f64 {
        costing.commits * self.hearing(self.options.messages / costing.commits)
    }

    fn asked_bytes(&self, costing: &Costing) -> f64 {
        let rows = costing.commits * ROW_BYTES + self.options.messages * WRITTEN_BYTES;
        f64::from(self.nodes) * (costing.held * ASKED_BYTES / ROUND + rows)
    }

    fn line(&self, costing: &Costing) -> String {
        let told = |at: usize| {
            let Some(latencies) = &costing.latencies else {
                return format!("{:>22}", "-");
            };
            let of = |share| quantile(&latencies[at], share) * 1000.0;
            format!("{:>7.1} {:>7.0} {:>6.0}", of(0.5), of(0.99), of(1.0))
        };
        let is_over = costing.cores / self.options.costs.cores >= LOAD_MAX;
        format!(
            "{:>6} {:>5}s {:>6} {:>11} {:>10.0} {:>9.0} {:>10.0} {:>9.0} {:>11.1} {:>11.1} {:>8.1}{} {:>7.2} | {:>24} | {} | {}",
            name(self.hints),
            self.ask_every,
            self.nodes,
            self.chatroom_polls,
            costing.held,
            costing.commits,
            self.hinted(costing),
            costing.fetches,
            self.asked_bytes(costing) / 1e6,
            costing.ask * 1000.0,
            costing.cores,
            if is_over { '*' } else { ' ' },
            costing.asking_cores,
            told(0),
            told(1),
            told(2),
        )
    }

    fn report(&self, costing: &Costing) -> Report {
        let mut report = Report::default();
        let mut add = |key: &'static str, figure| report.add(key, key.replace('_', " "), figure);
        let nodes = f64::from(self.nodes);
        let hinted = self.hinted(costing);
        let hint = HINT_BYTES + HINTED_BYTES * self.options.messages / costing.commits;
        add("hints", Figure::Text(name(self.hints).to_owned()));
        add("ask_every_seconds", Figure::Each(self.ask_every));
        add("nodes", Figure::Count(u64::from(self.nodes)));
        add(
            "chatroom_polls",
            Figure::Count(u64::from(self.chatroom_polls)),
        );
        add("chatrooms_held_by_each", Figure::Each(costing.held));
        add("commits_per_second", Figure::PerSecond(costing.commits));
        add("hints_heard_per_second", Figure::PerSecond(hinted));
        add("hint_bytes_per_second", Figure::PerSecond(hinted * hint));
        add("fetches_per_second", Figure::PerSecond(costing.fetches));
        add("asks_per_second", Figure::PerSecond(nodes / self.ask_every));
        add(
            "asked_bytes_per_second",
            Figure::PerSecond(self.asked_bytes(costing)),
        );
        add("database_cores", Figure::Cpu(costing.cores));
        add("asking_cores", Figure::Cpu(costing.asking_cores));
        for (of, latencies) in ["hinted", "some_lost", "asking"]
            .iter()
            .zip(costing.latencies.iter().flatten())
        {
            for (suffix, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                let nanos = Figure::Nanos((quantile(latencies, share) * 1e9) as u64);
                report.add(
                    format!("told_{of}_{suffix}_ns"),
                    format!("told {of} {suffix}"),
                    nanos,
                );
            }
        }
        report
    }
}

fn name(hints: Carrier) -> &'static str {
    match hints {
        Carrier::Notify => "notify",
        Carrier::Redis => "redis",
    }
}

/// Of what is sorted; nothing where there is nothing.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share) as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// What it costs to ask all servers something: a row and a commit for the question, as many from each of the others, and the look for answers.
fn questions(options: &ClusterOptions) -> String {
    let costs = &options.costs;
    let mut lines = vec![format!(
        "Questions to all servers (endpoll, presence), {} a second: commits a second, the database's cores, and the most questions a second that \
         commits which NOTIFY have time for.",
        options.questions
    )];
    for &nodes in &options.nodes {
        // Nobody waits for the disk in these, but the lock is taken all the same: as long as a small query takes.
        let commits = f64::from(nodes);
        let cores = options.questions * commits * 4.0 * costs.query * US;
        let lock = costs.query * US;
        lines.push(format!(
            "{nodes:>6} nodes: {:>8.0} commits, {cores:>6.2} cores, at most {:>6.1} questions",
            options.questions * commits,
            1.0 / (commits * lock),
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::options::Costs;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: ClusterOptions,
    }

    fn options(words: &str) -> ClusterOptions {
        Line::parse_from(std::iter::once("x").chain(words.split_whitespace())).options
    }

    fn cluster(options: &ClusterOptions) -> Cluster<'_> {
        Cluster {
            options,
            nodes: options.nodes[0],
            chatroom_polls: options.chatroom_polls[0],
            ask_every: options.ask_every[0],
            hints: options.hints[0],
        }
    }

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let (given, usual) = (options("").costs, Costs::default());
        assert_eq!(format!("{given:?}"), format!("{usual:?}"));
    }

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        let few = "--nodes 4 --chatroom-polls 3 --polls 1000 --seconds 5 --messages 200";
        let run = |seed: u64| {
            let outcome = run(&options(&format!("{few} --seed {seed}")));
            outcome.table()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_server_holds_the_chatrooms_that_it_has_polls_in() {
        // Two polls in each of 1,000 chatrooms, at one of two servers each: half are at one alone, so each holds three of four.
        let options = options("--nodes 2 --chatroom-polls 2 --polls 1000");
        assert!((cluster(&options).held() - 750.0).abs() < 1e-9);
        // At one server each, as the balancer has it.
        let routed = self::options("--nodes 10 --chatroom-polls 2 --polls 1000 --spread 1");
        assert!((cluster(&routed).held() - 500.0).abs() < 1e-9);
        // So many that every server has one.
        let options = self::options("--nodes 10 --chatroom-polls 10000 --polls 1000000");
        assert!((cluster(&options).held() - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn latencies_are_what_they_must_be_where_nobody_waits() {
        let words = "--nodes 10 --chatroom-polls 10000 --polls 10000 --messages 20 --hints redis --ask-every 5 --seconds 600";
        let options = options(words);
        let (costs, costing) = (&options.costs, cluster(&options).cost());
        let latencies = costing.latencies.expect("it is idle");
        let query = costs.round_trip + costs.query;
        // Statements, flush, the hint's way, fetching.
        let least = (STATEMENTS * query + costs.flush + 2.0 * costs.round_trip + query) * US;
        let ratio = quantile(&latencies[0], 0.5) / least;
        assert!((0.99..1.05).contains(&ratio), "{ratio}");
        let asked = quantile(&latencies[2], 0.5);
        assert!((2.3..2.7).contains(&asked), "{asked}");
        let commits = costing.commits / 20.0;
        assert!((0.9..1.05).contains(&commits), "{commits}");
    }

    /// Three small queries each second, and a slice for each thousand chatrooms that are held once a minute.
    #[test]
    fn asking_costs_what_messages_cost_and_little_for_what_is_held() {
        let words = "--nodes 10 --chatroom-polls 2 --hints redis --messages 100 --seconds 60";
        let options = options(words);
        let (costs, costing) = (&options.costs, cluster(&options).cost());
        let looks = 3.0 * costs.query + costing.commits * costs.row;
        let held = costing.held * (costs.asked + costs.query / SLICE) / ROUND;
        let ratio = costing.asking_cores / (10.0 * (looks + held) * US);
        assert!((0.999..1.001).contains(&ratio), "{ratio}");
    }

    #[test]
    fn what_asks_too_much_has_no_times() {
        let options = options(
            "--nodes 10 --chatroom-polls 2 --hints redis --ask-every 1 --cores 8 --seconds 1 --asked 100",
        );
        let costing = cluster(&options).cost();
        assert!(costing.latencies.is_none() && costing.asking_cores > 8.0);
    }
}
