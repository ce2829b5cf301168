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

/// The longest key that [`CharsMap::rules`] follows: real ones have at most a few dozen bytes.
const MAX_KEY_BYTES: usize = 1024;

/// The most bytes of keys and their prefixes that [`CharsMap::rules`] walks over (`nmt_nfkc` has 60,000):
/// branches of the trie may meet again, so that its size is no bound.
const MAX_ALL_KEY_BYTES: usize = 1 << 26;

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

    /// Every key and its replacement.
    ///
    /// # Errors
    /// When the trie is cyclic or a key is no UTF-8: no character map that a program wrote is.
    pub(crate) fn rules(&self) -> Result<Vec<(String, &str)>, &'static str> {
        // A unit is the child of whatever node has its offset at `unit ^ label`: sorting the units by that
        // place gives every node its children without trying 256 labels.
        let below = |i: usize, unit: Unit| i ^ unit.label() as usize;
        let mut ends = vec![0u32; self.units.len() + 1];
        let inner = |&(i, unit): &(usize, Unit)| i != 0 && unit.label() <= 0xff;
        let units = || self.units.iter().copied().enumerate().filter(inner);
        for (i, unit) in units() {
            ends[below(i, unit) + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        let mut children = vec![0u32; ends[self.units.len()] as usize];
        let mut next = ends.clone();
        for (i, unit) in units() {
            let slot = &mut next[below(i, unit)];
            children[*slot as usize] = i as u32;
            *slot += 1;
        }

        let children_of = |at: usize| ends[at] as usize..ends[at + 1] as usize;
        let mut rules = Vec::new();
        let mut key = Vec::new();
        let mut key_bytes = 0;
        let mut stack = vec![children_of(self.units[0].offset())];
        while let Some(siblings) = stack.last_mut() {
            let Some(child) = siblings.next().map(|i| children[i] as usize) else {
                stack.pop();
                key.pop();
                continue;
            };
            let unit = self.units[child];
            key.push(unit.label() as u8);
            let at = child ^ unit.offset();
            if unit.has_leaf() {
                let text = std::str::from_utf8(&key).map_err(|_| "a key is not UTF-8")?;
                rules.push((text.to_owned(), self.string(self.units[at].value())));
            }
            key_bytes += key.len();
            if key.len() > MAX_KEY_BYTES || key_bytes > MAX_ALL_KEY_BYTES {
                return Err("the trie is cyclic, or absurdly large");
            }
            stack.push(children_of(at));
        }
        Ok(rules)
    }
}
