//! `t5kit demo` as a user runs it, with little data.

mod common;
use common::{arg, finish, program, run};

const SMALL: [&str; 7] = ["demo", "--pairs", "48", "--epochs", "2", "--threads", "1"];

#[test]
fn the_whole_story_leaves_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("story");
    let told = finish(program().args(SMALL).args(["--output", arg(&kept)]));
    assert_eq!(told.code, 0, "{told:#?}");
    for part in ["ROUGE-1", "ROUGE-L", "BLEU", "samples/s", "before training", "after training", "headline"] {
        assert!(told.stdout.contains(part), "{part} in {told:#?}");
    }
    // The commands that were run, and those for real weights.
    for command in ["count", "trim", "finetune"] {
        assert!(told.stderr.contains(&format!("$ t5kit {command} ")), "{command} in {told:#?}");
    }
    for command in ["trim", "finetune", "generate"] {
        assert!(told.stdout.contains(&format!("t5kit {command} ")), "{command} in {told:#?}");
    }
    let size =
        |name: &str| std::fs::metadata(kept.join(name)).unwrap_or_else(|e| panic!("{name}: {e}")).len();
    assert!(size("small/model.safetensors") < size("full/model.safetensors"));
    assert!(size("small/spiece.model") < size("full/spiece.model"));
    assert!(size("counts.tsv") > 0 && size("run/train_log.jsonl") > 0);
    // What is kept works with the other subcommands, as the last lines say.
    let out =
        run(["generate", "--model", arg(&kept.join("run")), "昨日，武汉地铁8号线正式开通，全长39公里。"])
            .ok();
    assert_eq!(out.lines().count(), 1);
    let refused = finish(program().args(SMALL).args(["--output", arg(&kept)]));
    refused.fails(&["story", "not empty"]);
}

#[test]
fn without_output_it_has_a_folder_of_its_own_each_time() {
    let folder = tempfile::tempdir().unwrap();
    for (name, lang, says) in
        [("t5kit-demo", "en", "Everything is in"), ("t5kit-demo-2", "zh", "所有文件都在")]
    {
        let told = finish(program().args(SMALL).env("T5KIT_LANG", lang).current_dir(folder.path()));
        assert_eq!(told.code, 0, "{told:#?}");
        assert!(
            told.stdout.contains(says) && told.stdout.contains(&format!("--model {name}/run ")),
            "{told:#?}"
        );
        let page = std::fs::read_to_string(folder.path().join(name).join("run/report.html")).unwrap();
        assert!(page.contains(if lang == "zh" { "<h2>设置</h2>" } else { "<h2>Settings</h2>" }));
        assert!(!page.contains("http-equiv=\"refresh\""), "the run is over");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_language_without_texts_is_wrong_usage() {
    finish(program().args(["demo"]).env("T5KIT_LANG", "fr")).is_wrong_usage("T5KIT_LANG=fr");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program()
        .args(["demo", "--pairs", "48", "--epochs", "1000000", "--threads", "1"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let training = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries.flatten().any(|entry| entry.path().join("run/train_log.jsonl").is_file())
    };
    let begun = std::time::Instant::now();
    while !training() {
        assert!(begun.elapsed().as_secs() < 120, "training has not begun");
        assert!(child.try_wait().unwrap().is_none(), "the demo ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{stderr}");
}

#[test]
fn wrong_usage() {
    run(["demo", "--pairs", "0"]).is_wrong_usage("--pairs");
    run(["demo", "--epochs", "none"]).is_wrong_usage("--epochs");
    run(["demo", "--pairs", "48", "--output", "/dev/null"]).fails(&["/dev/null"]);
}
