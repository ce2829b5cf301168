//! Longest common subsequence, bit-parallel, with the very members that the Python package `rouge` picks.
//!
//! ROUGE-L there counts the *different* tokens of one longest common subsequence, so its length is not enough:
//! among several longest ones the walk back through the table must be the same. From `(i, j)` it takes a pair
//! where `x[i-1] == y[j-1]`, else goes up where `L[i-1][j] > L[i][j-1]`, else left. At unequal tokens
//! `L[i][j] = max(L[i-1][j], L[i][j-1])`, so "up" holds exactly where `L[i][j] - L[i][j-1]` is 1, and one bit a
//! cell is all the walk reads. A row of these bits follows from the one before by an addition and three logical
//! operations a word (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
//!
//! Rows are kept in blocks: the first row of each block, and the whole of the block being walked, so memory is
//! `O(m · √n)` bits instead of `n · m`, and time at most twice that of the length alone.

use std::collections::HashMap;
use std::hash::Hash;

/// Bytes of rows that may be kept at once before blocks are made shorter.
const BLOCK_BYTES: usize = 16 << 20;

/// The tokens of the longest common subsequence of `x` and `y` that the walk described above finds, last first.
pub fn members<T: Copy + Eq + Hash>(x: &[T], y: &[T]) -> Vec<T> {
    places(x, y).into_iter().map(|j| y[j]).collect()
}

/// Where the tokens of that subsequence stand in `y`, last first.
pub fn places<T: Copy + Eq + Hash>(x: &[T], y: &[T]) -> Vec<usize> {
    let row_bytes = y.len().div_ceil(64).max(1) * 8;
    let block = if x.len() <= BLOCK_BYTES / row_bytes { x.len() } else { x.len().isqrt() };
    places_in_blocks(x, y, block.max(1))
}

/// [`places`] with `block` rows in memory at once.
fn places_in_blocks<T: Copy + Eq + Hash>(x: &[T], y: &[T], block: usize) -> Vec<usize> {
    let mut table = Rows::new(y);
    let blocks = x.len().div_ceil(block);
    // starts[b]: the row before the first of block b.
    let mut starts = vec![table.first()];
    for rows in x.chunks(block).take(blocks.saturating_sub(1)) {
        let mut row = starts[starts.len() - 1].clone();
        for &token in rows {
            table.advance(&mut row, token);
        }
        starts.push(row);
    }

    let mut found = Vec::new();
    let mut j = y.len();
    let mut kept: Vec<Vec<u64>> = Vec::with_capacity(block.min(x.len()));
    for (rows, mut row) in x.chunks(block).zip(starts).rev() {
        if j == 0 {
            break;
        }
        kept.clear();
        for &token in rows {
            table.advance(&mut row, token);
            kept.push(row.clone());
        }
        let mut i = rows.len();
        while i > 0 && j > 0 {
            if rows[i - 1] == y[j - 1] {
                i -= 1;
                j -= 1;
                found.push(j);
            } else if kept[i - 1][(j - 1) / 64] >> ((j - 1) % 64) & 1 == 0 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
    found
}

/// Makes rows of the table: bit `j` of row `i` is 0 where `L[i][j + 1] - L[i][j]` is 1.
struct Rows<T> {
    positions: HashMap<T, Vec<usize>>,
    mask: Vec<u64>,
}

impl<T: Copy + Eq + Hash> Rows<T> {
    fn new(y: &[T]) -> Self {
        let mut positions: HashMap<T, Vec<usize>> = HashMap::new();
        for (j, &token) in y.iter().enumerate() {
            positions.entry(token).or_default().push(j);
        }
        Rows { positions, mask: vec![0; y.len().div_ceil(64).max(1)] }
    }

    fn first(&self) -> Vec<u64> {
        vec![u64::MAX; self.mask.len()]
    }

    /// Turns row `i` into row `i + 1`, whose token of `x` is `token`.
    fn advance(&mut self, row: &mut [u64], token: T) {
        let Some(positions) = self.positions.get(&token) else {
            return; // a token that y lacks changes nothing
        };
        for &j in positions {
            self.mask[j / 64] |= 1 << (j % 64);
        }
        let mut carry = false;
        for (v, &mask) in row.iter_mut().zip(&self.mask) {
            let (sum, over) = v.overflowing_add(*v & mask);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over || over_again;
            *v = sum | (*v & !mask);
        }
        for &j in positions {
            self.mask[j / 64] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;
    use proptest::prelude::*;

    /// The table and the walk as they are defined.
    fn oracle(x: &[Token], y: &[Token]) -> Vec<Token> {
        let mut table = vec![vec![0usize; y.len() + 1]; x.len() + 1];
        for i in 1..=x.len() {
            for j in 1..=y.len() {
                table[i][j] = if x[i - 1] == y[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j, mut found) = (x.len(), y.len(), Vec::new());
        while i > 0 && j > 0 {
            if x[i - 1] == y[j - 1] {
                found.push(x[i - 1]);
                (i, j) = (i - 1, j - 1);
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        found
    }

    fn tokens(text: &str) -> Vec<Token> {
        text.chars().map(Token::of).collect()
    }

    #[test]
    fn known_cases() {
        assert_eq!(members::<Token>(&[], &tokens("ab")), []);
        assert_eq!(members(&tokens("ab"), &[]), []);
        assert_eq!(members(&tokens("abc"), &tokens("abc")), tokens("cba"));
        // Two longest ones, "a" and "b": the walk goes left when both ways are equal.
        assert_eq!(members(&tokens("ab"), &tokens("ba")), oracle(&tokens("ab"), &tokens("ba")));
    }

    proptest! {
        #[test]
        fn the_walk_is_that_of_the_table(
            x in "[abcd]{0,140}", y in "[abcd]{0,140}", letters in "[a-zé中文]{0,70}", block in 1usize..40,
        ) {
            for (x, y) in [(&x, &y), (&letters, &y), (&x, &letters)] {
                let (x, y) = (tokens(x), tokens(y));
                let expected = oracle(&x, &y);
                prop_assert_eq!(&members(&x, &y), &expected);
                let blocks = places_in_blocks(&x, &y, block);
                prop_assert_eq!(blocks.into_iter().map(|j| y[j]).collect::<Vec<_>>(), expected);
            }
        }
    }
}
