//! The flags about how texts are given to a model, where a model may bring what its training fixed.

use std::num::NonZeroUsize;
use t5kit_formats::lang::fill;
use t5kit_formats::table::Table;
use t5kit_pipeline::{Form, FormWishes, Pipeline};

use crate::lang::lang;
use crate::punctuation::PunctuationFlag;

/// How sources are given.
#[derive(clap::Args, Clone, Debug)]
pub struct FormArgs {
    /// Text put before every source as it stands [default: what the model was trained with, by its t5kit.json]
    #[arg(long, value_name = "TEXT")]
    pub source_prefix: Option<String>,
    /// Longest source in tokens, </s> included [default: what the model was trained with, else 512]
    #[arg(long, value_name = "N")]
    pub max_source_length: Option<NonZeroUsize>,
}

impl FormArgs {
    /// What the flags ask for.
    pub fn wishes(&self, punctuation: Option<PunctuationFlag>) -> FormWishes {
        FormWishes {
            source_prefix: self.source_prefix.clone(),
            max_source_length: self.max_source_length.map(NonZeroUsize::get),
            max_target_length: None,
            punctuation: punctuation.map(Into::into),
        }
    }
}

/// Settles how texts are given, and says on standard error what was taken from the model's training of the names in
/// `of`, those that the subcommand knows.
pub fn settle(model: &Pipeline, wishes: &FormWishes, of: &[&str]) -> Form {
    let form = model.form(wishes);
    say_form(&form, of);
    form
}

/// Says on standard error what was taken from the model's training, likewise.
pub fn say_form(form: &Form, of: &[&str]) {
    let taken = form.taken.iter().filter(|(name, _)| of.contains(name));
    let mut parts: Vec<String> = taken.map(|(name, value)| format!("{name} {value}")).collect();
    let prompt = form.prompt_text.as_ref().filter(|text| !text.is_empty());
    parts.extend(prompt.map(|text| format!("prompt_text {text:?}")));
    if let Some(file) = &form.file {
        say_taken(&file.display().to_string(), &parts);
    }
}

/// Says what was taken from a file of the model.
pub fn say_taken(file: &str, parts: &[String]) {
    if !parts.is_empty() {
        let line =
            fill(lang().texts().terminal.taken_from, &[("file", &file), ("values", &parts.join(", "))]);
        eprintln!("t5kit: {line}");
    }
}

/// The column of a table that holds prompts where none was named: the one that training had, or where no training says
/// anything, `told`, by the columns' names.
pub fn prompt_column(form: &Form, table: &Table, told: Option<usize>) -> Option<usize> {
    if form.file.is_none() {
        return told;
    }
    let trained = form.prompt.as_ref().filter(|name| !name.is_empty())?;
    table.names().iter().position(|name| name == trained)
}

/// Says where training had a prompt before each source and nobody gives one.
pub fn warn_prompt(form: &Form, rows_have: bool) {
    if !form.lacks_prompt(rows_have) {
        return;
    }
    let column = match form.prompt.as_deref() {
        None | Some("") => String::new(),
        Some(name) => fill(lang().texts().terminal.of_column, &[("name", &name)]),
    };
    told!(prompt_missing, column = column);
}
