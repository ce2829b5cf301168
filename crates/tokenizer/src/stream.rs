//! Lines in, lines out, on all cores and in order.
//!
//! Input is cut into blocks of whole lines, workers turn blocks into output, and the caller's thread writes
//! the results in the order of the input. What has been read is worked on at once, so that a slow source (a
//! pipe, a terminal) gets its answers line by line.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes asked for in one read: large enough that handing a block over costs nothing beside the work on it,
/// small enough to stay in the second cache.
const BLOCK_BYTES: usize = 256 << 10;

/// A line is held in memory whole, and encoding takes ten bytes for each of its characters: a longer one is an error
/// rather than an exhausted machine.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Some whole lines of the input.
pub struct Block {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that belong to the block.
    length: usize,
    first_line: u64,
}

impl Block {
    /// The lines and their numbers, counted from 1, without their newlines.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let bytes = &self.bytes[..self.length];
        let mut start = 0;
        let ends =
            memchr::memchr_iter(b'\n', bytes).chain((bytes.last() != Some(&b'\n')).then_some(bytes.len()));
        ends.zip(self.first_line..).map(move |(end, number)| {
            let line = &bytes[start..end];
            start = end + 1;
            (number, line)
        })
    }
}

/// Cuts a reader into blocks of whole lines; the last line needs no newline.
struct Blocks<R> {
    input: R,
    /// The beginning of a line whose end has not been read yet.
    carry: Vec<u8>,
    next_line: u64,
    at_end: bool,
}

impl<R: Read> Blocks<R> {
    fn new(input: R) -> Self {
        Self { input, carry: Vec::new(), next_line: 1, at_end: false }
    }

