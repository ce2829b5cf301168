//! A BERT, a NEZHA and a RoFormer in every form they are stored in: the same weights; and what a strict loader says of the
//! others. The files are made by tools/bert_checkpoints.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use t5kit_formats::peft::{LoraConfig, LoraFile};
use t5kit_formats::safetensors::{SafetensorsFile, SafetensorsWriter, TensorSpec};
use t5kit_model::{
    Adapted, Allow, Architecture, Bert, BertConfig, Config, ConvertOptions, LoadOptions, Plan, Uncut,
    convert, save_adapter,
};
use t5kit_tensor::DType;

const FAMILY: [&str; 3] = ["bert", "nezha", "roformer"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bert").join(name)
}

type Tensors = BTreeMap<String, (Vec<usize>, DType, Vec<u8>)>;

/// The tensors of a file of safetensors.
fn tensors(folder: &Path) -> Tensors {
    let file = SafetensorsFile::open(&folder.join("model.safetensors")).unwrap();
    let one = |name: &str| {
        let (dtype, shape) = file.info(name).unwrap();
        (name.to_owned(), (shape.to_vec(), dtype, file.bytes(name).unwrap().to_vec()))
    };
    file.names().map(one).collect()
}

/// A folder with these tensors and the configuration of `name`, some fields edited.
fn write(name: &str, tensors: &Tensors, edit: &[(&str, serde_json::Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(data(name).join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, value) in edit {
        config[*field] = value.clone();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let specs: Vec<_> = tensors.iter().map(|(n, t)| TensorSpec::new(n, t.1, &*t.0)).collect();
    let path = folder.path().join("model.safetensors");
    let mut writer = SafetensorsWriter::new(Vec::new(), &path, &specs, &[]).unwrap();
    for (name, (_, _, bytes)) in tensors {
        writer.tensor(name, [bytes]).unwrap();
    }
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    folder
}

fn plan(path: &Path) -> Result<Plan<BertConfig>, String> {
    let plan = Plan::<BertConfig>::of(path, &LoadOptions::default()).map_err(|e| e.to_string());
    assert!(plan.as_ref().err().is_none_or(|e| !e.contains('\n')), "{plan:?}");
    plan
}

fn refusal(folder: &Path) -> String {
    plan(folder).expect_err("it is refused")
}

fn load(path: &Path) -> Bert {
    plan(path).unwrap().load().unwrap()
}

/// The same parameters to the last bit.
fn same(a: &Bert, b: &Bert) {
    assert_eq!(a.params.len(), b.params.len());
    for ((_, name, a), (_, other, b)) in a.params.iter().zip(b.params.iter()) {
        assert_eq!((name, a.shape()), (other, b.shape()));
        assert_eq!(a.to_tensor().data(), b.to_tensor().data(), "{name}");
    }
}

#[test]
fn every_form_has_the_same_weights() {
    for name in FAMILY {
        let model = load(&data(name));
        assert_eq!(model.config.model_type, name);
        let google = load(&data(&format!("{name}-google")));
        assert_eq!(google.config.model_type, name);
        same(&model, &google);
        // By the prefix, as people name it.
        same(&model, &load(&data(&format!("{name}-google/bert_model.ckpt"))));
    }
    let model = load(&data("bert"));
    same(&model, &load(&data("bert-bin")));
    same(&model, &load(&data("bert-keras/best_model.weights")));
    // What T5 is a plan for too.
    let any = Plan::<Config>::of(&data("bert-google"), &LoadOptions::default()).unwrap();
    assert!(matches!(any.config, Config::Bert(_)));
}

#[test]
fn what_was_taken_for_what_is_said() {
    let notes = |name: &str| plan(&data(name)).unwrap().notes;
    assert!(notes("bert-google").is_empty() && notes("nezha").is_empty());
    assert_eq!(notes("nezha-google"), ["the weights have the names of a bert; taken as those of a nezha"]);
    assert_eq!(
        notes("roformer-google"),
        ["the weights have the names of a bert; taken as those of a roformer"]
    );
}

#[test]
fn names_of_old_and_other_programs() {
    let model = load(&data("bert"));
    let whole = tensors(&data("bert"));
    let renamed = |rename: &dyn Fn(&str) -> String| -> Tensors {
        whole.iter().map(|(name, tensor)| (rename(name), tensor.clone())).collect()
    };
    let old = renamed(&|n| {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    });
    same(&model, &load(write("bert", &old, &[]).path()));
    for prefix in ["module.", "model.", "my.wrapped."] {
        same(&model, &load(write("bert", &renamed(&|n| format!("{prefix}{n}")), &[]).path()));
    }
    // BertModel puts nothing before its names; a head beside it is found all the same.
    let bare = renamed(&|n| n.trim_start_matches("bert.").to_owned());
    same(&model, &load(write("bert", &bare, &[]).path()));
    // What is no weight, and what UniLM has no use for.
    let mut more = whole.clone();
    more.insert("bert.embeddings.position_ids".into(), (vec![1, 16], DType::I64, vec![0; 128]));
    more.insert("bert.pooler.dense.weight".into(), (vec![16, 16], DType::F32, vec![0; 1024]));
    more.insert("cls.seq_relationship.bias".into(), (vec![2], DType::F32, vec![0; 8]));
    let folder = write("bert", &more, &[]);
    same(&model, &load(folder.path()));
    more.insert("bert.pooled.weight".into(), (vec![2], DType::F32, vec![0; 8]));
    assert!(refusal(write("bert", &more, &[]).path()).contains("bert.pooled.weight is unexpected"));
    // The same under two names.
    let mut twice = whole.clone();
    twice.insert("bert.embeddings.LayerNorm.gamma".into(), whole["bert.embeddings.LayerNorm.weight"].clone());
    let error = refusal(write("bert", &twice, &[]).path());
    assert!(
        error.contains("bert.embeddings.LayerNorm.weight: twice, under an old name and a new one"),
        "{error}"
    );
}

#[test]
fn second_names_are_looked_at() {
    let model = load(&data("bert"));
    let whole = tensors(&data("bert"));
    let (word, bias) = ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias");
    let mut both = whole.clone();
    both.insert("cls.predictions.decoder.weight".into(), whole[word].clone());
    both.insert("cls.predictions.decoder.bias".into(), whole[bias].clone());
    let folder = write("bert", &both, &[]);
    same(&model, &load(folder.path()));
    // A bias of that name that differs.
    let mut other = both.clone();
    other.get_mut("cls.predictions.decoder.bias").unwrap().2[0] ^= 1;
    let error = refusal(write("bert", &other, &[]).path());
    assert!(error.contains("cls.predictions.decoder.bias differs from cls.predictions.bias"), "{error}");
    let allow = Allow { aliased: true, ..Allow::default() };
    let options = LoadOptions { allow, ..LoadOptions::default() };
    let folder = write("bert", &other, &[]);
    same(&model, &Plan::<BertConfig>::of(folder.path(), &options).unwrap().load().unwrap());
    // It alone stands in.
    let mut alone = both.clone();
    alone.remove(bias);
    same(&model, &load(write("bert", &alone, &[]).path()));
    // A softmax that differs is one of its own.
    let mut untied = both.clone();
    untied.get_mut("cls.predictions.decoder.weight").unwrap().2[1] ^= 1;
    let untied = load(write("bert", &untied, &[]).path());
    assert!(
        !untied.config.tie_word_embeddings && untied.params.id("cls.predictions.decoder.weight").is_some()
    );
}

#[test]
fn a_model_without_its_head_begins_it_anew_and_half_a_head_is_refused() {
    let whole = tensors(&data("bert"));
    let body: Tensors =
        whole.iter().filter(|(n, _)| !n.starts_with("cls.")).map(|(n, t)| (n.clone(), t.clone())).collect();
    let folder = write("bert", &body, &[]);
    let plan = plan(folder.path()).unwrap();
    let what = "cls.predictions.transform.dense.weight and the rest of the head";
    assert!(plan.notes[0].contains(what), "{:?}", plan.notes);
    let model = plan.load().unwrap();
    let bias = model.params.get(model.params.id("cls.predictions.bias").unwrap()).to_tensor();
    assert!(bias.data().iter().all(|&b| b == 0.0));
    let mut half = whole.clone();
    half.remove("cls.predictions.transform.dense.bias");
    half.remove("bert.encoder.layer.0.output.dense.weight");
    half.remove("bert.encoder.layer.1.output.dense.weight");
    let error = refusal(write("bert", &half, &[]).path());
    assert!(error.contains("cls.predictions.transform.dense.bias is missing"), "{error}");
    assert!(error.contains("bert.encoder.layer.{0..1}.output.dense.weight is missing"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    for (name, field, value, part) in [
        ("bert", "vocab_size", 65, "bert.embeddings.word_embeddings.weight has shape [64, 16], not [65, 16]"),
        (
            "bert",
            "max_position_embeddings",
            20,
            "position_embeddings.weight has shape [16, 16], not [20, 16]",
        ),
        ("bert", "num_hidden_layers", 3, "bert.encoder.layer.2.attention.self.query.weight is missing"),
        ("bert", "num_hidden_layers", 1, "bert.encoder.layer.1.output.dense.weight is unexpected"),
        ("bert", "hidden_size", 15, "num_attention_heads: 2 does not divide hidden_size 15"),
        ("bert", "type_vocab_size", 1, "type_vocab_size: 2 are needed"),
        ("roformer", "embedding_size", 16, "word_embeddings.weight has shape [64, 8], not [64, 16]"),
    ] {
        let error = refusal(write(name, &tensors(&data(name)), &[(field, value.into())]).path());
        assert!(error.contains(part), "{error}");
    }
    for (field, value, part) in [
        ("model_type", "electra", "\"electra\" is not t5, mt5, umt5, bert, nezha or roformer: an encoder"),
        ("model_type", "t5", "\"t5\", beside weights of BERT's kind"),
        ("hidden_act", "mish", "hidden_act: \"mish\" is not known"),
        ("position_embedding_type", "relative_key", "position_embedding_type: \"relative_key\" is not read"),
    ] {
        let error = refusal(write("bert", &tensors(&data("bert")), &[(field, value.into())]).path());
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn relatives_that_are_not_read_are_named() {
    let whole = tensors(&data("roformer"));
    let mut sim = whole.clone();
    sim.insert("roformer.pooler.dense.weight".into(), (vec![16, 16], DType::F32, vec![0; 1024]));
    assert!(refusal(write("roformer", &sim, &[]).path()).contains("it is a RoFormer-sim"));
    let said = write("roformer", &whole, &[("pooler_activation", "linear".into())]);
    assert!(refusal(said.path()).contains("pooler_activation: the configuration of a RoFormer-sim"));
    let albert = write("bert", &tensors(&data("bert")), &[("num_hidden_groups", 1.into())]);
    assert!(refusal(albert.path()).contains("num_hidden_groups: the configuration of an ALBERT"));
    for (prefix, what) in [("electra", "an ELECTRA"), ("albert", "an ALBERT"), ("deberta", "a DeBERTa")] {
        let renamed =
            tensors(&data("bert")).into_iter().map(|(n, t)| (n.replace("bert.", &format!("{prefix}.")), t));
        let error = refusal(write("bert", &renamed.collect(), &[]).path());
        assert!(error.contains(&format!("it is {what}")), "{error}");
    }
}

fn converted(path: &Path, options: &LoadOptions, dtype: Option<DType>) -> (tempfile::TempDir, Bert) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::<BertConfig>::of(path, options).unwrap();
    let shards = ConvertOptions { dtype, max_shard_size: 10_000 };
    let notes = convert(plan, shards, folder.path(), &mut ()).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let model = load(folder.path());
    (folder, model)
}

#[test]
fn converted_models_are_the_same() {
    for name in FAMILY {
        let (folder, model) = converted(&data(&format!("{name}-google")), &LoadOptions::default(), None);
        same(&model, &load(&data(name)));
        let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
        assert!(config.contains(&format!("\"model_type\": \"{name}\"")), "{config}");
        assert!(folder.path().join("model.safetensors.index.json").exists());
        let (_folder, half) = converted(&data(name), &LoadOptions::default(), Some(DType::Bf16));
        let word = half.params.get(half.params.id(half.config.vocabulary().embedding).unwrap());
        assert_eq!(word.dtype(), DType::Bf16);
    }
    // What transformers stores of RoFormer's positions.
    let (folder, _) = converted(&data("roformer-google"), &LoadOptions::default(), None);
    let name = "roformer.encoder.embed_positions.weight";
    let theirs = tensors(&data("roformer")).remove(name).unwrap();
    let index = std::fs::read_to_string(folder.path().join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let file = folder.path().join(index["weight_map"][name].as_str().unwrap());
    let ours = SafetensorsFile::open(&file).unwrap().bytes(name).unwrap().to_vec();
    let floats = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>()
    };
    for (a, b) in floats(&ours).into_iter().zip(floats(&theirs.2)) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn more_positions_than_the_table_has() {
    let options = LoadOptions { max_positions: Some(40), ..LoadOptions::default() };
    let model = Plan::<BertConfig>::of(&data("bert"), &options).unwrap().load().unwrap();
    assert_eq!((model.config.max_position_embeddings, model.config.position_rows), (40, Some(16)));
    same(&model, &load(&data("bert")));
    // Written as it is, and read again; other programs get the whole table.
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("config.json");
    model.config.write(&written, false).unwrap();
    let again = BertConfig::read(&written).unwrap();
    assert_eq!((again.max_position_embeddings, again.position_rows), (40, Some(16)));
    let (_folder, whole) = converted(&data("bert"), &options, None);
    assert_eq!((whole.config.max_position_embeddings, whole.config.position_rows), (40, None));
    let table = whole.params.get(whole.params.id("bert.embeddings.position_embeddings.weight").unwrap());
    let learnt = model.params.get(model.params.id("bert.embeddings.position_embeddings.weight").unwrap());
    assert_eq!(table.shape(), [40, 16]);
    assert_eq!(table.to_tensor().data()[..16 * 16], *learnt.to_tensor().data());
    for (name, positions, part) in [
        ("bert", 257, "257 positions; of 16 rows at most 256 can be composed"),
        ("nezha", 40, "this model has no table of positions"),
        ("roformer", 40, "this model has no table of positions"),
    ] {
        let options = LoadOptions { max_positions: Some(positions), ..LoadOptions::default() };
        let error = Plan::<BertConfig>::of(&data(name), &options).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let mistaken = write("bert", &tensors(&data("bert")), &[("position_rows", 3.into())]);
    assert!(
        refusal(mistaken.path()).contains("position_rows: 3 rows cannot make max_position_embeddings 16")
    );
}

#[test]
fn rows_are_cut_together() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("keep.json");
    let keep = [0u32, 2, 3, 4, 5, 40, 63];
    std::fs::write(&list, format!("{keep:?}")).unwrap();
    let options = LoadOptions { keep_tokens: Some(list.clone()), ..LoadOptions::default() };
    for name in FAMILY {
        let whole = load(&data(name));
        let cut = Plan::<BertConfig>::of(&data(&format!("{name}-google")), &options).unwrap().load().unwrap();
        let names = whole.config.vocabulary();
        for (_, name, weight) in whole.params.iter() {
            let there = cut.params.get(cut.params.id(name).unwrap());
            let (a, b) = (weight.to_tensor(), there.to_tensor());
            if names.contains(name) {
                // A vector is a row of numbers here.
                let width = weight.len() / 64;
                for (new, &old) in keep.iter().enumerate() {
                    assert_eq!(
                        a.data()[old as usize * width..][..width],
                        b.data()[new * width..][..width],
                        "{name}"
                    );
                }
                assert_eq!(b.data().len(), keep.len() * width);
            } else {
                assert_eq!(a.data(), b.data(), "{name}");
            }
        }
        // As `trim` does it, everything else byte for byte.
        let mut uncut = Uncut::<Config>::open(&data(&format!("{name}-google"))).unwrap();
        assert_eq!(uncut.sizes().unwrap().rows, 64);
        let out = tempfile::tempdir().unwrap();
        uncut.cut(&keep, &out.path().join("model.safetensors"), &mut ()).unwrap();
        uncut.config.with_rows(&keep).unwrap().write(&out.path().join("config.json"), false).unwrap();
        same(&cut, &load(out.path()));
    }
    std::fs::write(&list, "[1, 2, 3]").unwrap();
    let error = Plan::<BertConfig>::of(&data("bert"), &options).unwrap_err().to_string();
    assert!(error.contains("pad_token_id: it is 0, a row that would be dropped"), "{error}");
}

/// Adapters have peft's names of `BertForMaskedLM`, whose `dense` are those of attention, feed-forward and head.
#[test]
fn adapters_have_pefts_names_and_merge() {
    for name in FAMILY {
        let mut model = load(&data(name));
        let targets = ["query", "key", "value", "dense"].map(String::from).to_vec();
        let lora = LoraConfig { r: 2, lora_alpha: 4.0, target_modules: targets, ..LoraConfig::default() };
        model.begin_adapters(&lora, 1).unwrap();
        // A B that is not zero, so that there is something to merge.
        let path = tempfile::tempdir().unwrap();
        let module = format!("{name}.encoder.layer.1.attention.self.query");
        let adapter = model.params.adapter(model.params.id(&format!("{module}.weight")).unwrap()).unwrap();
        let b = model.params.get(adapter.b).map(|at, _| at as f32);
        *model.params.get_mut(adapter.b) = b;
        save_adapter(&model, &lora, path.path()).unwrap();
        let file = SafetensorsFile::open(&path.path().join("adapter_model.safetensors")).unwrap();
        assert_eq!(file.names().count(), 2 * (2 * 6 + 1), "{name}");
        for module in ["encoder.layer.0.attention.self.query", "encoder.layer.1.output.dense"] {
            for side in ["lora_A", "lora_B"] {
                let tensor = format!("base_model.model.{name}.{module}.{side}.weight");
                assert!(file.info(&tensor).is_some(), "{tensor}");
            }
        }
        assert!(file.info("base_model.model.cls.predictions.transform.dense.lora_A.weight").is_some());
        let read = LoraFile::open(path.path()).unwrap();
        assert_eq!(read.modules.len(), 13);
        let options = LoadOptions { adapter: Some(path.path().to_owned()), ..LoadOptions::default() };
        let merged = Plan::<BertConfig>::of(&data(name), &options).unwrap().load().unwrap();
        let of = |m: &Bert, n: &str| m.params.get(m.params.id(n).unwrap()).to_tensor().data().to_vec();
        let changed = format!("{module}.weight");
        assert_ne!(of(&merged, &changed), of(&model, &changed));
        let same = format!("{name}.encoder.layer.0.attention.self.query.weight");
        assert_eq!(of(&merged, &same), of(&model, &same));
        let wrong = LoraConfig { target_modules: vec!["q".to_owned()], ..LoraConfig::default() };
        let error = load(&data(name)).begin_adapters(&wrong, 1).unwrap_err().to_string();
        assert!(
            error.contains(
                "the LoRA target q names no layer of this model, whose layers are dense, key, query, value"
            ),
            "{error}"
        );
    }
}
