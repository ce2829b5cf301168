//! Chinese punctuation in decoded text.
//!
//! The normaliser of T5 and mT5 makes full-width ，！？：；（） half-width, so that decoded Chinese has
//! `,!?:;()`. [`restore_punctuation`] gives them back by a rule that looks at the neighbours only.

use std::borrow::Cow;

/// Makes `,!?:;()` full-width where they stand in Chinese text.
///
/// - `,` `!` `?` `:` `;` change when the character right before them is Chinese, or when the one right after
///   them is and the one before is no space. Chinese are Han characters, kana, bopomofo, full-width forms and
///   CJK punctuation, which includes a mark that has just been changed: all of `好!!!` changes, none of
///   `3,000`, `10:30` or `http://` does.
/// - `(` changes under the same condition or at the beginning, before a Chinese character; `)` follows its
///   partner, and a `)` without one is treated like a comma.
///
/// Everything else stays, `.` and spaces among it. Applying the rule twice changes nothing more.
pub fn restore_punctuation(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| full_width(b as char).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    // For each open bracket, whether it became full-width.
    let mut open = Vec::new();
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied();
        let among_chinese = before.is_some_and(is_chinese)
            || after.is_some_and(is_chinese) && !before.is_some_and(char::is_whitespace);
        let c = match (c, full_width(c)) {
            ('(', Some(wide)) => {
                let change = among_chinese || after.is_some_and(is_chinese);
                open.push(change);
                if change { wide } else { c }
            }
            (')', Some(wide)) => {
                if open.pop().unwrap_or(among_chinese) {
                    wide
                } else {
                    c
                }
            }
            (_, Some(wide)) if among_chinese => wide,
            ('（', _) => {
                open.push(true);
                c
            }
            ('）', _) => {
                open.pop();
                c
            }
            _ => c,
        };
        out.push(c);
        before = Some(c);
    }
    Cow::Owned(out)
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

#[cfg(test)]
mod tests {
    use super::restore_punctuation;

    #[test]
    fn by_the_neighbours() {
        for (half, full) in [
            ("", ""),
            ("没有标点", "没有标点"),
            ("今天天气不错,出去走走!!!好吗?", "今天天气不错，出去走走！！！好吗？"),
            ("价格是3,000元,时间10:30;见http://a.b?c", "价格是3,000元，时间10:30；见http://a.b?c"),
            ("用GPT,很好", "用GPT，很好"),
            ("Hello, world! (really)", "Hello, world! (really)"),
            ("北京大学(PKU)的f(x)和g(中)", "北京大学（PKU）的f(x)和g（中）"),
            ("(1)研究(二)结论", "(1)研究（二）结论"),
            ("(一)总则", "（一）总则"),
            ("末尾)", "末尾）"),
            ("说:“好”,走", "说：“好”，走"),
            ("甲 ,乙", "甲 ,乙"),
        ] {
            assert_eq!(restore_punctuation(half), full);
            assert_eq!(restore_punctuation(full), full, "twice is once");
        }
    }
}
