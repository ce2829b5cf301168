//! Line charts and histograms as SVG; colours come from the page's style.
//!
//! Each is drawn twice, for a wide page and for a phone's, of which the style shows one: text that is scaled down with a
//! wide drawing could not be read. What a line chart's script needs (`charts.js`: values under the pointer, smoothing)
//! lies in `data-` attributes.

use std::fmt::Write;

/// The measures of a drawing, in its own units.
#[derive(Clone, Copy)]
struct Frame {
    class: &'static str,
    width: f64,
    left: f64,
    /// Units between two numbers at the horizontal axis, at least.
    apart: f64,
}

const FRAMES: [Frame; 2] = [
    Frame { class: "wide-only", width: 760.0, left: 72.0, apart: 60.0 },
    Frame { class: "narrow-only", width: 380.0, left: 54.0, apart: 56.0 },
];
const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// Units between the lines of a legend.
const LINE: f64 = 18.0;

/// A line of a chart.
pub struct Series<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Points from left to right; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether every point is marked: for few points.
    pub dots: bool,
    /// Whether the page's slider smooths it: for many noisy points.
    pub smooth: bool,
}

/// Lines over a common axis.
pub struct Chart<'a> {
    /// What is drawn, for those who cannot see it.
    pub label: &'a str,
    /// What is written at the horizontal axis.
    pub x: &'a str,
    /// The lines, at most [`COLOURS`].
    pub series: Vec<Series<'a>>,
    /// A mark at this place of the horizontal axis, with its text.
    pub mark: Option<(f64, String)>,
    /// Whether the vertical axis begins at 0.
    pub from_zero: bool,
    /// What the horizontal axis shows at least, so that the charts of a page stand under one another.
    pub range: Option<(f64, f64)>,
}

/// Lines of different colours that there are.
pub const COLOURS: usize = 8;

impl Chart<'_> {
    /// The drawings, `height` units high, and higher where the legend takes several lines; nothing where there is no
    /// point.
    pub fn svg(&self, height: f64) -> String {
        FRAMES.into_iter().map(|frame| self.within(frame, height)).collect()
    }

    fn within(&self, frame: Frame, height: f64) -> String {
        let all =
            || self.series.iter().flat_map(|s| &s.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (x0, x1) = range(&mut all().map(|p| p.0));
        let (low, high) = range(&mut all().map(|p| p.1));
        if x0 > x1 {
            return String::new();
        }
        let (x0, x1) = self.range.map_or((x0, x1), |(from, to)| (from.min(x0), to.max(x1)));
        let low = if self.from_zero { low.min(0.0) } else { low };
        let ticks = ticks(low, if high > low { high } else { low + low.abs().max(1e-9) });
        let (y0, y1) = (ticks[0], ticks[ticks.len() - 1]);
        let legend = self.legend(frame);
        let more = legend.last().map_or(0.0, |&(_, line)| line as f64 * LINE);
        let (top, height) = (TOP + more, height + more);
        let (left, bottom, right) = (frame.left, height - BOTTOM, frame.width - RIGHT);
        let px = |x: f64| left + (x - x0) / (x1 - x0).max(f64::MIN_POSITIVE) * (right - left);
        let py = |y: f64| bottom - (y - y0) / (y1 - y0) * (bottom - top);
        let mut out = open(frame, self.label, height);
        out.truncate(out.len() - 2);
        let _ = writeln!(
            out,
            " data-x=\"{x0},{x1},{left},{right}\" data-y=\"{y0},{y1},{bottom},{top}\" data-unit=\"{}\">",
            super::escape(self.x)
        );
        for &tick in &ticks {
            svg_line(&mut out, "grid", [left, py(tick), right, py(tick)]);
            svg_text(&mut out, left - 8.0, py(tick) + 4.0, "end", &number(tick, y1 - y0));
        }
        let mut last = f64::NEG_INFINITY;
        for tick in self::ticks(x0, x1.max(x0 + 1.0)).into_iter().filter(|t| (x0..=x1).contains(t)) {
            if px(tick) - last >= frame.apart {
                last = px(tick);
                svg_text(&mut out, last, bottom + 18.0, "middle", &number(tick, x1 - x0));
            }
        }
        svg_line(&mut out, "axis", [left, bottom, right, bottom]);
        svg_text(&mut out, (left + right) / 2.0, height - 8.0, "middle", self.x);
        if let Some((x, text)) = &self.mark {
            let at = px(*x);
            svg_line(&mut out, "chosen", [at, top, at, bottom]);
            let (anchor, dx) = if at > frame.width / 2.0 { ("end", -6.0) } else { ("start", 6.0) };
            svg_text(&mut out, at + dx, bottom - 6.0, anchor, text);
        }
        for (i, (series, (x, line))) in self.series.iter().zip(legend).enumerate() {
            let finite = || series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let points: Vec<String> = finite().map(|&(x, y)| format!("{:.1},{:.1}", px(x), py(y))).collect();
            let values: Vec<String> = finite().map(|&(x, y)| format!("{x},{}", short(y))).collect();
            let _ = writeln!(
                out,
                "<polyline class=\"curve c{i}{}\" points=\"{}\" data-name=\"{}\" data-values=\"{}\"/>",
                if series.smooth { " smooth" } else { "" },
                points.join(" "),
                super::escape(series.name),
                values.join(" ")
            );
            if series.dots || points.len() == 1 {
                for point in &points {
                    let (x, y) = point.split_once(',').unwrap_or_default();
                    let _ = writeln!(out, "<circle class=\"dot c{i}\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>");
                }
            }
            let y = TOP - 15.0 + line as f64 * LINE;
            svg_line(&mut out, &format!("curve c{i}"), [x, y, x + 18.0, y]);
            svg_text(&mut out, x + 24.0, y + 4.0, "start", series.name);
        }
        out.push_str("</svg>\n");
        out
    }

    /// Where the name of each line stands: from the left, and on which line of the legend.
    fn legend(&self, frame: Frame) -> Vec<(f64, usize)> {
        let (mut x, mut line) = (frame.left, 0);
        let place = |series: &Series<'_>| {
            let width = 40.0 + text_width(series.name);
            if x > frame.left && x + width - 16.0 > frame.width {
                (x, line) = (frame.left, line + 1);
            }
            let at = (x, line);
            x += width;
            at
        };
        self.series.iter().map(place).collect()
    }
}

