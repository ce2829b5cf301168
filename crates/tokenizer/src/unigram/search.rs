//! The best segmentation of a text: Viterbi's algorithm, arranged for a processor.
//!
//! The obvious search walks the trie at every character and branches at every step, and each branch is a
//! guess that fails every other time. Here the work on a block of characters is cut into passes whose steps
//! do not depend on one another:
//!
//! 1. one and two characters: for every character of the block, the piece that it is and the cell of the
//!    pair that begins with it;
//! 2. three and four characters: the same for those characters from which the trie leads on, gathered into a
//!    list without a branch;
//! 3. the search proper: at each place, the best of the paths over a piece of four, three, two and one
//!    characters that ends there, by comparisons and selections alone. Longer pieces are rare: a character
//!    from which the trie leads on after four is walked on from here, and what is found is left at the place
//!    where it ends.
//!
//! Paths are compared in the library's order with the library's sums, so that the result is the same to the
//! last rounding (see `oracle.rs`).

use super::oracle::SCORE_RESET;
use super::scan::PADDING;
use super::trie::{LEAF, NONE, Scored, Trie};

/// Characters per block: the block's arrays stay in the first cache.
const BLOCK: usize = 512;
/// Pieces of up to so many characters are found by the passes.
const LANES: usize = 4;
/// Longer pieces are not searched for here.
pub(crate) const MAX_PIECE_CHARS: usize = 256;
/// Room for the ends of all pieces that begin in a block.
const ROWS: usize = BLOCK + MAX_PIECE_CHARS + 1;

/// The last piece of the best path to a place.
#[derive(Clone, Copy, Default)]
pub(crate) struct Step {
    /// The piece's id, or [`Trie::UNKNOWN`].
    pub(crate) id: u32,
    /// Its length in characters if that is at most [`LANES`], else 0.
    pub(crate) lane: u32,
}

/// What ends at a place. `[n]` is the piece of `n` characters; `[0]` is the best *path* that ends with a piece
/// of more than [`LANES`] characters.
type Row = [Scored; LANES + 1];

const EMPTY: Row = [Scored::NONE; LANES + 1];

/// Memory of the search, used again for every text. Places are counted from the beginning of the block.
pub(crate) struct Memory {
    rows: Box<[Row; ROWS]>,
    /// Characters from which the trie leads on, and the base of the node reached.
    active: Box<[(u32, u32); BLOCK]>,
    /// By place: the base of the node of the [`LANES`] characters that begin there, or [`LEAF`].
    beyond: Box<[u32; BLOCK]>,
    /// The best path's last piece, by place in the text.
    pub(crate) steps: Vec<Step>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            rows: Box::new([EMPTY; ROWS]),
            active: Box::new([(0, 0); BLOCK]),
            beyond: Box::new([LEAF; BLOCK]),
            steps: Vec::new(),
        }
    }
}

/// The scores of the best paths to the last places; `[0]` belongs to the current one.
type Recent = [f32; LANES];

/// Finds the best path over the first `length` of `codes` (which go on for [`PADDING`] more); afterwards
/// `memory.steps[place]` is the last piece of the best path to `place`, for 1 to `length`.
pub(crate) fn search(trie: &Trie, codes: &[u16], length: usize, memory: &mut Memory) {
    let codes = &codes[..length + PADDING];
    memory.steps.resize(memory.steps.len().max(length + 1), Step::default());
    let reach = trie.longest.max(LANES) + 1;
    memory.rows[..BLOCK.min(length) + reach].fill(EMPTY);
    let mut recent: Recent = [0.0, NONE, NONE, NONE];
    let mut start = 0;
    while start < length {
        let count = BLOCK.min(length - start);
        let codes = &codes[start..];
        let active = pairs(trie, &codes[..count + 1], memory);
        longer(trie, codes, active, memory);
        recent = paths(trie, codes, start, count, recent, memory);
        start += count;
        if start < length {
            // What has been found behind a whole block becomes the beginning of the next.
            memory.rows.copy_within(BLOCK..BLOCK + reach, 0);
            memory.rows[reach..BLOCK + reach].fill(EMPTY);
        }
    }
}

/// The score of a cell's piece, if the cell is the right one. Whether two characters go together is as good as
/// random, so there must be no branch: the score of a wrong cell is sunk by adding negative infinity.
#[inline(always)]
fn sunk(score: f32, found: bool) -> f32 {
    score + f32::from_bits(u32::from(found).wrapping_sub(1) & NONE.to_bits())
}

/// Pieces of one and two characters that begin in the block, whose codes and one more are `codes`. Returns
/// how many of `memory.active` go on.
#[inline(never)]
fn pairs(trie: &Trie, codes: &[u16], memory: &mut Memory) -> usize {
    let count = codes.len() - 1;
    assert!(count <= BLOCK);
    memory.beyond[..count].fill(LEAF);
    let (rows, list) = (&mut memory.rows, &mut memory.active);
    let mut active = 0;
    let mut code = codes[0];
    for (i, &next) in codes[1..].iter().enumerate() {
        let first = trie.first(code);
        code = next;
        rows[i + 1][1] = first.piece;
        let cell = trie.cell(first.base, next);
        let found = cell.parent == first.base;
        rows[i + 2][2] = Scored { score: sunk(cell.piece.score, found), id: cell.piece.id };
        list[active] = (i as u32, cell.base);
        active += usize::from(found & (cell.base != LEAF));
    }
    active
}

