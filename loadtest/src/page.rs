//! The page of a run: its figures and its plots in one file that needs nothing else.

use std::fmt::Write as _;

use crate::chart::{self, escaped};
use crate::plot::Plot;
use crate::report::Outcome;

/// Light and dark by the reader's wish; one column on a phone.
const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c1d20;--soft:#63666d;--rule:#e4e4e0;--ok:#1d7a46;--bad:#b3261e;\
--c0:#2563c9;--c1:#c2410c;--c2:#15803d;--c3:#9333ea;--c4:#b45309;--c5:#0e7490}\
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1c1f23;--ink:#e8e8e6;--soft:#9da1a9;--rule:#32363c;--ok:#5ecb8b;--bad:#ff8a80;\
--c0:#7aaeff;--c1:#ff9e6d;--c2:#6fd695;--c3:#c89bff;--c4:#f3c04b;--c5:#5fd0e0}}\
*{box-sizing:border-box}body{margin:0 auto;padding:1.2rem;max-width:68rem;background:var(--bg);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}h1{font-size:1.35rem;margin:.2rem 0}code{font-size:.85rem;overflow-wrap:anywhere;color:var(--soft)}\
.state{font-weight:600}.ok{color:var(--ok)}.bad{color:var(--bad)}.faults{margin:.3rem 0;padding-left:1.2rem}\
.plots{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));margin:1rem 0}\
figure{margin:0;padding:.9rem;background:var(--card);border:1px solid var(--rule);border-radius:.5rem}\
figcaption{font-weight:600;margin-bottom:.3rem}svg{display:block;width:100%;height:auto}\
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}.grid{stroke:var(--rule);stroke-width:1;fill:none}\
.axis{stroke:var(--soft);stroke-width:1;fill:none}.note{margin:.3rem 0 0;font-size:.85rem;color:var(--soft)}\
.legend{margin:0 0 .3rem;font-size:.85rem;display:flex;flex-wrap:wrap;gap:.2rem 1rem}\
.legend i{display:inline-block;width:.9em;height:.25em;border-radius:1px;margin-right:.4em;vertical-align:.2em}\
.range{stroke:var(--ink);stroke-width:1;fill:none;opacity:.65}svg .value{fill:var(--ink)}\
.wide{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;background:var(--card);\
border:1px solid var(--rule);border-radius:.5rem}\
td,th{padding:.3rem .8rem;text-align:right;border-bottom:1px solid var(--rule);font-weight:400;white-space:nowrap}\
th{text-align:left;color:var(--soft);white-space:normal;min-width:8.5rem;position:sticky;left:0;background:var(--card)}thead td{color:var(--soft);white-space:normal;vertical-align:bottom}\
td small{display:block;color:var(--soft)}tr:last-child>*{border-bottom:0}";

/// What a page shows.
pub(crate) struct Page<'a> {
    /// Its title.
    pub(crate) title: String,
    /// How it was made.
    pub(crate) command: String,
    /// Whether nothing was wrong.
    pub(crate) clean: bool,
    /// What was, in words.
    pub(crate) faults: &'a [String],
    /// What else one has to know.
    pub(crate) notes: &'a [String],
    /// The figures: rows of cells, the first row being the columns' names where `has_head`.
    pub(crate) rows: Vec<Vec<String>>,
    /// Whether the first row is a head.
    pub(crate) has_head: bool,
    /// The pictures.
    pub(crate) plots: &'a [Plot],
    /// More of them, drawn already; they come first.
    pub(crate) bars: Vec<String>,
}

