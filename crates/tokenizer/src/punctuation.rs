//! Chinese punctuation in decoded text.
//!
//! The normaliser of T5 and mT5 makes full-width ，！？：；（） half-width, so that decoded Chinese has
//! `,!?:;()`. [`restore_punctuation`] gives them back by a rule that looks at what stands around them;
//! `tools/punctuation_exact.py` measures it on texts whose marks are known.

use std::borrow::Cow;

/// What happens to the half-width punctuation of generated Chinese.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Punctuation {
    /// It is restored where the text is Chinese and nothing speaks against it: references or training targets that
    /// have half-width marks themselves, a tokenizer that keeps full-width ones.
    #[default]
    Auto,
    /// It stays.
    Keep,
    /// It is restored: [`restore_punctuation`].
    Restore,
}

impl Punctuation {
    const NAMES: [(&'static str, Punctuation); 3] =
        [("auto", Punctuation::Auto), ("keep", Punctuation::Keep), ("restore", Punctuation::Restore)];

    /// The one of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, punctuation)| *punctuation)
    }

    /// Its name: `auto`, `keep`, `restore`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, punctuation)| *punctuation == self).map_or("", |(name, _)| name)
    }
}

/// Counts the marks of texts that are beside Chinese characters, to tell how their authors write them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PunctuationCount {
    full: u64,
    half: u64,
}

impl PunctuationCount {
    /// Adds a text's marks.
    pub fn add(&mut self, text: &str) {
        let (mut before, mut chars) = (None, text.chars().peekable());
        while let Some(c) = chars.next() {
            if "，！？：；（）".contains(c) {
                self.full += 1;
            } else if full_width(c).is_some()
                && (before.is_some_and(is_han) || chars.peek().copied().is_some_and(is_han))
            {
                self.half += 1;
            }
            before = Some(c);
        }
    }

    /// Whether more of them are full-width.
    pub fn is_full_width(self) -> bool {
        self.full > self.half
    }

    /// Whether more of them are half-width.
    pub fn is_half_width(self) -> bool {
        self.half > self.full
    }
}

/// Makes `,!?:;()` full-width where they stand in Chinese text.
///
/// Chinese are Han characters, kana, bopomofo, full-width forms, CJK punctuation and quotation marks, which includes a
/// mark that has just been changed. In a text with a Han character
///
/// - `,` `!` `?` `:` `;` change after a Chinese character and before one: all of `好!!!` changes, none of `3,000`,
///   `10:30` or `http://` does; behind a space only where Chinese stands on both sides of the two;
/// - `!` `?` `;` change at the end, and `!` `?` between any two characters; `,` `;` do where a letter meets a digit
///   (`bug;2、`), but not between two digits or two letters;
/// - a bracket changes after and before a Chinese character, before its pair's Chinese content, and where its pair
///   ends in Chinese or stands before it (`Beginner's (BASIC),是`); `f(x)` is none of these. Both of a pair change, or
///   neither; a `)` without one is treated like a comma.
///
/// Stretches that look like code or addresses (`a.b?c=d`, `&ldquo;`) keep their marks unless Chinese stands beside
/// them; the end of `&ldquo;` always stays. In a text without a Han character marks change beside other Chinese
/// characters only. Everything else stays, `.` and spaces among it. Applying the rule twice changes nothing more.
pub fn restore_punctuation(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| full_width(b as char).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut chars: Vec<char> = text.chars().collect();
    if !chars.iter().any(|&c| is_chinese(c)) {
        return Cow::Borrowed(text);
    }
    // A mark that has changed is Chinese to those before it, and parts what looked like code: they are looked at again.
    loop {
        let around = Around::new(&chars);
        if !pass(&mut chars, &around) {
            break;
        }
    }
    Cow::Owned(chars.into_iter().collect())
}

/// Makes ，！？：；（） half-width, as the normaliser of T5 and mT5 does.
pub fn half_width_punctuation(text: &str) -> Cow<'_, str> {
    const FULL: [char; 7] = ['，', '！', '？', '：', '；', '（', '）'];
    if !text.contains(FULL) {
        return Cow::Borrowed(text);
    }
    let half = |c: char| FULL.iter().position(|&full| full == c).map_or(c, |at| char::from(b",!?:;()"[at]));
    Cow::Owned(text.chars().map(half).collect())
}

