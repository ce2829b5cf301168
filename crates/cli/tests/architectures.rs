//! `--architecture` and `--halve-layers` as a user gives them, and what every subcommand makes of the folders.

mod common;
use common::lab::Lab;
use common::{Run, arg, finish, run};
use serde_json::Value;

const FLAGS: &str =
    "--train train.tsv --valid train.tsv --batch-size 8 --threads 2 --learning-rate 1e-2 --dropout 0";
const BARE: [&str; 4] = ["--model", "config.json", "--tokenizer", "spiece.model"];

fn lab() -> Lab {
    let lab = Lab::new(FLAGS);
    let mut config: Value = serde_json::from_slice(&lab.read("config.json")).unwrap();
    config["num_layers"] = 2.into();
    config["num_decoder_layers"] = 2.into();
    std::fs::write(lab.path("config.json"), config.to_string()).unwrap();
    lab
}

fn begun(lab: &Lab, output: &str, flags: &[&str]) -> Run {
    finish(lab.command(output).args(BARE).args(flags))
}

fn inspected(lab: &Lab, model: &str) -> Value {
    serde_json::from_str(&run(["inspect", "--json", "--model", arg(&lab.path(model))]).ok()).unwrap()
}

/// What is generated for the sources of the training file.
fn generated(lab: &Lab, model: &str, flags: &[&str]) -> Vec<String> {
    let table = String::from_utf8(lab.read("train.tsv")).unwrap();
    let sources: Vec<&str> = table.lines().map(|line| line.split('\t').next().unwrap()).collect();
    let model = lab.path(model);
    let args = [&["generate", "--model", arg(&model)], flags, &sources].concat();
    run(args).ok().lines().map(String::from).collect()
}

/// Each learns its examples by heart, says what it is, goes on where it was stopped, and is the same converted, in int8 and
/// with an adapter merged.
#[test]
fn every_architecture_is_trained_and_used() {
    let lab = lab();
    let table = String::from_utf8(lab.read("train.tsv")).unwrap();
    let wanted: Vec<&str> = table.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    // d_model 32, heads of 24 in all, d_ff 48 gated: a layer's attention, feed-forward layer and norms.
    let (attention, ff, norm, table) = (4 * 32 * 24, 3 * 32 * 48, 32, 32 * 3);
    let encoder = 2 * (attention + ff + 2 * norm) + table + norm;
    let decoder = encoder + 2 * (attention + norm);
    for (name, layers, parameters) in [
        ("encoder-decoder", [2, 2], encoder + decoder),
        ("shared", [2, 2], decoder),
        ("language-model", [0, 2], encoder),
        ("prefix-lm", [0, 2], encoder),
    ] {
        begun(&lab, name, &["--architecture", name, "--epochs", "80", "--eval-every", "240"]).ok();
        let right = |found: Vec<String>| found.iter().zip(&wanted).filter(|(f, w)| f == *w).count();
        let greedy = generated(&lab, name, &[]);
        assert!(right(greedy.clone()) >= 22, "{name}: {greedy:?}");
        assert!(right(generated(&lab, name, &["--num-beams", "4"])) >= 22, "{name}");

        let object = inspected(&lab, name);
        assert_eq!(object["config"]["architecture"], name);
        let said = [&object["config"]["num_layers"], &object["config"]["num_decoder_layers"]];
        assert_eq!(said, layers.map(Value::from).each_ref(), "{name}");
        assert_eq!(object["parameters"], parameters + 2 * 40 * 32, "{name}");
        let seen = run(["inspect", "--model", arg(&lab.path(name))]).ok();
        assert!(seen.contains(&format!("architecture          {name}\n")), "{seen}");

        // What was stopped goes on bit for bit, by the same line.
        let parts = format!("{name}-parts");
        let flags = ["--architecture", name, "--epochs", "2"];
        begun(&lab, &format!("{name}-whole"), &flags).ok();
        begun(&lab, &parts, &[&flags[..], &["--max-steps", "4"]].concat()).ok();
        begun(&lab, &parts, &[&flags[..], &["--resume"]].concat()).ok();
        let weights = |output: &str| lab.read(format!("{output}/last/model.safetensors"));
        assert!(weights(&parts) == weights(&format!("{name}-whole")), "{name}");

        let whole = format!("{name}-int8");
        let (from, to) = (lab.path(name), lab.path(&whole));
        let told = run(["convert", "--model", arg(&from), "--output", arg(&to), "--dtype", "int8"]);
        let note = format!("transformers and CTranslate2 know no {name} architecture of T5");
        assert_eq!(told.stderr.contains(&note), name != "encoder-decoder", "{told:#?}");
        told.ok();
        assert!(right(generated(&lab, &whole, &[])) >= 22, "{name}");

        let (adapter, merged) = (format!("{name}-lora"), format!("{name}-merged"));
        finish(lab.command(&adapter).args(["--model", name, "--lora-rank", "2", "--epochs", "1"])).ok();
        let (from, to) = (lab.path(&adapter), lab.path(&merged));
        // The adapter names its base as it was given.
        let mut convert = common::program();
        convert.current_dir(lab.path("")).args(["convert", "--model", arg(&from), "--output", arg(&to)]);
        finish(&mut convert).ok();
        assert!(right(generated(&lab, &merged, &[])) >= 22, "{name}");
    }
}

