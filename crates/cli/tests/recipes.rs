//! `t5kit run` as a user runs it: a tiny model's whole story, told once, interrupted, changed, told in Chinese.

mod common;

use common::kitchen::{EVALUATE, EXPORT, Kitchen, RECIPE, ran};
use common::{file, finish, names, program};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_whole_story_from_one_file_is_told_once() {
    let kitchen = Kitchen::new(&[RECIPE, EVALUATE, EXPORT].concat());
    let told = kitchen.run(&[]);
    assert_eq!(told.code, 0, "{told:#?}");
    let all = ["convert", "count", "trim", "split", "finetune", "evaluate", "convert"];
    assert_eq!(ran(&told), all);
    let made = [
        "counts.tsv",
        "data",
        "evaluation",
        "export",
        "model",
        "recipe_state.json",
        "report.html",
        "report.md",
        "run",
        "trimmed",
    ];
    assert_eq!(names(&kitchen.path("out")), made);
    assert_eq!(names(&kitchen.path("out/data")), ["split.json", "test.tsv", "train.tsv", "valid.tsv"]);
    for part in ["40 training, 8 validation, 8 test", "10 steps", "8 examples", "rouge-l"] {
        assert!(told.stdout.contains(part), "{part} in {told:#?}");
    }
    let page = std::fs::read_to_string(kitchen.path("out/report.html")).unwrap();
    for part in [
        "tiny · recipe",
        "t5kit run r.toml",
        "t5kit finetune --model out/trimmed",
        "<polyline",
        "40 training",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    // The table's figures are those of the evaluation.
    let evaluation = std::fs::read(kitchen.path("out/evaluation/evaluation.json")).unwrap();
    let evaluation: Value = serde_json::from_slice(&evaluation).unwrap();
    let value = 100.0 * evaluation["models"][0]["metrics"]["rouge-l"]["value"].as_f64().unwrap();
    assert!(page.contains(&format!("<td>{value:.2} <i>")), "{value}");
    // Nothing is done twice, and a dry run does nothing at all.
    let before = kitchen.state();
    let again = kitchen.run(&[]);
    assert!(again.code == 0 && ran(&again).is_empty(), "{again:#?}");
    assert_eq!(again.stderr.matches("done already").count(), 7, "{again:#?}");
    let dry = kitchen.run(&["--dry-run"]).ok();
    assert_eq!(dry.matches("done, passed over").count(), 7, "{dry}");
    assert_eq!(before["stages"], kitchen.state()["stages"]);
    // What a stage has made and somebody has taken away is made again, with what comes after it.
    std::fs::remove_dir_all(kitchen.path("out/evaluation")).unwrap();
    assert_eq!(ran(&kitchen.run(&[])), ["evaluate"]);
    // The commands of the page do the same by themselves.
    std::fs::remove_dir_all(kitchen.path("out/export")).unwrap();
    let export = finish(program().current_dir(kitchen.path("")).args([
        "convert",
        "--model",
        "out/run",
        "--dtype",
        "bf16",
        "--output",
        "out/export",
    ]));
    assert_eq!(export.code, 0, "{export:#?}");
    assert!(page.contains("t5kit convert --model out/run --dtype bf16 --output out/export"));
    assert!(ran(&kitchen.run(&[])).is_empty());
}

#[test]
fn what_is_wrong_with_a_recipe_is_a_line_with_its_place() {
    let kitchen = Kitchen::new(&[RECIPE, EXPORT].concat());
    let whole = std::fs::read_to_string(kitchen.path("r.toml")).unwrap();
    for (from, to, said) in [
        ("epochs = 2", "epoch = 2", "r.toml:23:1: epoch: [finetune] has no such key; did you mean epochs?"),
        ("epochs = 2", "lr_rate = 2", "did you mean learning_rate?"),
        ("epochs = 2", "epochs = \"two\"", "r.toml:23:10: finetune.epochs must be a whole number, not text"),
        ("epochs = 2", "epochs = 2.5", "finetune.epochs must be a whole number, not a number"),
        ("epochs = 2", "optimizer = \"adamm\"", "finetune.optimizer adamm: there is"),
        ("batch_size = 8", "batch_size = 0", "r.toml:24:1: finetune.batch_size must be at least 1, not 0"),
        ("epochs = 2", "dropout = 1.5", "r.toml:23:1: finetune.dropout must be"),
        ("epochs = 2", "output = \"x\"", "[finetune] output: the recipe sets this itself"),
        (
            "epochs = 2",
            "min_count = 2",
            "r.toml:23:1: min_count: [finetune] has no such key; it belongs to [trim]",
        ),
        (
            "epochs = 2",
            "best_metric = \"rouge\"",
            "finetune.best_metric rouge: give loss or one of finetune.metric",
        ),
        (
            "[finetune]",
            "[finetun]",
            "r.toml:22:2: finetun: a recipe has no such key or section; did you mean [finetune]?",
        ),
        ("seed = 3", "sed = 3", "did you mean seed?"),
        ("seed = 3", "seed = \"3\"", "r.toml:3:8: seed must be a whole number, not text"),
        (
            "min_count = 1",
            "min_count = 1\ntop = 5",
            "r.toml:11:1: trim.min_count and trim.top exclude each other",
        ),
        ("min_count = 1\n", "", "r.toml:10:2: "),
        ("config = \"config.json\"\n", "", "r.toml:6:2: [model] has neither path"),
        ("[model]", "model = 3\n[modell]", "model is a section"),
        ("file = \"pairs.tsv\"\n", "", "data.train is a number of rows, and there is no data.file"),
        ("test = 8\n", "test = 1.5\n", "data.test 1.5: must be a number of rows, a share"),
        ("epochs = 2", "epochs = = 2", "r.toml:23:10: is no TOML"),
        ("[export]", "[[compare]]\nmodel = \"x\"\n[export]", "[[compare]] is about the table of [evaluate]"),
    ] {
        std::fs::write(kitchen.path("r.toml"), whole.replacen(from, to, 1)).unwrap();
        let refused = kitchen.run(&[]);
        refused.is_wrong_usage(said);
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:#?}");
        assert!(!kitchen.path("out").exists(), "{said}");
    }
    std::fs::write(kitchen.path("r.toml"), &whole).unwrap();
    kitchen
        .run(&["--set", "finetune.epoch=3"])
        .is_wrong_usage("--set finetune.epoch: epoch: [finetune] has no such key");
    kitchen.run(&["--set", "finetune.epochs"]).is_wrong_usage("is given as section.key=value");
    let gone = kitchen.run(&["--set", "data.file=gone.tsv"]);
    gone.fails(&["--set data.file: data.file: gone.tsv: no such file or folder"]);
    finish(program().args(["run", "nothing.toml"])).fails(&["nothing.toml: no such file"]);
}

#[test]
fn rows_that_are_not_there_and_folders_of_others() {
    let kitchen = Kitchen::new(RECIPE);
    let few = kitchen.run(&["--set", "data.train=50"]);
    few.fails(&[
        "stage data",
        "pairs.tsv: has 60 examples, and 50 for --train, 8 for --valid, 8 for --test are wanted",
    ]);
    // What was done before that stands, and the rest follows once the recipe is right.
    let told = kitchen.run(&[]);
    assert_eq!((told.code, ran(&told)), (0, vec!["split".to_owned(), "finetune".to_owned()]), "{told:#?}");
    let others = kitchen.path("others");
    std::fs::create_dir(&others).unwrap();
    file(&others, "mine.txt", "mine");
    kitchen
        .run(&["--force", "--set", "output=others"])
        .fails(&["others: is not empty and holds no recipe_state.json"]);
    assert_eq!(names(&others), ["mine.txt"]);
}

#[test]
fn what_has_changed_is_refused_by_name_and_forced_stage_by_stage() {
    let kitchen = Kitchen::new(&[RECIPE, EXPORT].concat());
    kitchen.run(&[]).ok();
    let first = kitchen.weights();
    kitchen.change("epochs = 2", "epochs = 3");
    kitchen.run(&[]).fails(&["finetune was made with epochs 2, now 3; --force makes finetune, export again"]);
    assert!(
        kitchen.run(&["--dry-run"]).ok().contains("refused without --force: was made with epochs 2, now 3")
    );
    assert!(kitchen.weights() == first, "nothing is lost");
    let forced = kitchen.run(&["--force"]);
    assert_eq!((forced.code, ran(&forced)), (0, vec!["finetune".into(), "convert".into()]), "{forced:#?}");
    assert!(kitchen.weights() != first);
    // The content counts, not the time.
    let pairs = std::fs::read_to_string(kitchen.path("pairs.tsv")).unwrap();
    std::fs::write(kitchen.path("pairs.tsv"), &pairs).unwrap();
    assert!(ran(&kitchen.run(&[])).is_empty());
    std::fs::write(kitchen.path("pairs.tsv"), pairs.replacen('甲', "乙", 1)).unwrap();
    let changed = ["data was made with other content of pairs.tsv", "makes data, finetune, export again"];
    kitchen.run(&[]).fails(&changed);
    // More threads make nothing else.
    std::fs::write(kitchen.path("pairs.tsv"), pairs).unwrap();
    assert!(ran(&kitchen.run(&["--set", "threads=2"])).is_empty());
    // A stage more is only that.
    kitchen.change("dtype = \"bf16\"", "dtype = \"f16\"");
    kitchen.run(&[]).fails(&["export was made with dtype bf16, now f16; --force makes export again"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_stage_goes_on_and_ends_with_the_same_weights() {
    let whole = Kitchen::new(RECIPE);
    let longer = ["--set", "finetune.epochs=60", "--set", "finetune.save_every=10"];
    whole.run(&longer).ok();
    let parts = Kitchen::new(RECIPE);
    let mut child = program()
        .current_dir(parts.path(""))
        .args(["run", "r.toml"])
        .args(longer)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !parts.path("out/run/last").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("stopped in finetune; go on with: t5kit run r.toml --set finetune.epochs=60"),
        "{stderr}"
    );
    let page = std::fs::read_to_string(parts.path("out/run/report.html")).unwrap();
    assert!(page.contains("This run was stopped at step") && !page.contains("http-equiv=\"refresh\""));
    let state = parts.state();
    let finished = |stage: &str| state["stages"][stage]["finished"].clone();
    assert_eq!((finished("data"), finished("finetune")), (Value::Bool(true), Value::Bool(false)));
    assert!(
        parts.run(&["--dry-run"]).ok().contains("refused without --force: was made with epochs 60, now 2")
    );
    let rest = parts.run(&longer);
    assert_eq!(rest.code, 0, "{rest:#?}");
    assert_eq!(ran(&rest), ["finetune"]);
    assert!(
        rest.stderr.contains("goes on where it stopped") && rest.stderr.contains("--resume"),
        "{rest:#?}"
    );
    assert!(parts.weights() == whole.weights());
}

#[test]
fn paths_begin_from_the_recipe_wherever_one_stands() {
    let kitchen = Kitchen::new(RECIPE);
    let (elsewhere, home) = (tempfile::tempdir().unwrap(), kitchen.path(""));
    let recipe = home.join("r.toml");
    let from = |folder: &Path, recipe: &Path, set: &[&str]| {
        finish(program().current_dir(folder).arg("run").arg(recipe).args(set))
    };
    let told = from(elsewhere.path(), &recipe, &[]);
    assert_eq!(told.code, 0, "{told:#?}");
    assert!(kitchen.path("out/report.html").exists() && names(elsewhere.path()).is_empty());
    // The same from above and from beside: all is done.
    let name = home.file_name().unwrap();
    let (above, relative) = (home.parent().unwrap(), Path::new(name).join("r.toml"));
    for told in [from(above, &relative, &[]), kitchen.run(&[]), from(&home, Path::new("./r.toml"), &[])] {
        assert!(told.code == 0 && ran(&told).is_empty(), "{told:#?}");
    }
    // What is typed begins from where one stands, and the same content under another path is the same.
    std::fs::copy(kitchen.path("pairs.tsv"), elsewhere.path().join("pairs.tsv")).unwrap();
    let told = from(elsewhere.path(), &recipe, &["--set", "data.file=pairs.tsv"]);
    assert!(told.code == 0 && ran(&told).is_empty(), "{told:#?}");
    let told = from(elsewhere.path(), &recipe, &["--set", "output=here", "--dry-run"]).ok();
    assert!(told.contains("--output here/trimmed") && names(elsewhere.path()) == ["pairs.tsv"], "{told}");
}

#[test]
fn a_dry_run_says_what_it_takes_and_leaves_nothing() {
    let kitchen = Kitchen::new(&[RECIPE, EVALUATE, EXPORT].concat());
    let told = kitchen.run(&["--dry-run"]).ok();
    for part in [
        "[1/7] model: to do",
        "40 train, 8 valid, 8 test; about",
        "$ t5kit finetune --model out/trimmed --train out/data/train.tsv",
        "10 steps of 8 examples",
        "GFLOP/s measured on 1 threads",
        "validation: about",
        "memory: up to",
        "generating: about",
        "in all about",
        "on the disk",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!kitchen.path("out").exists());
    // A run that has a log is judged by it.
    kitchen.run(&[]).ok();
    let told = kitchen.run(&["--dry-run", "--force", "--set", "finetune.epochs=4"]).ok();
    assert!(told.contains("by the rate of its log") && told.contains("20 steps"), "{told}");
}

#[test]
fn a_chinese_reader_is_told_in_chinese() {
    let kitchen = Kitchen::new(&[RECIPE, EVALUATE, EXPORT].concat());
    let run = |args: &[&str]| {
        let mut command = program();
        command.current_dir(kitchen.path("")).env("T5KIT_LANG", "zh").args(["run", "r.toml"]).args(args);
        finish(&mut command)
    };
    let told = run(&["--dry-run"]).ok();
    for part in [
        "[1/7] 模型：待运行",
        "训练 40 条，验证 8 条，测试 8 条；",
        "训练：约",
        "生成：约",
        "总计训练和生成约",
        "可用内存：",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // Beside the commands nothing but units is English.
    for line in told.lines().filter(|line| !line.starts_with("  $ ")) {
        let words = line.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        let units = ["s", "min", "h", "kB", "MB", "GB", "GFLOP"];
        let english: Vec<&str> = words.filter(|word| !units.contains(word)).collect();
        assert!(english.is_empty(), "{english:?} in {line}");
    }
    let done = run(&[]);
    for part in ["[5/7] 微调", "第 5 步，第 1.00 轮：验证损失 ", "（最佳）\n", "训练：10 步，用时 ", "损失 "]
    {
        assert!(done.stderr.contains(part), "{part} in {done:#?}");
    }
    for part in ["(best)", "validation loss", " steps in ", "training:"] {
        assert!(!done.stderr.contains(part), "{part} in {done:#?}");
    }
    assert!(done.stdout.lines().any(|line| line.starts_with("微调")), "{done:#?}");
    let told = run(&["--dry-run", "--set", "finetune.epochs=3"]).ok();
    assert!(told.contains("[1/7] 模型：已完成，跳过"), "{told}");
    assert!(
        told.contains("[5/7] 微调：需加 --force 才会重新运行：上次运行与现在不同：epochs 由 2 改为 3"),
        "{told}"
    );
}
