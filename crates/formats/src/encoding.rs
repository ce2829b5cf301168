//! Text in whichever encoding to UTF-8, a block at a time.
//!
//! [`Encoding::Auto`] goes by the byte order mark; without one a file is UTF-8 if it reads so, else GB18030 (which
//! holds GBK and GB2312) if it decodes without an error; UTF-16 without a mark and Big5 are known by what they look
//! like. It is judged by up to a mebibyte from the first byte that is not ASCII on. A mark is no text.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use encoding_rs::{BIG5, DecoderResult, GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// Stands in decoded text for bytes that the file's encoding does not have: no UTF-8 has it, so the row that it is in
/// is a bad one.
pub(crate) const MALFORMED: u8 = 0xfe;

/// How much text an encoding is judged by.
const WINDOW: usize = 1 << 20;
/// Bytes that are read and decoded at a time.
const BLOCK: usize = 64 << 10;

/// In which encoding a text file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Told from the file itself.
    #[default]
    Auto,
    /// This one, unless a byte order mark says another.
    Named(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// `auto`, or an encoding by any name that the WHATWG's standard or Python has for it: `utf-8`, `gb18030`, `gbk`,
    /// `utf-16`, `utf-16be`, `big5`, `cp936`, `shift_jis`, …
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        Some(Self::Named(match name.as_str() {
            "auto" => return Some(Self::Auto),
            "utf-8-sig" | "utf_8" | "utf_8_sig" => UTF_8,
            "utf16" | "utf_16" | "utf16le" | "utf_16_le" | "utf-16-le" => UTF_16LE,
            "utf16be" | "utf_16_be" | "utf-16-be" => UTF_16BE,
            "cp936" | "936" | "gb-18030" | "gb_18030" => GB18030,
            "cp950" | "950" => BIG5,
            // Python joins by underscores what the standard joins by hyphens.
            other => {
                let of = |label: &str| encoding_rs::Encoding::for_label_no_replacement(label.as_bytes());
                of(other).or_else(|| of(&other.replace('_', "-")))?
            }
        }))
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Named(encoding) => name_of(encoding),
        })
    }
}

/// The name that people know an encoding by.
pub(crate) fn name_of(encoding: &'static encoding_rs::Encoding) -> &'static str {
    if encoding == GB18030 { "GB18030" } else { encoding.name() }
}

/// A small text file as a whole, in UTF-8 and without its mark; `None` where it holds bytes that its encoding does not
/// have.
pub fn decode(bytes: &[u8], encoding: Encoding) -> Option<Cow<'_, str>> {
    let (found, mark) = of_head(bytes, encoding).unwrap_or_else(|| (judge(bytes, true), 0));
    found.decode_without_bom_handling_and_without_replacement(&bytes[mark..])
}

/// The encoding of a text that begins with `head`, by its mark or the caller's word, and the length of the mark.
fn of_head(head: &[u8], asked: Encoding) -> Option<(&'static encoding_rs::Encoding, usize)> {
    match (encoding_rs::Encoding::for_bom(head), asked) {
        (Some(found), _) => Some(found),
        (None, _) if head.starts_with(GB18030_MARK) => Some((GB18030, GB18030_MARK.len())),
        (None, Encoding::Named(encoding)) => Some((encoding, 0)),
        (None, Encoding::Auto) => None,
    }
}

const GB18030_MARK: &[u8] = b"\x84\x31\x95\x33";

/// Whether more bytes are needed to tell the mark, or the kind of packing, that a file begins with.
pub(crate) fn head_is_short(head: &[u8]) -> bool {
    const MARKS: [&[u8]; 6] =
        [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", GB18030_MARK, b"\x1f\x8b", b"\x28\xb5\x2f\xfd"];
    MARKS.iter().any(|mark| head.len() < mark.len() && mark.starts_with(head))
}

/// The encoding of text without a mark; `whole`: nothing follows.
fn judge(text: &[u8], whole: bool) -> &'static encoding_rs::Encoding {
    if text.contains(&0)
        && let Some(wide) = [UTF_16LE, UTF_16BE].into_iter().find(|e| looks_wide(text, e, whole))
    {
        return wide;
    }
    match std::str::from_utf8(text) {
        Ok(_) => return UTF_8,
        Err(error) if error.error_len().is_none() && !whole => return UTF_8,
        Err(_) => {}
    }
    // Damaged UTF-8 is no other encoding, though it may decode as one.
    let (mut characters, mut broken) = (0, 0);
    for chunk in text.utf8_chunks() {
        characters += chunk.valid().chars().filter(|c| c.len_utf8() > 2).count();
        broken += chunk.invalid().len();
    }
    if characters > broken || !decodes(text, GB18030, whole) {
        return UTF_8;
    }
    // Two-byte characters with a second byte below 0xA1 are rare in GB18030's texts and two fifths of Big5's.
    let (low, all) = two_bytes(text);
    if low * 5 > all && decodes(text, BIG5, whole) { BIG5 } else { GB18030 }
}