/// What a text is around its marks.
struct Around {
    /// There is a Han character.
    chinese: bool,
    /// The other bracket of each pair.
    pairs: Vec<Option<usize>>,
    /// Within a stretch of ASCII that looks like code or an address.
    code: Vec<bool>,
    /// The end of an HTML entity.
    entity: Vec<bool>,
}

impl Around {
    fn new(chars: &[char]) -> Self {
        let mut pairs = vec![None; chars.len()];
        let mut open = Vec::new();
        for (at, c) in chars.iter().enumerate() {
            match c {
                '(' | '（' => open.push(at),
                ')' | '）' => {
                    if let Some(partner) = open.pop() {
                        pairs[at] = Some(partner);
                        pairs[partner] = Some(at);
                    }
                }
                _ => {}
            }
        }
        let (mut code, mut entity) = (vec![false; chars.len()], vec![false; chars.len()]);
        let mut start = 0;
        for stretch in chars.chunk_by(|a, b| a.is_ascii_graphic() == b.is_ascii_graphic()) {
            let end = start + stretch.len();
            let is_code = |c: &char| "/=&@_<>{}\\|#".contains(*c);
            if stretch[0].is_ascii_graphic() && stretch.iter().any(is_code) {
                code[start..end].fill(true);
                let mut name = None;
                for at in start..end {
                    match chars[at] {
                        '&' => name = Some(at),
                        ';' => entity[at] = name.take().is_some_and(|from| at > from + 1),
                        c if c.is_ascii_alphanumeric() || c == '#' => {}
                        _ => name = None,
                    }
                }
            }
            start = end;
        }
        Around { chinese: chars.iter().any(|&c| is_han(c)), pairs, code, entity }
    }
}

/// Changes marks from left to right; whether there was one.
fn pass(chars: &mut [char], around: &Around) -> bool {
    let mut changed = false;
    for at in 0..chars.len() {
        let Some(wide) = full_width(chars[at]) else { continue };
        let before = at.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(at + 1).copied();
        let change = match (chars[at], around.pairs[at]) {
            (';', _) if around.entity[at] => false,
            ('(', Some(end)) if around.chinese => {
                opens(chars, around, at, end) || chars[end] == '）' || opens_plainly(before, after)
            }
            ('(', _) => opens_plainly(before, after),
            (')', Some(start)) => chars[start] == '（',
            (mark, _) => {
                among(before, after) || around.chinese && !around.code[at] && in_chinese(chars, at, mark)
            }
        };
        if change {
            chars[at] = wide;
            changed = true;
        }
    }
    changed
}

/// Right after a Chinese character, or right before one and behind no space.
fn among(before: Option<char>, after: Option<char>) -> bool {
    before.is_some_and(is_chinese)
        || after.is_some_and(is_chinese) && !before.is_some_and(char::is_whitespace)
}

fn opens_plainly(before: Option<char>, after: Option<char>) -> bool {
    among(before, after) || after.is_some_and(is_chinese)
}

/// Whether the bracket at `start`, whose pair ends at `end`, belongs to the Chinese text around or within it.
fn opens(chars: &[char], around: &Around, start: usize, end: usize) -> bool {
    if is_chinese(chars[end - 1]) {
        return true;
    }
    let before = start.checked_sub(1).map(|i| chars[i]);
    let is_call = end - start <= 4 && before.is_some_and(|c| !c.is_whitespace());
    if is_call || around.code[start] {
        return false;
    }
    let chinese = |at: usize| chars.get(at).copied().is_none_or(is_chinese);
    match chars.get(end + 1) {
        Some(&c) if full_width(c).is_some() => chinese(end + 2),
        Some(&c) => is_chinese(c),
        None => false,
    }
}

/// Whether a mark that has no Chinese character beside it belongs to the Chinese text that it stands in.
fn in_chinese(chars: &[char], at: usize, mark: char) -> bool {
    let Some(&before) = at.checked_sub(1).and_then(|i| chars.get(i)) else { return false };
    let Some(&after) = chars.get(at + 1) else {
        return matches!(mark, '!' | '?' | ';') && !before.is_whitespace();
    };
    if after.is_whitespace() {
        return false;
    }
    if before.is_whitespace() {
        return is_chinese(after) && at.checked_sub(2).is_none_or(|i| is_chinese(chars[i]));
    }
    match mark {
        '!' | '?' => true,
        ',' | ';' => {
            let both = |test: fn(char) -> bool| test(before) && test(after);
            !both(|c| c.is_numeric()) && !both(char::is_alphabetic)
        }
        _ => false,
    }
}