/// Pieces of three and four characters, from the first `active` of `memory.active`.
#[inline(never)]
fn longer(trie: &Trie, codes: &[u16], mut active: usize, memory: &mut Memory) {
    for length in 3..=LANES {
        let mut still = 0;
        for n in 0..active {
            let (start, base) = memory.active[n];
            let end = start as usize + length;
            let cell = trie.cell(base, codes[end - 1]);
            let found = cell.parent == base;
            memory.rows[end][length] = Scored { score: sunk(cell.piece.score, found), id: cell.piece.id };
            memory.active[still] = (start, cell.base);
            still += usize::from(found & (cell.base != LEAF));
        }
        active = still;
    }
    for &(start, base) in &memory.active[..active] {
        memory.beyond[start as usize] = base;
    }
}

/// The best path to the place of `row`, given those to the places before it: its score and last piece.
#[inline(always)]
fn best_of(row: &Row, recent: Recent) -> (f32, Step) {
    let (mut best, mut lane) = (row[0].score, 0);
    // From the path that begins first to the one that begins last: of equal ones the first stays.
    for length in (1..=LANES).rev() {
        let score = row[length].score + recent[length - 1];
        let better = score > best;
        best = if better { score } else { best };
        lane = if better { length } else { lane };
    }
    (best, Step { id: row[lane].id, lane: lane as u32 })
}

/// The best paths to the `count` places behind those of the block that begins at `block` in the text.
#[inline(never)]
fn paths(
    trie: &Trie,
    codes: &[u16],
    block: usize,
    count: usize,
    recent: Recent,
    memory: &mut Memory,
) -> Recent {
    assert!(count <= BLOCK);
    // As numbers of their own, not as an array, they stay in registers.
    let [mut a, mut b, mut c, mut d] = recent;
    // Within a block scores change by so much at most: far from the limit there is no need to look for it.
    let calm = a.abs() + trie.largest * BLOCK as f32 <= SCORE_RESET;
    let mut i = 0;
    while i < count {
        // Four places at a time, so that the scores need not be moved from one name to the next.
        if calm && i + 4 <= count && memory.beyond[i..i + 4] == [LEAF; 4] {
            let steps: &mut [Step; 4] =
                (&mut memory.steps[block + i + 1..block + i + 5]).try_into().expect("of this length");
            let rows: &[Row; 4] = memory.rows[i + 1..i + 5].try_into().expect("of this length");
            let (e, f, g, h);
            (e, steps[0]) = best_of(&rows[0], [a, b, c, d]);
            (f, steps[1]) = best_of(&rows[1], [e, a, b, c]);
            (g, steps[2]) = best_of(&rows[2], [f, e, a, b]);
            (h, steps[3]) = best_of(&rows[3], [g, f, e, a]);
            (a, b, c, d) = (h, g, f, e);
            i += 4;
            continue;
        }
        if a.abs() > SCORE_RESET {
            [a, b, c, d] = reset(i, [a, b, c, d], &mut memory.rows);
        }
        let beyond = memory.beyond[i];
        if beyond != LEAF {
            walk_on(trie, &codes[i + LANES..], beyond, a, &mut memory.rows[i + LANES + 1..]);
        }
        i += 1;
        let best;
        (best, memory.steps[block + i]) = best_of(&memory.rows[i], [a, b, c, d]);
        (a, b, c, d) = (best, a, b, c);
    }
    [a, b, c, d]
}

/// Follows the trie from the node at `base`, to which a path with this score and [`LANES`] characters lead, along
/// `codes`; `rows` are those of the places behind them.
#[inline(never)]
fn walk_on(trie: &Trie, codes: &[u16], mut base: u32, score: f32, rows: &mut [Row]) {
    for (&code, row) in codes.iter().zip(rows) {
        let cell = trie.cell(base, code);
        if cell.parent != base {
            return;
        }
        // A node without a piece scores NONE, which is better than nothing.
        let score = cell.piece.score + score;
        if score > row[0].score {
            row[0] = Scored { score, id: cell.piece.id };
        }
        if cell.base == LEAF {
            return;
        }
        base = cell.base;
    }
}

/// Moves all scores so that the one of the place `at` becomes 0, as the library does when they grow large:
/// the sums of paths that already lead beyond `at` have been rounded before they are moved.
#[cold]
fn reset(at: usize, recent: Recent, rows: &mut [Row; ROWS]) -> Recent {
    // Paths of the lanes that begin before `at` and end behind it, the earliest beginning first.
    for end in at + 1..at + LANES {
        for length in (end - at + 1..=LANES).rev() {
            let score = rows[end][length].score + recent[length - (end - at)];
            if score > rows[end][0].score {
                rows[end][0] = Scored { score, id: rows[end][length].id };
            }
        }
    }
    let offset = recent[0];
    rows[at + 1..].iter_mut().for_each(|row| row[0].score -= offset);
    [recent[0] - offset, NONE, NONE, NONE]
}
