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
use super::trie::{Cell, LEAF, NONE, Trie};

/// Characters per block: the block's arrays (44 bytes a character) stay in the first cache.
const BLOCK: usize = 512;
/// Pieces of up to so many characters are found by the passes.
const LANES: usize = 4;
/// Room in a lane: pieces end up to `LANES` places behind the block.
const ROW: usize = BLOCK + LANES;

/// The last piece of the best path to a place.
#[derive(Clone, Copy, Default)]
pub(crate) struct Step {
    /// The piece's id, or [`Trie::UNKNOWN`].
    pub(crate) id: u32,
    /// Its length in characters.
    pub(crate) length: u32,
}

/// Memory of the search, used again for every text. Places are counted from the beginning of the block.
pub(crate) struct Memory {
    /// `scores[n - 1][place]`: the score of the piece of `n` characters that ends there, or [`NONE`].
    scores: Box<[[f32; ROW]; LANES]>,
    /// `ids[n][place]`: its id; `ids[0]` belongs to `far`.
    ids: Box<[[u32; ROW]; LANES + 1]>,
    /// Characters from which the trie leads on, and the base of the node reached.
    active: Box<[(u32, u32); BLOCK]>,
    /// By place: the base of the node of the four characters that begin there, or [`LEAF`].
    beyond: Box<[u32; BLOCK]>,
    /// The best path to each place over a piece of more than `LANES` characters; as long as the longest
    /// piece reaches behind the block.
    far: Vec<Far>,
    /// The best path's last piece, by place in the text.
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Far {
    score: f32,
    length: u32,
    id: u32,
}

impl Far {
    const NONE: Self = Self { score: NONE, length: 0, id: 0 };
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            scores: Box::new([[NONE; ROW]; LANES]),
            ids: Box::new([[0; ROW]; LANES + 1]),
            active: Box::new([(0, 0); BLOCK]),
            beyond: Box::new([LEAF; BLOCK]),
            far: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// The scores of the best paths to the last four places: `[0]` to the current one.
type Recent = [f32; LANES];

/// Finds the best path over the first `length` of `codes` (which go on for [`PADDING`] more); afterwards
/// `memory.steps[place]` is the last piece of the best path to `place`, for 1 to `length`.
pub(crate) fn search(trie: &Trie, codes: &[u16], length: usize, memory: &mut Memory) {
    let codes = &codes[..length + PADDING];
    memory.steps.clear();
    memory.steps.resize(length + 1, Step::default());
    memory.far.clear();
    memory.far.resize(BLOCK.min(length) + trie.longest.max(LANES) + 1, Far::NONE);
    for lane in memory.scores.iter_mut() {
        lane[..LANES].fill(NONE);
    }
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
            memory.carry_over();
        }
    }
}

impl Memory {
    /// What has been found behind a whole block becomes the beginning of the next.
    fn carry_over(&mut self) {
        for lane in self.scores.iter_mut() {
            lane.copy_within(BLOCK.., 0);
        }
        for lane in self.ids.iter_mut() {
            lane.copy_within(BLOCK.., 0);
        }
        let reach = self.far.len() - BLOCK;
        self.far.copy_within(BLOCK.., 0);
        self.far[reach..].fill(Far::NONE);
    }
}

/// Pieces of one and two characters that begin in the block, whose codes and one more are `codes`. Returns
/// how many of `memory.active` go on.
fn pairs(trie: &Trie, codes: &[u16], memory: &mut Memory) -> usize {
    let count = codes.len() - 1;
    assert!(count <= BLOCK);
    let [score_1, score_2, score_3, score_4] = &mut *memory.scores;
    let [_, id_1, id_2, ..] = &mut *memory.ids;
    let mut active = 0;
    for i in 0..count {
        let first = trie.first(codes[i]);
        score_1[i + 1] = first.score;
        id_1[i + 1] = first.id;
        let cell = trie.cell(first.base, codes[i + 1]);
        let found = cell.parent == first.base;
        score_2[i + 2] = if found { cell.score } else { NONE };
        id_2[i + 2] = cell.id;
        memory.active[active] = (i as u32, cell.base);
        active += usize::from(found & (cell.base != LEAF));
    }
    // Places that the passes to come may not write; those before belong to the block before.
    score_3[3..count + 3].fill(NONE);
    score_4[4..count + 4].fill(NONE);
    memory.beyond[..count].fill(LEAF);
    active
}

