//! Trimming: the published Chinese cut, weights and tokenizer files, and bad input.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{WORDS, shared, small_model};
use serde_json::{Value, json};
use t5kit_formats::DType;
use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::inputs::expand;
use t5kit_formats::progress::Progress;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_formats::spiece::SpieceModel;
use t5kit_formats::table::{Columns, TableOptions};
use t5kit_tokenizer::Tokenizer;
use t5kit_trim::{Choice, Chooser, Counts, TrimOptions, trim};
use tempfile::TempDir;

fn job(tokenizer: &Path, counts: &Path, choice: Choice, output: PathBuf) -> TrimOptions {
    TrimOptions {
        tokenizer: tokenizer.to_path_buf(),
        counts: vec![counts.to_path_buf()],
        allow_low_coverage: false,
        choice: Chooser::By(choice),
        require: Vec::new(),
        model: None,
        sample: None,
        output,
        force: false,
        words: str::to_owned,
        lang: t5kit_formats::lang::Lang::En,
    }
}

fn spiece(path: &Path) -> SpieceModel {
    SpieceModel::parse(&std::fs::read(path).unwrap(), path).unwrap()
}

/// The published counts cut the full vocabulary to the published pieces and rows.
#[test]
#[ignore = "needs ../shared/data"]
fn the_published_cut() {
    let data = shared().join("tokenizer");
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("cut");
    let full = data.join("mt5_full_reconstructed.model");
    let job = job(&full, &data.join("mt5_token_counts_zh.json"), Choice::MinCount(1000), output.clone());
    let report = trim(&job, &mut ()).unwrap();
    let cut = spiece(&output.join("spiece.model"));
    let published = spiece(&data.join("sentencepiece_cn.model"));
    assert_eq!(cut.pieces.len(), 32_596);
    for (id, (ours, theirs)) in cut.pieces.iter().zip(&published.pieces).enumerate() {
        assert_eq!((&ours.text, ours.kind), (&theirs.text, theirs.kind), "piece {id}");
        assert_eq!(ours.score.to_bits(), theirs.score.to_bits(), "score of piece {id}");
    }
    assert_eq!(cut.pieces.len(), published.pieces.len());
    let rows = |path: &Path| serde_json::from_slice::<Vec<u32>>(&fs::read(path).unwrap()).unwrap();
    let ours = rows(&output.join("keep_tokens.json"));
    assert_eq!(ours.len(), 32_598);
    assert!(ours == rows(&data.join("sentencepiece_cn_keep_tokens.json")), "the rows differ");
    assert_eq!(
        fs::read(output.join("keep_tokens.json")).unwrap(),
        fs::read(data.join("sentencepiece_cn_keep_tokens.json")).unwrap(),
        "the files differ"
    );
    let coverage = report.coverage.unwrap();
    assert_eq!(coverage.tokens, 8_791_281_468);
    assert!(coverage.share > 0.998 && coverage.share < 1.0, "{}", coverage.share);

    // By the counts that come with the program: the same.
    let builtin =
        TrimOptions { counts: vec!["zh".into()], output: folder.path().join("builtin"), ..job.clone() };
    trim(&builtin, &mut ()).unwrap();
    assert!(
        fs::read(builtin.output.join("keep_tokens.json")).unwrap()
            == fs::read(output.join("keep_tokens.json")).unwrap()
    );

    // With English, every piece of ASCII is left.
    let english =
        TrimOptions { counts: vec!["zh+en".into()], output: folder.path().join("english"), ..job.clone() };
    trim(&english, &mut ()).unwrap();
    let (all, left) = (Tokenizer::load(&full).unwrap(), Tokenizer::load(&english.output).unwrap());
    let ascii =
        (0..all.vocab_size() as u32).filter_map(|id| all.piece(id)).filter(|p| p.replace('▁', "").is_ascii());
    let missing: Vec<&str> = ascii.filter(|piece| left.id_of(piece).is_none()).collect();
    assert!(missing.is_empty(), "{} missing: {:?}", missing.len(), &missing[..missing.len().min(9)]);

    // Counts of one's own are added: a piece that Chinese text has 999 times needs one more.
    let zh = Counts::builtin(t5kit_trim::BUILTIN[0]).unwrap();
    let (rare, n) = zh.pieces.iter().find(|(_, n)| *n < 1000).unwrap();
    let mine = folder.path().join("mine.tsv");
    fs::write(&mine, format!("{rare}\t{}\n", 1000 - n)).unwrap();
    let added =
        TrimOptions { counts: vec!["zh".into(), mine], output: folder.path().join("added"), ..job.clone() };
    let report = trim(&added, &mut ()).unwrap();
    assert_eq!(report.vocabulary.pieces_after, 32_597);
    assert!(Tokenizer::load(&added.output).unwrap().id_of(rare).is_some());
    assert_eq!(report.counts.len(), 2);

    // By that list instead of the counts: the same.
    let again = folder.path().join("again");
    let list = TrimOptions {
        counts: Vec::new(),
        choice: Chooser::KeepTokens(data.join("sentencepiece_cn_keep_tokens.json")),
        output: again.clone(),
        ..job
    };
    trim(&list, &mut ()).unwrap();
    for name in ["spiece.model", "keep_tokens.json", "tokenizer.json", "tokenizer_config.json"] {
        assert!(fs::read(again.join(name)).unwrap() == fs::read(output.join(name)).unwrap(), "{name}");
    }
}

