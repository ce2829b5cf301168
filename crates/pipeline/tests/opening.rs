//! A small random model, opened in every way that a person can name it; text in, text out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_generate::BatchLimits;
use t5kit_model::{ConvertOptions, LoadOptions, T5, T5Config, save};
use t5kit_pipeline::{Encoder, Error, Note, OnLong, OpenOptions, Pipeline, Prepared, Wishes};

const LETTERS: [&str; 8] = ["▁", "甲", "乙", "丙", "丁", "戊", "己", "庚"];
/// pad, end, unknown, the letters, a sentinel.
const PIECES: usize = 3 + LETTERS.len() + 1;
/// As many as pieces, and some of padding.
const ROWS: usize = 16;

fn tokenizer(folder: &Path) -> PathBuf {
    let piece = |text: &str, kind, score| Piece { text: text.into(), kind, score, ..Piece::default() };
    let mut pieces = vec![
        piece("<pad>", PieceKind::Control, 0.0),
        piece("</s>", PieceKind::Control, 0.0),
        piece("<unk>", PieceKind::Unknown, 0.0),
    ];
    pieces.extend(LETTERS.iter().map(|text| piece(text, PieceKind::Normal, -1.0)));
    pieces.push(piece("▁<extra_id_0>", PieceKind::UserDefined, 0.0));
    let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
    let file = folder.join("spiece.model");
    fs::write(&file, SpieceModel::new(pieces, TrainerSpec::default(), normalizer).to_bytes()).unwrap();
    file
}

/// A model's folder.
fn model(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let spiece = tokenizer(folder);
    let config = T5Config {
        vocab_size: ROWS,
        d_model: 8,
        d_kv: 4,
        d_ff: 16,
        num_layers: 1,
        num_decoder_layers: 1,
        num_heads: 2,
        ..T5Config::default()
    };
    save(&T5::random(config, 7).unwrap(), &[], folder).unwrap();
    assert!(spiece.is_file());
}

fn options(path: &Path) -> OpenOptions {
    OpenOptions { threads: Some(std::num::NonZeroUsize::MIN), ..OpenOptions::new(path.to_string_lossy()) }
}

