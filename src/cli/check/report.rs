//! The findings of a check, for people and for programs.
//!
//! Programs get what was found as numbers under names that stay; the sentences are for people, and may change.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::figures::{bytes, decimal};
use super::judge::{CONNECTION_BYTES, Limit, POLL_BYTES, Remark, Report};

const NOT_KNOWN: &str = "not known";
/// Columns that a sentence takes, as `--help` does.
const WIDTH: usize = 100;

/// One JSON object, and a line's end.
pub(super) fn json(report: &Report) -> String {
    let limits = report.limits.iter().map(|limit| {
        json!({
            "name": limit.name,
            "found": found_as_json(&limit.found),
            "polls": limit.polls,
            "set": limit.set,
        })
    });
    let remarks = report.remarks.iter().map(|remark| {
        json!({
            "name": remark.name,
            "text": remark.text,
            "found": found_as_json(&remark.found),
            "warning": remark.is_warning,
            "set": remark.set,
        })
    });
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "asked": report.asked,
        "fits": report.fits(),
        "polls": report.holds(),
        "first": report.holds().and(report.limits.first()).map(|limit| limit.name),
        "poll_bytes": POLL_BYTES,
        "connection_bytes": CONNECTION_BYTES,
        "limits": limits.collect::<Vec<_>>(),
        "remarks": remarks.collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn found_as_json(found: &[(&'static str, Option<u64>)]) -> Map<String, Value> {
    let found = found.iter();
    found
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect()
}

/// Lines for a terminal.
pub(super) fn text(report: &Report) -> String {
    let mut text = verdict(report);
    text.push_str(&table(&report.limits));
    // The figures are from docs/benchmarks.md.
    let _ = writeln!(
        text,
        "\nA poll takes an open file, {POLL_BYTES} bytes of loiter's memory and {} of the kernel's.\n\
         Open files are those of this shell or service: what starts loiter may have another limit.",
        decimal(CONNECTION_BYTES)
    );
    if let Some(asked) = report.asked.filter(|_| !report.fits()) {
        let _ = writeln!(text, "\nFor {} polls:", decimal(asked));
        for limit in report.limits.iter().filter(|limit| !limit.set.is_empty()) {
            push_settings(&mut text, limit.label, &limit.set);
        }
    }
    let (warnings, others): (Vec<_>, Vec<_>) =
        report.remarks.iter().partition(|remark| remark.is_warning);
    push_remarks(&mut text, "Not as it should be", &warnings);
    push_remarks(&mut text, "Good to know", &others);
    if text.contains("sysctl -w ") {
        text.push_str("\nWhat sysctl sets is gone when the machine is off, unless a file in /etc/sysctl.d has it too.\n");
    }
    text
}

fn verdict(report: &Report) -> String {
    let holds = match report.holds() {
        Some(polls) if is_none(polls) => "No limit of this machine is met".to_owned(),
        Some(polls) => format!("This machine holds {} polls", decimal(polls)),
        None => "How many polls this machine holds is not known".to_owned(),
    };
    let is_met = report.holds().is_some_and(|polls| !is_none(polls));
    let first = match report.limits.first().filter(|_| is_met) {
        Some(first) => format!(". The first limit: {}.", first.label),
        None => ".".to_owned(),
    };
    let asked = match report.asked {
        Some(asked) if report.fits() => format!(" {} fit.", decimal(asked)),
        Some(asked) => format!(" {} do not fit.", decimal(asked)),
        None => String::new(),
    };
    format!("{holds}{first}{asked}\n\n")
}

fn table(limits: &[Limit]) -> String {
    let row = |limit: &Limit| {
        let found = limit.found.iter().map(|(name, value)| figure(name, *value));
        let polls = limit.polls.map_or_else(|| NOT_KNOWN.to_owned(), count);
        [
            limit.label.to_owned(),
            found.collect::<Vec<_>>().join(", "),
            polls,
        ]
    };
    let heading = ["limit", "found", "polls"].map(str::to_owned);
    let rows: Vec<[String; 3]> = [heading]
        .into_iter()
        .chain(limits.iter().map(row))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    let mut table = String::new();
    for [label, found, polls] in &rows {
        let _ = writeln!(table, "  {label:first$}  {found:second$}  {polls:>third$}");
    }
    table
}

/// Whether it is no limit: the largest numbers that there are stand for none.
fn is_none(limit: u64) -> bool {
    limit >= 1 << 62
}

fn count(number: u64) -> String {
    match is_none(number) {
        true => "no limit".to_owned(),
        false => decimal(number),
    }
}

/// A figure for people: `nr_open 1,048,576`, `available 3.1 GiB`.
fn figure(name: &str, value: Option<u64>) -> String {
    let (name, value) = match name.strip_suffix("_bytes") {
        Some(name) => (name, value.map(bytes)),
        None => (name, value.map(count)),
    };
    format!("{name} {}", value.as_deref().unwrap_or(NOT_KNOWN))
}

fn push_settings(text: &mut String, label: &str, set: &[String]) {
    let _ = writeln!(text, "  {label}:");
    for setting in set {
        let _ = writeln!(text, "    {setting}");
    }
}

/// A paragraph behind a dash, in lines that a terminal has room for.
fn push_filled(text: &mut String, paragraph: &str) {
    let mut line = "-".to_owned();
    for word in paragraph.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            let _ = writeln!(text, "{line}");
            line = " ".to_owned();
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(text, "{line}");
}

fn push_remarks(text: &mut String, heading: &str, remarks: &[&Remark]) {
    if remarks.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{heading}:");
    for remark in remarks {
        push_filled(text, &remark.text);
        for setting in &remark.set {
            let _ = writeln!(text, "    {setting}");
        }
    }
}

#[cfg(test)]
mod tests {
    use loiter::Config;

    use super::super::judge::judge;
    use super::super::machine::{Conntrack, Machine};
    use super::*;

    /// The machine of `docs/sizing.md`.
    fn small_server() -> Machine {
        Machine {
            files_soft: Some(1_024),
            files_hard: Some(524_288),
            nr_open: Some(1_048_576),
            file_max: Some(i64::MAX as u64),
            files_open: Some(1_500),
            epoll_watches: Some(890_000),
            memory_bytes: Some(3_600 << 20),
            cgroup: None,
            conntrack: Some(Conntrack {
                max: 262_144,
                count: 144,
            }),
            somaxconn: Some(4_096),
            tcp_pressure_pages: Some(62_000),
            ports: Some((32_768, 60_999)),
            file_system: Some("ext4".to_owned()),
            free_bytes: Some(60 << 30),
        }
    }

    fn report(files: Option<u64>, asked: Option<u64>) -> Report {
        let machine = Machine {
            files_hard: files,
            ..Machine::default()
        };
        judge(&machine, &Config::default(), asked)
    }

    #[test]
    fn what_is_not_known_is_said_not_to_be() {
        let unknown = text(&report(None, None));
        assert!(unknown.starts_with("How many polls this machine holds is not known.\n"));
        assert!(unknown.contains("hard not known"), "{unknown}");
        let asked = text(&report(None, Some(5)));
        assert!(asked.starts_with("How many polls this machine holds is not known. 5 fit"));
        let json: Value = serde_json::from_str(&json(&report(None, Some(5)))).expect("JSON");
        assert_eq!(
            (&json["polls"], &json["first"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(json["fits"], true);
    }

    #[test]
    fn a_limit_that_is_none_is_no_number() {
        let unlimited = text(&report(Some(u64::MAX), Some(5)));
        assert!(
            unlimited.starts_with("No limit of this machine is met. 5 fit."),
            "{unlimited}"
        );
        assert!(unlimited.contains("hard no limit"), "{unlimited}");
    }

    #[test]
    fn sentences_keep_to_the_width() {
        let told = text(&report(Some(1_000), Some(1_000_000)));
        assert!(told.contains("1,000,000 do not fit."), "{told}");
        let (_, remarks) = told.split_once("Good to know:").expect("remarks");
        let sentences = remarks.lines().filter(|line| !line.starts_with("    "));
        assert!(
            sentences.map(str::len).all(|length| length <= WIDTH),
            "{told}"
        );
    }

    #[test]
    fn that_sysctl_forgets_is_told_where_something_is_to_be_set_by_it() {
        let forgets = |text: String| text.contains("What sysctl sets is gone");
        // `ulimit` is all that there is to do.
        assert!(!forgets(text(&report(Some(1_000), Some(1_000_000)))));
        assert!(!forgets(text(&report(Some(1_000), None))));
        let set = |asked| judge(&small_server(), &Config::default(), Some(asked));
        assert!(forgets(text(&set(1_000_000))));
        assert!(forgets(text(&set(100_000))), "of what fits, too");
    }

    /// An ellipsis stands for what the page leaves out.
    #[test]
    fn the_guide_shows_what_is_said() {
        let page = include_str!("../../../docs/sizing.md");
        for asked in [1_000, 100_000, 1_000_000] {
            let told = text(&judge(&small_server(), &Config::default(), Some(asked)));
            let opening = format!("```text\n$ loiter check --for {asked}\n");
            let (_, shown) = page.split_once(&opening).expect("what is asked");
            let (shown, _) = shown.split_once("\n```").expect("an end");
            let told = format!("\n{told}");
            let mut rest = told.as_str();
            for part in shown.split("…\n").map(str::trim_end) {
                let lines = format!("\n{part}\n");
                let at = rest.find(&lines);
                let at = at.unwrap_or_else(|| panic!("not said: {part}\nbut:{told}"));
                rest = &rest[at + lines.len() - 1..];
            }
        }
    }
}
