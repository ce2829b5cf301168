//! The precompiled character map of a SentencePiece normaliser.
//!
//! The blob is a 32-bit length, a double-array trie in Darts-clone's layout, and the replacement strings,
//! each ended by a zero byte. The trie maps byte strings (one or more characters) to an offset into the
//! strings. Everything is checked when the map is read, so that lookups need no further care.

/// A unit of the double array. Bit 31 marks a value; otherwise bits 0–7 are the label, bit 8 says that a value
/// hangs below, bit 9 that the offset is in steps of 256, and bits 10–30 are the offset.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }
    fn value(self) -> usize {
        (self.0 & 0x7fff_ffff) as usize
    }
    /// The label of an inner unit; a value's "label" is out of every byte's range.
    fn label(self) -> u32 {
        self.0 & (1 << 31 | 0xff)
    }
    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & 1 << 9) >> 6)) as usize
    }
}

/// At most so many keys that are prefixes of one another are looked at, as in the library.
const MAX_PREFIXES: usize = 32;

/// A checked character map.
pub(crate) struct CharsMap {
    units: Vec<Unit>,
    /// The replacements, zero-terminated.
    strings: String,
}

impl CharsMap {
    /// Reads the blob of a `NormalizerSpec`.
    ///
    /// # Errors
    /// What is wrong with the blob.
    pub(crate) fn parse(blob: &[u8]) -> Result<Self, &'static str> {
        let (length, rest) = blob.split_first_chunk::<4>().ok_or("shorter than its own length field")?;
        let length = u32::from_le_bytes(*length) as usize;
        if length >= rest.len() {
            return Err("the trie is longer than the field");
        }
        if length < 1024 || !length.is_multiple_of(1024) {
            return Err("the trie's length is no multiple of 1024");
        }
        let (trie, strings) = rest.split_at(length);
        let units: Vec<Unit> = trie
            .chunks_exact(4)
            .map(|b| Unit(u32::from_le_bytes(b.try_into().expect("chunks of 4 bytes"))))
            .collect();
        if strings.last() != Some(&0) {
            return Err("the strings do not end with a zero byte");
        }
        let strings = String::from_utf8(strings.to_vec()).map_err(|_| "the strings are not UTF-8")?;
        let map = Self { units, strings };
        map.check()?;
        Ok(map)
    }

    /// That no walk through the trie leaves it, and that every value points to the beginning of a character.
    fn check(&self) -> Result<(), &'static str> {
        let inside = |i: usize, unit: Unit| (i ^ unit.offset()) | 0xff < self.units.len();
        let root = self.units[0];
        if root.label() != 0 || root.has_leaf() || root.offset() == 0 || !inside(0, root) {
            return Err("the trie has no valid root");
        }
        for (i, &unit) in self.units.iter().enumerate().skip(1) {
            if unit.label() <= 0xff {
                if !inside(i, unit) {
                    return Err("the trie points outside of itself");
                }
                if unit.has_leaf() && self.units[i ^ unit.offset()].label() <= 0xff {
                    return Err("the trie lacks a value");
                }
            } else if unit.value() >= self.strings.len() || !self.strings.is_char_boundary(unit.value()) {
                return Err("the trie points outside of the strings");
            }
        }
        Ok(())
    }

    /// The replacement that begins at a value.
    fn string(&self, value: usize) -> &str {
        let rest = &self.strings[value..];
        &rest[..rest.find('\0').unwrap_or(rest.len())]
    }

    /// The longest key that `text` begins with: its length in bytes, never 0, and what replaces it.
    pub(crate) fn longest_prefix(&self, text: &[u8]) -> Option<(usize, &str)> {
        let mut at = self.units[0].offset();
        let mut longest = None;
        let mut found = 0;
        for (i, &byte) in text.iter().enumerate() {
            at ^= usize::from(byte);
            let unit = self.units[at];
            if unit.label() != u32::from(byte) {
                break;
            }
            at ^= unit.offset();
            if unit.has_leaf() {
                longest = Some((i + 1, self.units[at].value()));
                found += 1;
                if found == MAX_PREFIXES {
                    break;
                }
            }
        }
        longest.map(|(length, value)| (length, self.string(value)))
    }

    /// What is needed to see at once which characters take part in no rule, or in the simplest kind.
    ///
    /// # Errors
    /// When the trie is cyclic or a key is no UTF-8: no character map that a program wrote is.
    pub(crate) fn summary(&self) -> Result<Summary<'_>, &'static str> {
        let children = Children::new(&self.units);
        let mut summary = Summary { single: Vec::new(), leading: Vec::new(), later: Vec::new() };
        // Branches of the trie meet again (it is an automaton): each state is looked at once.
        let mut seen = vec![false; self.units.len()];
        let mut states = Vec::new();
        self.chars_below(&children, self.units[0].offset(), |c, value, at| {
            if let Some(value) = value {
                summary.single.push((c, self.string(value)));
            }
            if !children.of(at).is_empty() {
                summary.leading.push(c);
                states.push(at);
            }
        })?;
        while let Some(at) = states.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                self.chars_below(&children, at, |c, _, next| {
                    summary.later.push(c);
                    states.push(next);
                })?;
            }
        }
        summary.later.sort_unstable();
        summary.later.dedup();
        Ok(summary)
    }

    /// Calls `found` with every character that leads on from the state `at`, the value of the key that ends
    /// with it, if any, and the state after it.
    fn chars_below(
        &self,
        children: &Children,
        at: usize,
        mut found: impl FnMut(char, Option<usize>, usize),
    ) -> Result<(), &'static str> {
        let mut bytes = Vec::with_capacity(4);
        let mut stack = vec![children.of(at)];
        while let Some(siblings) = stack.last_mut() {
            let Some((&child, rest)) = siblings.split_first() else {
                stack.pop();
                bytes.pop();
                continue;
            };
            *siblings = rest;
            let unit = self.units[child as usize];
            let next = child as usize ^ unit.offset();
            bytes.push(unit.label() as u8);
            match std::str::from_utf8(&bytes) {
                Ok(text) => {
                    let c = text.chars().next().expect("a byte was pushed");
                    found(c, unit.has_leaf().then(|| self.units[next].value()), next);
                    bytes.pop();
                }
                // The beginning of a character: on to its next byte.
                Err(error) if error.error_len().is_none() && !unit.has_leaf() => {
                    stack.push(children.of(next))
                }
                Err(_) => return Err("a key is not UTF-8"),
            }
        }
        Ok(())
    }
}

