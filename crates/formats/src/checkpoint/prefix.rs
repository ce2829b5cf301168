//! What wrappers around a model put before, or between, the parts of its tensors' names.

use std::collections::BTreeSet;

use super::bert;

/// Parts that stand anywhere in a name and mean nothing: torch.compile's, FSDP's, activation checkpointing's.
const WRAPPED: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// A tensor that every T5 has on each side that it has; what stands before its side is the prefix. BERT's is in
/// [`bert`].
const ANCHOR: &str = ".block.0.layer.0.SelfAttention.q.weight";

/// The names of a model without what wrappers added to them.
#[derive(Debug, PartialEq)]
pub(super) struct Bare {
    /// The prefix that is taken off: empty, or with a dot at its end.
    pub prefix: String,
}

impl Bare {
    /// Looks for the prefix under which the model lies among `names`.
    ///
    /// # Errors
    /// The prefixes, where several models lie there and none without a prefix.
    pub fn find<'n>(names: impl Iterator<Item = &'n str>) -> Result<Self, Vec<String>> {
        let mut prefixes = BTreeSet::new();
        for name in names {
            let name = unwrapped(name);
            let prefix = name
                .strip_suffix(ANCHOR)
                .and_then(|side| side.strip_suffix("encoder").or_else(|| side.strip_suffix("decoder")))
                .filter(|p| p.is_empty() || p.ends_with('.'));
            if let Some(prefix) = prefix.or_else(|| bert::wrapper(&name)) {
                prefixes.insert(prefix.to_owned());
            }
        }
        if prefixes.is_empty() || prefixes.contains("") {
            return Ok(Bare { prefix: String::new() });
        }
        match prefixes.len() {
            1 => Ok(Bare { prefix: prefixes.pop_first().unwrap_or_default() }),
            _ => Err(prefixes.into_iter().collect()),
        }
    }

    /// The bare name of a tensor.
    pub fn name(&self, name: &str) -> String {
        let name = unwrapped(name);
        name.strip_prefix(&self.prefix).map(str::to_owned).unwrap_or(name)
    }
}

/// A name without the parts in [`WRAPPED`].
fn unwrapped(name: &str) -> String {
    if !WRAPPED.iter().any(|part| name.contains(part)) {
        return name.to_owned();
    }
    name.split('.').filter(|part| !WRAPPED.contains(part)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_stands_before_the_model() {
        for (prefix, inner) in [
            ("", ""),
            ("module.", ""),
            ("model.", ""),
            ("transformer.", ""),
            ("base_model.model.", ""),
            ("my.t5.", ""),
            ("_orig_mod.", ""),
            ("module._orig_mod.", ""),
            ("_fsdp_wrapped_module.", "_fsdp_wrapped_module."),
        ] {
            let names = [
                format!("{prefix}shared.weight"),
                format!("{prefix}encoder.{inner}block.0.layer.0.SelfAttention.q.weight"),
                format!("{prefix}decoder.{inner}block.0.layer.0.SelfAttention.q.weight"),
                "criterion.weight".to_owned(),
            ];
            let bare = Bare::find(names.iter().map(String::as_str)).unwrap();
            let names: Vec<String> = names.iter().map(|n| bare.name(n)).collect();
            assert_eq!(
                names,
                [
                    "shared.weight",
                    "encoder.block.0.layer.0.SelfAttention.q.weight",
                    "decoder.block.0.layer.0.SelfAttention.q.weight",
                    "criterion.weight"
                ],
                "{prefix}"
            );
        }
    }

    #[test]
    fn a_model_without_a_prefix_wins_and_several_are_said() {
        let anchor = |p: &str| format!("{p}encoder{ANCHOR}");
        let find = |prefixes: &[&str]| {
            let names: Vec<String> = prefixes.iter().map(|p| anchor(p)).collect();
            Bare::find(names.iter().map(String::as_str))
        };
        assert_eq!(find(&["", "teacher."]), Ok(Bare { prefix: String::new() }));
        assert_eq!(find(&["student.", "teacher."]), Err(vec!["student.".into(), "teacher.".into()]));
        // No part of a name is no prefix.
        assert_eq!(find(&["my"]), Ok(Bare { prefix: String::new() }));
        assert_eq!(Bare::find(["a", "b.c"].into_iter()), Ok(Bare { prefix: String::new() }));
    }
}
