//! Tables for a terminal: cells under each other.

/// Rows of cells as lines, columns two spaces apart: the first `left` of them begin under each other, the others end so.
pub fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let width = |text: &str| console::measure_text_width(text);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[i] - width(cell));
            line += if i == 0 { "" } else { "  " };
            line += &if i < left { format!("{cell}{space}") } else { format!("{space}{cell}") };
        }
        out += line.trim_end();
        out += "\n";
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn cells_stand_under_each_other() {
        let rows = [["a", "1"], ["模型", "22"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(super::aligned(&rows, 1), "a      1\n模型  22\n");
        assert_eq!(super::aligned(&rows, 2), "a     1\n模型  22\n");
        assert_eq!(super::aligned(&[], 1), "");
    }
}
