//! The names of BERT's family: one spelling of what old and new programs call differently.
//!
//! `BertModel`, `NezhaModel` and `RoFormerModel` put nothing before their names, what is built on them `bert.`, `nezha.` or
//! `roformer.`; Google's checkpoints say `bert` whatever they are of. Here the whole family has the prefix of its
//! configuration, and layer norms the names of newer programs (`weight` for `gamma`, `bias` for `beta`).

/// A tensor that every model of the family has; what stands before it is the body's prefix, and a wrapper's before that.
pub(super) const ANCHOR: &str = "embeddings.word_embeddings.weight";
/// The bodies that are read, by their model types.
const BODIES: [&str; 3] = ["bert", "nezha", "roformer"];
/// Models with an embedding of the same name whose layers, or heads, are others.
const OTHERS: [&str; 12] = [
    "albert",
    "camembert",
    "convbert",
    "deberta",
    "distilbert",
    "electra",
    "ernie",
    "esm",
    "layoutlm",
    "roberta",
    "roc_bert",
    "xlm_roberta",
];
/// What names of a body begin with that has no prefix.
const BARE: [&str; 4] = ["embeddings.", "encoder.", "pooler.", "embeddings_project."];

/// The prefix of a wrapper (empty, or with a dot at its end) where `name` is that of the embedding; `None` where it is no
/// such name, or that of another family.
pub(super) fn wrapper(name: &str) -> Option<&str> {
    let before = name.strip_suffix(ANCHOR)?;
    let Some(path) = before.strip_suffix('.') else { return before.is_empty().then_some("") };
    let last = path.rsplit('.').next().unwrap_or(path);
    if OTHERS.contains(&last) {
        return None;
    }
    Some(if BODIES.contains(&last) { &before[..path.len() - last.len()] } else { before })
}

/// The body that a name is of: `bert` of `bert.encoder…`.
pub(super) fn body(name: &str) -> Option<&'static str> {
    BODIES.into_iter().find(|body| name.strip_prefix(body).is_some_and(|rest| rest.starts_with('.')))
}

/// The name of a tensor in a model whose body is called `to`.
pub(super) fn named(name: &str, to: &str) -> String {
    let rest = body(name).map(|body| &name[body.len() + 1..]);
    let name = match rest {
        Some(rest) => format!("{to}.{rest}"),
        None if BARE.iter().any(|begin| name.starts_with(begin)) => format!("{to}.{name}"),
        None => name.to_owned(),
    };
    for (old, new) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")] {
        if let Some(layer) = name.strip_suffix(old) {
            return format!("{layer}{new}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_stand_before_the_body() {
        for (name, prefix) in [
            ("bert.embeddings.word_embeddings.weight", Some("")),
            ("embeddings.word_embeddings.weight", Some("")),
            ("module.bert.embeddings.word_embeddings.weight", Some("module.")),
            ("model.embeddings.word_embeddings.weight", Some("model.")),
            ("a.b.roformer.embeddings.word_embeddings.weight", Some("a.b.")),
            ("electra.embeddings.word_embeddings.weight", None),
            ("model.albert.embeddings.word_embeddings.weight", None),
            ("xembeddings.word_embeddings.weight", None),
            ("embeddings.word_embeddings.bias", None),
        ] {
            assert_eq!(wrapper(name), prefix, "{name}");
        }
    }

    #[test]
    fn one_spelling() {
        for (name, to, want) in [
            (
                "bert.encoder.layer.0.output.LayerNorm.gamma",
                "bert",
                "bert.encoder.layer.0.output.LayerNorm.weight",
            ),
            ("encoder.layer.0.output.LayerNorm.beta", "nezha", "nezha.encoder.layer.0.output.LayerNorm.bias"),
            ("bert.embeddings_project.weight", "roformer", "roformer.embeddings_project.weight"),
            (
                "cls.predictions.transform.LayerNorm.gamma",
                "bert",
                "cls.predictions.transform.LayerNorm.weight",
            ),
            ("bertx.encoder", "bert", "bertx.encoder"),
            ("optimizer.x", "bert", "optimizer.x"),
        ] {
            assert_eq!(named(name, to), want);
        }
    }
}
