//! The stream of documents: every document once an epoch, those held out never, the same from any place on, whatever the
//! number of threads.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use t5kit_formats::inputs::expand;
use t5kit_formats::table::TableOptions;
use t5kit_tasks::objective::{Budget, Objective, Prepared};
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{DocumentSource, Documents, Error, Stream, StreamOptions, held_out_examples};

/// Bytes as ids: no vocabulary to make, and sentinels above them.
fn tokenizer() -> (tempfile::TempDir, Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    (folder, tokenizer)
}

/// A folder of files: `name` has these many documents, each a line that says which it is.
fn corpus(folder: &Path, files: &[(&str, usize)]) {
    for (name, documents) in files {
        let mut file = std::fs::File::create(folder.join(name)).unwrap();
        (0..*documents).for_each(|i| writeln!(file, "[{name} {i:04}]").unwrap());
    }
}

fn options(folder: &Path, weights: &[(&str, f64)]) -> StreamOptions {
    let source = |(name, weight): &(&str, f64)| DocumentSource {
        files: expand(&[folder.join(name).to_string_lossy().into_owned()]).unwrap(),
        weight: *weight,
    };
    StreamOptions {
        sources: weights.iter().map(source).collect(),
        column: None,
        table: TableOptions { text_as_table: false, ..TableOptions::default() },
        skip_bad_rows: false,
        budget: Budget { source: 64, target: 64 },
        batch_size: 4,
        window_bytes: 600,
        held_out: 0.0,
        seed: 7,
    }
}

fn prepared<'t>(name: &str, tokenizer: &'t Tokenizer, options: &StreamOptions) -> Prepared<'t> {
    Objective::by_name(name).unwrap().prepare(tokenizer, options.budget).unwrap()
}

/// The targets of the next batches, as text.
fn targets(documents: &mut Documents<'_>, tokenizer: &Tokenizer, batches: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..batches {
        let batch = documents.batch(&mut ()).unwrap();
        texts.extend((0..batch.len()).map(|i| tokenizer.decode(batch.target(i))));
    }
    texts
}

