//! The coverage curve as an SVG drawing.
//!
//! Both axes are logarithmic: pieces from left to right, and upwards the tokens that are *not* covered, from
//! all of them to few, since the last thousandths are what a vocabulary is chosen by.

use std::fmt::Write;

use t5kit_formats::html::{escape, svg_line, svg_text, thousands};
use t5kit_formats::lang::{Pages, fill};

use crate::report::{Coverage, Vocabulary};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 52.0;

/// Where pieces and coverage are in the drawing.
struct Axes {
    /// Powers of ten: the last of pieces, and the smallest drawn share that is not covered.
    decades: f64,
    depth: f64,
}

impl Axes {
    fn x(&self, pieces: f64) -> f64 {
        LEFT + (pieces.max(1.0).log10() / self.decades).min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// `share` is covered.
    fn y(&self, share: f64) -> f64 {
        let uncovered = (1.0 - share).clamp(10f64.powf(-self.depth), 1.0);
        HEIGHT - BOTTOM - (-uncovered.log10() / self.depth) * (HEIGHT - TOP - BOTTOM)
    }
}

/// The drawing, to be embedded in HTML; colours come from the page's style sheet (classes `grid`, `curve`,
/// `point`, `axis`).
pub(crate) fn svg(coverage: &Coverage, vocabulary: &Vocabulary, t: &Pages) -> String {
    let most = coverage.curve.last().map_or(10, |&(n, _)| n.max(10)).max(vocabulary.pieces_after);
    // One token more or less is the finest step there is.
    let depth = (coverage.tokens.max(10) as f64).log10().clamp(2.0, 7.0).ceil();
    let axes = Axes { decades: (most as f64).log10(), depth };
    let label = escape(t.coverage);
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">\n");
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for decade in 0..=axes.decades.floor() as u32 {
        let x = axes.x(10f64.powi(decade as i32));
        svg_line(&mut out, "grid", [x, TOP, x, bottom]);
        svg_text(&mut out, x, bottom + 20.0, "middle", &thousands(10u64.pow(decade)));
    }
    for decade in 0..=depth as i32 {
        let y = axes.y(1.0 - 10f64.powi(-decade));
        svg_line(&mut out, "grid", [LEFT, y, right, y]);
        svg_text(&mut out, LEFT - 8.0, y + 4.0, "end", &percent(decade as usize));
    }
    svg_line(&mut out, "axis", [LEFT, bottom, right, bottom]);
    svg_line(&mut out, "axis", [LEFT, TOP, LEFT, bottom]);
    svg_text(&mut out, (LEFT + right) / 2.0, HEIGHT - 10.0, "middle", t.most_frequent_pieces);
    svg_text(&mut out, 4.0, TOP - 14.0, "start", t.tokens_covered);
    let points: Vec<String> = coverage
        .curve
        .iter()
        .map(|&(n, share)| format!("{:.1},{:.1}", axes.x(n as f64), axes.y(share)))
        .collect();
    let _ = writeln!(out, "<polyline class=\"curve\" points=\"{}\"/>", points.join(" "));
    let (x, y) = (axes.x(vocabulary.pieces_after as f64), axes.y(coverage.share));
    svg_line(&mut out, "chosen", [x, y, x, bottom]);
    svg_line(&mut out, "chosen", [LEFT, y, x, y]);
    let _ = writeln!(out, "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
    let label = fill(
        t.pieces_kept,
        &[("n", &thousands(vocabulary.pieces_after)), ("share", &share_text(coverage.share))],
    );
    // Where there is room: above and to the left of the point, or below it at the left edge.
    let (anchor, dx) = if x > WIDTH / 2.0 { ("end", -10.0) } else { ("start", 10.0) };
    svg_text(&mut out, x + dx, y - 10.0, anchor, &label);
    out.push_str("</svg>\n");
    out
}

/// 0 %, 90 %, 99 %, 99.9 %, … by the number of nines.
fn percent(nines: usize) -> String {
    match nines {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        n => format!("99.{} %", "9".repeat(n - 2)),
    }
}

/// A share in percent, with two digits of what is missing from all.
pub(crate) fn share_text(share: f64) -> String {
    if share >= 1.0 {
        return "100 %".into();
    }
    let missing = (1.0 - share).max(1e-12) * 100.0;
    let digits = (1.0 - missing.log10().floor()).clamp(1.0, 9.0) as usize;
    format!("{:.*} %", digits, share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0.5, 0.9, 0.99912, 0.999_998_76, 1.0].map(share_text),
            ["50.0 %", "90.0 %", "99.912 %", "99.99988 %", "100 %"]
        );
        assert_eq!([0, 1, 2, 3, 5].map(percent), ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
    }

    #[test]
    fn every_point_is_within_the_drawing() {
        for tokens in [0, 5, 1_000_000_000_000] {
            let coverage = Coverage {
                tokens,
                kept_tokens: 0,
                share: 1.0,
                most_frequent_dropped: vec![],
                curve: vec![(1, 0.0), (100, 0.9), (250_000, 1.0)],
            };
            let vocabulary = Vocabulary { pieces_after: 300_000, ..Vocabulary::default() };
            let drawing = svg(&coverage, &vocabulary, &t5kit_formats::lang::Lang::En.texts().pages);
            let points = drawing.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            assert_eq!(points.split(' ').count(), 3);
            for point in points.split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(
                    (LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y),
                    "{point}"
                );
            }
        }
    }
}