/// Characters that the built-in sets require are single pieces, or said to be missing.
#[test]
#[ignore = "needs ../shared/data"]
fn built_in_sets_of_the_real_tokenizer() {
    let data = shared().join("tokenizer");
    let folder = TempDir::new().unwrap();
    let full = data.join("mt5_full_reconstructed.model");
    let counts = data.join("mt5_token_counts_zh.json");
    let mut job = job(&full, &counts, Choice::Top(1000), folder.path().join("cut"));
    job.require = ["hanzi-common", "hanzi-gb2312", "punctuation-zh", "ascii"].map(String::from).to_vec();
    job.allow_low_coverage = true;
    let report = trim(&job, &mut ()).unwrap();
    let cut = Tokenizer::load(&job.output).unwrap();
    for (required, text) in report.required.iter().zip([
        include_str!("../src/sets/hanzi_common.txt"),
        include_str!("../src/sets/hanzi_gb2312.txt"),
        "。？！，、；：“”（）《》",
        "!~09azAZ",
    ]) {
        for c in text.chars().filter(|c| !c.is_whitespace()).map(String::from) {
            let ids = cut.encode(&c);
            let single = ids.len() <= 2
                && ids.iter().all(|&id| !cut.piece(id).unwrap().starts_with("<0x"))
                && ids.iter().all(|&id| id != cut.unk_id());
            assert!(single != required.missing.contains(&c), "{c} of {}: {ids:?}", required.name);
        }
    }
    assert!(report.required[0].missing.len() < 10, "{:?}", report.required[0].missing);
    // Pieces that the published counts and cut do not show are not in the reconstruction.
    assert_eq!(report.required[3].missing, ["_", "`", "~"]);
}

/// A tokenizer, counts of it and a model with `rows` rows, in a folder.
struct Small {
    folder: TempDir,
    model: SpieceModel,
}

