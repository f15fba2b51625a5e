//! The log: lines on standard error, for people or for machines.
//!
//! It never goes to standard output, which belongs to the lines that say where the server listens.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::Write as _;
use std::panic::PanicHookInfo;

use env_logger::{Builder, TimestampPrecision};
use log::{Level, LevelFilter, Record};
use serde_json::Value;

use super::options::LogFormat;

/// Starts the log. To be called once, before anything has something to say.
pub(crate) fn start(level: LevelFilter, format: LogFormat) {
    let mut builder = Builder::new();
    // What the libraries below tell in passing is for their authors, and nothing that we have vetted
    // for what may stand in a log. Their warnings are ours to know.
    builder
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("loiter", level)
        .format_timestamp(Some(TimestampPrecision::Millis));
    if format == LogFormat::Json {
        builder.format(|out, record| {
            let time = out.timestamp_millis();
            writeln!(out, "{}", json_line(&time, record))
        });
        if level >= LevelFilter::Error {
            std::panic::set_hook(Box::new(log_panic));
        }
    }
    builder.init();
}

/// A JSON object, the time first: whoever scrolls through the raw lines reads it first too.
fn json_line(time: &dyn Display, record: &Record<'_>) -> String {
    format!(
        r#"{{"time":"{time}","level":"{}","target":{},"message":{}}}"#,
        record.level().as_str().to_lowercase(),
        Value::from(record.target()),
        Value::from(record.args().to_string()),
    )
}

/// Rust tells of a panic in lines of its own, which whoever reads one JSON object a line could not parse.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    let message = match backtrace.status() {
        BacktraceStatus::Captured => format!("thread {name}: {panic}\n{backtrace}"),
        _ => format!("thread {name}: {panic}"),
    };
    log::log!(target: "loiter::panic", Level::Error, "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_one_line_whatever_it_tells() {
        let line = json_line(
            &"2026-11-23T08:00:00.000Z",
            &Record::builder()
                .level(Level::Warn)
                .target("loiter::server")
                .args(format_args!("a \"quote\",\na line, \u{7} and a ö"))
                .build(),
        );
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).expect(&line);
        assert_eq!(
            value,
            serde_json::json!({
                "time": "2026-11-23T08:00:00.000Z",
                "level": "warn",
                "target": "loiter::server",
                "message": "a \"quote\",\na line, \u{7} and a ö",
            })
        );
    }
}
