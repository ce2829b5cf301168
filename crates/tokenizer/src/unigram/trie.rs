//! The pieces as a trie over character codes, in one double array.
//!
//! A piece's first character leads by its code into a dense table; every further one into the double array:
//! the child of a node by a character is at `base + code`, and is the node's own if it says so. One cell of 16
//! bytes answers a step: whether the child is there, whether a piece ends at it and with which score, and
//! where its own children are.

use std::collections::VecDeque;

/// More entries than this are sorted on two threads.
const PARALLEL_ENTRIES: usize = 20_000;

/// The score of a node where no piece ends; also what "there is no path" looks like to the search.
pub(crate) const NONE: f32 = f32::NEG_INFINITY;

/// The `base` of a node without children: no cell answers to it.
pub(crate) const LEAF: u32 = 0;

/// A piece, or a path that ends with it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Scored {
    /// [`NONE`] where there is none.
    pub(crate) score: f32,
    pub(crate) id: u32,
}

impl Scored {
    pub(crate) const NONE: Self = Self { score: NONE, id: u32::MAX };
}

/// A node below the first level.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Cell {
    /// The parent's `base`, which no other parent has.
    pub(crate) parent: u32,
    /// Where this node's children are, or [`LEAF`].
    pub(crate) base: u32,
    /// The piece that ends here, if any.
    pub(crate) piece: Scored,
}

impl Cell {
    const EMPTY: Self = Self { parent: u32::MAX, base: LEAF, piece: Scored::NONE };
}

/// A node of the first level.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct First {
    /// Where this node's children are, or [`LEAF`].
    pub(crate) base: u32,
    /// The one-character piece; where there is none, the unknown piece with [`Trie::UNKNOWN`] for its id.
    pub(crate) piece: Scored,
}

/// A piece to be put into the trie.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Its characters' codes; not empty.
    pub(crate) codes: &'a [u16],
    pub(crate) score: f32,
    pub(crate) id: u32,
}

/// The trie.
pub(crate) struct Trie {
    /// By code; as long as codes can be, so that no lookup needs a check.
    first: Box<[First; 0x1_0000]>,
    cells: Vec<Cell>,
    /// The most codes a piece has.
    pub(crate) longest: usize,
    /// The largest score, or the smallest if that is farther from 0.
    pub(crate) largest: f32,
}

impl Trie {
    /// The id of a character that is no piece.
    pub(crate) const UNKNOWN: u32 = u32::MAX;

    /// Builds the trie. Codes are at least 1 and below `codes`; `unknown_score` is that of a character that
    /// is no piece.
    ///
    /// # Errors
    /// The ids of two entries that are equal.
    pub(crate) fn new(entries: &[Entry], codes: usize, unknown_score: f32) -> Result<Self, (u32, u32)> {
        let sorted = Sorted::new(entries)?;
        let unknown = First { base: LEAF, piece: Scored { score: unknown_score, id: Self::UNKNOWN } };
        let mut first = vec![unknown; 0x1_0000].into_boxed_slice();
        // A node for every code that an entry does not share with the one before.
        let nodes = sorted.codes.len() - sorted.shared.iter().map(|&n| usize::from(n)).sum::<usize>();
        let mut cells = Cells::new(codes, nodes);

        /// Where a node's `base` is to be written.
        enum Home {
            Root,
            First(u16),
            Cell(u32),
        }
        // Nodes whose children are still to be placed: their entries (a range of the sorted order, all
        // longer than `depth`) and their depth. Level by level, so that the levels near the root, which are
        // visited most, lie together.
        let mut waiting = VecDeque::from([(Home::Root, 0..entries.len() as u32, 0)]);
        let mut children: Vec<(u16, std::ops::Range<u32>)> = Vec::new();
        // What one entry alone goes on with behind a cell: more than half of all nodes, hardly ever visited, placed
        // one behind the other when everything else has its place.
        let mut tails: Vec<(u32, u32, usize)> = Vec::new();
        while let Some((home, range, depth)) = waiting.pop_front() {
            children.clear();
            let mut start = range.start;
            while start < range.end {
                let code = sorted.codes(start)[depth];
                let end = (start + 1..range.end).find(|&i| sorted.shared(i) <= depth).unwrap_or(range.end);
                children.push((code, start..end));
                start = end;
            }
            let base = match home {
                Home::Root => LEAF,
                _ => cells.place(&children),
            };
            match home {
                Home::Root => {}
                Home::First(code) => first[usize::from(code)].base = base,
                Home::Cell(cell) => cells.cells[cell as usize].base = base,
            }
            for (code, mut range) in children.drain(..) {
                let ends_here = sorted.codes(range.start).len() == depth + 1;
                let piece = if ends_here { sorted.pieces[range.start as usize] } else { Scored::NONE };
                range.start += u32::from(ends_here);
                let home = if matches!(home, Home::Root) {
                    if ends_here {
                        first[usize::from(code)] = First { base: LEAF, piece };
                    }
                    Home::First(code)
                } else {
                    let cell = base + u32::from(code);
                    cells.cells[cell as usize] = Cell { parent: base, base: LEAF, piece };
                    if range.len() == 1 {
                        tails.push((cell, range.start, depth + 1));
                        continue;
                    }
                    Home::Cell(cell)
                };
                if !range.is_empty() {
                    waiting.push_back((home, range, depth + 1));
                }
            }
        }
        for (mut cell, place, depth) in tails {
            let codes = &sorted.codes(place)[depth..];
            for (i, &code) in codes.iter().enumerate() {
                let base = cells.place(&[(code, ())]);
                cells.cells[cell as usize].base = base;
                cell = base + u32::from(code);
                let last = i + 1 == codes.len();
                let piece = if last { sorted.pieces[place as usize] } else { Scored::NONE };
                cells.cells[cell as usize] = Cell { parent: base, base: LEAF, piece };
            }
        }
        Ok(Self {
            first: first.try_into().ok().expect("made with this length"),
            cells: cells.cells,
            longest: entries.iter().map(|entry| entry.codes.len()).max().unwrap_or(0),
            largest: entries.iter().fold(unknown_score.abs(), |max, entry| max.max(entry.score.abs())),
        })
    }

