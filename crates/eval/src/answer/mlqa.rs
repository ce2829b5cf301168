//! MLQA's rules (`mlqa_evaluation_v1.py`): lower case, without the punctuation of all scripts and the language's
//! articles; in Chinese every character is a word.

use super::{joined, of_normalized, without_articles};
use crate::python::{is_punctuation, split};

/// The answers' language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
    /// Hindi.
    Hi,
    /// Vietnamese.
    Vi,
    /// German.
    De,
    /// Arabic.
    Ar,
    /// Chinese.
    Zh,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 7] =
        [Language::En, Language::Es, Language::Hi, Language::Vi, Language::De, Language::Ar, Language::Zh];

    /// Its code in MLQA.
    pub fn name(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Es => "es",
            Language::Hi => "hi",
            Language::Vi => "vi",
            Language::De => "de",
            Language::Ar => "ar",
            Language::Zh => "zh",
        }
    }

    fn articles(self) -> &'static [&'static str] {
        match self {
            Language::En => &["a", "an", "the"],
            Language::Es => &["un", "una", "unos", "unas", "el", "la", "los", "las"],
            Language::Vi => &["của", "là", "cái", "chiếc", "những"],
            Language::De => {
                &["ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"]
            }
            Language::Hi | Language::Ar | Language::Zh => &[],
        }
    }
}

/// Exact match and F1 of one answer.
pub fn scores(language: Language, prediction: &str, reference: &str) -> [f64; 2] {
    of_normalized(&normalized(language, prediction), &normalized(language, reference))
}

fn normalized(language: Language, text: &str) -> String {
    let is_mark = |c: &char| c.is_ascii_punctuation() || is_punctuation(*c);
    let text: String = text.to_lowercase().chars().filter(|c| !is_mark(c)).collect();
    match language {
        // The script's pattern takes the article off wherever it stands, within a word too.
        Language::Ar => joined(split(&text.replace("ال", " "))),
        Language::Zh => {
            let apart =
                |c: char| if matches!(c, '\u{4e00}'..='\u{9fa5}') { vec![' ', c, ' '] } else { vec![c] };
            joined(split(&text.chars().flat_map(apart).collect::<String>()))
        }
        _ => joined(split(&without_articles(&text, language.articles()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        assert_eq!(normalized(Language::De, "Die „Straße“ des Dieners"), "straße dieners");
        assert_eq!(normalized(Language::Ar, "الكتاب والقلم"), "كتاب و قلم");
        assert_eq!(normalized(Language::Zh, "《三国 Romance》2、㐀"), "三 国 romance2㐀");
        assert_eq!(normalized(Language::Vi, "những con mèo"), "con mèo");
        assert_eq!(normalized(Language::Es, "la casa de las flores"), "casa de flores");
        assert_eq!(scores(Language::Zh, "红楼", "红楼梦"), [0.0, 0.8]);
    }
}