    /// The next block, in the memory of `bytes`; nothing at the end of the input.
    fn next(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Block>> {
        if self.at_end {
            return Ok(None);
        }
        let mut filled = self.carry.len();
        bytes.resize(bytes.len().max(filled + BLOCK_BYTES), 0);
        bytes[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let length = loop {
            let read = match self.input.read(&mut bytes[filled..]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let fresh = &bytes[filled..filled + read];
            if read == 0 {
                self.at_end = true;
                break filled;
            }
            if let Some(newline) = memchr::memrchr(b'\n', fresh) {
                let length = filled + newline + 1;
                self.carry.extend_from_slice(&bytes[length..filled + read]);
                break length;
            }
            filled += read;
            if filled > MAX_LINE_BYTES {
                let message = format!("line {} is longer than 256 MiB; break it", self.next_line);
                return Err(io::Error::other(message));
            }
            if filled + BLOCK_BYTES > bytes.len() {
                // Doubling keeps one very long line linear.
                bytes.resize(bytes.len() * 2, 0);
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let first_line = self.next_line;
        self.next_line += memchr::memchr_iter(b'\n', &bytes[..length]).count() as u64;
        Ok(Some(Block { bytes, length, first_line }))
    }
}

/// Applies `work` to every block of lines of `input` on `threads` threads and writes what it appends to its
/// buffer to `output`, in the order of the input. Output is flushed after every block.
///
/// # Errors
/// The first error in the order of the input: of reading, of `work`, or of writing. What stands before it
/// has been written.
pub fn map_blocks<R, W, F, E>(input: R, mut output: W, threads: NonZeroUsize, work: F) -> Result<(), E>
where
    R: Read + Send,
    W: Write,
    F: Fn(&Block, &mut Vec<u8>) -> Result<(), E> + Sync,
    E: From<io::Error> + Send,
{
    let mut blocks = Blocks::new(input);
    if threads.get() == 1 {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        while let Some(block) = blocks.next(bytes)? {
            out.clear();
            let result = work(&block, &mut out);
            output.write_all(&out)?;
            output.flush()?;
            result?;
            bytes = block.bytes;
        }
        return Ok(());
    }

    /// A worked block: its memory, its output, and whether the work succeeded.
    type Done<E> = (Vec<u8>, Vec<u8>, Result<(), E>);
    /// A block, memory for its output, and where the result goes.
    type Job<E> = (Block, Vec<u8>, SyncSender<Done<E>>);

    let ahead = threads.get() * 2;
    let (job_sender, jobs) = sync_channel::<Job<E>>(ahead);
    let jobs = Mutex::new(jobs);
    // Results by the order of their blocks: the writer waits for the oldest. A failed read stands in its place.
    let (order_sender, order) = sync_channel::<Result<Receiver<Done<E>>, io::Error>>(ahead);
    let spare: Mutex<Vec<(Vec<u8>, Vec<u8>)>> = Mutex::new(Vec::new());
    let lock_error = "another thread panicked";
    std::thread::scope(|scope| {
        let (jobs, spare, work) = (&jobs, &spare, &work);
        scope.spawn(move || {
            loop {
                let (bytes, mut out) = spare.lock().expect(lock_error).pop().unwrap_or_default();
                out.clear();
                let (sender, receiver) = sync_channel(1);
                match blocks.next(bytes) {
                    Ok(None) => return,
                    Err(error) => {
                        // Nobody listens where writing has failed before; its error is the first then.
                        let _ = order_sender.send(Err(error));
                        return;
                    }
                    Ok(Some(block)) => {
                        let sent = order_sender.send(Ok(receiver)).is_ok();
                        if !sent || job_sender.send((block, out, sender)).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        for _ in 0..threads.get() {
            scope.spawn(move || {
                loop {
                    let job = jobs.lock().expect(lock_error).recv();
                    let Ok((block, mut out, sender)) = job else { return };
                    let result = work(&block, &mut out);
                    let _ = sender.send((block.bytes, out, result));
                }
            });
        }
        for result in order {
            let (bytes, out, result) = result?.recv().expect(lock_error);
            output.write_all(&out)?;
            output.flush()?;
            result?;
            spare.lock().expect(lock_error).push((bytes, out));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 * 7 % 31 + 1;
            let n = self.1.min(self.0.len()).min(buf.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn number(block: &Block, out: &mut Vec<u8>) -> io::Result<()> {
        for (number, line) in block.lines() {
            if line == b"bad" {
                return Err(io::Error::other(format!("line {number}")));
            }
            out.extend_from_slice(format!("{number}:").as_bytes());
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        Ok(())
    }

    #[test]
    fn lines_keep_their_order_and_numbers() {
        for text in
            ["", "\n", "a", "a\n", "\n\nb", "a\n\n", &"x\nyy\n\n".repeat(500), &"long".repeat(200_000)]
        {
            let mut expected = String::new();
            let body = text.strip_suffix('\n').unwrap_or(text);
            let lines: Vec<&str> = if text.is_empty() { vec![] } else { body.split('\n').collect() };
            for (i, line) in lines.iter().enumerate() {
                expected += &format!("{}:{line}\n", i + 1);
            }
            for threads in [1, 2, 5] {
                let threads = NonZeroUsize::new(threads).unwrap();
                let mut out = Vec::new();
                map_blocks(text.as_bytes(), &mut out, threads, number).unwrap();
                assert!(out == expected.as_bytes(), "{} bytes, whole", text.len());
                if text.len() < 100_000 {
                    let mut out = Vec::new();
                    map_blocks(Drip(text.as_bytes(), 3), &mut out, threads, number).unwrap();
                    assert!(out == expected.as_bytes(), "{} bytes, dripped", text.len());
                }
            }
        }
    }

    #[test]
    fn an_error_ends_after_what_stands_before_it() {
        let text = "a\nb\nbad\nc\n".to_owned() + &"d\n".repeat(300_000);
        for threads in [1, 3] {
            let mut out = Vec::new();
            let error = map_blocks(text.as_bytes(), &mut out, NonZeroUsize::new(threads).unwrap(), number);
            assert_eq!(error.unwrap_err().to_string(), "line 3");
            assert_eq!(out, b"1:a\n2:b\n");
        }
    }

    #[test]
    fn a_failing_writer_ends_the_work() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let text = "d\n".repeat(2_000_000);
        for threads in [1, 3] {
            let error = map_blocks(text.as_bytes(), Full, NonZeroUsize::new(threads).unwrap(), number);
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