/// Pieces of three and four characters, from the first `active` of `memory.active`.
fn longer(trie: &Trie, codes: &[u16], mut active: usize, memory: &mut Memory) {
    for length in 3..=LANES {
        let scores = &mut memory.scores[length - 1];
        let ids = &mut memory.ids[length];
        let mut still = 0;
        for n in 0..active {
            let (start, base) = memory.active[n];
            let end = start as usize + length;
            let cell = trie.cell(base, codes[end - 1]);
            let found = cell.parent == base;
            scores[end] = if found { cell.score } else { NONE };
            ids[end] = cell.id;
            memory.active[still] = (start, cell.base);
            still += usize::from(found & (cell.base != LEAF));
        }
        active = still;
    }
    for &(start, base) in &memory.active[..active] {
        memory.beyond[start as usize] = base;
    }
}

/// The best paths to the `count` places behind those of the block that begins at `block` in the text.
fn paths(
    trie: &Trie,
    codes: &[u16],
    block: usize,
    count: usize,
    mut recent: Recent,
    memory: &mut Memory,
) -> Recent {
    for i in 0..count {
        if recent[0].abs() > SCORE_RESET {
            reset(i, &mut recent, memory);
        }
        if memory.beyond[i] != LEAF {
            walk_on(trie, codes, i, memory.beyond[i], recent[0], &mut memory.far);
        }
        let end = i + 1;
        let [score_1, score_2, score_3, score_4] = &*memory.scores;
        let far = &memory.far[end];
        let (mut best, mut lane) = (far.score, 0);
        // From the path that begins first to the one that begins last: of equal ones the first stays.
        let mut offer = |score: f32, length: usize| {
            let better = score > best;
            best = if better { score } else { best };
            lane = if better { length } else { lane };
        };
        offer(score_4[end] + recent[3], 4);
        offer(score_3[end] + recent[2], 3);
        offer(score_2[end] + recent[1], 2);
        offer(score_1[end] + recent[0], 1);
        let id = if lane == 0 { far.id } else { memory.ids[lane][end] };
        let length = if lane == 0 { far.length } else { lane as u32 };
        memory.steps[block + end] = Step { id, length };
        recent = [best, recent[0], recent[1], recent[2]];
    }
    recent
}

/// Follows the trie from the node at `base`, which the characters from `start` to `start + LANES` lead to.
fn walk_on(trie: &Trie, codes: &[u16], start: usize, mut base: u32, score: f32, far: &mut [Far]) {
    let mut end = start + LANES;
    loop {
        let &Cell { parent, base: next, score: piece, id } = trie.cell(base, codes[end]);
        if parent != base {
            return;
        }
        end += 1;
        // A node without a piece scores NONE, which is better than nothing.
        if piece + score > far[end].score {
            far[end] = Far { score: piece + score, length: (end - start) as u32, id };
        }
        if next == LEAF {
            return;
        }
        base = next;
    }
}

/// Moves all scores so that the one of the place `at` becomes 0, as the library does when they grow large:
/// the sums of paths that already lead beyond `at` have been rounded before they are moved.
#[cold]
fn reset(at: usize, recent: &mut Recent, memory: &mut Memory) {
    // Paths of the lanes that begin before `at` and end behind it, the earliest beginning first.
    for end in at + 1..at + LANES {
        for length in (end - at + 1..=LANES).rev() {
            let score = memory.scores[length - 1][end] + recent[length - (end - at)];
            if score > memory.far[end].score {
                memory.far[end] = Far { score, length: length as u32, id: memory.ids[length][end] };
            }
        }
    }
    let offset = recent[0];
    for far in &mut memory.far[at + 1..] {
        far.score -= offset;
    }
    *recent = [recent[0] - offset, NONE, NONE, NONE];
}
