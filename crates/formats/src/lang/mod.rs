//! What people read in their language: reports, the demo, summaries and warnings, in English or Chinese.
//!
//! Every language is a table ([`Texts`]), so the compiler sees to it that none lacks a text; help and errors stay
//! English. Texts have places such as `{n}`, which [`fill`] fills, and name flags by their fields between backticks.

#[macro_use]
mod texts;
mod pages;
mod recipes;
mod terminal;

use std::fmt::Display;

pub use pages::Pages;
pub use recipes::Recipes;
pub use terminal::Terminal;

/// The texts of a language, by where they are read.
pub struct Texts {
    /// In reports.
    pub pages: Pages,
    /// On a terminal.
    pub terminal: Terminal,
    /// In what is said of a recipe.
    pub recipes: Recipes,
}

static EN: Texts = Texts { pages: pages::EN, terminal: terminal::EN, recipes: recipes::EN };
static ZH: Texts = Texts { pages: pages::ZH, terminal: terminal::ZH, recipes: recipes::ZH };

impl Texts {
    /// All of them by name.
    pub fn all(&self) -> Vec<(&'static str, &'static str)> {
        [self.pages.all(), self.terminal.all(), self.recipes.all()].concat()
    }
}

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese, simplified characters.
    Zh,
}

impl Lang {
    /// All of them.
    pub const ALL: [Lang; 2] = [Lang::En, Lang::Zh];

    /// The tag that HTML knows it by.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-CN",
        }
    }

    /// Its texts.
    pub fn texts(self) -> &'static Texts {
        match self {
            Lang::En => &EN,
            Lang::Zh => &ZH,
        }
    }

    /// The language of a locale's name: `zh`, `zh_CN.UTF-8`, `en-GB`; `None` for languages without a table.
    pub fn of_locale(name: &str) -> Option<Self> {
        let language = name.split(['_', '-', '.', '@']).next().unwrap_or_default().to_ascii_lowercase();
        match language.as_str() {
            "zh" | "cmn" => Some(Lang::Zh),
            "en" | "c" | "posix" => Some(Lang::En),
            _ => None,
        }
    }

    /// The language of the environment: `T5KIT_LANG`, else the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set;
    /// English where that has no table.
    ///
    /// # Errors
    /// The value of `T5KIT_LANG` where it names no language with a table.
    pub fn of_environment() -> Result<Self, String> {
        Self::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some(asked) = variable("T5KIT_LANG") {
            return Self::of_locale(&asked).ok_or(asked);
        }
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(variable);
        Ok(locale.and_then(|name| Self::of_locale(&name)).unwrap_or_default())
    }
}

/// Puts values into the places of a text: `fill("{n} of {all}", &[("n", &1), ("all", &2)])`.
pub fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let end = behind.find('}').map_or(behind.len(), |end| end + 1);
        let place = &behind[..end];
        match values.iter().find(|(name, _)| place.get(1..place.len() - 1) == Some(name)) {
            Some((_, value)) => out.push_str(&value.to_string()),
            None => out.push_str(place),
        }
        rest = &behind[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<&str> {
        let mut places: Vec<&str> =
            text.split('{').skip(1).map(|part| part.split('}').next().unwrap_or_default()).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn no_language_lacks_a_text_or_a_place() {
        let (en, zh) = (Lang::En.texts().all(), Lang::Zh.texts().all());
        for ((name, english), (_, chinese)) in en.into_iter().zip(zh) {
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{name}");
            assert_eq!(places(english), places(chinese), "{name}");
            // A flag is named as the field that it sets, between backticks.
            assert!(!english.contains("--") && !chinese.contains("--"), "{name} names a flag");
            assert!(
                english.is_ascii() || !english.chars().any(is_chinese),
                "{name} is not English: {english}"
            );
            // Punctuation alone may be full-width.
            let says = chinese.chars().any(|c| is_chinese(c) || ('\u{ff00}'..='\u{ffef}').contains(&c));
            assert!(says, "{name} is not Chinese: {chinese}");
        }
    }

    fn is_chinese(c: char) -> bool {
        ('\u{4e00}'..='\u{9fff}').contains(&c)
    }

    #[test]
    fn the_environment_chooses() {
        let of = |set: &[(&str, &str)]| {
            Lang::of(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[]), Ok(Lang::En));
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), Ok(Lang::Zh));
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Ok(Lang::En));
        assert_eq!(of(&[("LANG", "fr_FR")]), Ok(Lang::En));
        assert_eq!(of(&[("LANG", "en_GB"), ("T5KIT_LANG", "zh")]), Ok(Lang::Zh));
        assert_eq!(of(&[("T5KIT_LANG", "fr")]), Err("fr".to_owned()));
    }

    #[test]
    fn places_are_filled_once() {
        assert_eq!(fill("{a} of {b}, {c} {", &[("a", &"{b}"), ("b", &2)]), "{b} of 2, {c} {");
    }
}