/// Of the characters of two bytes, how many have a second one below 0xA1.
fn two_bytes(text: &[u8]) -> (usize, usize) {
    let (mut low, mut all, mut bytes) = (0, 0, text.iter());
    while let Some(&byte) = bytes.next() {
        if byte > 0x80
            && let Some(&second) = bytes.next()
        {
            all += 1;
            low += usize::from(second < 0xa1);
        }
    }
    (low, all)
}

/// Whether all of a text is in an encoding; the end of a text that goes on may be cut.
fn decodes(text: &[u8], encoding: &'static encoding_rs::Encoding, whole: bool) -> bool {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut out = vec![0; BLOCK];
    let mut at = 0;
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(&text[at..], &mut out, whole);
        at += read;
        match result {
            DecoderResult::InputEmpty => return true,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return false,
        }
    }
}

/// Whether a text with zero bytes is UTF-16: nearly all of it is then ASCII, CJK or their punctuation.
fn looks_wide(text: &[u8], encoding: &'static encoding_rs::Encoding, whole: bool) -> bool {
    let text = &text[..text.len().min(BLOCK) & !1];
    if !decodes(text, encoding, whole) {
        return false;
    }
    let (decoded, _) = encoding.decode_without_bom_handling(text);
    let usual = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{24f}' | '\u{2000}'..='\u{206f}'
            | '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
    };
    let all = decoded.chars().count();
    all > 1 && decoded.chars().filter(|&c| usual(c)).count() * 20 >= all * 19
}

/// Reads text of any encoding as UTF-8.
///
/// Bytes of another encoding than UTF-8 that it does not have become [`MALFORMED`]; UTF-8 is passed on as it is, to
/// be checked by whoever knows the line. What is there is given out as soon as its encoding is known.
pub(crate) struct Decoder<R> {
    inner: R,
    state: State,
    /// Read, but not judged yet.
    raw: Vec<u8>,
    /// UTF-8 to be given out, from `at` on.
    ready: Vec<u8>,
    at: usize,
    ended: bool,
    /// Whether there may be waited for more than a line before the encoding is told.
    patient: bool,
    found: Arc<OnceLock<&'static str>>,
}

enum State {
    Undecided,
    Utf8,
    Other(Box<encoding_rs::Decoder>, &'static encoding_rs::Encoding),
}

impl<R: Read> Decoder<R> {
    /// Reads `inner`, of which `head` has been read already; a `patient` one waits for a whole window before it
    /// judges (a file), any other only for the end of a line (somebody who types).
    pub fn new(mut head: Vec<u8>, inner: R, asked: Encoding, patient: bool) -> Self {
        let mut state = State::Undecided;
        let found = Arc::new(OnceLock::new());
        if let Some((encoding, mark)) = of_head(&head, asked) {
            head.drain(..mark);
            state = Self::decided(encoding, &found);
        }
        let (raw, ready) = match state {
            State::Utf8 => (Vec::new(), head),
            _ => (head, Vec::new()),
        };
        Self { inner, state, raw, ready, at: 0, ended: false, patient, found }
    }

    fn decided(encoding: &'static encoding_rs::Encoding, found: &Arc<OnceLock<&'static str>>) -> State {
        let _ = found.set(name_of(encoding));
        match encoding == UTF_8 {
            true => State::Utf8,
            false => State::Other(Box::new(encoding.new_decoder_without_bom_handling()), encoding),
        }
    }

    /// The encoding's name, once it is known.
    pub fn found(&self) -> Arc<OnceLock<&'static str>> {
        self.found.clone()
    }

