//! Weights, configurations and tokenizers as people bring them, and what is said of files that are none.

mod common;
use common::model::{LONG, hugging_face};
use common::{arg, file, model, run};
use std::path::{Path, PathBuf};

/// What it generates, and what it says besides.
fn said(model: &Path) -> (String, String) {
    let run = run(["generate", "--model", arg(model), LONG[0], LONG[1], "甲乙丙，丁"]);
    let said = run.stderr.clone();
    (run.ok(), said)
}

#[test]
fn weights_are_found_where_trainers_leave_them() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    let (want, quiet) = said(&hf);
    assert_eq!(quiet, "");
    let weights = hf.join("model.safetensors");
    let odd = hf.join("mt5_epoch3.safetensors");
    std::fs::rename(&weights, &odd).unwrap();
    let (got, note) = said(&hf);
    assert_eq!(got, want);
    assert!(note.contains("mt5_epoch3.safetensors: taken as the weights"), "{note}");
    // The file itself is a model too, with what lies beside it.
    assert_eq!(said(&odd).0, want);
    let other = hf.join("mt5_epoch4.safetensors");
    std::fs::copy(&odd, &other).unwrap();
    run(["generate", "--model", arg(&hf), "甲"]).fails(&["mt5_epoch3.safetensors, mt5_epoch4.safetensors"]);

    // Below the folder, whose tokenizer and configuration count where there are none beside the weights.
    std::fs::remove_file(other).unwrap();
    let inner = hf.join("checkpoint-500");
    std::fs::create_dir(&inner).unwrap();
    std::fs::rename(&odd, inner.join("model.safetensors")).unwrap();
    let (got, note) = said(&hf);
    assert_eq!(got, want);
    assert!(note.contains("checkpoint-500: taken as the model"), "{note}");
    let out = folder.path().join("out");
    run(["convert", "--model", arg(&hf), "--output", arg(&out)]).ok();
    assert_eq!(said(&out), (want, String::new()));
}

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 791656\n";
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>404</title></head></html>";

#[test]
fn files_that_stand_in_for_others_are_named_in_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    for (content, part) in [(LFS, "git lfs pull"), (PAGE, "a web page")] {
        for name in ["config.json", "model.safetensors", "spiece.model"] {
            let path = hf.join(name);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, content).unwrap();
            run(["generate", "--model", arg(&hf), "甲"]).fails(&[name, part]);
            std::fs::write(&path, whole).unwrap();
        }
        let named = |name: &str| file(folder.path(), name, content);
        let (bin, list, table) = (named("m.bin"), named("keep.json"), named("t.tsv"));
        let (tokenizer, vocab, gin) = (named("tokenizer.json"), named("vocab.txt"), named("x.gin"));
        run(["inspect", "--model", arg(&bin)]).fails(&["m.bin", part]);
        let load = |flag: &str, path: &Path| run(["generate", "--model", arg(&hf), flag, arg(path), "甲"]);
        load("--keep-tokens", &list).fails(&["keep.json", part]);
        load("--config", &gin).fails(&["x.gin", part]);
        load("--tokenizer", &tokenizer).fails(&["tokenizer.json", part]);
        // A file beside it would be asked first.
        std::fs::remove_file(&tokenizer).unwrap();
        run(["tokenize", "--tokenizer", arg(&vocab)]).fails(&["vocab.txt", part]);
        run(["score", "--model", arg(&hf), "--input", arg(&table)]).fails(&["t.tsv", part]);
    }
}

