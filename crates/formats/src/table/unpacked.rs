//! Bytes of a file or of standard input, decompressed and in UTF-8.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use flate2::read::MultiGzDecoder;

use super::Error;
use crate::encoding::{self, Decoder, Encoding, head_is_short, name_of};

/// How a file is packed; recognised by its first bytes, not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, any number of members.
    Gzip,
    /// Zstandard, any number of frames.
    Zstd,
}

/// How far a plain file is looked into for its first character that is not ASCII.
const ASCII_LOOK: usize = 64 << 20;

/// The decompressed bytes of one file, as UTF-8 and without the byte order mark that may begin them.
pub struct Unpacked {
    path: PathBuf,
    compression: Compression,
    reader: Reader,
    /// Bytes already looked at, given out from `at` on before anything else.
    ahead: Vec<u8>,
    at: usize,
    encoding: Arc<OnceLock<&'static str>>,
    raw_read: Arc<AtomicU64>,
    raw_len: Option<u64>,
}

enum Reader {
    /// A plain regular file in UTF-8, behind the few bytes already looked at; it can seek.
    File(io::Chain<io::Cursor<Vec<u8>>, Counted<File>>),
    /// Anything else.
    Stream(Box<dyn Read + Send>),
}

/// Counts the bytes that leave the disk, for progress by file size.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// What comes out of a source.
#[derive(Clone, Copy)]
enum Content {
    /// Text, to be turned into UTF-8.
    Text(Encoding),
    /// Whatever the bytes are.
    Bytes,
}

