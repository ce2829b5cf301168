//! Self-contained pages for people: one style, light and dark, and the small parts that reports are made of.

mod chart;

use std::fmt::{Display, Write};

pub use self::chart::{Bars, COLOURS, Chart, Series, svg_line, svg_text};

use crate::lang::Lang;

/// What makes charts answer: values under the pointer, and a slider that smooths.
const SCRIPT: &str = include_str!("charts.js");

/// What every page looks like.
const STYLE: &str = "
:root { color-scheme: light dark; --text: #1c2430; --soft: #5d6b7c; --line: #d8dee6; --back: #ffffff;
  --card: #f5f7fa; --accent: #1f6feb; --mark: #d9480f; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e9f0; --soft: #98a5b5; --line: #2f3a48;
  --back: #12171e; --card: #1a212b; --accent: #6ea8fe; --mark: #ff9f5a; } }
body { margin: 0 auto; max-width: 860px; padding: 32px 24px 64px; background: var(--back);
  color: var(--text); font: 16px/1.55 system-ui, 'Noto Sans CJK SC', 'PingFang SC', sans-serif; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 10px; }
p { margin: 6px 0; } .soft { color: var(--soft); font-size: 14px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 14px; margin: 24px 0 8px; }
.card { background: var(--card); border-radius: 10px; padding: 14px 18px; }
.card b { display: block; font-size: 23px; font-weight: 650; white-space: nowrap; }
.card span { display: block; color: var(--soft); font-size: 14px; line-height: 1.4; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--soft); font-weight: 500; font-size: 14px; } td:first-child, th:first-child { text-align: left; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.narrow-only { display: none; } @media (max-width: 560px) { .wide-only { display: none; } .narrow-only { display: inline; }
  body { padding: 20px 14px 40px; } th, td { padding: 5px 6px; } h1 { font-size: 23px; } }
.warning { border: 1px solid var(--mark); border-left-width: 5px; border-radius: 10px; padding: 10px 18px; margin: 20px 0; }
.warning b { color: var(--mark); } .warning p { margin: 4px 0; }
.raw { opacity: 0.25; stroke-width: 1.5; } .cursor { stroke: var(--soft); stroke-dasharray: 2 3; pointer-events: none; }
.tip { position: fixed; z-index: 9; pointer-events: none; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 5px 11px; font-size: 13px; font-variant-numeric: tabular-nums; display: none; }
.tip div { display: flex; gap: 14px; justify-content: space-between; }
.slider { display: flex; gap: 10px; align-items: center; color: var(--soft); font-size: 14px; margin: 6px 0; }
.grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.curve { fill: none; stroke: var(--accent); stroke-width: 2.5; stroke-linejoin: round; }
.c1 { stroke: var(--mark); } .c2 { stroke: #2f9e63; } .c3 { stroke: #9c5bd6; } .c4 { stroke: #c99700; }
.c5 { stroke: #0aa3a3; } .c6 { stroke: #d6336c; } .c7 { stroke: #7a8699; } .dot { fill: var(--back); stroke-width: 2; }
.c0.dot { stroke: var(--accent); } .bar { fill: var(--accent); }
.chosen { stroke: var(--mark); stroke-dasharray: 4 4; } .point { fill: var(--mark); }
pre { background: var(--card); border-radius: 10px; padding: 14px 18px; white-space: pre-wrap; font-size: 14px; }
";

/// A whole page in a language; `style` is added to the common one, `body` is HTML.
pub fn page(lang: Lang, title: &str, subtitle: &str, style: &str, body: &str) -> String {
    whole(lang, title, subtitle, "", style, body)
}

/// A page that the browser loads again every so many seconds: of work that goes on.
pub fn renewed_page(
    lang: Lang,
    title: &str,
    subtitle: &str,
    seconds: u32,
    style: &str,
    body: &str,
) -> String {
    let head = format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n");
    whole(lang, title, subtitle, &head, style, body)
}

fn whole(lang: Lang, title: &str, subtitle: &str, head: &str, style: &str, body: &str) -> String {
    let (title, subtitle, tag) = (escape(title), escape(subtitle), lang.tag());
    let script =
        if body.contains("<polyline") { format!("<script>\n{SCRIPT}</script>\n") } else { String::new() };
    format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n{head}<title>{title}</title>\n<style>{STYLE}{style}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<p class=\"soft\">{subtitle}</p>\n{body}{script}</body>\n</html>\n"
    )
}

/// A box of warnings; nothing where there are none. `lines` are plain text.
pub fn warnings(out: &mut String, lang: Lang, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "<div class=\"warning\"><b>{}</b>", escape(lang.texts().pages.warnings));
    for line in lines {
        let _ = writeln!(out, "<p>{}</p>", escape(line));
    }
    out.push_str("</div>\n");
}

/// The slider that smooths the curves of a page that are to be smoothed.
pub fn smoothing(out: &mut String, lang: Lang) {
    let _ = writeln!(
        out,
        "<label class=\"slider\">{} <input type=\"range\" id=\"smoothing\" min=\"0\" max=\"0.99\" step=\"0.01\" \
         value=\"0\"></label>",
        escape(lang.texts().pages.smoothing)
    );
}

/// A figure with one line or two under it; goes into an element of class `cards`.
pub fn card(out: &mut String, figure: impl Display, lines: &[&str]) {
    let _ = write!(out, "<div class=\"card\"><b>{figure}</b>");
    for line in lines {
        let _ = write!(out, "<span>{}</span>", escape(line));
    }
    out.push_str("</div>\n");
}

/// 12,345.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 309.8 MB.
pub fn megabytes(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{} bytes", thousands(n)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// 1.23 billion, 45.6 million, 32,596; in Chinese 12.3 亿, 4560.0 万, 32,596.
pub fn short(lang: Lang, n: u64) -> String {
    let x = n as f64;
    match (lang, n) {
        (_, 0..1_000_000) => thousands(n),
        (Lang::En, 1_000_000..1_000_000_000) => format!("{:.1} million", x / 1e6),
        (Lang::En, _) => format!("{:.2} billion", x / 1e9),
        (Lang::Zh, 1_000_000..100_000_000) => format!("{:.1} 万", x / 1e4),
        (Lang::Zh, _) => format!("{:.2} 亿", x / 1e8),
    }
}

/// A text as HTML has it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<b a=\"1\">&中"), "&lt;b a=&quot;1&quot;&gt;&amp;中");
        assert!(
            page(Lang::En, "<i>", "a & b", "", "<p>x</p>")
                .contains("<h1>&lt;i&gt;</h1>\n<p class=\"soft\">a &amp; b</p>")
        );
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0, 999, 1000, 250_112, 8_791_281_468].map(thousands),
            ["0", "999", "1,000", "250,112", "8,791,281,468"]
        );
        let numbers = [999, 45_600_000, 1_234_000_000];
        assert_eq!(numbers.map(|n| short(Lang::En, n)), ["999", "45.6 million", "1.23 billion"]);
        assert_eq!(numbers.map(|n| short(Lang::Zh, n)), ["999", "4560.0 万", "12.34 亿"]);
        assert_eq!([999, 2_500_000, 3_210_000_000].map(megabytes), ["999 bytes", "2.5 MB", "3.21 GB"]);
    }
}