    /// The node of a character.
    #[inline(always)]
    pub(crate) fn first(&self, code: u16) -> &First {
        &self.first[usize::from(code)]
    }

    /// The cell where the child by `code` of the node with this `base` is, if [`Cell::parent`] says so.
    #[inline(always)]
    pub(crate) fn cell(&self, base: u32, code: u16) -> &Cell {
        // The array is as long as the largest base and the largest code together.
        &self.cells[base as usize + usize::from(code)]
    }

    /// The id of a piece.
    pub(crate) fn id_of(&self, codes: impl IntoIterator<Item = u16>) -> Option<u32> {
        let mut codes = codes.into_iter();
        let first = self.first(codes.next()?);
        let (mut base, mut id) = (first.base, first.piece.id);
        for code in codes {
            let cell = self.cell(base, code);
            if cell.parent != base {
                return None;
            }
            (base, id) = (cell.base, cell.piece.id);
        }
        (id != u32::MAX).then_some(id)
    }
}

/// The entries in ascending order of their codes, laid end to end: the trie is built level by level, and each level
/// runs through all of them once more.
struct Sorted {
    /// All codes.
    codes: Vec<u16>,
    /// Where each entry's codes begin, and where the last one's end.
    starts: Vec<u32>,
    /// How many codes each entry shares with the one before it.
    shared: Vec<u16>,
    pieces: Vec<Scored>,
}

impl Sorted {
    /// # Errors
    /// The ids of two entries that are equal.
    fn new(entries: &[Entry]) -> Result<Self, (u32, u32)> {
        // Four codes in one number decide nearly always.
        let key =
            |codes: &[u16]| (0..4).fold(0u64, |key, i| key << 16 | u64::from(*codes.get(i).unwrap_or(&0)));
        let mut order: Vec<(u64, u32)> =
            entries.iter().enumerate().map(|(i, entry)| (key(entry.codes), i as u32)).collect();
        let compare = |(key_a, a): &(u64, u32), (key_b, b): &(u64, u32)| {
            key_a.cmp(key_b).then_with(|| entries[*a as usize].codes.cmp(entries[*b as usize].codes))
        };
        // Sorting is a quarter of loading a large model: two threads sort halves, and a stable sort merges runs.
        let (first, second) = order.split_at_mut(entries.len() / 2);
        if entries.len() > PARALLEL_ENTRIES {
            std::thread::scope(|scope| {
                scope.spawn(|| first.sort_unstable_by(compare));
                second.sort_unstable_by(compare);
            });
        }
        order.sort_by(compare);
        let mut sorted = Self {
            codes: Vec::with_capacity(entries.iter().map(|entry| entry.codes.len()).sum()),
            starts: Vec::with_capacity(entries.len() + 1),
            shared: Vec::with_capacity(entries.len()),
            pieces: Vec::with_capacity(entries.len()),
        };
        let mut before: &[u16] = &[];
        for (_, i) in order {
            let Entry { codes, score, id } = entries[i as usize];
            if codes == before {
                let first = sorted.pieces.last().expect("no entry is empty").id;
                return Err((first.min(id), first.max(id)));
            }
            let shared = codes.iter().zip(before).take_while(|(a, b)| a == b).count();
            // Pieces of more codes than that are not looked for: see `search::MAX_PIECE_CHARS`.
            sorted.shared.push(shared.min(usize::from(u16::MAX)) as u16);
            sorted.starts.push(sorted.codes.len() as u32);
            sorted.codes.extend_from_slice(codes);
            sorted.pieces.push(Scored { score, id });
            before = codes;
        }
        sorted.starts.push(sorted.codes.len() as u32);
        Ok(sorted)
    }