#[test]
fn layers_are_halved() {
    let lab = lab();
    for (name, layers) in [("encoder-decoder", [1, 1]), ("shared", [1, 1]), ("prefix-lm", [0, 1])] {
        let to = lab.path(name);
        let mut convert = common::program();
        convert.current_dir(lab.path("")).arg("convert").args(BARE).args(["--output", arg(&to)]);
        finish(convert.args(["--architecture", name, "--halve-layers"])).ok();
        let config = &inspected(&lab, name)["config"];
        assert_eq!(
            [&config["num_layers"], &config["num_decoder_layers"]],
            layers.map(Value::from).each_ref()
        );
    }
}

/// A line each, and nothing written.
#[test]
fn what_is_refused() {
    let lab = lab();
    begun(&lab, "zz", &["--architecture", "sharde"]).is_wrong_usage("did you mean shared?");
    begun(&lab, "shared", &["--architecture", "shared", "--max-steps", "1"]).ok();
    let with_weights = |flags: &[&str]| finish(lab.command("zz").args(["--model", "shared"]).args(flags));
    with_weights(&["--architecture", "prefix-lm"])
        .is_wrong_usage("--architecture: --model shared is no bare");
    with_weights(&["--halve-layers"]).is_wrong_usage("--halve-layers: --model shared is no bare");
    let encoder = begun(&lab, "zz", &["--architecture", "prefix-lm", "--train-parts", "encoder"]);
    encoder.fails(&["no parameters there; name embeddings, decoder or softmax"]);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut config: Value = serde_json::from_slice(&lab.read("config.json")).unwrap();
        change(&mut config);
        std::fs::write(lab.path("other.json"), config.to_string()).unwrap();
        ["--model", "other.json", "--tokenizer", "spiece.model"]
    };
    let odd = changed(&|c| c["num_layers"] = 3.into());
    let given = |flags: [&str; 4], more: &[&str]| finish(lab.command("zz").args(flags).args(more));
    let shared = ["--architecture", "shared"];
    given(odd, &shared).fails(&["other.json: num_layers: 3, and num_decoder_layers 2"]);
    given(odd, &["--halve-layers"]).fails(&["other.json: num_layers: 3 is odd, and --halve-layers"]);
    let said = changed(&|c| {
        c["t5kit_architecture"] = "prefix-lm".into();
        c["num_layers"] = 0.into();
    });
    given(said, &shared)
        .fails(&["other.json: t5kit_architecture: says prefix-lm, and --architecture shared"]);
    let wrong = changed(&|c| c["t5kit_architecture"] = "prefix_lm".into());
    given(wrong, &[]).fails(&["\"prefix_lm\" is no architecture; did you mean prefix-lm?"]);
    let bert = changed(&|c| {
        *c = serde_json::json!({
            "model_type": "bert", "vocab_size": 40, "hidden_size": 12, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 16
        });
    });
    given(bert, &shared).fails(&["bert is one stack as UniLM, and --architecture is for a T5"]);
    assert!(!lab.path("zz").exists());

    // Weights of an encoder and a decoder, and a configuration without one.
    begun(&lab, "plain", &["--max-steps", "1"]).ok();
    let file = lab.path("plain/best/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["t5kit_architecture"] = "language-model".into();
    config["num_layers"] = 0.into();
    std::fs::write(&file, config.to_string()).unwrap();
    run(["inspect", "--model", arg(&lab.path("plain"))]).fails(&[
        "the configuration says language-model, which has no encoder of its own, and the weights have one",
        "encoder.block.0.",
    ]);
}
