//! Draws a comparison of one figure as bars, each with the range of its samples.

use std::fmt::Write as _;

use crate::chart::{COLOURS, escaped};

const WIDTH: f64 = 480.0;
const NAME: f64 = 108.0;
const VALUE: f64 = 88.0;
const STEP: f64 = 30.0;
const BAR: f64 = 15.0;

/// One picture.
pub(crate) struct Bars {
    /// What it shows.
    pub(crate) title: String,
    /// How to read it.
    pub(crate) note: &'static str,
    /// From top to bottom.
    pub(crate) bars: Vec<Bar>,
}

/// One bar.
pub(crate) struct Bar {
    /// Whose it is.
    pub(crate) name: String,
    /// Its value in words.
    pub(crate) shown: String,
    /// The number of its colour, the same for whoever it is in all pictures.
    pub(crate) colour: usize,
    /// The lowest sample.
    pub(crate) low: f64,
    /// The median: its length.
    pub(crate) median: f64,
    /// The highest sample.
    pub(crate) high: f64,
}

/// The whole picture, as HTML.
pub(crate) fn figure(bars: &Bars) -> String {
    let height = STEP * bars.bars.len() as f64 + 6.0;
    let title = escaped(&bars.title);
    let mut html = format!(
        "<figure><figcaption>{title}</figcaption>\
        <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">"
    );
    let highs = bars.bars.iter().map(|bar| bar.high);
    let most = highs.fold(1e-9, f64::max);
    let place = |value: f64| NAME + value.max(0.0) / most * (WIDTH - NAME - VALUE);
    for (at, bar) in bars.bars.iter().enumerate() {
        let middle = STEP * at as f64 + STEP / 2.0 + 3.0;
        draw(bar, middle, place, &mut html);
    }
    let _ = write!(html, "</svg><p class=\"note\">{}</p></figure>", bars.note);
    html
}

fn draw(bar: &Bar, middle: f64, place: impl Fn(f64) -> f64, svg: &mut String) {
    let (colour, name) = (bar.colour % COLOURS, escaped(&bar.name));
    let (low, end, high) = (place(bar.low), place(bar.median), place(bar.high));
    let (top, text) = (middle - BAR / 2.0, middle + 4.0);
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>\
        <rect class=\"f{colour}\" x=\"{NAME}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\
        <path class=\"range\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {:.1}V{:.1}M{high:.1} {:.1}V{:.1}\"/>\
        <text class=\"value\" x=\"{:.1}\" y=\"{text:.1}\">{}</text>",
        NAME - 8.0,
        (end - NAME).max(1.0),
        middle - 4.0,
        middle + 4.0,
        middle - 4.0,
        middle + 4.0,
        high.max(end) + 6.0,
        escaped(&bar.shown)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_range_fits() {
        let bar = |name: &str, high: f64| Bar {
            name: name.to_owned(),
            shown: "1 <s>".to_owned(),
            colour: 0,
            low: -1.0,
            median: high / 2.0,
            high,
        };
        let html = figure(&Bars {
            title: "t".into(),
            note: "n",
            bars: vec![bar("a", 10.0), bar("b", 20.0)],
        });
        let longest = format!("H{:.1}", WIDTH - VALUE);
        assert!(html.contains(&longest), "{html}");
        assert!(html.contains("1 &lt;s&gt;") && !html.contains("NaN"));
    }
}
