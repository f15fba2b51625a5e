//! Draws a [`Plot`] as SVG: no script, no resource from elsewhere, colours from the page's variables so that light and dark both work.
//!
//! The drawing is small in its own units, so that its letters can be read where a phone shows it at its full width.

use std::fmt::Write as _;

use crate::plot::{Axis, Line, Plot, Scale};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;
/// Nines beyond which a percentile axis does not go.
const NINES_MAX: f64 = 6.0;
/// Colours that the page defines.
pub(crate) const COLOURS: usize = 6;

/// Maps an axis's numbers to the drawing.
struct Ruler {
    axis: Axis,
    from: f64,
    to: f64,
    /// Where `from` and `to` lie in the drawing.
    ends: (f64, f64),
}

/// The whole picture with its legend, as HTML.
pub(crate) fn figure(plot: &Plot) -> String {
    let mut html = format!("<figure><figcaption>{}</figcaption>", escaped(&plot.title));
    html.push_str(&legend(plot));
    if plot.lines.iter().all(|line| line.points.is_empty()) {
        html.push_str("<p class=\"note\">Nothing was measured.</p></figure>");
        return html;
    }
    html.push_str(&svg(plot));
    if !plot.note.is_empty() {
        let _ = write!(html, "<p class=\"note\">{}</p>", escaped(&plot.note));
    }
    html.push_str("</figure>");
    html
}

/// One line needs no legend: the title says what it is.
fn legend(plot: &Plot) -> String {
    if plot.lines.len() < 2 {
        return String::new();
    }
    let mut html = String::from("<p class=\"legend\">");
    for (at, line) in plot.lines.iter().enumerate() {
        let colour = at % COLOURS;
        let name = escaped(&line.name);
        let _ = write!(html, "<span><i class=\"b{colour}\"></i>{name}</span> ");
    }
    html.push_str("</p>");
    html
}

fn svg(plot: &Plot) -> String {
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let x = Ruler::new(plot.x, points().map(|p| p.0), (LEFT, WIDTH - RIGHT));
    let y = Ruler::new(plot.y, points().map(|p| p.1), (HEIGHT - BOTTOM, TOP));
    let label = escaped(&plot.title);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">");
    axes(&x, &y, &mut svg);
    for (at, line) in plot.lines.iter().enumerate() {
        draw(line, at % COLOURS, (&x, &y), &mut svg);
    }
    svg.push_str("</svg>");
    svg
}

fn axes(x: &Ruler, y: &Ruler, svg: &mut String) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for value in y.ticks() {
        let at = y.place(value);
        let text = y.axis.unit.shown(value);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>\
            <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for value in x.ticks() {
        let at = x.place(value);
        let text = x.axis.unit.shown(value);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>\
            <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            bottom + 16.0
        );
    }
    let _ = write!(
        svg,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>\
        <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 6.0,
        escaped(x.axis.label)
    );
}

fn draw(line: &Line, colour: usize, (x, y): (&Ruler, &Ruler), svg: &mut String) {
    let places = line.points.iter().map(|p| (x.place(p.0), y.place(p.1)));
    if line.is_dotted {
        for (px, py) in places {
            let _ = write!(
                svg,
                "<circle class=\"f{colour}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"1.6\"/>"
            );
        }
        return;
    }
    let mut path = String::new();
    for (px, py) in places {
        let step = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{step}{px:.1} {py:.1}");
    }
    if let [only] = line.points[..] {
        let (px, py) = (x.place(only.0), y.place(only.1));
        let _ = write!(
            svg,
            "<circle class=\"f{colour}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\"/>"
        );
    }
    let _ = write!(svg, "<path class=\"l{colour}\" d=\"{path}\"/>");
}