#[test]
fn a_model_is_opened_by_whatever_names_it() {
    let lab = tempfile::tempdir().unwrap();
    let best = lab.path().join("run/best");
    model(&best);
    let mut outputs = Vec::new();
    for path in [best.clone(), lab.path().join("run"), best.join("model.safetensors")] {
        let pipeline = Pipeline::open(options(&path)).unwrap();
        let wishes = Wishes { max_new_tokens: Some(5), ..Wishes::default() };
        let settled = pipeline.settle(&wishes).unwrap();
        assert_eq!((settled.notes.len(), settled.file.as_str()), (0, "config.json"));
        let (texts, summary) = pipeline.generate(&["甲乙", "丙"], 9, &settled.options).unwrap();
        assert_eq!((texts.len(), texts[0].len(), summary.sources), (2, 1, 2));
        let text = pipeline.tokenizer.decode(&texts[0][0].generated.ids);
        assert_eq!(texts[0][0].text, text);
        let scores = pipeline.score(&[("甲乙", "丙"), ("丙", "甲")], 9, BatchLimits::default()).unwrap();
        assert!(scores.iter().all(|score| score.log_prob() < 0.0 && score.tokens.len() == 3), "{scores:?}");
        outputs.push((texts, scores));
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    let error = |path: &Path| Pipeline::open(options(path)).err().unwrap().to_string();
    assert!(error(&lab.path().join("nowhere")).contains("nowhere: "));
    fs::remove_file(best.join("spiece.model")).unwrap();
    assert!(error(&best).contains("give `tokenizer`"), "{}", error(&best));
}

#[test]
fn files_come_before_defaults_and_wishes_before_files() {
    let lab = tempfile::tempdir().unwrap();
    model(lab.path());
    let said = json!({"num_beams": 3, "length_penalty": 2.0, "num_return_sequences": 2, "max_new_tokens": 7,
                      "typical_p": 0.5});
    fs::write(lab.path().join("generation_config.json"), said.to_string()).unwrap();
    let pipeline = Pipeline::open(options(lab.path())).unwrap();
    let settled = pipeline.settle(&Wishes::default()).unwrap();
    assert_eq!(settled.notes, [Note::Ignored(vec!["typical_p 0.5".into()])]);
    let o = settled.options;
    assert_eq!((o.num_beams, o.num_return_sequences, o.max_new_tokens), (3, 2, 7));
    assert_eq!((o.length_penalty, o.pieces, &o.suppress[..]), (2.0, PIECES, &[PIECES as u32 - 1][..]));
    let with = |wishes: Wishes| pipeline.settle(&wishes).map(|settled| settled.options);
    let o = with(Wishes { num_beams: Some(1), prefix: Some("甲".into()), ..Wishes::default() }).unwrap();
    assert_eq!((o.num_beams, o.num_return_sequences, o.prefix.len()), (1, 1, 2));
    let o =
        with(Wishes { temperature: Some(0.5), num_return_sequences: Some(4), ..Wishes::default() }).unwrap();
    assert_eq!((o.do_sample, o.num_beams, o.num_return_sequences), (true, 1, 4));
    let o = with(Wishes { single: true, allow_sentinels: true, ..Wishes::default() }).unwrap();
    assert_eq!((o.num_beams, o.num_return_sequences, o.suppress.len()), (1, 1, 0));
    for (wishes, part) in [
        (
            Wishes { num_beams: Some(2), do_sample: Some(true), ..Wishes::default() },
            "`num_beams` and sampling",
        ),
        (Wishes { seed: Some(1), ..Wishes::default() }, "`seed` has no effect"),
        (Wishes { do_sample: Some(false), top_k: Some(1), ..Wishes::default() }, "`top_k` has no effect"),
        (Wishes { num_beams: Some(1), diversity_penalty: Some(1.0), ..Wishes::default() }, "add `num_beams`"),
        (Wishes { top_p: Some(2.0), ..Wishes::default() }, "`top_p` cannot be 2"),
        (Wishes { bad_words: vec!["龘".into()], ..Wishes::default() }, "`bad_words`: \"龘\""),
    ] {
        let error = with(wishes).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(part), "{error}");
    }
    fs::write(lab.path().join("generation_config.json"), r#"{"num_beams": 0}"#).unwrap();
    let error = pipeline.settle(&Wishes::default()).unwrap_err();
    assert!(
        !error.is_usage() && error.to_string().contains("generation_config.json: num_beams is 0"),
        "{error}"
    );
}

#[test]
fn long_texts_are_cut_and_counted_or_refused() {
    let lab = tempfile::tempdir().unwrap();
    model(lab.path());
    let pipeline = Pipeline::open(options(lab.path())).unwrap();
    let mut encoder = Encoder::new(&pipeline, "source", 3, OnLong::Cut);
    assert_eq!(encoder.encode("甲").unwrap().len(), 3);
    let cut = encoder.encode("甲乙丙").unwrap();
    assert_eq!((cut.len(), cut[2], encoder.cut()), (3, pipeline.tokenizer.eos_id(), 1));
    let mut encoder = Encoder::new(&pipeline, "target", 3, OnLong::Fail);
    encoder.encode("甲").unwrap();
    let error = encoder.encode("甲乙丙").unwrap_err().to_string();
    assert!(error.contains("target 2 has 5 tokens") && error.contains("`max_target_length`"), "{error}");
}

#[test]
fn rows_and_tokenizer_are_cut_together() {
    let lab = tempfile::tempdir().unwrap();
    let whole = lab.path().join("whole");
    model(&whole);
    let list = lab.path().join("keep.json");
    fs::write(&list, "[0, 1, 2, 3, 4, 6, 11, 12]").unwrap();
    fs::write(whole.join("generation_config.json"), r#"{"suppress_tokens": [6], "num_beams": 2}"#).unwrap();
    let with = OpenOptions {
        load: LoadOptions { keep_tokens: Some(list), ..LoadOptions::default() },
        ..options(&whole)
    };
    let cut = Pipeline::open(with.clone()).unwrap();
    assert_eq!((cut.tokenizer.vocab_size(), cut.model.rows()), (7, 8));
    assert_eq!(cut.tokenizer.id_of("丙"), Some(5));
    assert!(cut.settle(&Wishes::default()).unwrap().options.suppress.contains(&5));
    // Written as a folder it is the same model.
    let out = lab.path().join("out");
    fs::create_dir(&out).unwrap();
    let converted =
        Prepared::find(with, &mut ()).unwrap().convert(ConvertOptions::default(), &out, &mut ()).unwrap();
    assert!(converted.has_tokenizer && converted.notes.is_empty());
    let again = Pipeline::open(options(&out)).unwrap();
    assert_eq!(again.tokenizer.vocab_size(), 7);
    let pairs = [("甲丙", "甲")];
    let score = |p: &Pipeline| p.score(&pairs, 9, BatchLimits::default()).unwrap();
    assert_eq!(score(&again), score(&cut));
    // A tokenizer of more pieces than rows is another model's.
    let mut wrong = options(&out);
    wrong.tokenizer = Some(whole.join("spiece.model"));
    assert!(matches!(Pipeline::open(wrong), Err(Error::Vocabulary { pieces: PIECES, rows: 8 })));
}