    /// Reads another block behind what waits to be judged; false at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        let before = self.raw.len();
        self.raw.resize(before + BLOCK, 0);
        let read = loop {
            match self.inner.read(&mut self.raw[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.raw.truncate(before + *read.as_ref().unwrap_or(&0));
        let read = read?;
        self.ended |= read == 0;
        Ok(read > 0)
    }

    /// Judges what was read, or gives it out where it says nothing.
    fn look(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            self.read_more()?;
        }
        let telling = |raw: &[u8]| raw.iter().position(|&byte| byte == 0 || byte > 0x7f);
        let Some(first) = telling(&self.raw) else {
            if self.ended {
                let _ = self.found.set(UTF_8.name());
            }
            self.ready = std::mem::take(&mut self.raw);
            return Ok(());
        };
        let enough = |raw: &[u8], patient: bool| match patient {
            true => raw.len() - first >= WINDOW,
            false => raw[first..].contains(&b'\n') || raw.len() - first >= BLOCK,
        };
        while !self.ended && !enough(&self.raw, self.patient) {
            self.read_more()?;
        }
        let encoding = judge(&self.raw, self.ended);
        self.state = Self::decided(encoding, &self.found);
        if encoding == UTF_8 {
            self.ready = std::mem::take(&mut self.raw);
        }
        Ok(())
    }

    /// Decodes what was read, or another block.
    fn decode(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            self.read_more()?;
        }
        let State::Other(decoder, encoding) = &mut self.state else { return Ok(()) };
        let mut from = 0;
        loop {
            let rest = &self.raw[from..];
            let room = decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(BLOCK);
            let start = self.ready.len();
            self.ready.resize(start + room.max(16), 0);
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(rest, &mut self.ready[start..], self.ended);
            self.ready.truncate(start + written);
            from += read;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                // Half of a pair of surrogates is a character that was lost, not a line that was.
                DecoderResult::Malformed(..) if *encoding == UTF_16LE || *encoding == UTF_16BE => {
                    self.ready.extend_from_slice("\u{fffd}".as_bytes());
                }
                DecoderResult::Malformed(..) => self.ready.push(MALFORMED),
            }
        }
        self.raw.clear();
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.at < self.ready.len() {
                let n = buf.len().min(self.ready.len() - self.at);
                buf[..n].copy_from_slice(&self.ready[self.at..self.at + n]);
                self.at += n;
                return Ok(n);
            }
            self.ready.clear();
            self.at = 0;
            if buf.is_empty() || (self.ended && self.raw.is_empty()) {
                return Ok(0);
            }
            match self.state {
                State::Undecided => self.look()?,
                State::Utf8 => return self.inner.read(buf),
                State::Other(..) => self.decode()?,
            }
        }
    }
}

