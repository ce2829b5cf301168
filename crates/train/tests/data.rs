//! Reading examples: every format gives the same ones, whatever the threads and wherever they are kept.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_formats::table::{ColumnRef, TableOptions};
use t5kit_formats::trained::with_prompt;
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{DataOptions, Error, Examples, Lengths, PairColumns, Placement, ReadWatch};

/// A piece for each letter; ▁ 3, a 4, …
fn tokenizer(folder: &Path) -> Tokenizer {
    let piece = |text: String, kind| Piece { text, kind, score: -1.0, ..Piece::default() };
    let mut pieces = vec![
        piece("<pad>".into(), PieceKind::Control),
        piece("</s>".into(), PieceKind::Control),
        piece("<unk>".into(), PieceKind::Unknown),
    ];
    pieces.extend("▁abcdefghijklmnopqrstuvwxyz:".chars().map(|c| piece(c.to_string(), PieceKind::Normal)));
    let path = folder.join("spiece.model");
    std::fs::write(
        &path,
        SpieceModel::new(pieces, TrainerSpec::default(), NormalizerSpec::default()).to_bytes(),
    )
    .unwrap();
    Tokenizer::load(&path).unwrap()
}

fn options() -> DataOptions {
    DataOptions {
        columns: PairColumns::default(),
        source_prefix: String::new(),
        table: TableOptions::default(),
        lengths: Lengths { source: 12, target: 5, pair: None },
        placement: Placement::Memory,
        references: true,
    }
}

struct Skip(Vec<String>);

