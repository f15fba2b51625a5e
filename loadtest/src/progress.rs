//! What happens now, on standard error: a bar on a terminal, one line for each phase elsewhere.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error. Where nobody reads it any more, a run goes on.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// One phase of a run.
pub(crate) struct Phase {
    bar: ProgressBar,
}

impl Phase {
    /// Begins a phase of `total` steps; 0 where steps cannot be counted.
    pub(crate) fn start(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        if !io::stderr().is_terminal() {
            say(format_args!("{what} …"));
            return Self {
                bar: ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
            };
        }
        let (bar, template) = if total == 0 {
            (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}")
        } else {
            let template = "{msg} {wide_bar} {pos}/{len} {elapsed}";
            (ProgressBar::new(total), template)
        };
        let style = ProgressStyle::with_template(template).expect("the templates are constants");
        bar.set_style(style);
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Says how far it is.
    pub(crate) fn at(&self, step: u64) {
        self.bar.set_position(step);
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