impl<'a> Page<'a> {
    /// The page of a run with these options. Several measurements stand beside each other, one a column.
    pub(crate) fn of(options: &[String], outcome: &'a Outcome) -> Self {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (at, report) in outcome.reports.iter().enumerate() {
            for (row, (label, shown)) in report.rows().enumerate() {
                if at == 0 {
                    rows.push(vec![label.trim().to_owned()]);
                }
                if let Some(cells) = rows.get_mut(row) {
                    cells.push(shown);
                }
            }
        }
        let name = options.first().map_or("", String::as_str);
        Self {
            title: format!("loiter-loadtest {name}"),
            command: format!("loiter-loadtest {}", options.join(" ")),
            clean: outcome.tally.is_clean(),
            faults: &outcome.tally.examples,
            notes: &[],
            rows,
            has_head: false,
            plots: &outcome.plots,
            bars: Vec::new(),
        }
    }

    /// The whole of it.
    pub(crate) fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
            <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
            <style>{STYLE}{}</style></head><body><h1>{title}</h1><code>{}</code>",
            colours(),
            escaped(&self.command)
        );
        self.state(&mut html);
        for note in self.notes {
            let _ = write!(html, "<p class=\"note\">{}</p>", escaped(note));
        }
        if self.has_head {
            // A comparison is its table; a run's figures are for looking up.
            self.table(&mut html);
        }
        html.push_str("<div class=\"plots\">");
        for picture in &self.bars {
            html.push_str(picture);
        }
        for plot in self.plots {
            html.push_str(&chart::figure(plot));
        }
        html.push_str("</div>");
        if !self.has_head {
            self.table(&mut html);
        }
        html.push_str("</body></html>");
        html
    }

    fn state(&self, html: &mut String) {
        let (class, text) = match self.clean {
            true => ("ok", "Nothing was lost, doubled or unexpected."),
            false => ("bad", "Something was lost, doubled or unexpected:"),
        };
        let _ = write!(html, "<p class=\"state {class}\">{text}</p>");
        if !self.faults.is_empty() {
            html.push_str("<ul class=\"faults\">");
            for fault in self.faults {
                let _ = write!(html, "<li>{}</li>", escaped(fault));
            }
            html.push_str("</ul>");
        }
    }

    fn table(&self, html: &mut String) {
        html.push_str("<div class=\"wide\"><table>");
        for (at, row) in self.rows.iter().enumerate() {
            let is_head = self.has_head && at == 0;
            html.push_str(if is_head { "<thead><tr>" } else { "<tr>" });
            for (column, cell) in row.iter().enumerate() {
                let tag = if column == 0 { "th" } else { "td" };
                // What stands behind a line's end is said more softly.
                let (cell, small) = cell.split_once('\n').unwrap_or((cell, ""));
                let _ = write!(html, "<{tag}>{}", escaped(cell));
                if !small.is_empty() {
                    let _ = write!(html, "<small>{}</small>", escaped(small));
                }
                let _ = write!(html, "</{tag}>");
            }
            html.push_str(if is_head { "</tr></thead>" } else { "</tr>" });
        }
        html.push_str("</table></div>");
    }
}

/// Lines, areas and legend marks in each colour.
fn colours() -> String {
    let mut css = String::new();
    for n in 0..chart::COLOURS {
        let _ = write!(
            css,
            ".l{n}{{stroke:var(--c{n});stroke-width:1.8;fill:none;stroke-linejoin:round}}\
            .f{n}{{fill:var(--c{n})}}.b{n}{{background:var(--c{n})}}"
        );
    }
    css
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Figure, Report};
    use crate::tally::Tally;

    fn report(n: u64) -> Report {
        let mut report = Report::default();
        report.add("senders", "senders", Figure::Count(n));
        report
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let mut tally = Tally::default();
        tally.unexpected(|| "<odd>".into());
        let outcome = Outcome {
            reports: vec![report(1), report(64)],
            plots: Vec::new(),
            tally,
            summary: None,
        };
        let html = Page::of(&["send".to_owned()], &outcome).html();
        assert!(
            html.contains("<th>senders</th><td>1</td><td>64</td>"),
            "{html}"
        );
        assert!(html.contains("<li>&lt;odd&gt;</li>") && html.contains("class=\"state bad\""));
        for outside in ["http://", "https://", "<script", "<link", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
