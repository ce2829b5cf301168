//! Models in int8 and in 4 bits, as a user makes and uses them.

mod common;
use common::model::{LONG, hugging_face, pairs};
use common::{arg, finish, program, run};

/// What it generates for two texts, with scores.
fn generated(args: &[&str]) -> String {
    let all = ["generate", "--json", LONG[0], LONG[1], "甲乙丙，丁", "abc"];
    run(all.into_iter().chain(args.iter().copied())).ok()
}

#[test]
fn a_converted_model_is_what_converting_while_loading_gives() {
    let folder = tempfile::tempdir().unwrap();
    let model = hugging_face(folder.path());
    for (dtype, said) in [("int8", "int8"), ("int4", "int4")] {
        let out = folder.path().join(dtype);
        run(["convert", "--model", arg(&model), "--dtype", dtype, "--output", arg(&out)]).ok();
        let about = run(["inspect", "--model", arg(&out)]).ok();
        assert!(about.contains(said), "{about}");
        let got = generated(&["--model", arg(&out)]);
        assert_eq!(got, generated(&["--model", arg(&model), "--dtype", dtype]));
        assert_ne!(got, generated(&["--model", arg(&model)]), "scores differ at least");
        // In parts, whose scales are in the file of their numbers or in another.
        let parts = folder.path().join(format!("{dtype}-parts"));
        let convert = ["convert", "--model", arg(&model), "--dtype", dtype, "--max-shard-size", "8KB"];
        run(convert.into_iter().chain(["--output", arg(&parts)])).ok();
        assert!(parts.join("model.safetensors.index.json").exists());
        assert_eq!(got, generated(&["--model", arg(&parts)]));
        // New tokens, and what such a model is good for afterwards: training in f32, conversion back.
        let tokens = common::file(folder.path(), "tokens.txt", "<新>\n");
        let grown = folder.path().join(format!("{dtype}-grown"));
        let convert = ["convert", "--model", arg(&model), "--add-tokens", arg(&tokens), "--dtype", dtype];
        run(convert.into_iter().chain(["--output", arg(&grown)])).ok();
        assert!(run(["inspect", "--model", arg(&grown)]).ok().contains(said));
        generated(&["--model", arg(&grown)]);
        let back = folder.path().join(format!("{dtype}-back"));
        run(["convert", "--model", arg(&out), "--dtype", "f32", "--output", arg(&back)]).ok();
        let about = run(["inspect", "--model", arg(&back)]).ok();
        assert!(about.lines().any(|line| line.starts_with("stored as") && line.ends_with(" f32")), "{about}");
        let trained = folder.path().join(format!("{dtype}-trained"));
        let train = pairs(folder.path(), "pairs.tsv", 8);
        let finetune = ["finetune", "--model", arg(&out), "--train", arg(&train), "--max-steps", "2"];
        run(finetune.into_iter().chain(["--batch-size", "4", "--output", arg(&trained)])).ok();
        assert!(run(["inspect", "--model", arg(&trained.join("last"))]).ok().contains("f32"));
    }
}

#[test]
fn every_kernel_gives_the_same_products() {
    let folder = tempfile::tempdir().unwrap();
    let model = hugging_face(folder.path());
    let scored = |kernel: &str| {
        let args =
            ["generate", "--json", "--dtype", "int8", "--model", arg(&model), LONG[0], LONG[1], "甲乙丙，丁"];
        finish(program().args(args).env("T5KIT_INT8", kernel))
    };
    let want = scored("portable").ok();
    for kernel in ["avx2", "avx-vnni", "avx512-vnni"] {
        let found = scored(kernel);
        match found.code {
            0 => assert_eq!(found.ok(), want, "{kernel}"),
            _ => found.is_wrong_usage(&format!("T5KIT_INT8={kernel}: this machine has no such instructions")),
        }
    }
    scored("abacus").is_wrong_usage("T5KIT_INT8=abacus");
}
