//! Ids as decimal text.

/// Prints ids from ready-made strings: one copy of 8 bytes each, no division.
pub struct IdPrinter {
    /// The id and a space, filled up with anything; the last byte is how many bytes count.
    words: Vec<[u8; 8]>,
}

impl IdPrinter {
    /// For ids below `vocab_size`; others are printed too, slower.
    pub(crate) fn new(vocab_size: usize) -> Self {
        // Six digits, the space, the length: larger ids go the slow way.
        let count = vocab_size.min(1_000_000);
        let mut words = Vec::with_capacity(count);
        for id in 0..count {
            let digits = id.to_string();
            let mut word = [b' '; 8];
            word[..digits.len()].copy_from_slice(digits.as_bytes());
            word[7] = digits.len() as u8 + 1;
            words.push(word);
        }
        Self { words }
    }

    /// Appends the ids with one space between them.
    pub fn print(&self, ids: &[u32], out: &mut Vec<u8>) {
        let start = out.len();
        let mut at = start;
        // Room for all at once, so that the loop has no growth to think of.
        out.resize(start + ids.len() * 8, 0);
        for (i, &id) in ids.iter().enumerate() {
            if let Some(word) = self.words.get(id as usize) {
                out[at..at + 8].copy_from_slice(word);
                at += usize::from(word[7]);
            } else {
                let digits = format!("{id} ");
                out.resize(at + digits.len() + (ids.len() - i) * 8, 0);
                out[at..at + digits.len()].copy_from_slice(digits.as_bytes());
                at += digits.len();
            }
        }
        // Without the last space.
        out.truncate(at.saturating_sub(1).max(start));
    }
}

#[cfg(test)]
mod tests {
    use super::IdPrinter;

    #[test]
    fn prints_as_display_does() {
        let ids: Vec<u32> = vec![0, 9, 10, 999, 4_294_967_295, 1000, 123_456, 1_000_000, 999_999, 7];
        for vocab_size in [0, 10, 1001, 2_000_000] {
            let printer = IdPrinter::new(vocab_size);
            for count in 0..=ids.len() {
                let mut out = b"before:".to_vec();
                printer.print(&ids[..count], &mut out);
                let words: Vec<String> = ids[..count].iter().map(u32::to_string).collect();
                assert_eq!(String::from_utf8(out).unwrap(), format!("before:{}", words.join(" ")));
            }
        }
    }
}
