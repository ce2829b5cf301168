//! What is said to people in the same words everywhere: sizes, and texts that were cut.

/// Bytes for people.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// Says on standard error that texts were cut, if any were.
pub fn notice_cut(what: &str, cut: usize, most: usize) {
    if cut > 0 {
        eprintln!("t5kit: {cut} {what}{} cut to {most} tokens", if cut == 1 { " was" } else { "s were" });
    }
}
