//! Models large enough for their products to go the way of a real one's, sources for them, and every kind of search.

use t5kit_formats::config::T5Config;
use t5kit_generate::{EarlyStopping, GenerateOptions, LengthNormalization};
use t5kit_model::{Bert, BertConfig, LoadOptions, Model, Plan, Seq2Seq, SpecialIds, T5, save};
use t5kit_tensor::{DType, ParamId, Rng, Tensor, Weight};

/// Rows of a model, the last dozen of them padding.
pub const ROWS: usize = 400;

/// A T5: two layers each, of random weights.
pub fn model() -> T5 {
    let config = T5Config {
        vocab_size: ROWS,
        d_model: 160,
        d_kv: 40,
        num_heads: 4,
        d_ff: 200,
        num_layers: 2,
        num_decoder_layers: 2,
        tie_word_embeddings: false,
        ..T5Config::default()
    };
    let mut model = T5::random(config, 5).unwrap();
    // Sharper than an initialisation's, so that some targets end and not all tokens are alike.
    let softmax = model.softmax().weight;
    let sharper = model.params.get(softmax).map(|_, x| 2.0 * x);
    *model.params.get_mut(softmax) = sharper;
    model
}

/// The kinds of model that there are, by name; `-int8`, `-int4`: in that storage.
pub const KINDS: [&str; 7] = ["t5", "bert", "nezha", "roformer", "t5-int8", "bert-int8", "t5-int4"];

/// A model of a kind, of random weights.
pub fn model_of(kind: &str) -> Model {
    if let Some((kind, dtype)) = kind.split_once('-') {
        return stored_in(&*model_of(kind), DType::from_name(dtype).unwrap());
    }
    if kind == "t5" {
        return Box::new(model());
    }
    Box::new(Bert::random(bert(kind), 5).unwrap())
}

/// The same model in that storage.
fn stored_in(model: &dyn Seq2Seq, dtype: DType) -> Model {
    let folder = tempfile::tempdir().unwrap();
    save(model, &[], folder.path()).unwrap();
    let options = LoadOptions { dtype: Some(dtype), ..LoadOptions::default() };
    Plan::new(folder.path(), &options).unwrap().load().unwrap()
}

/// Kinds of model that count, and how they are stored.
pub const COUNTING: [(&str, DType); 10] = [
    ("t5", DType::F32),
    ("t5", DType::Bf16),
    ("t5", DType::F16),
    ("t5", DType::I8),
    ("bert", DType::F32),
    ("bert", DType::Bf16),
    ("bert", DType::F16),
    ("bert", DType::I8),
    ("nezha", DType::F32),
    ("roformer", DType::F32),
];

/// How much further an id is than the one that a counting model says it after.
pub const STRIDE: u32 = 5;

/// A model of a kind, its matrices stored as `dtype`, that mostly says what is [`STRIDE`] after its last id, up to 60,
/// and then ends: so it copies from sources that have such ids in a row.
pub fn counting(kind: &str, dtype: DType) -> Model {
    if dtype == DType::I8 {
        return stored_in(&*counting(kind, DType::F32), dtype);
    }
    let mut model: Model = match kind {
        "t5" => Box::new(model()),
        _ => {
            let config = BertConfig { tie_word_embeddings: false, ..bert(kind) };
            Box::new(Bert::random(config, 5).unwrap())
        }
    };
    let softmax = model.softmax().weight;
    let params = model.params_mut();
    let named: Vec<(ParamId, String)> = params.iter().map(|(id, name, _)| (id, name.to_owned())).collect();
    let words = named.iter().find(|(_, name)| name.contains("shared") || name.contains("word_embeddings"));
    let words = params.get(words.unwrap().0).to_tensor();
    let own = params.get(softmax).to_tensor();
    let none = vec![0.0; own.cols()];
    let row = |id: u32| match id {
        1 => words.row(60),
        id => id.checked_sub(STRIDE).map_or(&none[..], |before| words.row(before as usize)),
    };
    // Not of that alone: something is sometimes likelier.
    let size = |x: &Tensor| x.data().iter().map(|x| x * x).sum::<f32>().sqrt();
    let noise = 0.8 * size(&words) / size(&own);
    let mixed = (0..ROWS as u32).flat_map(|id| {
        row(id).iter().zip(own.row(id as usize)).map(|(w, own)| w + noise * own).collect::<Vec<_>>()
    });
    *params.get_mut(softmax) = Weight::owned(&[ROWS, own.cols()], mixed.collect());
    for (id, name) in named.iter().filter(|(id, _)| *id != softmax) {
        let factor = match &name[..] {
            name if name.contains("position_embeddings") || name.contains("token_type") => 0.1,
            // What a layer adds.
            name if name.ends_with(".o.weight") || name.ends_with(".wo.weight") => 0.7,
            name if name.ends_with("output.dense.weight") => 0.3,
            name if name.ends_with("transform.dense.weight") => {
                let cols = params.get(*id).cols();
                *params.get_mut(*id) =
                    params.get(*id).map(|at, _| f32::from(u8::from(at / cols == at % cols)));
                continue;
            }
            _ => continue,
        };
        *params.get_mut(*id) = params.get(*id).map(|_, x| factor * x);
    }
    params.store_matrices_as(dtype);
    model
}

