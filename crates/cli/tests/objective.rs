//! `t5kit objective`: what is shown of the pre-training objectives, to people and to programs.

mod common;
use common::{finish, program, run, run_with_input};
use serde_json::Value;

const NAMES: [&str; 10] = [
    "span-corruption",
    "iid-unique",
    "bert-style",
    "mass-style",
    "drop-tokens",
    "deshuffling",
    "prefix-lm",
    "full-lm",
    "ul2",
    "gap-sentences",
];
const POEM: &str = "明月几时有，把酒问青天，不知天上宫阙，今夕是何年。我欲乘风归去，唯恐琼楼玉宇，高处不胜寒；起舞弄清影，何似在人间。";

fn objects(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap()
}

fn ids(object: &Value, field: &str) -> Vec<u32> {
    serde_json::from_value(object[field].clone()).unwrap()
}

#[test]
fn a_poem_by_every_objective() {
    let shown = run(["objective", "--show"]);
    assert!(shown.stderr.contains("every character counts as a token"), "{shown:#?}");
    let out = shown.ok();
    assert!(!out.contains('\u{1b}'), "colours are for terminals: {out}");
    let heads: Vec<&str> = out.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).collect();
    assert_eq!(heads, NAMES);
    assert!(out.contains(&format!("  target  {POEM}\n")), "{out}");
    let chinese = finish(program().args(["objective", "--show"]).env("T5KIT_LANG", "zh"));
    assert!(chinese.stderr.contains("每个字符算一个词元"), "{chinese:#?}");
    assert!(chinese.ok().contains(&format!("  目标  {POEM}\n")));
}

#[test]
fn an_object_a_line() {
    let out = run(["objective", "--show", "--json", "--seed", "3"]).ok();
    let found = objects(&out);
    assert_eq!(found.iter().map(|object| text(object, "objective")).collect::<Vec<_>>(), NAMES);
    for object in &found {
        let fields: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["objective", "input", "target", "input_ids", "target_ids"]);
        assert_eq!((ids(object, "input_ids").last(), ids(object, "target_ids").last()), (Some(&1), Some(&1)));
    }
    for (name, whole) in [("bert-style", "target"), ("deshuffling", "target"), ("full-lm", "target")] {
        let object = found.iter().find(|object| text(object, "objective") == name).unwrap();
        assert_eq!(text(object, whole), POEM);
    }
    let prefix = found.iter().find(|object| text(object, "objective") == "prefix-lm").unwrap();
    assert_eq!(format!("{}{}", text(prefix, "input"), text(prefix, "target")), POEM);
    assert_eq!(ids(&found[7], "input_ids"), [1]);
    let spans = &found[0];
    assert!(
        text(spans, "input").contains("<extra_id_0>") && text(spans, "target").starts_with("<extra_id_0>")
    );

    // The same seed gives the same, whatever else is shown; another gives another.
    let one =
        |seed: &str| run(["objective", "--show", "--json", "--objective", "iid-unique", "--seed", seed]).ok();
    assert_eq!(objects(&one("3"))[0], found[1]);
    assert_ne!(one("3"), one("4"));
}

#[test]
fn lines_are_read_and_long_ones_make_several_examples() {
    let lines = format!("{POEM}\r\n\n  \n天地玄黄，宇宙洪荒。\n");
    let args = ["objective", "--show", "--json", "--objective", "span-corruption,drop-tokens"];
    let found = objects(&run_with_input(args, lines.as_bytes()).ok());
    let order: Vec<&str> = found.iter().map(|object| text(object, "objective")).collect();
    assert_eq!(order, ["span-corruption", "drop-tokens", "span-corruption", "drop-tokens"]);
    let show = run_with_input(["objective", "--show", "--objective", "full-lm"], lines.as_bytes()).ok();
    assert_eq!(show.lines().filter(|line| line.starts_with("天地")).count(), 1, "{show}");

    let lengths = ["--max-source-length", "12", "--max-target-length", "5"];
    let found = objects(&run_with_input(args.into_iter().chain(lengths), lines.as_bytes()).ok());
    assert!(found.len() > 8, "{found:#?}");
    for object in found {
        let [input, target] = ["input_ids", "target_ids"].map(|field| ids(&object, field).len());
        assert!(input <= 12 && target <= 5, "{object}");
    }
    assert_eq!(run_with_input(["objective", "--show"], b"\n").ok(), run(["objective", "--show"]).ok());
}

#[test]
fn parameters_count() {
    let hidden = |more: &[&str]| {
        let args = ["objective", "--show", "--json", "--objective", "span-corruption"];
        let found = objects(&run(args.iter().chain(more)).ok());
        (text(&found[0], "target").matches("<extra_id_").count(), ids(&found[0], "target_ids").len())
    };
    // 57 characters and the blank before them: 9 tokens of noise in 3 spans.
    assert_eq!(hidden(&[]), (3, 9 + 3 + 1));
    assert_eq!(hidden(&["--noise-density", "0.5", "--max-source-length", "128"]), (10, 29 + 10 + 1));
    assert_eq!(hidden(&["--mean-noise-span-length", "9"]), (1, 9 + 1 + 1));
    let gaps = |how| {
        let args = ["objective", "--show", "--json", "--objective", "gap-sentences", "--gap-sentences", how];
        let found = objects(&run(args).ok());
        (text(&found[0], "input").to_owned(), text(&found[0], "target").to_owned())
    };
    assert!(!gaps("lcs").0.contains("<extra_id_0>"));
    assert!(gaps("rouge1").0.contains("<extra_id_0>"));
}

#[test]
fn what_cannot_be_shown_is_said() {
    run(["objective"]).is_wrong_usage("--show is missing");
    for (args, part) in [
        (&["--objective", "span_corruption"][..], "did you mean span-corruption?"),
        (&["--noise-density", "1"], "--noise-density must be between 0 and 1, not 1"),
        (&["--mean-noise-span-length", "0.5"], "--mean-noise-span-length must be at least 1, not 0.5"),
        (&["--objective", "full-lm", "--noise-density", "0.2"], "--noise-density says nothing to full-lm"),
        (
            &["--objective", "prefix-lm", "--noise-density", "0.6"],
            "--noise-density must be above 0 and at most 0.5",
        ),
        (&["--objective", "ul2", "--max-source-length", "3"], "raise --max-source-length"),
    ] {
        run(["objective", "--show"].iter().chain(args)).is_wrong_usage(part);
    }
    run(["objective", "--show", "--objective", "prefix-lm", "--text", ""])
        .fails(&["prefix-lm", "at least 2 tokens, not 0"]);
    let two =
        run_with_input(["objective", "--show", "--objective", "gap-sentences"], "一。二。\n三\n".as_bytes());
    assert_eq!(two.code, 1);
    assert!(
        two.stderr.contains("line 2: gap-sentences needs a text of at least 2 sentences, not 1"),
        "{two:#?}"
    );
    // Of all, one is left out.
    let all = run(["objective", "--show", "--text", "一句话"]);
    assert!(all.stderr.contains("left out: gap-sentences"), "{all:#?}");
    assert!(!all.ok().contains("gap-sentences"));
    let long = "字，".repeat(3000);
    let args =
        ["objective", "--show", "--objective", "iid-unique", "--max-source-length", "2000", "--text", &long];
    run(args).fails(&["iid-unique needs", "the vocabulary has 100", "--max-source-length of at most"]);
}