impl Ruler {
    fn new(axis: Axis, values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Self {
        let (mut least, mut most, mut most_nines) = (f64::MAX, f64::MIN, 0.0_f64);
        for value in values {
            (least, most) = (least.min(value), most.max(value));
            if value < 1.0 {
                most_nines = most_nines.max(nines(value));
            }
        }
        let (from, to) = match axis.scale {
            Scale::Linear => (
                0.0,
                rounded_up(most.max(1e-9) / axis.unit.size()) * axis.unit.size(),
            ),
            Scale::Log => {
                let from = least.max(1.0).log10().floor();
                (from, most.max(1.0).log10().ceil().max(from + 1.0))
            }
            // The slowest of all has no nines of its own.
            Scale::Nines => (0.0, (most_nines + 0.3).max(2.0)),
        };
        Self {
            axis,
            from,
            to,
            ends,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let value = match self.axis.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1.0).log10(),
            // The slowest of all stands at the right end.
            Scale::Nines => nines(value).min(self.to),
        };
        let share = (value - self.from) / (self.to - self.from);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let whole = |power: f64| self.from + power;
        let steps = (self.to - self.from).floor() as u32;
        match self.axis.scale {
            Scale::Linear => {
                let size = self.axis.unit.size();
                let step = step(self.to / size) * size;
                let count = (self.to / step).round() as u32;
                (0..=count).map(|n| f64::from(n) * step).collect()
            }
            Scale::Log => (0..=steps).map(|n| 10_f64.powf(whole(n.into()))).collect(),
            Scale::Nines => (0..=steps)
                .map(|n| 1.0 - 10_f64.powf(-f64::from(n)))
                .collect(),
        }
    }
}

/// How many nines: 0.99 → 2.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(10_f64.powf(-NINES_MAX)).log10()
}

/// A step that yields three to six ticks up to `most`.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf(most.log10().floor());
    match most / power {
        x if x <= 1.5 => power * 0.25,
        x if x <= 3.0 => power * 0.5,
        x if x <= 6.0 => power,
        _ => power * 2.0,
    }
}

fn rounded_up(most: f64) -> f64 {
    let step = step(most);
    (most / step).ceil() * step
}

/// Text as HTML has it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Unit;

    fn axis(scale: Scale) -> Axis {
        Axis {
            label: "x",
            unit: Unit::Count,
            scale,
        }
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let values = [0.5, 0.999, 1.0].into_iter();
        let ruler = Ruler::new(axis(Scale::Nines), values, (0.0, 330.0));
        let at = ruler.ticks().into_iter();
        let at: Vec<i64> = at.map(|tick| ruler.place(tick).round() as i64).collect();
        assert_eq!(at, [0, 100, 200, 300]);
        assert_eq!(ruler.place(1.0), 330.0);
    }

    #[test]
    fn linear_axes_begin_at_zero_and_end_above_all() {
        for most in [0.3, 1.0, 7.0, 15_000.0, 99_999.0] {
            let ruler = Ruler::new(axis(Scale::Linear), [most].into_iter(), (0.0, 1.0));
            let ticks = ruler.ticks();
            assert_eq!(ticks[0], 0.0);
            assert!((3..=8).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(
                ruler.to >= most && ruler.to < most * 1.5,
                "{most}: {}",
                ruler.to
            );
        }
    }

    #[test]
    fn bytes_are_counted_in_whole_units() {
        let mut bytes = axis(Scale::Linear);
        bytes.unit = Unit::Bytes;
        let most = 6.5 * f64::from(1 << 20);
        let ruler = Ruler::new(bytes, [most].into_iter(), (0.0, 1.0));
        let shown = ruler
            .ticks()
            .into_iter()
            .map(|tick| Unit::Bytes.shown(tick));
        let shown: Vec<String> = shown.collect();
        assert_eq!(shown, ["0 MiB", "2 MiB", "4 MiB", "6 MiB", "8 MiB"]);
    }

    #[test]
    fn decades_hold_what_they_show() {
        let ruler = Ruler::new(axis(Scale::Log), [20.0, 3_000.0].into_iter(), (0.0, 1.0));
        assert_eq!(ruler.ticks().len(), 4);
        assert!(ruler.place(20.0) > 0.0 && ruler.place(3_000.0) < 1.0);
    }

    #[test]
    fn a_picture_names_its_lines_and_escapes_them() {
        let line = |name: &str| Line::new(name, vec![(0.0, 1.0), (1.0, 2.0)]);
        let plot = Plot::over_time("a < b", "y", vec![line("one"), line("<two>")]);
        let html = figure(&plot);
        assert!(html.contains("a &lt; b") && html.contains("&lt;two&gt;"));
        assert_eq!(html.matches("<path class=\"l").count(), 2);
        assert!(!html.contains("NaN"), "{html}");
        let nothing = Plot::over_time("t", "y", Vec::new());
        assert!(figure(&nothing).contains("Nothing was measured"));
    }
}