/// Sources that a counting model copies from, whole and in parts, and others.
pub fn runs() -> Vec<Vec<u32>> {
    let run = |first: u32, count: u32| (0..count).map(move |i| first + i * STRIDE);
    // As models begin: after the start token, which a BERT that was saved takes for 102.
    let mut all: Vec<Vec<u32>> = vec![
        run(5, 12).chain([1]).collect(),
        run(6, 13).chain(run(107, 20)).chain([1]).collect(),
        [run(5, 3), run(6, 4), run(20, 4), run(107, 5), run(26, 9), run(142, 3)]
            .into_iter()
            .flatten()
            .chain([1])
            .collect(),
        [run(40, 5), run(5, 6), run(127, 9), run(6, 5), run(36, 5), run(107, 3)]
            .into_iter()
            .flatten()
            .chain([1])
            .collect(),
    ];
    all.extend(sources().into_iter().take(6));
    all
}

fn bert(kind: &str) -> BertConfig {
    BertConfig {
        model_type: kind.into(),
        vocab_size: ROWS,
        hidden_size: 160,
        embedding_size: 160,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        intermediate_size: 200,
        max_position_embeddings: 120,
        max_relative_position: 20,
        // Livelier than 0.02, so that not all tokens are alike.
        initializer_range: 0.1,
        // What the sources end with.
        sep_token_id: 1,
        ..BertConfig::default()
    }
}

/// Of one to ninety tokens.
pub fn sources() -> Vec<Vec<u32>> {
    let mut rng = Rng::new(4, 0);
    [7, 2, 40, 1, 13, 7, 90, 3, 21, 5]
        .map(|length| {
            let mut ids: Vec<u32> = (1..length).map(|_| 2 + rng.below(ROWS - 20) as u32).collect();
            ids.push(1);
            ids
        })
        .into()
}

/// All kinds of search, by name, for a model with these ids.
pub fn modes(ids: &SpecialIds) -> Vec<(&'static str, GenerateOptions)> {
    let plain = || GenerateOptions {
        max_new_tokens: 12,
        scores: true,
        ..GenerateOptions::new(ROWS - 12, ids.clone())
    };
    let beam = || GenerateOptions { num_beams: 4, num_return_sequences: 3, ..plain() };
    let sample = || GenerateOptions { do_sample: true, seed: 11, ..plain() };
    vec![
        ("greedy", plain()),
        (
            "greedy, all processors",
            GenerateOptions {
                repetition_penalty: 1.3,
                no_repeat_ngram_size: 2,
                min_new_tokens: 5,
                bad_words_ids: vec![vec![9], vec![10, 11]],
                prefix: vec![5, 6],
                ..plain()
            },
        ),
        ("beam", beam()),
        (
            "beam, T5's normalisation",
            GenerateOptions {
                length_normalization: LengthNormalization::T5,
                length_penalty: 0.6,
                early_stopping: EarlyStopping::Never,
                ..beam()
            },
        ),
        (
            "beam with a prefix",
            GenerateOptions {
                prefix: vec![30, 31],
                repetition_penalty: 1.2,
                early_stopping: EarlyStopping::Yes,
                ..beam()
            },
        ),
        ("groups", GenerateOptions { num_beam_groups: 2, diversity_penalty: 0.7, ..beam() }),
        ("sampling", sample()),
        (
            "sampling, all warpers",
            GenerateOptions {
                temperature: 0.8,
                top_k: 50,
                top_p: 0.9,
                min_p: 0.01,
                num_return_sequences: 3,
                no_repeat_ngram_size: 1,
                ..sample()
            },
        ),
    ]
}