/// The full-width form of a mark that the normaliser made half-width.
fn full_width(c: char) -> Option<char> {
    Some(match c {
        ',' => '，',
        '!' => '！',
        '?' => '？',
        ':' => '：',
        ';' => '；',
        '(' => '（',
        ')' => '）',
        _ => return None,
    })
}

/// Han, kana, bopomofo, CJK punctuation and full-width forms, and the quotation marks of Chinese text.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x2018..=0x201d | 0x2e80..=0x30ff | 0x3105..=0x312f | 0x31f0..=0x9fff | 0xf900..=0xfaff
        | 0xff00..=0xffef | 0x2_0000..=0x3_ffff)
}

/// Whether a text is Chinese, so that its punctuation is: it has Han characters, no kana and no hangul, and at least
/// a third as many Han characters as letters.
pub fn is_chinese_text(text: &str) -> bool {
    let (mut han, mut letters) = (0, 0);
    for c in text.chars() {
        match u32::from(c) {
            0x3040..=0x30ff | 0x1100..=0x11ff | 0xac00..=0xd7af => return false,
            _ if is_han(c) => han += 1,
            _ => letters += usize::from(c.is_alphabetic()),
        }
    }
    han > 0 && 3 * han >= letters
}

fn is_han(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_what_stands_around() {
        for (half, full) in [
            ("", ""),
            ("没有标点", "没有标点"),
            ("今天天气不错,出去走走!!!好吗?", "今天天气不错，出去走走！！！好吗？"),
            ("价格是3,000元,时间10:30;见http://a.b?c", "价格是3,000元，时间10:30；见http://a.b?c"),
            ("用GPT,很好", "用GPT，很好"),
            ("Hello, world! (really)", "Hello, world! (really)"),
            ("他说 hello, world! 好", "他说 hello, world! 好"),
            ("北京大学(PKU)的f(x)和g(中)", "北京大学（PKU）的f(x)和g（中）"),
            ("(1)研究(二)结论", "（1）研究（二）结论"),
            ("(一)总则", "（一）总则"),
            ("末尾)", "末尾）"),
            ("说:“好”,走", "说：“好”，走"),
            ("甲 ,乙", "甲 ，乙"),
            ("修复bug;2、优化", "修复bug；2、优化"),
            ("为什么念guai?", "为什么念guai？"),
            ("用&ldquo;好&rdquo;,的", "用&ldquo;好&rdquo;，的"),
            ("BCPL(Basic Combined Language),是一种", "BCPL（Basic Combined Language），是一种"),
            ("x=f(a,b);其中", "x=f(a,b)；其中"),
            ("北京(PKU", "北京（PKU"),
        ] {
            assert_eq!(restore_punctuation(half), full);
            assert_eq!(restore_punctuation(full), full, "twice is once");
            assert_eq!(half_width_punctuation(full), half);
        }
    }

    #[test]
    fn chinese_texts() {
        for text in ["水运工程管理", "基于BERT的文本分类方法", "GPT很好"] {
            assert!(is_chinese_text(text), "{text}");
        }
        for text in ["", "hello, world", "東京へ行く", "the word 中 means middle", "한국어 漢字"] {
            assert!(!is_chinese_text(text), "{text}");
        }
    }

    #[test]
    fn a_mark_that_has_changed_parts_what_looked_like_code() {
        let once = restore_punctuation("甲（ ?)&");
        assert_eq!(once, "甲（ ？）&");
        assert_eq!(restore_punctuation(&once), once);
    }

    proptest! {
        #[test]
        fn twice_is_once_and_nothing_but_marks_changes(text in "[,!?:;()，（）甲乙aB1 &/.“”]{0,24}") {
            let once = restore_punctuation(&text);
            prop_assert_eq!(&restore_punctuation(&once), &once);
            for (a, b) in text.chars().zip(once.chars()) {
                prop_assert!(a == b || full_width(a) == Some(b));
            }
            prop_assert_eq!(text.chars().count(), once.chars().count());
        }
    }
}