impl Watch for Skip {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl ReadWatch for Skip {
    fn bad_row(&mut self, error: &dyn std::fmt::Display) -> ControlFlow<()> {
        self.0.push(error.to_string());
        ControlFlow::Continue(())
    }
}

fn all(examples: &Examples) -> Vec<(Vec<u32>, Vec<u32>)> {
    (0..examples.len()).map(|i| (examples.source(i).to_vec(), examples.target(i).to_vec())).collect()
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
    path
}

#[test]
fn every_format_gives_the_same_examples() {
    let dir = tempfile::tempdir().unwrap();
    let (tokenizer, pool) = (tokenizer(dir.path()), Pool::new(2));
    let read = |path: &Path, options: &DataOptions| {
        Examples::read(&[path.to_path_buf()], &tokenizer, &pool, options, &mut ()).unwrap()
    };
    let plain = read(&write(dir.path(), "plain.tsv", "ab\tc\nlonger text than that\tabcdefg\n"), &options());
    assert_eq!(all(&plain)[0], (vec![3, 4, 5, 1], vec![3, 6, 1]));
    assert_eq!((plain.facts.cut, plain.facts.longest, plain.facts.skipped), ([1, 1], [23, 9], 0));
    assert_eq!((plain.source(1).len(), plain.target(1).len()), (12, 5));
    assert_eq!(plain.references, ["c", "abcdefg"], "as they stand in the file");
    for (name, content) in [
        ("plain.csv", "ab,c\n\"longer text than that\",abcdefg\n"),
        ("named.csv", "target,other,source\nc,x,ab\nabcdefg,x,longer text than that\n"),
        ("named.tsv", "source\ttarget\nab\tc\nlonger text than that\tabcdefg\n"),
        (
            "two.jsonl",
            "{\"text\": \"ab\", \"label\": \"c\"}\n{\"text\": \"longer text than that\", \"label\": \"abcdefg\"}\n",
        ),
        (
            "named.jsonl",
            "{\"target\": \"c\", \"id\": 7, \"source\": \"ab\"}\n{\"source\": \"longer text than that\", \"target\": \"abcdefg\"}\n",
        ),
    ] {
        assert_eq!(all(&read(&write(dir.path(), name, content), &options())), all(&plain), "{name}");
    }
    // Columns by number, a prompt by name, a prefix; files one after another.
    let csl = write(dir.path(), "csl.tsv", "to title\tab\tc\n:\tb\tc\n");
    let number = |n| Some(ColumnRef::Number(n));
    let columns = PairColumns { source: number(2), target: number(3), prompt: number(1) };
    let lengths = Lengths { source: 50, target: 5, pair: None };
    let prompted = DataOptions { columns, lengths, source_prefix: "do ".into(), ..options() };
    let examples = read(&csl, &prompted);
    assert_eq!(tokenizer.decode(examples.source(0)), "do to title: ab");
    assert_eq!(tokenizer.decode(examples.source(1)), "do b");
    let twice = Examples::read(&[csl.clone(), csl], &tokenizer, &pool, &prompted, &mut ()).unwrap();
    assert_eq!(all(&twice), [all(&examples), all(&examples)].concat());
    assert_eq!(with_prompt("总结：", "文"), "总结: 文");
}

/// With BERT's vocabulary a pair is `[CLS] source [SEP]` and `target [SEP]`; where both together are too long the longer
/// one is cut, before its `[SEP]`.
#[test]
fn a_pair_too_long_for_the_positions_is_cut_from_the_longer_side() {
    let dir = tempfile::tempdir().unwrap();
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n";
    let tokenizer = Tokenizer::load(&write(dir.path(), "vocab.txt", vocab)).unwrap();
    let path =
        write(dir.path(), "pairs.tsv", "a a a a a a\tb b\na a\tb b b b b b\na a a a\tb b b b b\na\tb\n");
    let lengths = Lengths { source: 8, target: 9, pair: Some(8) };
    let options = DataOptions { lengths, ..options() };
    let examples = Examples::read(&[path], &tokenizer, &Pool::new(1), &options, &mut ()).unwrap();
    let pairs: Vec<_> = (0..4).map(|i| (examples.source(i).to_vec(), examples.target(i).to_vec())).collect();
    assert_eq!(pairs[0], (vec![2, 5, 5, 5, 3], vec![6, 6, 3]));
    assert_eq!(pairs[1], (vec![2, 5, 5, 3], vec![6, 6, 6, 3]));
    assert_eq!(pairs[2], (vec![2, 5, 5, 3], vec![6, 6, 6, 3]));
    assert_eq!(pairs[3], (vec![2, 5, 3], vec![6, 3]));
    assert_eq!((examples.facts.cut, examples.facts.longest), ([2, 2], [8, 7]));
}

#[test]
fn bad_rows_are_reported_with_their_lines_and_left_out_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (tokenizer, pool) = (tokenizer(dir.path()), Pool::new(1));
    let path = write(dir.path(), "bad.tsv", "a\tb\nonly\nc\t \nd\te\n");
    let error =
        Examples::read(std::slice::from_ref(&path), &tokenizer, &pool, &options(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("bad.tsv, line 2"), "{error}");
    let mut skip = Skip(Vec::new());
    let examples = Examples::read(&[path], &tokenizer, &pool, &options(), &mut skip).unwrap();
    assert_eq!((examples.len(), examples.facts.skipped), (2, 2));
    assert!(
        skip.0[0].contains("line 2") && skip.0[1].contains("line 3") && skip.0[1].contains("target"),
        "{:?}",
        skip.0
    );
    let three = write(dir.path(), "three.tsv", "a\tb\tc\n");
    let error = Examples::read(&[three], &tokenizer, &pool, &options(), &mut skip).unwrap_err().to_string();
    assert!(error.contains("1 (a), 2 (b), 3 (c)") && error.contains("`source`"), "{error}");
}

#[test]
fn names_say_what_is_what_or_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (tokenizer, pool) = (tokenizer(dir.path()), Pool::new(1));
    let read = |name: &str, content: &str, columns: PairColumns| {
        let path = write(dir.path(), name, content);
        let options =
            DataOptions { columns, lengths: Lengths { source: 99, target: 99, pair: None }, ..options() };
        let examples = Examples::read(&[path], &tokenizer, &pool, &options, &mut ())?;
        let text = |ids: &[u32]| tokenizer.decode(ids);
        let pairs = (0..examples.len()).map(|i| text(examples.source(i)) + " > " + &text(examples.target(i)));
        Ok::<_, Error>((pairs.collect::<Vec<_>>(), examples.facts))
    };
    let named = |source: &str, target: &str| PairColumns {
        source: Some(ColumnRef::parse(source)),
        target: Some(ColumnRef::parse(target)),
        prompt: None,
    };
    let nothing = PairColumns::default;
    // Nothing is trained on that is a header, and a summary is made of the document.
    let (pairs, _) = read("a.csv", "Source,Target\na,b\nc,d\n", nothing()).unwrap();
    assert_eq!(pairs, ["a > b", "c > d"]);
    let (pairs, _) = read("b.csv", "Source,Target\na,b\n", named("1", "2")).unwrap();
    assert_eq!(pairs, ["a > b"]);
    let (pairs, _) = read("c.jsonl", "{\"summary\":\"a\",\"document\":\"b\"}\n", nothing()).unwrap();
    assert_eq!(pairs, ["b > a"]);
    // Blank rows are none, wherever they are.
    let (pairs, facts) = read("d.tsv", "a\tb\n\nc\td\n\t\n\n", nothing()).unwrap();
    assert_eq!((pairs.len(), facts.blank, facts.skipped), (2, 1, 0));
    assert_eq!(facts.first, Some(["a".to_owned(), "b".to_owned()]));
    // Alpaca: what is to be done, with what, where there is something.
    let alpaca = "[{\"instruction\":\"do it\",\"input\":\"x\",\"output\":\"y\"},
        {\"instruction\":\"say hello\",\"input\":\"\",\"output\":\"hello\"},
        {\"instruction\":\"say b\",\"output\":\"b\"}]";
    let (pairs, _) = read("e.json", alpaca, nothing()).unwrap();
    assert_eq!(pairs, ["do it: x > y", "say hello > hello", "say b > b"]);
    // Nobody knows.
    for (name, content) in [
        ("f.csv", "foo,bar\na a,b b\nc c,d d\n"),
        ("g.jsonl", "{\"translation\":{\"en\":\"a\",\"zh\":\"b\"}}\n"),
        ("h.csv", "text,content\na,b\n"),
    ] {
        let error = read(name, content, nothing()).unwrap_err();
        assert!(matches!(error, Error::Columns { .. }), "{name}: {error}");
    }
    let (pairs, _) = read(
        "g.jsonl",
        "{\"translation\":{\"en\":\"a\",\"zh\":\"b\"}}\n",
        named("translation.zh", "translation.en"),
    )
    .unwrap();
    assert_eq!(pairs, ["b > a"]);
    let target_only = PairColumns { source: None, ..named("x", "bar") };
    let (pairs, _) = read("i.csv", "foo,bar\na,b\n", target_only).unwrap();
    assert_eq!(pairs, ["a > b"], "of two columns the other one");
}

#[test]
fn memory_and_disk_and_any_number_of_threads_give_the_same_examples() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer(dir.path());
    // Several windows of text.
    let row = |i: usize| format!("{} {}\t{}\n", "abcdefgh ".repeat(i % 40), i % 7, "xyz".repeat(1 + i % 5));
    let path = write(dir.path(), "many.tsv", &(0..40_000).map(row).collect::<String>());
    let read = |threads, placement| {
        let options =
            DataOptions { placement, lengths: Lengths { source: 99, target: 9, pair: None }, ..options() };
        Examples::read(std::slice::from_ref(&path), &tokenizer, &Pool::new(threads), &options, &mut ())
            .unwrap()
    };
    let memory = read(1, Placement::Memory);
    assert!(!memory.on_disk());
    let disk = |from| Placement::Disk { folder: dir.path().to_path_buf(), from };
    for (threads, placement, on_disk) in [
        (3, Placement::Memory, false),
        (2, disk(0), true),
        (1, disk(1 << 20), true),
        (2, disk(1 << 30), false),
    ] {
        let other = read(threads, placement);
        assert_eq!(other.on_disk(), on_disk);
        assert!(all(&other) == all(&memory) && other.references == memory.references);
        assert_eq!(other.facts, memory.facts);
        assert_eq!(other.fingerprint(), memory.fingerprint());
    }
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 2, "the file has no name");
}
