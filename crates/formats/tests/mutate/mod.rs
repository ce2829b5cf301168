//! Sound files made unsound: the same mutations on every run, so that what fails once can be looked at again.

#![allow(dead_code)] // every test file uses its part

use std::fmt::Write as _;

/// What stands in a number's place: where sizes, ids and counts come to their ends.
const NUMBERS: [&str; 18] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "-1e-999",
    "0.5",
    "00000000000000000000000000007",
];
/// What is put anywhere into a text.
const TEXTS: [&str; 22] = [
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\0",
    "\n",
    "\r",
    "\t",
    "null",
    "[[]]",
    "{\"a\": 1}",
    "\u{2581}",
    "=",
    "é中",
];
/// Numbers in binary, in both orders of their bytes.
const SIZES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

/// A folder for files that are written thousands of times: in memory where the system has such a place.
pub fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let within = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    tempfile::tempdir_in(within).unwrap()
}

/// Where mutations come from: splitmix64.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where that is 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % (n.max(1) as u64)) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A place and the end of a short stretch from there.
    fn stretch(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = *self.of(&[4, 16, 64, length]);
        (from, (from + self.below(most + 1)).min(length))
    }

    /// One of the files with one to four changes: bits and bytes, numbers, stretches left out, doubled, or taken from
    /// another of the files, an early end.
    pub fn mutated(&mut self, files: &[Vec<u8>]) -> Vec<u8> {
        let mut file = self.of(files).clone();
        for _ in 0..=self.below(4) {
            self.change(&mut file, files);
        }
        file
    }

    fn change(&mut self, file: &mut Vec<u8>, files: &[Vec<u8>]) {
        let at = self.below(file.len());
        match self.below(10) {
            0 if !file.is_empty() => file[at] ^= 1 << self.below(8),
            1 if !file.is_empty() => file[at] = self.next() as u8,
            2 => file.truncate(at),
            3 => {
                let (from, to) = self.stretch(file.len());
                file.drain(from..to);
            }
            4 => {
                let (from, to) = self.stretch(file.len());
                let again = file[from..to].to_vec();
                file.splice(at..at, again);
            }
            5 => {
                let other = self.of(files).clone();
                let (from, to) = self.stretch(other.len());
                let (into, end) = self.stretch(file.len());
                file.splice(into..end, other[from..to].iter().copied());
            }
            6 | 7 => self.change_number(file, at),
            8 => {
                let text = self.of(&TEXTS).as_bytes();
                file.splice(at..at, text.iter().copied());
            }
            _ => {
                let (size, width) = (*self.of(&SIZES), *self.of(&[1, 2, 4, 8]));
                let bytes = if self.below(4) == 0 { size.to_be_bytes() } else { size.to_le_bytes() };
                let place = at.min(file.len().saturating_sub(width));
                file.iter_mut()
                    .skip(place)
                    .zip(bytes.into_iter().take(width))
                    .for_each(|(to, byte)| *to = byte);
            }
        }
    }

    /// The next number in digits from `at` on becomes another.
    fn change_number(&mut self, file: &mut Vec<u8>, at: usize) {
        let Some(from) = file[at.min(file.len())..].iter().position(u8::is_ascii_digit) else { return };
        let from = at + from;
        let digits = file[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.of(&NUMBERS).as_bytes();
        file.splice(from..from + digits, number.iter().copied());
    }
}

/// Hands `times` mutations of the files to `read`, which says whether it took one or refused it, and must not panic; where
/// it does, the file is printed. The first is taken as it is. Some have to be taken and some refused, else they try nothing. The seed is the name's, so
/// that each test has mutations of its own.
pub fn each(name: &str, files: &[Vec<u8>], times: usize, mut read: impl FnMut(&[u8]) -> bool) {
    let mut rng = Rng::new(name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
    assert!(read(&files[0]), "{name}: not taken as it is");
    let mut taken = 0;
    for round in 0..times {
        let file = rng.mutated(files);
        let shown = Shown { name, round, file: &file };
        taken += usize::from(read(&file));
        std::mem::forget(shown);
    }
    assert!((times / 100..=times - times / 100).contains(&taken), "{name}: {taken} of {times} were taken");
}

struct Shown<'a> {
    name: &'a str,
    round: usize,
    file: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut text = String::new();
        self.file.iter().take(4000).for_each(|&byte| {
            let _ = write!(text, "{}", std::ascii::escape_default(byte));
        });
        eprintln!("{}, mutation {}, {} bytes: {text}", self.name, self.round, self.file.len());
    }
}