/// About how wide a text is at 12 units: Chinese characters are twice as wide as letters.
fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 7.0 } else { 12.5 }).sum()
}

/// A value with the digits that a tooltip shows.
fn short(value: f64) -> String {
    let digits = (4.0 - value.abs().max(1e-12).log10().floor()).clamp(0.0, 9.0) as usize;
    trim_zeros(format!("{value:.digits$}"))
}

/// How often values fall into each of equal ranges.
pub struct Bars<'a> {
    /// What is drawn, for those who cannot see it, and at the horizontal axis.
    pub label: &'a str,
    /// The count of each range.
    pub counts: Vec<u64>,
    /// Where the first range begins, and how wide each is.
    pub first: f64,
    /// Width of a range.
    pub width: f64,
}

impl Bars<'_> {
    /// The drawings, `height` units high.
    pub fn svg(&self, height: f64) -> String {
        FRAMES.into_iter().map(|frame| self.within(frame, height)).collect()
    }

    fn within(&self, frame: Frame, height: f64) -> String {
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let ticks = ticks(0.0, most);
        let top = ticks[ticks.len() - 1];
        let (left, bottom, right) = (frame.left, height - BOTTOM, frame.width - RIGHT);
        let end = self.first + self.width * self.counts.len() as f64;
        let px = |x: f64| left + (x - self.first) / (end - self.first).max(1e-9) * (right - left);
        let py = |y: f64| bottom - y / top * (bottom - TOP);
        let mut out = open(frame, self.label, height);
        for &tick in &ticks {
            svg_line(&mut out, "grid", [left, py(tick), right, py(tick)]);
            svg_text(&mut out, left - 8.0, py(tick) + 4.0, "end", &number(tick, top));
        }
        for (i, &count) in self.counts.iter().enumerate() {
            let (from, to) =
                (px(self.first + self.width * i as f64), px(self.first + self.width * (i + 1) as f64));
            let _ = writeln!(
                out,
                "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                from + 1.0,
                py(count as f64),
                (to - from - 2.0).max(0.5),
                bottom - py(count as f64)
            );
        }
        for tick in self::ticks(self.first, end).into_iter().filter(|t| (self.first..=end).contains(t)) {
            svg_text(&mut out, px(tick), bottom + 18.0, "middle", &number(tick, end - self.first));
        }
        svg_line(&mut out, "axis", [left, bottom, right, bottom]);
        svg_text(&mut out, (left + right) / 2.0, height - 8.0, "middle", self.label);
        out.push_str("</svg>\n");
        out
    }
}

fn open(Frame { class, width, .. }: Frame, label: &str, height: f64) -> String {
    let label = super::escape(label);
    format!("<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n")
}

