//! Little-endian numbers off a part of a file.

use super::Result;

/// Reads on from a place in a file; what lies beyond its end is an error.
#[derive(Clone)]
pub(crate) struct Reader<'f> {
    rest: &'f [u8],
    taken: usize,
}

impl<'f> Reader<'f> {
    pub fn new(bytes: &'f [u8]) -> Self {
        Self { rest: bytes, taken: 0 }
    }

    /// From the address `at` on.
    pub fn at(file: &'f [u8], at: u64) -> Result<Self> {
        let rest = usize::try_from(at).ok().and_then(|at| file.get(at..));
        Ok(Self::new(rest.ok_or_else(cut_off)?))
    }

    pub fn take(&mut self, n: usize) -> Result<&'f [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(cut_off)?;
        self.rest = rest;
        self.taken += n;
        Ok(taken)
    }

    pub fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(drop)
    }

    /// Goes on to the next multiple of 8 bytes from where reading began.
    pub fn align(&mut self) -> Result<()> {
        self.skip(self.taken.next_multiple_of(8) - self.taken)
    }

    pub fn expect(&mut self, what: &[u8]) -> Result<()> {
        if self.take(what.len())? == what {
            return Ok(());
        }
        Err(format!("{} is not where it is said to be", what.escape_ascii()))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| cut_off())
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn left(&self) -> usize {
        self.rest.len()
    }
}

fn cut_off() -> String {
    "an address lies outside the file; is it cut off?".to_owned()
}