impl Small {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let model = small_model(&WORDS);
        fs::create_dir(folder.path().join("model")).unwrap();
        fs::write(folder.path().join("model/spiece.model"), model.to_bytes()).unwrap();
        let small = Self { folder, model };
        small.counts(
            "counts.json",
            r#"{"▁": 90, "今天": 50, "天气": 40, "好": 30, "的": 20, "a": 10, "错": 5}"#,
        );
        small.config(small.rows());
        small.weights(small.rows(), &[]);
        small
    }

    /// Pieces and 12 rows of padding.
    fn rows(&self) -> usize {
        self.model.pieces.len() + 12
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn counts(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn config(&self, rows: usize) {
        let config = json!({
            "architectures": ["MT5ForConditionalGeneration"], "model_type": "mt5", "d_kv": 4, "d_model": 8,
            "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2, "vocab_size": rows,
            "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false, "pad_token_id": 0,
            "eos_token_id": 1, "decoder_start_token_id": 0, "bos_token_id": rows - 13, "x_custom": [1, 2],
        });
        fs::write(self.at("model/config.json"), config.to_string()).unwrap();
        let generation = json!({"decoder_start_token_id": 0, "suppress_tokens": [2, 260, 280]});
        fs::write(self.at("model/generation_config.json"), generation.to_string()).unwrap();
    }

    /// Row `r` of matrix `m` holds the number `1000 m + r`.
    fn weights(&self, rows: usize, more: &[TensorSpec]) {
        let mut specs = vec![
            TensorSpec::new("encoder.final_layer_norm.weight", DType::F32, [8]),
            TensorSpec::new("lm_head.weight", DType::Bf16, [rows, 8]),
            TensorSpec::new("shared.weight", DType::F32, [rows, 8]),
        ];
        specs.extend_from_slice(more);
        let path = self.at("model/model.safetensors");
        let mut writer =
            SafetensorsWriter::new(fs::File::create(&path).unwrap(), &path, &specs, &[]).unwrap();
        for (m, spec) in specs.iter().enumerate() {
            let width: usize = spec.shape[1..].iter().product();
            let mut bytes = Vec::new();
            for row in 0..spec.shape[0] {
                let value = (1000 * m + row) as f32;
                for _ in 0..width {
                    match spec.dtype {
                        DType::Bf16 => bytes.extend_from_slice(&(row as u16).to_le_bytes()),
                        _ => bytes.extend_from_slice(&value.to_le_bytes()),
                    }
                }
            }
            writer.tensor(&spec.name, [bytes]).unwrap();
        }
        writer.finish().unwrap();
    }

    fn job(&self, choice: Choice) -> TrimOptions {
        let mut job = job(&self.at("model"), &self.at("counts.json"), choice, self.at("cut"));
        job.allow_low_coverage = true;
        job.model = Some(self.at("model"));
        job
    }

    fn refused(&self, job: &TrimOptions) -> String {
        let before = listing(self.folder.path());
        let error = trim(job, &mut ()).unwrap_err().to_string();
        assert_eq!(listing(self.folder.path()), before, "something was left or touched: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }
}

/// Everything in a folder, with contents.
fn listing(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push((path.clone(), Vec::new()));
            all.extend(listing(&path));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_small_model() {
    let small = Small::new();
    let before = listing(small.folder.path());
    let mut job = small.job(Choice::MinCount(20));
    fs::write(small.at("sample.txt"), "今天天气很好\n今天\n \n𠀀的\n").unwrap();
    let input = expand(&[small.at("sample.txt").to_string_lossy().into_owned()]).unwrap().remove(0);
    job.sample = Some((input, Columns::Text, TableOptions::default()));
    fs::write(small.at("need.txt"), "今天\n的错猫\n▁the\n").unwrap();
    job.require = vec![small.at("need.txt").to_string_lossy().into_owned()];
    let mut stop = |_: Progress<'_>| ControlFlow::Break(());
    let stopped = trim(&job, &mut stop).unwrap_err().to_string();
    assert!(stopped == "stopped before its end" && !small.at("cut").exists(), "{stopped}");
    let mut told = Vec::new();
    let mut watch = |at: Progress<'_>| {
        told.push((at.done, at.total));
        ControlFlow::Continue(())
    };
    let report = trim(&job, &mut watch).unwrap();

    // The pieces: 259 fixed ones, ▁ and five words by count or requirement, two sentinels.
    let cut = spiece(&small.at("cut/spiece.model"));
    let texts: Vec<&str> = cut.pieces[259..].iter().map(|p| p.text.as_str()).collect();
    let expected = ["▁", "今天", "天气", "好", "错", "▁the", "的", "▁<extra_id_1>", "▁<extra_id_0>"];
    assert_eq!(texts, expected);
    let v = &report.vocabulary;
    assert_eq!((v.pieces_before, v.pieces_after, v.rows_before), (282, 268, Some(294)));
    assert_eq!((v.indispensable, v.chosen, v.required, v.rows_after), (261, 5, 2, 270));
    assert_eq!(report.required[0].missing, ["猫"]);
    let coverage = report.coverage.as_ref().unwrap();
    assert_eq!((coverage.tokens, coverage.kept_tokens), (245, 235));
    assert_eq!(coverage.most_frequent_dropped, [("a".into(), 10)]);

    // The rows: pieces, and two of padding.
    let rows: Vec<u32> =
        serde_json::from_slice(&fs::read(small.at("cut/keep_tokens.json")).unwrap()).unwrap();
    assert_eq!((rows.len(), &rows[268..]), (270, &[282, 283][..]));
    for (row, piece) in rows.iter().zip(&cut.pieces) {
        assert_eq!(small.model.pieces[*row as usize], *piece);
    }
    let weights = Checkpoint::open(&small.at("cut")).unwrap();
    assert_eq!(weights.info("shared.weight").unwrap(), (DType::F32, vec![270, 8]));
    assert_eq!(weights.info("lm_head.weight").unwrap(), (DType::Bf16, vec![270, 8]));
    let (shared, head) = (weights.bytes("shared.weight").unwrap(), weights.bytes("lm_head.weight").unwrap());
    for (i, &row) in rows.iter().enumerate() {
        let value = (2000 + row) as f32;
        assert_eq!(shared[i * 32..i * 32 + 4], value.to_le_bytes());
        assert_eq!(shared[i * 32 + 28..i * 32 + 32], value.to_le_bytes());
        assert_eq!(head[i * 16..i * 16 + 2], (row as u16).to_le_bytes());
    }
    let old = Checkpoint::open(&small.at("model")).unwrap();
    let norm = "encoder.final_layer_norm.weight";
    assert_eq!(&*weights.bytes(norm).unwrap(), &*old.bytes(norm).unwrap());
    let sizes = report.model.unwrap();
    assert_eq!((sizes.before.parameters, sizes.after.parameters), (8 + 16 * 294, 8 + 16 * 270));
    assert_eq!((sizes.before.bytes, sizes.after.bytes), (32 + 48 * 294, 32 + 48 * 270));
    assert_eq!(told.last().unwrap(), &(32 + 48 * 270, Some(32 + 48 * 270)));

    // Configurations: the number of rows, and ids in their new places.
    let config = json_of(&small.at("cut/config.json"));
    assert_eq!((&config["vocab_size"], &config["eos_token_id"]), (&json!(270), &json!(1)));
    assert_eq!((&config["bos_token_id"], &config["x_custom"]), (&json!(267), &json!([1, 2])));
    let generation = json_of(&small.at("cut/generation_config.json"));
    assert_eq!(generation["suppress_tokens"], json!([2, 260, 266]));
    let tokenizer = json_of(&small.at("cut/tokenizer.json"));
    assert_eq!(tokenizer["model"]["vocab"].as_array().unwrap().len(), 268);
    assert_eq!(tokenizer["model"]["byte_fallback"], json!(true));
    assert_eq!(json_of(&small.at("cut/tokenizer_config.json"))["extra_ids"], json!(0));

    // Held-out text: 很 became bytes, and the piece after it stayed in place.
    let sample = report.sample.as_ref().unwrap();
    assert_eq!((sample.texts, sample.texts_changed), (4, 1));
    assert_eq!((sample.tokens.after - sample.tokens.before, sample.byte_characters.before), (2, 1));
    assert_eq!((sample.byte_characters.after, sample.byte_tokens.after), (2, 7));
    assert_eq!(sample.piece_bytes_changed, 3);
    assert_eq!(sample.examples[0].before[0], "很");
    assert_eq!(sample.examples[0].after[..3], ["<0xE5>", "<0xBE>", "<0x88>"]);

    let read: t5kit_trim::Report =
        serde_json::from_value(json_of(&small.at("cut/trim_report.json"))).unwrap();
    assert_eq!(read.vocabulary, report.vocabulary);
    assert_eq!(read.tokenizer.sha256.len(), 64);
    let page = fs::read_to_string(small.at("cut/trim_report.html")).unwrap();
    assert!(page.contains("<polyline") && page.contains("猫") && page.ends_with("</html>\n"));
    // The inputs are as they were.
    let now = listing(small.folder.path());
    assert!(before.iter().all(|file| now.contains(file)));
    // The cut one can be cut again.
    let mut again = small.job(Choice::Rows((0..268).collect()));
    (again.model, again.tokenizer) = (Some(small.at("cut")), small.at("cut/spiece.model"));
    (again.output, again.counts) = (small.at("again"), Vec::new());
    trim(&again, &mut ()).unwrap();
    assert_eq!(
        fs::read(small.at("again/model.safetensors")).unwrap(),
        fs::read(small.at("cut/model.safetensors")).unwrap()
    );
}

/// T5's sentinels are rows behind the pieces, which its tokenizer class names.
#[test]
fn sentinels_behind_the_pieces() {
    let small = Small::new();
    let mut model = small.model.clone();
    model.pieces.truncate(280);
    fs::write(small.at("model/spiece.model"), model.to_bytes()).unwrap();
    small.config(384);
    small.weights(384, &[]);
    trim(&small.job(Choice::MinCount(20)), &mut ()).unwrap();
    let rows: Vec<u32> =
        serde_json::from_slice(&fs::read(small.at("cut/keep_tokens.json")).unwrap()).unwrap();
    assert_eq!(rows[264..], (280..380).collect::<Vec<u32>>());
    let tokenizer = json_of(&small.at("cut/tokenizer.json"));
    let vocabulary = tokenizer["model"]["vocab"].as_array().unwrap();
    assert_eq!((&vocabulary[264][0], &vocabulary[363][0]), (&json!("<extra_id_99>"), &json!("<extra_id_0>")));
    assert_eq!(json_of(&small.at("cut/tokenizer_config.json"))["extra_ids"], json!(100));
    assert_eq!(json_of(&small.at("cut/config.json"))["vocab_size"], json!(364));
}

#[test]
fn bad_input_leaves_nothing() {
    let small = Small::new();
    let job = small.job(Choice::MinCount(20));
    let with = |change: &dyn Fn(&mut TrimOptions)| {
        let mut job = job.clone();
        change(&mut job);
        small.refused(&job)
    };

    small.counts("unknown.json", r#"{"▁": 9, "nonsense": 1, "nonsense2": 1}"#);
    let error = with(&|job| job.counts = vec![small.at("unknown.json")]);
    assert!(error.contains("2 of its 3 pieces are not in the tokenizer (\"nonsense\", "), "{error}");
    small.counts("twice.tsv", "今天\t5\n▁\t3\n今天\t2\n");
    let error = with(&|job| job.counts = vec![small.at("twice.tsv")]);
    assert!(error.contains("piece \"今天\" occurs twice"), "{error}");
    small.counts("bad.tsv", "今天\t5\n▁ 3\n");
    let error = with(&|job| job.counts = vec![small.at("bad.tsv")]);
    assert!(error.contains("bad.tsv, line 2: not a piece, a tab and its count"), "{error}");
    small.counts("negative.json", r#"{"▁": -9}"#);
    assert!(with(&|job| job.counts = vec![small.at("negative.json")]).contains("not an object of counts"));
    small.counts("huge.tsv", "今天\t18446744073709551615\n▁\t3\n");
    assert!(with(&|job| job.counts = vec![small.at("huge.tsv")]).contains("more than 2^64"));
    small.counts("empty.tsv", "");
    assert!(with(&|job| job.counts = vec![small.at("empty.tsv")]).contains("it holds no counts"));
    assert!(with(&|job| job.counts = vec![small.at("none.tsv")]).contains("none.tsv: cannot be opened"));
    assert!(with(&|job| job.counts = Vec::new()).contains("no counts are given"));
    assert!(with(&|job| job.choice = Chooser::By(Choice::Coverage(1.5))).contains("coverage of 1.5"));

    for (list, part) in [
        ("[0, 1, 1]", "listed twice"),
        ("[1, 0]", "sort the list"),
        ("[0, 294]", "row 294 is out of range: there are 294 rows"),
        ("{}", "not a JSON list"),
    ] {
        small.counts("keep.json", list);
        let error = with(&|job| job.choice = Chooser::KeepTokens(small.at("keep.json")));
        assert!(error.contains(part), "{error}");
    }
    assert!(with(&|job| job.require = vec!["hanzi".into()]).contains("neither a file nor a built-in set"));
    assert!(with(&|job| job.tokenizer = small.at("nowhere")).contains("nowhere"));
    assert!(with(&|job| job.model = Some(small.at("nowhere"))).contains("nowhere"));

    fs::create_dir(small.at("full")).unwrap();
    fs::write(small.at("full/mine.txt"), "mine").unwrap();
    let error = with(&|job| job.output = small.at("full"));
    assert!(error.contains("full: already exists"), "{error}");

    small.config(300);
    assert!(small.refused(&job).contains("has shape [294, 8], but its configuration speaks of 300 rows"));
    small.config(200);
    assert!(small.refused(&job).contains("the model has 200 rows, but the tokenizer 282 pieces"));
    small.config(5000);
    assert!(small.refused(&job).contains("far more than the tokenizer's 282 pieces"));
    small.config(294);
    let whole = fs::read(small.at("model/model.safetensors")).unwrap();
    fs::write(small.at("model/model.safetensors"), &whole[..whole.len() - 100]).unwrap();
    assert!(small.refused(&job).contains("model.safetensors"));
    fs::write(small.at("model/model.safetensors"), &whole).unwrap();
    trim(&job, &mut ()).unwrap();
    assert!(small.refused(&job).contains("cut: already exists"));
    trim(&TrimOptions { force: true, ..job.clone() }, &mut ()).unwrap();
}

#[test]
fn counts_in_both_forms() {
    let small = Small::new();
    let tokenizer = Tokenizer::load(&small.at("model")).unwrap();
    let mut counts = vec![0; tokenizer.vocab_size()];
    for (id, n) in [(259, 9), (260, 9), (5, 1), (270, 12)] {
        counts[id] = n;
    }
    let inputs: Vec<String> = vec![small.at("counts.json").to_string_lossy().into_owned()];
    let tally = t5kit_trim::Tally { tokens: 31, ..t5kit_trim::Tally::default() };
    let options = t5kit_trim::CountOptions::default();
    let corpus = t5kit_trim::Corpus::new(&inputs, &expand(&inputs).unwrap(), &options, tally);
    let record = t5kit_trim::Record::new(&tokenizer, &counts, vec![corpus]);
    assert_eq!((record.distinct_pieces, record.total.tokens), (4, 31));
    let written = Counts::new(&tokenizer, &counts, record);
    let order: Vec<u64> = written.pieces.iter().map(|(_, n)| *n).collect();
    assert_eq!(order, [12, 9, 9, 1]);
    assert_eq!(written.pieces[1].0, "▁");
    for name in ["c.tsv", "c.json"] {
        let path = small.at(name);
        written.write(&path, false).unwrap();
        let read = Counts::read(&path).unwrap();
        assert_eq!((&read.pieces, &read.record), (&written.pieces, &written.record), "{name}");
        assert_eq!(read.by_id(&tokenizer).unwrap(), counts, "{name}");
        assert!(written.write(&path, false).unwrap_err().to_string().contains("already exists"));
        written.write(&path, true).unwrap();
    }
    assert!(small.at("c.json.record.json").is_file());
    let text = fs::read_to_string(small.at("c.tsv")).unwrap();
    assert!(text.starts_with("#t5kit-counts\t{"), "{text}");
    // Another tokenizer's counts are refused, and so are counts that were changed.
    fs::write(small.at("other.model"), small_model(&WORDS[..19]).to_bytes()).unwrap();
    let other = Tokenizer::load(&small.at("other.model")).unwrap();
    let error = Counts::read(&small.at("c.tsv")).unwrap().by_id(&other).unwrap_err().to_string();
    assert!(error.contains("counts of another tokenizer: of one with 282 pieces"), "{error}");
    fs::write(small.at("c.tsv"), text.replace("▁\t9", "▁\t8")).unwrap();
    assert!(Counts::read(&small.at("c.tsv")).unwrap_err().to_string().contains("it was changed"));
}

/// Pieces with tabs and line ends survive the tab-separated form.
#[test]
fn odd_pieces() {
    let folder = TempDir::new().unwrap();
    let words = ["\n", "a\tb", "\\n", "#t5kit-counts", "\r", "\""];
    fs::write(folder.path().join("m.model"), small_model(&words).to_bytes()).unwrap();
    let tokenizer = Tokenizer::load(&folder.path().join("m.model")).unwrap();
    let counts: Vec<u64> = (0..tokenizer.vocab_size() as u64).collect();
    let tally = t5kit_trim::Tally { tokens: counts.iter().sum(), ..t5kit_trim::Tally::default() };
    let corpus = t5kit_trim::Corpus::new(&[], &[], &t5kit_trim::CountOptions::default(), tally);
    let record = t5kit_trim::Record::new(&tokenizer, &counts, vec![corpus]);
    let written = Counts::new(&tokenizer, &counts, record);
    for name in ["c.tsv", "c.json"] {
        let path = folder.path().join(name);
        written.write(&path, false).unwrap();
        assert_eq!(Counts::read(&path).unwrap().by_id(&tokenizer).unwrap(), counts, "{name}");
    }
}

/// Nobody trains on bytes because a corpus was too small: little coverage has to be asked for.
#[test]
fn pieces_that_cover_too_little_are_refused() {
    let small = Small::new();
    let mut job = TrimOptions { allow_low_coverage: false, ..small.job(Choice::MinCount(41)) };
    let error = trim(&job, &mut ()).unwrap_err().to_string();
    // 140 of 245 tokens are left; from 10 on it is 240 of 245, so all are needed.
    assert!(error.contains("make up 0.5714 of the 245 counted tokens"), "{error}");
    assert!(error.contains("`min_count` 5 keeps"), "{error}");
    assert!(!small.at("cut").exists(), "nothing is left behind");
    job.choice = Chooser::By(Choice::MinCount(5));
    trim(&job, &mut ()).unwrap();
}

/// The counts that come with the program need no other file.
#[test]
fn the_counts_of_the_program_are_whole() {
    let counts = Counts::builtin(t5kit_trim::BUILTIN[0]).unwrap();
    assert_eq!(counts.pieces.len(), 92_420);
    assert_eq!(counts.pieces.iter().map(|(_, n)| n).sum::<u64>(), 8_791_206_396);
    assert!(
        counts.pieces.windows(2).all(|pair| pair[0].1 >= pair[1].1) && counts.pieces.last().unwrap().1 == 10
    );
}
