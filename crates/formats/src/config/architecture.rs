//! The architectures that Raffel et al. 2020 compare (section 3.2, table 2): which stacks a model of the T5 family has.

use std::path::Path;

use super::T5Config;
use crate::error::{Error, Result};

/// The field of `config.json` that says it, where it is not T5's own; transformers has no such field.
pub(super) const FIELD: &str = "t5kit_architecture";

/// Which stacks a model has, and what its tokens see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum T5Architecture {
    /// An encoder and a decoder: T5.
    #[default]
    EncoderDecoder,
    /// The same, and what both have (self-attention, feed-forward layers, norms, relative bias) is one parameter.
    Shared,
    /// One stack over source and target as one sequence, of which every token sees itself and those before.
    LanguageModel,
    /// The same, but that the tokens of the source see each other both ways.
    PrefixLm,
}

impl T5Architecture {
    /// All of them.
    pub const ALL: [T5Architecture; 4] =
        [Self::EncoderDecoder, Self::Shared, Self::LanguageModel, Self::PrefixLm];

    /// The name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::EncoderDecoder => "encoder-decoder",
            Self::Shared => "shared",
            Self::LanguageModel => "language-model",
            Self::PrefixLm => "prefix-lm",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// Whether source and target are one sequence in one stack, the decoder's without its cross-attention.
    pub fn one_stack(self) -> bool {
        matches!(self, Self::LanguageModel | Self::PrefixLm)
    }

    /// What is said of a name that is none.
    pub(super) fn unknown(name: &str) -> String {
        let given = name.to_lowercase().replace('_', "-");
        let near = Self::ALL.map(|known| (strsim::jaro_winkler(&given, known.name()), known.name()));
        let near =
            near.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.7);
        let meant = near.map_or(".".to_owned(), |(_, name)| format!("; did you mean {name}?"));
        format!("{name:?} is no architecture{meant} There are {}", Self::ALL.map(Self::name).join(", "))
    }
}

impl T5Config {
    /// The model of this configuration in another architecture: the one given, if one is, and with half as many layers
    /// in each stack with `halve_layers`. One stack has the decoder's layers.
    ///
    /// # Errors
    /// [`Error::Config`]: a configuration that says another one itself, layers that cannot be halved, and those of
    /// [`Self::validate`].
    pub fn arranged(mut self, architecture: Option<T5Architecture>, halve_layers: bool) -> Result<Self> {
        let error = |field: &str, what: String| {
            Err(Error::Config {
                path: Path::new("(configuration)").to_owned(),
                field: field.to_owned(),
                what,
            })
        };
        if let Some(wanted) = architecture.filter(|&wanted| wanted != self.architecture) {
            if self.architecture != T5Architecture::EncoderDecoder {
                let (said, wanted) = (self.architecture.name(), wanted.name());
                return error(
                    FIELD,
                    format!("says {said}, and `architecture` {wanted}; leave one of them out"),
                );
            }
            self.architecture = wanted;
            if wanted.one_stack() {
                self.num_layers = 0;
            }
            // Names of classes that have other parameters.
            for field in ["architectures", "is_encoder_decoder"] {
                self.other.shift_remove(field);
            }
        }
        if halve_layers {
            for (field, layers) in
                [("num_layers", &mut self.num_layers), ("num_decoder_layers", &mut self.num_decoder_layers)]
            {
                if *layers % 2 == 1 {
                    return error(
                        field,
                        format!("{layers} is odd, and `halve_layers` halves it; give an even number"),
                    );
                }
                *layers /= 2;
            }
        }
        self.validate()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arranging() {
        let base = T5Config::default();
        let layers = |c: &T5Config| (c.num_layers, c.num_decoder_layers);
        for architecture in T5Architecture::ALL {
            assert_eq!(T5Architecture::from_name(architecture.name()), Some(architecture));
            for halve in [false, true] {
                let config = base.clone().arranged(Some(architecture), halve).unwrap();
                let each = if halve { 4 } else { 8 };
                let encoder = if architecture.one_stack() { 0 } else { each };
                assert_eq!((config.architecture, layers(&config)), (architecture, (encoder, each)));
                // The file says it, and reading it says the same.
                let map = config.to_json();
                assert_eq!(map.contains_key(FIELD), architecture != T5Architecture::EncoderDecoder);
                assert_eq!(map["is_encoder_decoder"], !architecture.one_stack());
                assert_eq!(map.contains_key("architectures"), architecture == T5Architecture::EncoderDecoder);
                assert_eq!(
                    T5Config::from_json(Path::new("config.json"), map).unwrap().to_json(),
                    config.to_json()
                );
            }
        }
        assert_eq!(base.clone().arranged(None, false).unwrap(), base);
    }

    #[test]
    fn what_is_refused() {
        let base = T5Config::default();
        let shared = base.clone().arranged(Some(T5Architecture::Shared), false).unwrap();
        let said = |result: Result<T5Config>| result.unwrap_err().to_string();
        let error = said(shared.clone().arranged(Some(T5Architecture::PrefixLm), false));
        assert!(error.contains("says shared, and `architecture` prefix-lm"), "{error}");
        let odd = T5Config { num_layers: 3, ..base.clone() };
        let error = said(odd.clone().arranged(None, true));
        assert!(error.contains("num_layers: 3 is odd"), "{error}");
        let error = said(odd.arranged(Some(T5Architecture::Shared), false));
        assert!(error.contains("num_layers: 3, and num_decoder_layers 8"), "{error}");
        let read = |change: &[(&str, serde_json::Value)]| {
            let mut map = base.to_json();
            map.extend(change.iter().map(|(field, value)| ((*field).to_owned(), value.clone())));
            said(T5Config::from_json(Path::new("config.json"), map))
        };
        let error = read(&[(FIELD, "prefixLM".into())]);
        let expected = "config.json: t5kit_architecture: \"prefixLM\" is no architecture; did you mean prefix-lm? There \
                        are encoder-decoder, shared, language-model, prefix-lm";
        assert_eq!(error, expected);
        assert!(!read(&[(FIELD, "zzz".into())]).contains("mean"));
        let error = read(&[(FIELD, "language-model".into())]);
        assert!(error.contains("num_layers: 8, and a language-model has no encoder; give 0"), "{error}");
        let error = read(&[
            (FIELD, "prefix-lm".into()),
            ("num_layers", 0.into()),
            ("cross_attention_relative_bias", true.into()),
        ]);
        assert!(
            error.contains("cross_attention_relative_bias: a prefix-lm has no cross-attention"),
            "{error}"
        );
        assert!(read(&[("num_layers", 0.into())]).contains("num_layers: 0 is not between 1 and 1024"));
    }
}