/// What [`CharsMap::summary`] gives.
pub(crate) struct Summary<'a> {
    /// The rules whose key is one character.
    pub(crate) single: Vec<(char, &'a str)>,
    /// The characters that longer keys begin with.
    pub(crate) leading: Vec<char>,
    /// All characters that stand second or later in a key: only before them can a longer key match.
    pub(crate) later: Vec<char>,
}

/// The inner units of a double array by the state they lead on from: without it, 256 labels would have to be
/// tried at every state.
struct Children {
    starts: Vec<u32>,
    units: Vec<u32>,
}

impl Children {
    fn new(units: &[Unit]) -> Self {
        // A unit is the child of whatever state is at `unit ^ label`.
        let inner = || {
            let pairs = units.iter().enumerate().skip(1).filter(|(_, unit)| unit.label() <= 0xff);
            pairs.map(|(i, unit)| (i as u32, i ^ unit.label() as usize))
        };
        let mut starts = vec![0u32; units.len() + 1];
        for (_, at) in inner() {
            starts[at + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut sorted = vec![0; starts[units.len()] as usize];
        let mut next = starts.clone();
        for (i, at) in inner() {
            sorted[next[at] as usize] = i;
            next[at] += 1;
        }
        Self { starts, units: sorted }
    }

    fn of(&self, at: usize) -> &[u32] {
        &self.units[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}