impl Unpacked {
    /// Opens the text file at `path`; `-` is standard input. Its encoding is told from itself.
    ///
    /// # Errors
    /// [`Error::Open`] where the system refuses, the path is a folder, or the head cannot be decompressed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_as(path, Encoding::Auto)
    }

    /// [`open`](Self::open) a text file in a given encoding. Bytes that the encoding does not have become one byte
    /// that is no UTF-8, so that the row they are in is found to be a bad one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(path: &Path, encoding: Encoding) -> Result<Self, Error> {
        Self::open_inner(path, Content::Text(encoding))
            .map_err(|source| Error::Open { path: path.to_path_buf(), source })
    }

    /// [`open`](Self::open) a file that is no text: its bytes, unpacked.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_bytes(path: &Path) -> Result<Self, Error> {
        Self::open_inner(path, Content::Bytes)
            .map_err(|source| Error::Open { path: path.to_path_buf(), source })
    }

    fn open_inner(path: &Path, content: Content) -> io::Result<Self> {
        // Of whatever kind the table is.
        if let Err(crate::Error::Unsupported { what, .. }) = crate::foreign::check_file(path) {
            return Err(io::Error::other(what));
        }
        let raw_read = Arc::new(AtomicU64::new(0));
        let (mut file, mut stream): (Option<Counted<File>>, Option<Box<dyn Read + Send>>) = (None, None);
        let mut raw_len = None;
        if path.as_os_str() == "-" {
            stream = Some(Box::new(Counted { inner: io::stdin(), read: raw_read.clone() }));
        } else {
            let opened = File::open(path)?;
            let metadata = opened.metadata()?;
            if metadata.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file"));
            }
            let counted = Counted { inner: opened, read: raw_read.clone() };
            if metadata.is_file() {
                raw_len = Some(metadata.len());
                file = Some(counted);
            } else {
                stream = Some(Box::new(counted));
            }
        }
        let raw: &mut dyn Read = match (&mut file, &mut stream) {
            (Some(file), _) => file,
            (None, Some(stream)) => stream,
            (None, None) => unreachable!("one of both is set above"),
        };
        let mut head = read_head(raw)?;
        let compression = match head[..] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ => Compression::None,
        };
        let mut made = Self {
            path: path.to_path_buf(),
            compression,
            reader: Reader::Stream(Box::new(io::empty())),
            ahead: Vec::new(),
            at: 0,
            encoding: Arc::default(),
            raw_read,
            raw_len,
        };
        if let (Compression::None, Some(file)) = (compression, file.as_mut()) {
            let found = match content {
                Content::Bytes => None,
                // The file is looked into by a handle of its own, beside the one that reads it.
                Content::Text(asked) => {
                    let mut look = File::open(path)?;
                    look.seek(SeekFrom::Start(head.len() as u64))?;
                    Some(encoding::of_file(&head, &mut look, asked, ASCII_LOOK)?)
                }
            };
            if let Some((found, mark)) = found {
                let _ = made.encoding.set(name_of(found));
                head.drain(..mark.min(head.len()));
            }
            if found.is_none_or(|(found, _)| found == encoding_rs::UTF_8) {
                // The common case stays seekable.
                let counted = Counted { inner: File::try_clone(&file.inner)?, read: made.raw_read.clone() };
                made.reader = Reader::File(io::Cursor::new(head).chain(counted));
                return Ok(made);
            }
            let asked = found.map_or(Encoding::Auto, |(found, _)| Encoding::Named(found));
            let counted = Counted { inner: File::try_clone(&file.inner)?, read: made.raw_read.clone() };
            made.reader = Reader::Stream(Box::new(Decoder::new(head, counted, asked, true)));
            return Ok(made);
        }
        let raw: Box<dyn Read + Send> = match (file, stream) {
            (Some(file), _) => Box::new(file),
            (None, Some(stream)) => stream,
            (None, None) => unreachable!("one of both is set above"),
        };
        let patient = made.raw_len.is_some();
        let (head, rest): (Vec<u8>, Box<dyn Read + Send>) = if compression == Compression::None {
            (head, raw)
        } else {
            let packed = io::Cursor::new(head).chain(raw);
            let mut unpacked: Box<dyn Read + Send> = match compression {
                Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
                _ => Box::new(MultiGzDecoder::new(packed)),
            };
            (read_head(&mut unpacked)?, unpacked)
        };
        made.reader = Reader::Stream(match content {
            Content::Bytes => Box::new(io::Cursor::new(head).chain(rest)),
            Content::Text(asked) => {
                let decoder = Decoder::new(head, rest, asked, patient);
                made.encoding = decoder.found();
                Box::new(decoder)
            }
        });
        Ok(made)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file is packed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The encoding that it is read in, such as `UTF-8` or `GB18030`; of a pipe it is known from its first character
    /// that is not ASCII on.
    pub fn encoding(&self) -> Option<&'static str> {
        self.encoding.get().copied()
    }

    /// Where the [`encoding`](Self::encoding) will be, to be watched from elsewhere.
    pub fn encoding_cell(&self) -> Arc<OnceLock<&'static str>> {
        self.encoding.clone()
    }

    /// Size of the file as it lies on the disk, in bytes; `None` for standard input and pipes.
    pub fn raw_len(&self) -> Option<u64> {
        self.raw_len
    }

    /// A counter of the packed bytes read so far, to be watched from elsewhere.
    pub fn raw_read(&self) -> Arc<AtomicU64> {
        self.raw_read.clone()
    }

    /// The next bytes without taking them, behind what was seen so far: of a file another block, of a pipe what one read
    /// gives. `None` where the end was reached.
    ///
    /// # Errors
    /// Those of reading.
    pub fn look_further(&mut self) -> io::Result<Option<&[u8]>> {
        const BLOCK: usize = 64 << 10;
        let begin = self.ahead.len();
        self.ahead.resize(begin + BLOCK, 0);
        let mut filled = begin;
        let looked = loop {
            match read_from(&mut self.reader, &mut self.ahead[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
                Ok(0) => break Ok(()),
                Ok(read) => {
                    filled += read;
                    // The first read of a file gives the few bytes that told how it is packed.
                    if self.raw_len.is_none() || filled == self.ahead.len() {
                        break Ok(());
                    }
                }
            }
        };
        self.ahead.truncate(filled);
        looked?;
        Ok((filled > begin).then(|| self.seen()))
    }

    /// What was looked at and not taken yet.
    pub fn seen(&self) -> &[u8] {
        &self.ahead[self.at..]
    }

    /// Passes over the first `bytes` decompressed bytes in UTF-8 (behind the byte order mark): by seeking in a
    /// plain file, by reading otherwise. To be called before the first read or look.
    ///
    /// # Errors
    /// [`Error::Read`] where the file ends before.
    pub fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        let done = match &mut self.reader {
            Reader::File(chain) => {
                let (head, file) = chain.get_mut();
                let from_head = bytes.min(head.get_ref().len() as u64);
                head.set_position(from_head);
                let rest = bytes - from_head;
                // The length is looked up afresh: a file may have shrunk since.
                (|| {
                    let here = file.inner.stream_position()?;
                    if here + rest > file.inner.metadata()?.len() {
                        return Ok(false);
                    }
                    file.inner.seek(SeekFrom::Start(here + rest))?;
                    file.read.fetch_add(rest, Ordering::Relaxed);
                    Ok(true)
                })()
            }
            Reader::Stream(stream) => {
                io::copy(&mut stream.take(bytes), &mut io::sink()).map(|copied| copied == bytes)
            }
        };
        match done {
            Ok(true) => Ok(()),
            Ok(false) => {
                let source =
                    io::Error::new(io::ErrorKind::UnexpectedEof, format!("shorter than {bytes} bytes"));
                Err(Error::Read { path: self.path.clone(), line: 0, source })
            }
            Err(source) => Err(Error::Read { path: self.path.clone(), line: 0, source }),
        }
    }
}

fn read_from(reader: &mut Reader, buf: &mut [u8]) -> io::Result<usize> {
    match reader {
        Reader::File(file) => file.read(buf),
        Reader::Stream(stream) => stream.read(buf),
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at < self.ahead.len() {
            let n = buf.len().min(self.ahead.len() - self.at);
            buf[..n].copy_from_slice(&self.ahead[self.at..self.at + n]);
            self.at += n;
            if self.at == self.ahead.len() {
                (self.ahead, self.at) = (Vec::new(), 0);
            }
            return Ok(n);
        }
        read_from(&mut self.reader, buf)
    }
}

/// Reads the first bytes: as many as tell a mark or a kind of packing, and no more than were there at once, since
/// somebody may be typing.
fn read_head(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.len() < 4 && head_is_short(&head) {
        let before = head.len();
        head.resize(4, 0);
        let read = loop {
            match reader.read(&mut head[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        head.truncate(before + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            break;
        }
    }
    Ok(head)
}
