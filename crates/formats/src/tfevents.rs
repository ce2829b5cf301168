//! TensorBoard's event files: a header record, then one record with scalars a step.
//!
//! A record is TFRecord's frame (length, masked CRC-32C of the length, data, masked CRC-32C of the data; see
//! `tensorflow/core/lib/io/record_writer.h`) around an `Event` message (`tensorflow/core/util/event.proto`).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::tensorflow::mask;
use crate::wire::{Fields, Value, put_bytes, put_double, put_float, put_uint};

/// The first record of every event file.
const VERSION: &[u8] = b"brain.Event:2";

/// Numbers of one moment of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarEvent {
    /// The step they belong to.
    pub step: i64,
    /// Name and value of each.
    pub scalars: Vec<(String, f32)>,
}

/// An event file, appended to.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
    /// Whether the file was begun by this writer.
    new: bool,
}

impl EventWriter {
    /// Opens the file at `path` to go on behind the events for which `keep` holds, from the first on: what follows the
    /// first other event, or a record cut short, is cut off. Makes the file where it is missing or holds nothing.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Malformed`] for a file that is no event file.
    pub fn resume(path: &Path, mut keep: impl FnMut(&ScalarEvent) -> bool) -> Result<Self> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(Error::io(path, "open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        let mut end = 0;
        let mut records = Records { bytes: &bytes, at: 0 };
        while let Some(record) = records.next() {
            let event = parse(record).map_err(|what| malformed(path, what))?;
            if end > 0 && !keep(&event) {
                break;
            }
            end = records.at;
        }
        if end == 0 && bytes.len() > 16 + VERSION.len() + 32 {
            return Err(malformed(path, "it does not begin with an event".into()));
        }
        file.set_len(end as u64).map_err(Error::io(path, "shorten"))?;
        file.seek(SeekFrom::Start(end as u64)).map_err(Error::io(path, "write"))?;
        let mut writer = Self { path: path.to_owned(), file, new: end == 0 };
        if end == 0 {
            let mut event = event_head();
            put_bytes(&mut event, 3, VERSION);
            writer.record(&event)?;
        }
        Ok(writer)
    }

    /// Appends the scalars of a step.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, event: &ScalarEvent) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in &event.scalars {
            let mut one = Vec::new();
            put_bytes(&mut one, 1, tag.as_bytes());
            put_float(&mut one, 2, *value);
            put_bytes(&mut summary, 1, &one);
        }
        let mut message = event_head();
        put_uint(&mut message, 2, event.step as u64);
        put_bytes(&mut message, 5, &summary);
        self.record(&message)
    }

    /// Appends the settings of a run, which TensorBoard shows under "HPARAMS": numbers, truth values and texts by name.
    ///
    /// The event that TensorBoard's own `hparams` plugin writes when a session starts (`plugins/hparams/summary_v2.py`,
    /// `plugin_data.proto`): a summary without a value whose metadata hold a `SessionStartInfo`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn hyper_parameters(&mut self, settings: &[(String, serde_json::Value)]) -> Result<()> {
        let mut session = Vec::new();
        for (name, value) in settings {
            let mut held = Vec::new();
            match value {
                serde_json::Value::Number(n) => put_double(&mut held, 2, n.as_f64().unwrap_or(f64::NAN)),
                serde_json::Value::Bool(yes) => put_uint(&mut held, 4, u64::from(*yes)),
                serde_json::Value::String(text) => put_bytes(&mut held, 3, text.as_bytes()),
                other => put_bytes(&mut held, 3, other.to_string().as_bytes()),
            }
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, name.as_bytes());
            put_bytes(&mut entry, 2, &held);
            put_bytes(&mut session, 1, &entry);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        put_double(&mut session, 5, now.as_secs_f64());
        let message = |number, bytes: &[u8]| {
            let mut out = Vec::new();
            put_bytes(&mut out, number, bytes);
            out
        };
        let data = message(3, &session);
        let mut plugin = message(1, b"hparams");
        put_bytes(&mut plugin, 2, &data);
        let mut value = message(1, b"_hparams_/session_start_info");
        put_bytes(&mut value, 9, &message(1, &plugin));
        let mut event = event_head();
        put_bytes(&mut event, 5, &message(1, &value));
        self.record(&event)
    }

    /// Whether nothing was written yet.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Flushes everything to the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "write to the disk"))
    }

    /// In one piece, so that a reader sees whole records.
    fn record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut frame = Vec::with_capacity(data.len() + 16);
        frame.extend_from_slice(&length);
        frame.extend_from_slice(&mask(crc32c::crc32c(&length)).to_le_bytes());
        frame.extend_from_slice(data);
        frame.extend_from_slice(&mask(crc32c::crc32c(data)).to_le_bytes());
        self.file.write_all(&frame).map_err(Error::io(&self.path, "write"))
    }
}