    fn codes(&self, place: u32) -> &[u16] {
        let place = place as usize;
        &self.codes[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    fn shared(&self, place: u32) -> usize {
        usize::from(self.shared[place as usize])
    }
}

/// The double array while it is being filled.
struct Cells {
    cells: Vec<Cell>,
    codes: usize,
    /// One bit for every cell in use.
    used: Vec<u64>,
    /// One bit for every base in use.
    bases: Vec<u64>,
    /// For nodes of 1, 2, 3–4, 5–8 … children, the cell before which no room is looked for: it has been looked
    /// for there in vain.
    cursors: [usize; 17],
}

impl Cells {
    /// For so many nodes: room for an eighth more is made at once, and nearly always suffices.
    fn new(codes: usize, nodes: usize) -> Self {
        let room = Vec::with_capacity(nodes + nodes / 8 + codes);
        // Base 0 is LEAF.
        let mut cells = Self { cells: room, codes, used: vec![], bases: vec![], cursors: [0; 17] };
        cells.grow(0);
        cells.bases[0] |= 1;
        cells
    }

    /// Makes room for the cells that the bases of a block reach.
    fn grow(&mut self, block: usize) {
        let cells = (block + 1) * 64 + self.codes;
        if self.cells.len() < cells {
            self.cells.resize(cells, Cell::EMPTY);
            // One word more, so that 64 bits from any place can be read.
            self.used.resize(cells.div_ceil(64) + 1, 0);
            self.bases.resize(cells.div_ceil(64) + 1, 0);
        }
    }

    /// Finds and occupies a base for a node with these children.
    fn place<T>(&mut self, children: &[(u16, T)]) -> u32 {
        // At most 16: there are fewer codes than 2^16.
        let class = (usize::BITS - (children.len() - 1).leading_zeros()) as usize;
        let begin = self.cursors[class].saturating_sub(usize::from(children[0].0)) / 64;
        let mut block = begin;
        let free = loop {
            self.grow(block);
            // Bit i: base 64 * block + i is taken, or one of the children's cells is.
            let mut taken = self.bases[block];
            for (code, _) in children {
                let at = block * 64 + usize::from(*code);
                let (word, shift) = (at / 64, at % 64);
                let low = self.used[word] >> shift;
                let high = if shift == 0 { 0 } else { self.used[word + 1] << (64 - shift) };
                taken |= low | high;
                if taken == u64::MAX {
                    break;
                }
            }
            if taken != u64::MAX {
                break taken.trailing_ones() as usize;
            }
            block += 1;
        };
        self.cursors[class] += (block - begin) * 64;
        let base = block * 64 + free;
        self.bases[block] |= 1 << free;
        for (code, _) in children {
            let at = base + usize::from(*code);
            self.used[at / 64] |= 1 << (at % 64);
        }
        base as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn check(pieces: &BTreeMap<Vec<u16>, u32>, codes: u16) {
        let entries: Vec<Entry> =
            pieces.iter().map(|(codes, &id)| Entry { codes, score: -(id as f32), id }).collect();
        let trie = Trie::new(&entries, usize::from(codes), -100.0).unwrap();
        for (piece, &id) in pieces {
            assert_eq!(trie.id_of(piece.iter().copied()), Some(id), "{piece:?}");
            for cut in 1..piece.len() {
                let part = &piece[..cut];
                assert_eq!(trie.id_of(part.iter().copied()), pieces.get(part).copied(), "{part:?}");
            }
            for code in 0..codes.min(300) {
                let longer = [piece.as_slice(), &[code]].concat();
                assert_eq!(trie.id_of(longer.iter().copied()), pieces.get(&longer).copied(), "{longer:?}");
            }
        }
        assert_eq!(trie.longest, pieces.keys().map(Vec::len).max().unwrap_or(0));
    }

    #[test]
    fn finds_exactly_what_was_put_in() {
        check(&BTreeMap::from([(vec![1], 7)]), 2);
        check(&BTreeMap::from([(vec![1, 2, 3], 7), (vec![1, 2], 8), (vec![2], 0)]), 4);
        // A dense second level, and a pseudo-random crowd of all lengths.
        let dense = (1..2000).map(|code| (vec![1, code], u32::from(code))).collect();
        check(&dense, 2000);
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let crowd = (0..5000)
            .map(|id| {
                let length = 1 + random(6);
                let codes = (0..length).map(|_| 1 + (random(40) * random(40)) as u16).collect();
                (codes, id)
            })
            .collect();
        check(&crowd, 1600);
    }

    #[test]
    fn equal_pieces_are_reported() {
        let entry = |id| Entry { codes: &[1, 2], score: 0.0, id };
        assert_eq!(Trie::new(&[entry(9), entry(4)], 3, 0.0).err(), Some((4, 9)));
    }
}
