//! Bytes of a file or of standard input, decompressed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::Error;

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

/// The decompressed bytes of one file, without the UTF-8 byte order mark that may begin them.
pub struct Unpacked {
    path: PathBuf,
    compression: Compression,
    reader: Reader,
    raw_read: Arc<AtomicU64>,
    raw_len: Option<u64>,
}

enum Reader {
    /// A plain regular file, behind the few bytes already looked at; it can seek.
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

impl Unpacked {
    /// Opens the file at `path`; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Open`] where the system refuses, the path is a folder, or the head cannot be decompressed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_inner(path).map_err(|source| Error::Open { path: path.to_path_buf(), source })
    }

    fn open_inner(path: &Path) -> io::Result<Self> {
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
        let head = read_head(raw, 4)?;
        let compression = match head[..] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            _ => Compression::None,
        };
        if let (Compression::None, Some(file)) = (compression, file.as_mut()) {
            // The common case stays seekable; the mark is three of the four bytes looked at.
            let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).to_vec();
            let inner = File::try_clone(&file.inner)?;
            let counted = Counted { inner, read: raw_read.clone() };
            let reader = Reader::File(io::Cursor::new(head).chain(counted));
            return Ok(Self { path: path.to_path_buf(), compression, reader, raw_read, raw_len });
        }
        let raw: Box<dyn Read + Send> = match (file, stream) {
            (Some(file), _) => Box::new(file),
            (None, Some(stream)) => stream,
            (None, None) => unreachable!("one of both is set above"),
        };
        let packed = io::Cursor::new(head).chain(raw);
        let mut unpacked: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(packed),
            Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
        };
        let head = read_head(&mut unpacked, 3)?;
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).to_vec();
        let reader = Reader::Stream(Box::new(io::Cursor::new(head).chain(unpacked)));
        Ok(Self { path: path.to_path_buf(), compression, reader, raw_read, raw_len })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file is packed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Size of the file as it lies on the disk, in bytes; `None` for standard input and pipes.
    pub fn raw_len(&self) -> Option<u64> {
        self.raw_len
    }

    /// A counter of the packed bytes read so far, to be watched from elsewhere.
    pub fn raw_read(&self) -> Arc<AtomicU64> {
        self.raw_read.clone()
    }

    /// Passes over the first `bytes` decompressed bytes (behind the byte order mark): by seeking in a
    /// plain file, by reading otherwise. To be called before the first read.
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

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.reader {
            Reader::File(file) => file.read(buf),
            Reader::Stream(stream) => stream.read(buf),
        }
    }
}

/// Reads up to `n` bytes, fewer only at the end.
fn read_head(reader: &mut dyn Read, n: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(n);
    reader.take(n as u64).read_to_end(&mut head)?;
    Ok(head)
}