/// The encoding of a file by its beginning, and the length of its mark. `None`: UTF-8 as far as looked, and not told by
/// a mark. At most `most` bytes are looked at.
pub(crate) fn of_file(
    head: &[u8],
    rest: &mut dyn Read,
    asked: Encoding,
    most: usize,
) -> io::Result<(&'static encoding_rs::Encoding, usize)> {
    if let Some(found) = of_head(head, asked) {
        return Ok(found);
    }
    let mut text = head.to_vec();
    let mut seen = text.len();
    loop {
        let telling = text.iter().position(|&byte| byte == 0 || byte > 0x7f);
        let start = telling.map_or(text.len(), |at| {
            // A character of UTF-16 may have begun one byte before.
            at.saturating_sub(1) & !1
        });
        // ASCII is the same in all of them; whole pairs of bytes go.
        text.drain(..start & !1);
        if telling.is_some() && text.len() >= WINDOW {
            return Ok((judge(&text, false), 0));
        }
        if telling.is_none() && seen >= most {
            return Ok((UTF_8, 0));
        }
        let before = text.len();
        rest.take(WINDOW as u64).read_to_end(&mut text)?;
        seen += text.len() - before;
        if text.len() == before {
            return Ok((judge(&text, true), 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn read(bytes: &[u8], asked: Encoding, patient: bool) -> (Vec<u8>, &'static str) {
        let mut head = Vec::new();
        let mut rest = Drip(bytes, 3);
        while head_is_short(&head) || head.len() < 4 {
            let mut byte = [0];
            if rest.read(&mut byte).unwrap() == 0 {
                break;
            }
            head.push(byte[0]);
        }
        let mut decoder = Decoder::new(head, rest, asked, patient);
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).unwrap();
        (out, decoder.found().get().copied().unwrap_or("none"))
    }

    fn wide(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    const TEXT: &str = "source,target\n今天天气真好，我们出去走走。,天气\n水运工程项目管理,航运\n";

    #[test]
    fn told_from_the_file() {
        let (gbk, ..) = GB18030.encode(TEXT);
        let traditional = "標題,內容\n今天天氣真好，我們出去走走。,天氣預報\n電腦與網路,資訊學門\n";
        let (big5, ..) = BIG5.encode(traditional);
        let mark = |bytes: &[u8], mark: &[u8]| [mark, bytes].concat();
        for (what, bytes, text, name) in [
            ("utf-8", TEXT.as_bytes().to_vec(), TEXT, "UTF-8"),
            ("marked utf-8", mark(TEXT.as_bytes(), b"\xef\xbb\xbf"), TEXT, "UTF-8"),
            ("gbk", gbk.to_vec(), TEXT, "GB18030"),
            ("marked gb18030", mark(&gbk, GB18030_MARK), TEXT, "GB18030"),
            ("utf-16le", mark(&wide(TEXT, false), b"\xff\xfe"), TEXT, "UTF-16LE"),
            ("utf-16be", mark(&wide(TEXT, true), b"\xfe\xff"), TEXT, "UTF-16BE"),
            ("unmarked utf-16le", wide(TEXT, false), TEXT, "UTF-16LE"),
            ("unmarked utf-16be", wide(TEXT, true), TEXT, "UTF-16BE"),
            ("big5", big5.to_vec(), traditional, "Big5"),
            ("ascii", b"a,b\n".to_vec(), "a,b\n", "UTF-8"),
            ("nothing", Vec::new(), "", "UTF-8"),
        ] {
            for patient in [true, false] {
                let (out, found) = read(&bytes, Encoding::Auto, patient);
                assert_eq!((String::from_utf8(out).as_deref(), found), (Ok(text), name), "{what} {patient}");
            }
            assert_eq!(decode(&bytes, Encoding::Auto).as_deref(), Some(text), "{what}");
            let head = &bytes[..bytes.len().min(4)];
            let (found, mark) = of_file(head, &mut &bytes[head.len()..], Encoding::Auto, 1 << 20).unwrap();
            assert_eq!(name_of(found), name, "{what}");
            assert_eq!(found.decode_without_bom_handling(&bytes[mark..]).0, text, "{what}");
        }
    }

    #[test]
    fn told_late() {
        let ascii = "id\tx\n".repeat(300_001);
        let text = format!("{ascii}{TEXT}");
        let (gbk, ..) = GB18030.encode(&text);
        let (out, found) = read(&gbk, Encoding::Auto, false);
        assert!(out == text.as_bytes() && found == "GB18030");
        let (found, _) = of_file(&gbk[..4], &mut &gbk[4..], Encoding::Auto, 4 << 20).unwrap();
        assert_eq!(found, GB18030);
    }

    #[test]
    fn damaged_utf8_stays_utf8() {
        for bytes in [
            [&TEXT.as_bytes()[..TEXT.len() - 3], b"\n"].concat(),
            [TEXT.as_bytes(), b"\xe6\n"].concat(),
            b"a\tb\n\xff\tc\n".to_vec(),
            b"caf\xe9 au lait\n".to_vec(),
        ] {
            let (out, found) = read(&bytes, Encoding::Auto, true);
            assert_eq!(decode(&bytes, Encoding::Auto), None);
            assert_eq!((out, found), (bytes, "UTF-8"));
        }
    }

    #[test]
    fn what_an_encoding_does_not_have_spoils_its_line_alone() {
        let (mut gbk, ..) = GB18030.encode("甲乙\n丙\n");
        gbk.to_mut().splice(1..1, [0xff]);
        let (out, _) = read(&gbk, Encoding::by_name("gbk").unwrap(), true);
        let lines: Vec<&[u8]> = out.split(|&b| b == b'\n').collect();
        assert!(lines[0].contains(&MALFORMED));
        assert_eq!(lines[1], "丙".as_bytes());
        // Half a pair in UTF-16 is one lost character.
        let (out, _) = read(b"\xff\xfea\0\x3d\xd8b\0", Encoding::Auto, true);
        assert_eq!(out, "a\u{fffd}b".as_bytes());
    }

    #[test]
    fn names() {
        for (name, found) in [
            ("auto", "auto"),
            ("UTF-8", "UTF-8"),
            ("utf-8-sig", "UTF-8"),
            ("gb2312", "GBK"),
            ("GB18030", "GB18030"),
            ("cp936", "GB18030"),
            ("utf-16", "UTF-16LE"),
            ("utf_16_be", "UTF-16BE"),
            ("big5", "Big5"),
            ("euc_kr", "EUC-KR"),
            ("latin1", "windows-1252"),
        ] {
            assert_eq!(Encoding::by_name(name).unwrap().to_string(), found, "{name}");
        }
        assert_eq!(Encoding::by_name("klingon"), None);
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(bytes: Vec<u8>, patient: bool) {
            let (out, _) = read(&bytes, Encoding::Auto, patient);
            prop_assert!(out.len() <= 3 * bytes.len());
            read(&bytes, Encoding::Named(GB18030), patient);
            decode(&bytes, Encoding::Auto);
        }

        #[test]
        fn utf8_is_passed_on(text: String) {
            prop_assume!(!text.contains('\0') && !text.starts_with('\u{feff}'));
            let (out, found) = read(text.as_bytes(), Encoding::Auto, true);
            prop_assert_eq!((out, found), (text.into_bytes(), "UTF-8"));
        }
    }
}