/// Three to seven round numbers around a range, both ends covered.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    // A range of nothing becomes one that the numbers can still tell apart.
    let range = (high - low).max(1e-9 * low.abs().max(high.abs())).max(1e-12);
    let raw = range / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|s| s * power >= raw * 0.999).unwrap_or(10.0) * power;
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    (0..=(last - first).clamp(1.0, 12.0) as usize).map(|i| (first + i as f64) * step).collect()
}

/// A tick's number with the digits that a range of that size needs.
fn number(value: f64, range: f64) -> String {
    let digits = (2.0 - range.max(1e-300).log10().floor()).clamp(0.0, 12.0) as usize;
    let text = match value.abs() {
        a if a >= 1e6 => return format!("{}M", trim_zeros(format!("{:.2}", value / 1e6))),
        a if a >= 1e4 => return format!("{}k", trim_zeros(format!("{:.1}", value / 1e3))),
        a if a < 1e-3 && a > 1e-300 && range < 1e-2 => return trim_exponent(format!("{value:.1e}")),
        _ => format!("{value:.digits$}"),
    };
    trim_zeros(text)
}

fn trim_zeros(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn trim_exponent(text: String) -> String {
    text.replace(".0e", "e")
}

/// Appends a line between two points `[x1, y1, x2, y2]`.
pub fn svg_line(out: &mut String, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

/// Appends a text; `anchor` is `start`, `middle` or `end`.
pub fn svg_text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = super::escape(content);
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_takes_several_lines() {
        let names = ["sentiment", "topic", "category", "keywords", "论文摘要的标题"];
        let series =
            |name: &'static str| Series { name, points: vec![(0.0, 1.0)], dots: false, smooth: false };
        let series = names.map(series).into_iter().collect();
        let chart = Chart { label: "l", x: "x", series, mark: None, from_zero: false, range: None };
        let [wide, narrow] = FRAMES.map(|frame| (frame, chart.legend(frame)));
        assert!(wide.1.iter().all(|&(_, line)| line == 0), "{:?}", wide.1);
        assert!(narrow.1.last().unwrap().1 > 0, "{:?}", narrow.1);
        for ((x, _), name) in narrow.1.into_iter().zip(names) {
            assert!(x + 24.0 + text_width(name) <= narrow.0.width, "{name}");
        }
        let drawn = chart.svg(260.0);
        assert!(drawn.contains("0 0 760 260\"") && drawn.contains("0 0 380 278\""), "{drawn}");
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(0.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(ticks(0.3, 8.2), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        for (low, high) in [(0.0, 2e-4), (1.0, 1.0001), (-5.0, 123456.0), (0.0, 1e-300), (3.0, 3.0)] {
            let t = ticks(low, high);
            assert!((2..=13).contains(&t.len()) && t.windows(2).all(|w| w[0] < w[1]), "{t:?}");
            assert!(t[0] <= low + 1e-9 && t[t.len() - 1] >= high - 1e-9, "{t:?}");
        }
        assert_eq!(
            [number(0.25, 1.0), number(2e-4, 2e-4), number(25_000.0, 1e5), number(10.0, 100.0)],
            ["0.25", "2e-4", "25k", "10"]
        );
    }

    #[test]
    fn every_point_is_within_the_drawing() {
        let odd =
            [vec![(1.0, 3.0)], vec![(1.0, f64::NAN), (2.0, 5.0), (9.0, 5.0)], vec![(1.0, -1e9), (1e6, 1e9)]];
        for points in odd {
            let series = vec![Series { name: "a < b", points, dots: true, smooth: true }];
            let mark = Some((1.0, "best".into()));
            let chart =
                Chart { label: "x", x: "step", series, mark, from_zero: true, range: Some((0.0, 50.0)) };
            let drawing = chart.svg(260.0);
            assert!(drawing.contains("a &lt; b") && !drawing.contains("NaN"), "{drawing}");
            assert!(drawing.contains("data-x=\"0,"), "the axis begins where it is told to");
            for (frame, drawing) in FRAMES.into_iter().zip(drawing.split("<svg").skip(1)) {
                let points = drawing.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
                for point in points.split(' ') {
                    let (x, y) = point.split_once(',').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    assert!((frame.left..=frame.width - RIGHT).contains(&x), "{point}");
                    assert!((TOP..=260.0 - BOTTOM).contains(&y), "{point}");
                }
            }
        }
        let empty =
            Chart { label: "x", x: "step", series: vec![], mark: None, from_zero: false, range: None };
        assert_eq!(empty.svg(100.0), "");
        let bars = Bars { label: "tokens", counts: vec![0, 5, 0], first: 1.0, width: 2.0 };
        assert_eq!(bars.svg(200.0).matches("<rect").count(), 2 * 3);
    }
}