/// How often each document that is whole within a chunk occurs.
fn counted(texts: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        for part in text.split('[').filter_map(|part| part.split_once(']')) {
            *counts.entry(part.0.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn an_epoch_has_every_document_once_and_none_that_is_held_out() {
    let (_files, tokenizer) = tokenizer();
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path(), &[("a.txt", 300), ("b.txt", 200)]);
    let pool = Pool::new(2);
    for held_out in [0.0, 0.2] {
        let options = StreamOptions { held_out, ..options(folder.path(), &[("", 1.0)]) };
        let full = prepared("full-lm", &tokenizer, &options);
        let mut documents = Documents::new(options.clone(), &full, "full-lm", &tokenizer, &pool);
        let mut texts = Vec::new();
        while documents.epochs() < 1.0 {
            texts.extend(targets(&mut documents, &tokenizer, 1));
        }
        let counts = counted(&texts);
        // Documents that a chunk ends in are not counted; none is there twice but for the next epoch's first.
        let twice = counts.values().filter(|&&n| n > 1).count();
        assert!(twice <= 30, "{twice}");
        let out = held_out_examples(&options, &full, &tokenizer, &pool, 1000, &mut ()).unwrap();
        let out: Vec<String> = (0..out.len()).map(|i| tokenizer.decode(out.target(i))).collect();
        let out = counted(&out);
        assert!(out.keys().all(|name| !counts.contains_key(name)));
        let most = (500.0 * (1.0 - held_out)) as usize;
        assert!((most * 6 / 10..=most + 40).contains(&counts.len()), "{} of {most}", counts.len());
        assert_eq!(out.is_empty(), held_out == 0.0);
        assert!(
            texts.iter().take(20).any(|text| text.contains("a.txt"))
                || texts[..20].iter().any(|t| t.contains("b.txt"))
        );
    }
}

#[test]
fn from_any_place_on_it_is_the_same_stream_whatever_the_threads() {
    let (_files, tokenizer) = tokenizer();
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path(), &[("a.txt", 90), ("b.txt", 40), ("c.jsonl", 0)]);
    let rows: String = (0..50).map(|i| format!("{{\"text\": \"[c {i:04}]\", \"id\": {i}}}\n")).collect();
    std::fs::write(folder.path().join("c.jsonl"), rows).unwrap();
    let weights = [("a.txt", 2.0), ("b.txt", 1.0), ("c.jsonl", 0.5)];
    for name in ["span-corruption", "ul2", "prefix-lm", "gap-sentences", "deshuffling"] {
        let mut options = options(folder.path(), &weights);
        if name == "gap-sentences" {
            let sentences = "一二三四五。六七八九十。甲乙丙丁。\n".repeat(40);
            ["a.txt", "b.txt"]
                .iter()
                .for_each(|file| std::fs::write(folder.path().join(file), &sentences).unwrap());
            options = self::options(folder.path(), &weights[..2]);
            options.budget = Budget { source: 128, target: 128 };
        }
        let objective = prepared(name, &tokenizer, &options);
        let (one, three) = (Pool::new(1), Pool::new(3));
        let start = |pool| Documents::new(options.clone(), &objective, name, &tokenizer, pool);
        let mut whole = start(&one);
        // Far enough for several epochs.
        let all: Vec<_> = (0..60).map(|_| batch(&mut whole)).collect();
        let mut other = start(&three);
        assert_eq!(other.fingerprint(), start(&one).fingerprint());
        for (at, expected) in all.iter().enumerate() {
            let place = other.place();
            let mut resumed = start(&three);
            resumed.go_to(&place).unwrap();
            assert_eq!(resumed.place(), place);
            if at % 7 == 3 {
                assert_eq!(&batch(&mut resumed), expected, "{name} from {at}");
                assert_eq!(resumed.epochs(), {
                    batch(&mut other);
                    other.epochs()
                });
            } else {
                assert_eq!(&batch(&mut other), expected, "{name}, {at}");
            }
        }
        let seeded = StreamOptions { seed: 8, ..options.clone() };
        assert_ne!(
            Documents::new(seeded, &objective, name, &tokenizer, &one).fingerprint(),
            whole.fingerprint()
        );
    }
}

fn batch(documents: &mut Documents<'_>) -> Vec<[Vec<u32>; 2]> {
    let batch = documents.batch(&mut ()).unwrap();
    assert_eq!(batch.len(), 4);
    let largest = documents.largest();
    let tokens = |side: usize| -> usize {
        (0..4).map(|i| if side == 0 { batch.source(i).len() } else { batch.target(i).len() }).sum()
    };
    assert!(tokens(0) <= largest.0 && tokens(1) <= largest.1);
    (0..4).map(|i| [batch.source(i).to_vec(), batch.target(i).to_vec()]).collect()
}

#[test]
fn sources_are_drawn_by_their_weights() {
    let (_files, tokenizer) = tokenizer();
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path(), &[("a.txt", 2000), ("b.txt", 100)]);
    let pool = Pool::new(1);
    let options = options(folder.path(), &[("a.txt", 1.0), ("b.txt", 3.0)]);
    let objective = prepared("full-lm", &tokenizer, &options);
    let mut documents = Documents::new(options, &objective, "full-lm", &tokenizer, &pool);
    let texts = targets(&mut documents, &tokenizer, 500);
    let share = texts.iter().filter(|text| text.contains("b.txt")).count() as f64 / texts.len() as f64;
    let deviation = (0.75 * 0.25 / texts.len() as f64).sqrt();
    assert!((share - 0.75).abs() < 5.0 * deviation, "{share}");
}

#[test]
fn what_cannot_be_read_or_holds_nothing_is_an_error() {
    let (_files, tokenizer) = tokenizer();
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path(), &[("a.txt", 3)]);
    std::fs::write(folder.path().join("empty.txt"), "\n\n \n").unwrap();
    std::fs::write(folder.path().join("bad.jsonl"), "{\"text\": \"ein guter Satz\"}\n{\"text\": \n").unwrap();
    let pool = Pool::new(1);
    let of = |name: &str, skip| {
        let options = StreamOptions { skip_bad_rows: skip, ..options(folder.path(), &[(name, 1.0)]) };
        let objective = prepared("full-lm", &tokenizer, &options);
        let mut documents = Documents::new(options, &objective, "full-lm", &tokenizer, &pool);
        documents.batch(&mut ()).map(|_| documents.facts)
    };
    let error = of("empty.txt", false).unwrap_err();
    assert!(matches!(error, Error::NoExamples { .. }), "{error}");
    let error = of("bad.jsonl", false).unwrap_err().to_string();
    assert!(error.contains("bad.jsonl, line 2"), "{error}");
    assert!(of("bad.jsonl", true).unwrap().skipped > 0);
    assert!(of("a.txt", false).is_ok());
    // Every document held out: nothing is left to train on.
    let options = StreamOptions { held_out: 0.999_999, ..options(folder.path(), &[("a.txt", 1.0)]) };
    let objective = prepared("full-lm", &tokenizer, &options);
    let error = Documents::new(options, &objective, "full-lm", &tokenizer, &pool).batch(&mut ()).unwrap_err();
    assert!(matches!(error, Error::NoExamples { .. }), "{error}");
}