#[test]
fn a_model_of_another_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let hf = hugging_face(folder.path());
    for (config, part) in [
        (r#"{"model_type": "bert", "hidden_size": 8}"#, "beside weights that are none of BERT's kind"),
        (r#"{"model_type": "electra", "hidden_size": 8}"#, "an encoder of BERT's kind"),
        (r#"{"model_type": "mbart", "d_model": 8}"#, "an encoder-decoder of another kind"),
        (r#"{"model_type": "qwen2", "hidden_size": 8}"#, "a decoder-only model"),
    ] {
        file(&hf, "config.json", config);
        run(["inspect", "--model", arg(&hf)]).fails(&["config.json: model_type", part]);
    }
    let t5x = folder.path().join("checkpoint_1000");
    std::fs::create_dir(&t5x).unwrap();
    file(&t5x, "checkpoint", b"\x82\xa7version");
    run(["inspect", "--model", arg(&t5x)]).fails(&["T5X", "convert_t5x_checkpoint_to_pytorch"]);
}

#[test]
fn rows_far_beyond_the_pieces_are_refused_and_may_be_let_pass() {
    let folder = tempfile::tempdir().unwrap();
    let hf = folder.path().join("uncut");
    std::fs::create_dir(&hf).unwrap();
    model::tokenizer(&hf);
    let config = model::config(folder.path(), 1100);
    let tokenizer = hf.join("spiece.model");
    let table = model::pairs(folder.path(), "train.tsv", 4);
    let train = ["finetune", "--train", arg(&table), "--max-steps", "1", "--output"];
    let out = |name: &str| folder.path().join(name);
    let run_folder = out("run");
    let begin =
        [&train[..], &[arg(&run_folder), "--model", arg(&config), "--tokenizer", arg(&tokenizer)]].concat();
    run(&begin).fails(&["1100 rows", "only 27 pieces", "--keep-tokens"]);
    model::config(folder.path(), 1000);
    run(&begin).ok();

    let model = uncut(&hf);
    let pairs = ["--input", arg(&table)];
    for command in [
        &["generate", "--model", arg(&model), "甲"][..],
        &["score", "--model", arg(&model), pairs[0], pairs[1]],
        &["convert", "--model", arg(&model), "--output", arg(&out("converted"))],
        &[&train[..], &[arg(&out("tuned")), "--model", arg(&model)]].concat(),
    ] {
        run(command).fails(&[
            "1100 rows",
            "only 27 pieces",
            "--keep-tokens",
            "--tokenizer",
            "--allow-spare-rows",
        ]);
    }
    let told = run(["inspect", "--model", arg(&model)]).ok();
    assert!(told.contains("27 pieces (the model has 1100 rows"), "{told}");
    run(["generate", "--model", arg(&model), "--allow-spare-rows", LONG[0], LONG[1], "甲"]).ok();
    let keep: Vec<u32> = (0..27).collect();
    let keep = file(folder.path(), "keep.json", format!("{keep:?}"));
    run(["generate", "--model", arg(&model), "--keep-tokens", arg(&keep), LONG[0], LONG[1], "甲"]).ok();
}

/// A model of 1,100 rows of zeros beside the tokenizer in a folder.
fn uncut(folder: &Path) -> PathBuf {
    use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
    use t5kit_model::Architecture;
    let config = t5kit_model::T5Config::read(&model::config(folder, 1100)).unwrap();
    let slots = config.layout();
    let specs: Vec<TensorSpec> =
        slots.iter().map(|s| TensorSpec::new(&s.name, t5kit_tensor::DType::F32, &*s.shape)).collect();
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::new(Vec::new(), &path, &specs, &[]).unwrap();
    for slot in &slots {
        writer.tensor(&slot.name, [vec![0u8; 4 * slot.elements() as usize]]).unwrap();
    }
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    folder.to_owned()
}

/// MADLAD-400's ids: pad 1, end 2, start 0 (which is the unknown piece), and the target's language before the source.
#[test]
fn no_id_is_assumed() {
    use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
    let folder = tempfile::tempdir().unwrap();
    let piece = |text: &str, kind, score| Piece { text: text.into(), kind, score, ..Piece::default() };
    let mut pieces = vec![
        piece("<unk>", PieceKind::Unknown, 0.0),
        piece("<s>", PieceKind::Control, 0.0),
        piece("</s>", PieceKind::Control, 0.0),
        piece("<2zh>", PieceKind::UserDefined, 0.0),
        piece("<2en>", PieceKind::UserDefined, 0.0),
    ];
    let characters = "▁甲乙丙丁戊abcde".chars().enumerate();
    pieces.extend(characters.map(|(i, c)| piece(&c.to_string(), PieceKind::Normal, -1.0 - i as f32 / 10.0)));
    let rows = pieces.len();
    let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
    let spiece = SpieceModel::new(pieces, TrainerSpec::default(), normalizer);
    let spiece = file(folder.path(), "spiece.model", spiece.to_bytes());
    let config = serde_json::json!({
        "model_type": "t5", "vocab_size": rows, "d_model": 32, "d_kv": 8, "num_heads": 3, "d_ff": 48,
        "num_layers": 1, "num_decoder_layers": 1, "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": false, "pad_token_id": 1, "eos_token_id": [2], "decoder_start_token_id": [0],
    });
    let config = file(folder.path(), "config.json", config.to_string());
    let table = file(folder.path(), "train.tsv", "<2zh> abc\t甲乙丙\n<2en> 甲乙\tabe\n<2zh> de\t丁戊\n");
    let tuned = folder.path().join("run");
    let flags = ["--epochs", "150", "--batch-size", "3", "--learning-rate", "1e-2", "--dropout", "0"];
    let train = ["finetune", "--model", arg(&config), "--tokenizer", arg(&spiece), "--train", arg(&table)];
    run([&train[..], &flags, &["--threads", "2", "--output", arg(&tuned)]].concat()).ok();
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(tuned.join("last/config.json")).unwrap()).unwrap();
    let ids = ["pad_token_id", "eos_token_id", "decoder_start_token_id"].map(|name| written[name].clone());
    assert_eq!(ids, [1, 2, 0]);
    let converted = folder.path().join("converted");
    run(["convert", "--model", arg(&tuned), "--output", arg(&converted)]).ok();
    for model in [&tuned, &converted] {
        for (source, target) in [("<2zh> abc", "甲乙丙"), ("<2en> 甲乙", "abe"), ("<2zh> de", "丁戊")]
        {
            let generate = ["generate", "--model", arg(model), "--max-new-tokens", "9", "--json", source];
            let line: serde_json::Value = serde_json::from_str(&run(generate).ok()).unwrap();
            let output = &line["outputs"][0];
            assert_eq!(output["text"], target);
            assert_eq!(output["ids"].as_array().unwrap().last(), Some(&2.into()), "{line}");
        }
    }
    // Several ends: the first of them that comes is the end.
    for name in ["config.json", "generation_config.json"] {
        let text = std::fs::read_to_string(converted.join(name)).unwrap();
        let more = text.replace("\"eos_token_id\": 2", "\"eos_token_id\": [2, 7]");
        assert_ne!(more, text);
        std::fs::write(converted.join(name), more).unwrap();
    }
    let generate = ["generate", "--model", arg(&converted), "--max-new-tokens", "9", "--json", "<2zh> abc"];
    let line: serde_json::Value = serde_json::from_str(&run(generate).ok()).unwrap();
    // 乙 is piece 7.
    assert_eq!(line["outputs"][0]["ids"].as_array().unwrap().last(), Some(&7.into()), "{line}");
}
