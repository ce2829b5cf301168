//! What `--model` accepts, `t5kit inspect` and `t5kit convert`, as a user runs them.

mod common;

use common::model::{hugging_face, text};
use common::{arg, file, finish, model, names, program, run};
use std::path::{Path, PathBuf};
use t5kit_model::T5Config;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests").join(name)
}

#[test]
fn a_checkpoint_of_tensorflow_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let prefix = data("tensorflow/mt5/model.ckpt-1000000");
    let spiece = hf.join("spiece.model");
    assert_eq!(text(&[arg(&prefix), "--tokenizer", arg(&spiece)]), text(&[arg(&hf)]));

    let told = run(["inspect", "--model", arg(&prefix)]).ok();
    // The gin file does not name the family; of this network with other rows than T5 1.1's there is only mT5.
    for part in ["TensorFlow checkpoint", "mT5", "8 × 3", "2 encoder, 2 decoder", "200 (separate", "none ("]
    {
        assert!(told.contains(part), "{part} in {told}");
    }
    run(["generate", "--model", arg(&prefix), "甲"]).fails(&["no tokenizer with", "--tokenizer"]);

    // Converted, it is the directory that transformers wrote, and has what a tokenizer needs there.
    let out = folder.path().join("converted");
    run(["convert", "--model", arg(&prefix), "--tokenizer", arg(&spiece), "--output", arg(&out)]).ok();
    assert_eq!(
        names(&out),
        [
            "config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "spiece.model",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    assert_eq!(text(&[arg(&out)]), text(&[arg(&hf)]));
    let lines = |model: &Path| {
        let told = run(["inspect", "--model", arg(model)]).ok();
        let named = ["model ", "family ", "memory, to be had"];
        let same = |l: &&str| !named.iter().any(|name| l.starts_with(name));
        told.lines().filter(same).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(lines(&out), lines(&hf));
}

#[test]
fn inspect_says_what_batches_and_loading_take() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let told = |flags: &[&str]| run([&["inspect", "--model", arg(&hf)], flags].concat()).ok();
    let (same, half) = (told(&[]), told(&["--dtype", "bf16"]));
    for told in [&same, &half] {
        assert!(told.contains("(1 source of 256") && told.contains("(16 sources of 256"), "{told}");
    }
    assert!(!same.contains("memory, loading") && half.contains("memory, loading"), "{same}{half}");
}

#[test]
fn a_big_model_is_written_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let out = folder.path().join("parts");
    let flags = ["convert", "--model", arg(&hf), "--output", arg(&out), "--max-shard-size"];
    run(flags.iter().chain(&["10KB"])).ok();
    let index: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("model.safetensors.index.json")).unwrap())
            .unwrap();
    let shards: Vec<String> = names(&out).into_iter().filter(|name| name.ends_with(".safetensors")).collect();
    assert!(
        shards.len() > 2 && shards[0].ends_with(&format!("-of-{:05}.safetensors", shards.len())),
        "{shards:?}"
    );
    let whole = t5kit_model::T5::load(&hf).unwrap();
    let bytes: usize = whole.params.iter().map(|(_, _, w)| 4 * w.len()).sum();
    assert_eq!(index["metadata"]["total_size"], bytes);
    let parts = t5kit_model::T5::load(&out).unwrap();
    for ((_, name, a), (_, other, b)) in whole.params.iter().zip(parts.params.iter()) {
        assert_eq!((name, a.to_tensor().data()), (other, b.to_tensor().data()));
        let file = out.join(index["weight_map"][name].as_str().unwrap());
        let file = t5kit_formats::Checkpoint::open(&file).unwrap();
        assert!(file.contains(name), "{name}");
    }
    // A tensor over the limit is alone; the other files keep within it.
    for shard in &shards {
        let file = t5kit_formats::Checkpoint::open(&out.join(shard)).unwrap();
        let held: Vec<usize> = file.names().map(|name| file.bytes(name).unwrap().len()).collect();
        assert!(held.len() == 1 || held.iter().sum::<usize>() <= 10_000, "{shard}: {held:?}");
    }
    assert_eq!(text(&[arg(&out)]), text(&[arg(&hf)]));
    for size in ["0", "5G", "many"] {
        run(flags.iter().chain(&[size, "--force"])).is_wrong_usage("--max-shard-size");
    }
}