/// The scalars of every event of a file, in order, the header left out; a record cut short ends them.
///
/// # Errors
/// [`Error::Io`], and [`Error::Malformed`] where a record's message is damaged.
pub fn read(path: &Path) -> Result<Vec<ScalarEvent>> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let records = Records { bytes: &bytes, at: 0 };
    records.skip(1).map(|record| parse(record).map_err(|what| malformed(path, what))).collect()
}

fn malformed(path: &Path, what: String) -> Error {
    Error::Malformed { path: path.to_owned(), format: "TensorBoard event", what }
}

/// An `Event` with its time.
fn event_head() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut event = Vec::new();
    put_double(&mut event, 1, now.as_secs_f64());
    event
}

/// The data of whole, undamaged records from the beginning on.
struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let crc = |bytes: &[u8]| mask(crc32c::crc32c(bytes)).to_le_bytes();
        let rest = &self.bytes[self.at..];
        let (length, rest) = rest.split_at_checked(8)?;
        let (sum, rest) = rest.split_at_checked(4)?;
        if sum != crc(length) {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (data, rest) = rest.split_at_checked(length)?;
        if rest.get(..4)? != crc(data) {
            return None;
        }
        self.at += length + 16;
        Some(data)
    }
}

fn parse(record: &[u8]) -> std::result::Result<ScalarEvent, String> {
    let fields = |bytes| Fields::new(bytes).map(|field| field.map_err(|e| e.what.to_owned()));
    let mut event = ScalarEvent { step: 0, scalars: Vec::new() };
    for field in fields(record) {
        let field = field?;
        match (field.number, field.value) {
            (2, Value::Varint(step)) => event.step = step as i64,
            (5, Value::Bytes(summary)) => {
                for value in fields(summary) {
                    let Value::Bytes(value) = value?.value else { continue };
                    let (mut tag, mut scalar) = (String::new(), None);
                    for part in fields(value) {
                        let part = part?;
                        match (part.number, part.value) {
                            (1, Value::Bytes(bytes)) => tag = String::from_utf8_lossy(bytes).into_owned(),
                            (2, Value::Fixed32(bits)) => scalar = Some(f32::from_bits(bits)),
                            _ => {}
                        }
                    }
                    event.scalars.extend(scalar.map(|scalar| (tag, scalar)));
                }
            }
            _ => {}
        }
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(step: i64) -> ScalarEvent {
        ScalarEvent {
            step, scalars: vec![("loss".into(), step as f32 / 3.0), ("学习率".into(), f32::NAN)]
        }
    }

    fn steps(path: &Path) -> Vec<i64> {
        read(path).unwrap().iter().map(|event| event.step).collect()
    }

    #[test]
    fn a_file_goes_on_where_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.0.test");
        let mut writer = EventWriter::resume(&path, |_| true).unwrap();
        for step in 1..=5 {
            writer.write(&event(step)).unwrap();
        }
        drop(writer);
        let bytes = std::fs::read(&path).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4, 5]);
        assert_eq!(back[2].scalars[0], ("loss".into(), 1.0));
        assert!(back[2].scalars[1].0 == "学习率" && back[2].scalars[1].1.is_nan());
        // A record cut short at any place is not there.
        for cut in 1..40 {
            std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            assert_eq!(steps(&path), [1, 2, 3, 4], "{cut}");
        }
        EventWriter::resume(&path, |event| event.step <= 3).unwrap().write(&event(4)).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4]);
        // Cut within the header: begun anew.
        std::fs::write(&path, &bytes[..20]).unwrap();
        EventWriter::resume(&path, |_| true).unwrap().write(&event(1)).unwrap();
        assert_eq!(steps(&path), [1]);
    }

    #[test]
    fn the_frame_is_tensorflows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        drop(EventWriter::resume(&path, |_| true).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        // 9 bytes of wall_time, 2 + 13 of file_version; the mask of the length's CRC as TensorFlow 2.20 writes it.
        assert_eq!(bytes[..12], [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
        assert_eq!(&bytes[21..36], b"\x1a\x0dbrain.Event:2");
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, [7; 500]).unwrap();
        let error = EventWriter::resume(&path, |_| true).unwrap_err().to_string();
        assert!(error.contains("event"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap().len(), 500);
    }
}
