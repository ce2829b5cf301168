//! Memory of the host that a device copies from by itself, while the host goes on. What the device has not read yet must not
//! be overwritten: marks in the order of its work say how far it is.

use super::driver::{DeviceError, Driver};

/// Bytes of a block of the ring, and how many blocks it has.
const BLOCK: usize = 4 << 20;
const BLOCKS: usize = 4;
/// Where a copy may begin.
const ALIGNED: usize = 64;

/// Memory of the host that stays where it is for as long as the device is there.
pub(super) struct Pinned {
    at: u64,
    bytes: usize,
    /// Behind the last copy from it, once there was one.
    mark: u64,
}

impl Pinned {
    pub(super) fn new(driver: &dyn Driver, bytes: usize) -> Result<Pinned, DeviceError> {
        Ok(Pinned { at: driver.pinned(bytes)?, bytes, mark: driver.new_mark()? })
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// To be called when copies from it have been asked for, and before it is written to again.
    pub(super) fn used(&self, driver: &dyn Driver) -> Result<(), DeviceError> {
        driver.mark(self.mark)
    }

    /// Waits until the device has copied what was last there.
    pub(super) fn reuse(&mut self, driver: &dyn Driver) -> Result<(), DeviceError> {
        driver.wait(self.mark)
    }

    /// Writes bytes from byte `first` on, which the device is not to copy any more.
    pub(super) fn write(&mut self, first: usize, bytes: &[u8]) {
        assert!(first + bytes.len() <= self.bytes, "bytes of pinned memory");
        // SAFETY: it has so many bytes, was given to nobody else, and the device only reads it, when asked to.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), (self.at as *mut u8).add(first), bytes.len());
        }
    }
}

/// Blocks that uploads go through one after the other; the host waits only where all of them are still to be copied.
#[derive(Default)]
pub(super) struct Ring {
    blocks: Vec<Pinned>,
    /// Which block is filled, and how far.
    current: usize,
    filled: usize,
}

impl Ring {
    /// Copies bytes to the device behind all that it was asked for before. They may change when this returns.
    pub(super) fn upload(
        &mut self,
        driver: &dyn Driver,
        mut to: u64,
        mut bytes: &[u8],
    ) -> Result<(), DeviceError> {
        while !bytes.is_empty() {
            if self.blocks.is_empty() {
                self.blocks.push(Pinned::new(driver, BLOCK)?);
            } else if self.filled == BLOCK {
                self.turn(driver)?;
            }
            let count = bytes.len().min(BLOCK - self.filled);
            let (part, rest) = bytes.split_at(count);
            let block = &mut self.blocks[self.current];
            block.write(self.filled, part);
            driver.upload(to, block.at() + self.filled as u64, count)?;
            (to, bytes) = (to + count as u64, rest);
            self.filled = (self.filled + count).next_multiple_of(ALIGNED);
        }
        Ok(())
    }

    /// Goes on to the next block.
    fn turn(&mut self, driver: &dyn Driver) -> Result<(), DeviceError> {
        self.blocks[self.current].used(driver)?;
        let next = (self.current + 1) % BLOCKS;
        match self.blocks.get_mut(next) {
            Some(block) => block.reuse(driver)?,
            None => self.blocks.push(Pinned::new(driver, BLOCK)?),
        }
        (self.current, self.filled) = (next, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::emulated;

    /// More than the ring holds, in pieces that do not divide its blocks: all of it arrives, and nothing is overwritten
    /// that is still to be copied, for which the emulation looks.
    #[test]
    fn uploads_go_round_the_ring() {
        let Some(device) = emulated::device() else { return };
        let driver = device.driver();
        let mut ring = Ring::default();
        let all: Vec<u8> = (0..BLOCKS * BLOCK + 12_345).map(|i| (i * 31 % 251) as u8).collect();
        let to = driver.allocate(all.len()).unwrap();
        let mut at = 0;
        for piece in [1, 63, BLOCK - 1, 2 * BLOCK + 7, 0, 4096].into_iter().cycle() {
            let piece = piece.min(all.len() - at);
            ring.upload(driver, to + at as u64, &all[at..at + piece]).unwrap();
            at += piece;
            if at == all.len() {
                break;
            }
        }
        assert_eq!(ring.blocks.len(), BLOCKS);
        let mut found = vec![0; all.len()];
        driver.download(&mut found, to).unwrap();
        assert!(found == all);
        driver.free(to);
    }

    /// That the emulation finds it.
    #[test]
    fn overwriting_what_is_still_to_be_copied_is_found() {
        let Some(device) = emulated::device() else { return };
        let driver = device.driver();
        let to = driver.allocate(8).unwrap();
        let overwrite = |waits: bool| {
            let mut block = Pinned::new(driver, 64).unwrap();
            block.write(8, &[1; 8]);
            driver.upload(to, block.at() + 8, 8).unwrap();
            block.used(driver).unwrap();
            if waits {
                block.reuse(driver).unwrap();
            }
            block.write(15, &[2; 8]);
            let mut found = [0; 8];
            driver.download(&mut found, to).unwrap();
            assert_eq!(found, [1; 8]);
        };
        overwrite(true);
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| overwrite(false))).unwrap_err();
        let found = found.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(found.contains("overwritten before they were copied"), "{found}");
        driver.free(to);
    }
}