#[test]
fn a_configuration_may_be_given() {
    let folder = tempfile::tempdir().unwrap();
    for name in names(&data("tensorflow/mt5")) {
        if name.starts_with("model.ckpt") {
            std::fs::copy(data("tensorflow/mt5").join(&name), folder.path().join(&name)).unwrap();
        }
    }
    let prefix = folder.path().join("model.ckpt-1000000");
    run(["inspect", "--model", arg(&prefix)]).fails(&["no configuration here", "--config FILE"]);
    let config = data("goldens/mt5/config.json");
    run(["inspect", "--model", arg(&prefix), "--config", arg(&config)]).ok();
    let keras = r#"{"hidden_size": 18, "intermediate_size": 26, "num_attention_heads": 3, "attention_head_size": 8,
        "num_hidden_layers": 2, "vocab_size": 200, "hidden_act": ["gelu", "linear"]}"#;
    let keras = file(folder.path(), "t5_config.txt", keras);
    let told = run(["inspect", "--model", arg(&prefix), "--config", arg(&keras)]).ok();
    assert!(told.contains("18"), "{told}");
    run(["inspect", "--model", arg(&prefix), "--config", "nowhere.json"]).fails(&["nowhere.json"]);
}

#[test]
fn rows_are_cut_with_the_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    // The tokenizer has 3 + 20 + 1 pieces; the characters 乙 and 丙 go.
    let keep: Vec<u32> = (0..200u32).filter(|i| ![5, 6].contains(i) && (*i < 24 || *i > 190)).collect();
    let list = file(folder.path(), "keep.json", format!("{keep:?}"));
    let cut = [arg(&hf), "--keep-tokens", arg(&list)];
    let told = run(["inspect", "--model"].iter().chain(&cut)).ok();
    assert!(told.contains(&format!("{} (separate", keep.len())), "{told}");
    let out = folder.path().join("cut");
    run(["convert", "--output", arg(&out), "--model"].iter().chain(&cut)).ok();
    assert_eq!(text(&cut), text(&[arg(&out)]));
    // The cut tokenizer goes with the uncut weights too.
    let tokenizer = out.join("spiece.model");
    assert_eq!(text(&[cut[0], cut[1], cut[2], "--tokenizer", arg(&tokenizer)]), text(&[arg(&out)]));
    let bad = file(folder.path(), "bad.json", "[0, 1, 1]");
    run(["inspect", "--model", arg(&hf), "--keep-tokens", arg(&bad)])
        .fails(&["bad.json", "row 1 is listed twice"]);
}

#[test]
fn what_does_not_fit_is_said_and_may_be_let_pass() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let config = hf.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("\"num_layers\": 2", "\"num_layers\": 3");
    std::fs::write(&config, text).unwrap();
    run(["inspect", "--model", arg(&hf)]).fails(&[
        "encoder.block.2.layer.0.SelfAttention.q.weight is missing",
        "encoder.block.2.layer.1.layer_norm.weight is missing",
        "--allow-missing",
    ]);
    let let_pass = run(["inspect", "--model", arg(&hf), "--allow-missing"]);
    assert!(
        let_pass.stderr.contains("encoder.block.2.layer.0.SelfAttention.q.weight is missing"),
        "{let_pass:#?}"
    );
    let_pass.ok();
    for command in ["generate", "score", "finetune", "inspect", "convert"] {
        let help = run([command, "--help"]).ok();
        for flag in
            ["--config", "--keep-tokens", "--allow-missing", "--allow-unexpected", "--allow-mismatched"]
        {
            assert!(help.contains(flag), "{flag} of {command}: {help}");
        }
    }
}

