//! How texts are given to a model: the program's defaults first, then what training fixed (`t5kit.json`), then wishes.

use std::path::PathBuf;

use t5kit_formats::trained::{Trained, TrainedFile, with_prompt};
use t5kit_tokenizer::Punctuation;

/// How texts are given, as far as somebody cares. `None` is as the model was trained, else the program's own.
#[derive(Clone, Debug, Default)]
pub struct FormWishes {
    /// Text before every source as it stands, instead of whatever was before those that were trained on.
    pub source_prefix: Option<String>,
    /// Tokens that sources are cut to, the end included.
    pub max_source_length: Option<usize>,
    /// The same for targets.
    pub max_target_length: Option<usize>,
    /// What happens to the punctuation of generated Chinese.
    pub punctuation: Option<Punctuation>,
}

/// How texts are given, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Text before every source as it stands (and before its prompt).
    pub source_prefix: String,
    /// The column of prompts that was trained with; empty where it had no name.
    pub prompt: Option<String>,
    /// What the model is asked to do where no row says it; empty where a prefix was wished instead.
    pub prompt_text: Option<String>,
    /// Tokens that sources are cut to, the end included.
    pub max_source_length: usize,
    /// The same for targets.
    pub max_target_length: usize,
    /// What happens to the punctuation of generated Chinese.
    pub punctuation: Punctuation,
    /// The file that training left, if there is one.
    pub file: Option<PathBuf>,
    /// Names and values that were taken from it and are not the program's own; the prompt and its column are not among
    /// them.
    pub taken: Vec<(&'static str, String)>,
}

impl Default for Form {
    /// Texts as they stand, up to 512 tokens of each.
    fn default() -> Self {
        Form {
            source_prefix: String::new(),
            prompt: None,
            prompt_text: None,
            max_source_length: 512,
            max_target_length: 512,
            punctuation: Punctuation::Auto,
            file: None,
            taken: Vec::new(),
        }
    }
}

impl FormWishes {
    /// The program's defaults become what training fixed, then what is wished.
    pub fn settle(&self, trained: Option<&TrainedFile>) -> Form {
        let mut form = Form::default();
        let nothing = Trained::default();
        let values = trained.map_or(&nothing, |file| &file.values);
        form.file = trained.map(|file| file.path.clone());
        form.prompt.clone_from(&values.prompt);
        let mut taken = Vec::new();
        match (&self.source_prefix, &values.source_prefix) {
            (Some(wished), _) => {
                form.source_prefix.clone_from(wished);
                // What was to be before sources is settled.
                form.prompt_text = Some(String::new());
            }
            (None, said) => {
                form.prompt_text.clone_from(&values.prompt_text);
                if let Some(said) = said.as_ref().filter(|said| !said.is_empty()) {
                    taken.push(("source_prefix", format!("{said:?}")));
                    form.source_prefix.clone_from(said);
                }
            }
        }
        for (name, to, wished, said) in [
            (
                "max_source_length",
                &mut form.max_source_length,
                self.max_source_length,
                values.max_source_length,
            ),
            (
                "max_target_length",
                &mut form.max_target_length,
                self.max_target_length,
                values.max_target_length,
            ),
        ] {
            if let (None, Some(said)) = (wished, said)
                && said != *to
            {
                taken.push((name, said.to_string()));
            }
            *to = wished.or(said).unwrap_or(*to);
        }
        let said = values.punctuation.as_deref().and_then(Punctuation::by_name);
        if let (None, Some(said)) = (self.punctuation, said)
            && said != form.punctuation
        {
            taken.push(("punctuation", said.name().to_owned()));
        }
        form.punctuation = self.punctuation.or(said).unwrap_or_default();
        Form { taken, ..form }
    }
}

impl Form {
    /// A source as the model reads it; `prompt` is what its own row asks for.
    pub fn source(&self, prompt: Option<&str>, text: &str) -> String {
        match prompt.or(self.prompt_text.as_deref()) {
            Some(prompt) => format!("{}{}", self.source_prefix, with_prompt(prompt, text)),
            None => format!("{}{text}", self.source_prefix),
        }
    }

    /// Whether training had a prompt before each source that nobody gives: no row and no file.
    pub fn lacks_prompt(&self, rows_have: bool) -> bool {
        self.prompt.is_some() && self.prompt_text.is_none() && !rows_have
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> TrainedFile {
        let values = Trained {
            source_prefix: Some("中文 ".into()),
            prompt: Some("任务".into()),
            prompt_text: Some("标题".into()),
            max_source_length: Some(64),
            max_target_length: None,
            punctuation: Some("restore".into()),
        };
        TrainedFile { path: "run/t5kit.json".into(), values }
    }

    #[test]
    fn the_file_comes_before_defaults_and_wishes_before_the_file() {
        let form = FormWishes::default().settle(Some(&trained()));
        assert_eq!((form.max_source_length, form.max_target_length), (64, 512));
        assert_eq!(form.punctuation, Punctuation::Restore);
        assert_eq!(form.source(None, "文"), "中文 标题: 文");
        assert_eq!(form.source(Some("摘要"), "文"), "中文 摘要: 文");
        let taken = [("source_prefix", "\"中文 \""), ("max_source_length", "64"), ("punctuation", "restore")];
        assert_eq!(form.taken, taken.map(|(name, value)| (name, value.to_owned())));

        let wishes = FormWishes {
            source_prefix: Some(String::new()),
            max_source_length: Some(9),
            max_target_length: Some(8),
            punctuation: Some(Punctuation::Keep),
        };
        let form = wishes.settle(Some(&trained()));
        assert_eq!((form.max_source_length, form.max_target_length), (9, 8));
        assert_eq!((form.punctuation, form.taken.len()), (Punctuation::Keep, 0));
        assert_eq!(form.source(None, "文"), "文");
        assert_eq!(FormWishes::default().settle(None), Form::default());
    }

    #[test]
    fn a_prompt_that_nobody_gives_is_missed() {
        let mut file = trained();
        assert!(!FormWishes::default().settle(Some(&file)).lacks_prompt(false));
        file.values.prompt_text = None;
        let form = FormWishes::default().settle(Some(&file));
        assert!(form.lacks_prompt(false) && !form.lacks_prompt(true));
        assert!(!Form::default().lacks_prompt(false));
    }
}
