//! What people read in their language: reports, the demo, summaries and warnings, in English or Chinese.
//!
//! Every language is one table ([`Texts`]), so the compiler sees to it that none lacks a text; help and errors stay
//! English. Texts have places such as `{n}`, which [`fill`] fills.

mod en;
mod zh;

use std::fmt::Display;

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
            Lang::En => &en::TEXTS,
            Lang::Zh => &zh::TEXTS,
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

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The texts of a language.
        pub struct Texts {
            $($(#[$doc])* pub $name: &'static str,)*
        }

        impl Texts {
            /// All of them by name.
            pub fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

texts! {
    // Pages in common.
    /// Title of the figure that repeats a report.
    to_repeat,
    /// Label of the slider that smooths curves.
    smoothing,
    /// Heading of a box of warnings.
    warnings,

    // report.html of a run.
    /// Title: {run}.
    run_title,
    /// Under the title: {model}, {data}, {date}.
    run_subtitle,
    /// Also under it: {steps}, {parameters}, {program}.
    run_sizes,
    /// While a run goes on: {step} of {steps}.
    run_going_on,
    /// Of the best checkpoint: {step}.
    best_at,
    /// Mark of the best step.
    best,
    /// A loss.
    loss,
    /// The loss of validation.
    validation_loss,
    /// The loss of training.
    training_loss,
    /// Where the training loss is from.
    at_the_end,
    /// Tokens without padding.
    real_tokens,
    /// {tokens} in {steps} steps.
    tokens_in_steps,
    /// Time of the steps.
    of_training_steps,
    /// What is left out of the time.
    validation_not_counted,
    /// Memory.
    of_memory,
    /// When the memory was measured.
    the_most_after_a_step,
    /// Axis of steps.
    step,
    /// The series of training.
    training,
    /// The series of validation.
    validation,
    /// Chart of metrics.
    metrics_of_targets,
    /// Chart.
    learning_rate,
    /// Chart.
    gradient_norm,
    /// Its series.
    norm,
    /// Chart.
    tokens_per_second,
    /// Heading of outputs.
    outputs,
    /// Whose outputs they are, of the best checkpoint on {part} examples.
    outputs_of_best,
    /// Of the last step's model.
    outputs_of_last,
    /// {part}.
    part_training,
    /// {part}.
    part_validation,
    /// Column.
    source,
    /// Column.
    reference,
    /// Column.
    output,
    /// Column.
    target,
    /// Heading.
    data,
    /// Row.
    examples,
    /// Row.
    tokens_with_end,
    /// Row.
    mean_source,
    /// Row.
    mean_target,
    /// Row.
    longest_source,
    /// Row.
    longest_target,
    /// Row.
    sources_cut,
    /// Row.
    targets_cut,
    /// Row.
    bad_rows,
    /// Histogram.
    tokens_of_a_source,
    /// Histogram.
    tokens_of_a_target,
    /// Heading.
    settings,
    /// Warning: {share} of the {what} are cut at {length} tokens.
    many_cut,
    /// Warning: {share} of the tokens are bytes or unknown.
    many_bytes,
    /// Warning: only {n} examples.
    few_examples,
    /// Warning: no validation.
    no_validation,
    /// Word for sources in a warning.
    sources,
    /// Word for targets in a warning.
    targets,

    // compare.html.
    /// Title.
    compare_title,
    /// Heading of the table of runs.
    runs,
    /// Column.
    run,
    /// Column.
    best_step,
    /// Heading of settings that differ.
    differences,

    // trim_report.html.
    /// Title.
    trim_title,
    /// Card.
    pieces,
    /// Card.
    parameters,
    /// Card.
    of_weights,
    /// {share} % of {before}.
    share_of,
    /// Card.
    tokens_covered,
    /// {n} counted.
    of_counted,
    /// Heading.
    coverage,
    /// Axis.
    most_frequent_pieces,
    /// {n} pieces kept: {share}.
    pieces_kept,
    /// Heading.
    sizes,
    /// Column.
    before,
    /// Column.
    after,
    /// Row.
    rows_of_matrices,
    /// Row.
    of_vocabulary_matrices,
    /// Row.
    of_everything_else,
    /// Row.
    bytes_of_weights,
    /// Row.
    bytes_as_f32,
    /// Row.
    bytes_of_spiece,
    /// {indispensable}, {chosen}, {required}.
    kept_why,
    /// Heading.
    held_out,
    /// {file}, {texts}, {bytes}, {changed}, {elsewhere}.
    held_out_says,
    /// Row.
    tokens,
    /// Row.
    characters_as_bytes,
    /// Row.
    byte_tokens,
    /// Row.
    unknown_tokens,
    /// Column.
    segmented_before,
    /// Column.
    segmented_after,
    /// Heading.
    left_out,
    /// Heading.
    required,
    /// Column.
    set_or_file,
    /// Column.
    without_piece,
    /// Nothing.
    none,
    /// and {n} more.
    and_more,
    /// {lines}, {bytes}, {tokens}, {distinct}, {bad}.
    counted,
    /// Warning: {share} of the counted tokens.
    low_coverage,

    // The demo.
    /// Step 1.
    demo_data,
    /// {train}, {valid}, {test}.
    demo_pairs,
    /// Step 2.
    demo_vocabulary,
    /// {pieces}, {kept}, {parameters}, {left}.
    demo_cut,
    /// Step 3.
    demo_before,
    /// Step 4.
    demo_training,
    /// Step 5.
    demo_after,
    /// Row of the table.
    before_training,
    /// Row of the table.
    after_training,
    /// Label.
    sentence,
    /// Label.
    headline,
    /// {seconds}.
    demo_took,
    /// {folder}.
    demo_folder,
    /// {page}.
    demo_page,
    /// Invitation.
    demo_try,
    /// What comes next.
    demo_next,

    // Before training.
    /// {source}, {target}, {header}, {encoding}.
    table_read,
    /// Answer.
    yes,
    /// Answer.
    no,
    /// Heading of the first example.
    first_example,
    /// {side}, {pieces}.
    as_pieces,
    /// {cut}, {all}, {what}, {length}, {part}.
    cut_at,
    /// {what}, {p95}, {p99}.
    lengths_that_fit,
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
            assert!(
                english.is_ascii() || !english.chars().any(is_chinese),
                "{name} is not English: {english}"
            );
            assert!(chinese.chars().any(is_chinese), "{name} is not Chinese: {chinese}");
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