#[test]
fn converting_replaces_nothing_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let out = folder.path().join("out");
    let args = ["convert", "--model", arg(&hf), "--output", arg(&out)];
    run(args).ok();
    run(args).fails(&["out: already exists", "--force"]);
    file(&out, "old.txt", "old");
    run(args.iter().chain(&["--force"])).ok();
    assert!(!out.join("old.txt").exists());
    run(["convert", "--model", arg(&hf), "--output", arg(&hf), "--force"])
        .is_wrong_usage("the model's own folder");
    run(["convert", "--model", arg(&hf), "--output", arg(&out), "--dtype", "int3"]).is_wrong_usage("int3");
    run(["convert", "--model", arg(&hf), "--output", arg(&folder.path().join("a/b"))])
        .fails(&["create the folder"]);
    // A model that is none leaves nothing.
    std::fs::write(hf.join("model.safetensors"), "nothing").unwrap();
    let new = folder.path().join("new");
    run(["convert", "--model", arg(&hf), "--output", arg(&new)]).fails(&["model.safetensors"]);
    assert_eq!(names(folder.path()), ["mt5-tiny", "out"]);
}

/// A model of these widths whose file is a hole of the right size: zeros that take no room on the disk.
fn hollow(folder: &Path, d_model: usize, d_ff: usize) -> PathBuf {
    let to = folder.join("hollow");
    std::fs::create_dir(&to).unwrap();
    let sizes = T5Config { d_model, d_ff, vocab_size: 64, ..T5Config::default() };
    let config = T5Config { num_layers: 2, num_decoder_layers: 1, ..sizes };
    config.write(&to.join("config.json"), false).unwrap();
    let mut header = serde_json::Map::new();
    let mut at = 0;
    for slot in t5kit_model::t5::layout(&config) {
        let bytes = 4 * slot.shape.iter().product::<usize>();
        let entry =
            serde_json::json!({"dtype": "F32", "shape": slot.shape, "data_offsets": [at, at + bytes]});
        header.insert(slot.name, entry);
        at += bytes;
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let path = file(&to, "model.safetensors", [&(header.len() as u64).to_le_bytes()[..], &header].concat());
    let size = 8 + header.len() + at;
    std::fs::File::options().write(true).open(path).unwrap().set_len(size as u64).unwrap();
    model::tokenizer(&to);
    to
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_beyond_the_memory_is_refused_with_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    // 3 layers of 3 matrices, 65,536 by 262,144: 620 GB.
    let hollow = hollow(folder.path(), 1 << 16, 1 << 18);
    run(["generate", "--model", arg(&hollow), "甲"]).fails(&[
        "its weights take 6",
        " GB of memory and ",
        "--dtype bf16",
    ]);
    assert!(run(["inspect", "--model", arg(&hollow)]).ok().contains("memory, training"));
    // Under a limit of the address space the mapping itself is refused, in one line as well.
    let limited = |kilobytes: u64, command: &str| {
        let mut shell = std::process::Command::new("sh");
        let script = format!("ulimit -v {kilobytes}; exec \"$0\" {command} --model \"$1\" 甲");
        finish(shell.args(["-c", &script, env!("CARGO_BIN_EXE_t5kit"), arg(&hollow)]))
    };
    limited(4_000_000, "generate").fails(&["model.safetensors", "map"]);
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_while_converting_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hollow = hollow(folder.path(), 512, 1 << 16); // 1.2 GB
    let out = folder.path().join("out");
    let mut child = program()
        .args(["convert", "--model", arg(&hollow), "--output", arg(&out)])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Until weights are being written.
    let begun = || {
        let temp = names(folder.path()).into_iter().find(|n| n.starts_with(".out.tmp-"));
        temp.is_some_and(|t| {
            let weights = folder.path().join(t).join("model.safetensors");
            std::fs::metadata(weights).is_ok_and(|m| m.len() > 1 << 20)
        })
    };
    while !begun() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(names(folder.path()), ["hollow"]);
}
