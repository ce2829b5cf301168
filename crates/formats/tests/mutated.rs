//! Every reader of a file given thousands of files that were sound and are not: none panics. Those of safetensors, PyTorch
//! and TensorFlow have such tests of their own.

mod mutate;
mod workbook;

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;

use mutate::each;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value, json};
use t5kit_formats::T5Config;
use t5kit_formats::added_tokens::SpecialTokens;
use t5kit_formats::config::BertConfig;
use t5kit_formats::encoding::Encoding;
use t5kit_formats::foreign::{not_weights, stand_in};
use t5kit_formats::generation_config::GenerationConfig;
use t5kit_formats::peft::{LoraConfig, LoraFile};
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_formats::table::{Columns, Format, Table, TableOptions, Texts, open_columns};
use t5kit_formats::tokenizer_json::{self, TokenizerJson};
use t5kit_formats::trained::Trained;
use t5kit_formats::{DType, gguf, keep_tokens, keras};
use workbook::workbook;

fn texts(files: &[&str]) -> Vec<Vec<u8>> {
    files.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn objects(files: &[Value]) -> Vec<Vec<u8>> {
    files.iter().map(|file| file.to_string().into_bytes()).collect()
}

/// Reads a table in all ways that there are; whether there was any row.
fn read_table(path: &Path, options: &TableOptions) -> bool {
    let mut rows = 0;
    for columns in [Columns::All, Columns::Text] {
        if let Ok(read) = open_columns(path, &columns, options) {
            rows += read.take(1000).filter(Result::is_ok).count();
        }
    }
    if let Ok(table) = Table::open(path, options) {
        let names: Vec<String> = table.names().into_iter().map(str::to_owned).collect();
        if let Ok(whole) = table.whole_rows() {
            whole.take(1000).flatten().for_each(|row| drop(row.with(&names, &[])));
        }
    }
    if let Ok(texts) = Texts::open(path, None, &[], options) {
        texts.take(1000).for_each(drop);
    }
    rows > 0
}

/// Hands mutations of a table in this format to its readers, in one encoding after another.
fn each_table(format: &str, files: &[Vec<u8>], times: usize) {
    let folder = mutate::folder();
    let path = folder.path().join("table");
    let mut round = 0;
    each(format, files, times, |bytes| {
        round += 1;
        fs::write(&path, bytes).unwrap();
        let encoding = ["auto", "utf-8", "gb18030", "utf-16", "big5"][round % 5];
        let options = TableOptions {
            format: Format::by_name(format),
            encoding: Encoding::by_name(encoding).unwrap(),
            text_as_table: round % 3 == 0,
            empty_for_missing: round % 2 == 0,
            max_row_bytes: 1 << 16,
            ..TableOptions::default()
        };
        read_table(&path, &options)
    });
}

#[test]
fn tables_of_text() {
    let rows = "编号,摘要,标题\n1,\"今天,天气\n真\"\"好\"\"\",天气\n2,水运工程,\"\"\n\n3,x,y\n";
    let wide: Vec<u8> = rows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = [&[0xff, 0xfe][..], &wide].concat();
    let semicolons = format!("sep=;\r\n{}", rows.replace(',', ";").replace('\n', "\r\n"));
    let mut comma = texts(&[rows, &semicolons]);
    comma.push(wide);
    each_table("csv", &comma, 700);
    each_table("tsv", &texts(&[&rows.replace(',', "\t"), "a\tb\n\"c\nd\"\te\n"]), 700);
    each_table("text", &texts(&[rows, "\u{feff}甲\n\n乙\r\n"]), 300);
}

#[test]
fn tables_of_json() {
    let squad = json!({"version": "1", "data": [{"title": "t", "paragraphs": [{"context": "甲乙", "qas": [
        {"id": "1", "question": "问", "answers": [{"text": "乙", "answer_start": 1}]}]}]}]});
    let talk = json!([{"conversations": [{"from": "human", "value": "问"}, {"from": "gpt", "value": "答"}]}]);
    let rows = "{\"text\": \"今天\", \"n\": 1, \"translation\": {\"en\": \"a\", \"zh\": \"甲\"}}\n\
                {\"text\": \"\\ud83d\\ude00\", \"n\": 2.5e3, \"tags\": [\"x\", null, true]}\n";
    let array = json!([{"instruction": "做", "input": "甲", "output": "乙"}, {"instruction": "做", "input": "", "output": "丙"}]);
    let files = [texts(&[rows]), objects(&[squad, talk, array])].concat();
    each_table("json", &files, 900);
    each_table("jsonl", &texts(&[rows, "{\"a\": \"b\"}\n\n{\"a\": null}"]), 700);
}

#[test]
fn workbooks_and_their_parts() {
    let rows: [&[Value]; 3] = [
        &[json!("编号"), json!("摘要"), json!("标题")],
        &[json!(1), json!("今天天气"), json!(true)],
        &[json!(2.5), Value::Null, json!("#N/A")],
    ];
    let whole = workbook(&[("论文", &rows), ("二", &[&[json!("甲")]])]);
    each_table("xlsx", std::slice::from_ref(&whole), 700);
    // Within the archive's checksums: a part at a time.
    let mut archive = zip::ZipArchive::new(Cursor::new(&whole)).unwrap();
    let parts: Vec<(String, Vec<u8>)> = (0..archive.len())
        .map(|i| {
            let mut part = archive.by_index(i).unwrap();
            let mut bytes = Vec::new();
            part.read_to_end(&mut bytes).unwrap();
            (part.name().unwrap().into_owned(), bytes)
        })
        .collect();
    let folder = mutate::folder();
    let path = folder.path().join("table.xlsx");
    // The first sheet is read, and nothing within the other.
    for (i, (name, part)) in parts.iter().enumerate().filter(|(_, (name, _))| !name.contains("sheet2")) {
        each(name, std::slice::from_ref(part), 300, |bytes| {
            let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
            let options =
                zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            for (j, (name, part)) in parts.iter().enumerate() {
                zip.start_file(name.as_str(), options).unwrap();
                zip.write_all(if i == j { bytes } else { part }).unwrap();
            }
            fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
            read_table(&path, &TableOptions::default())
        });
    }
}

#[test]
fn parquet() {
    let schema = "message rows { optional binary text (UTF8); required double n; }";
    let file = |compression| {
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
        for group in 0..2 {
            let mut w = writer.next_row_group().unwrap();
            let texts: Vec<ByteArray> =
                (0..5).map(|i| format!("第{group}{i}行").into_bytes().into()).collect();
            let mut c = w.next_column().unwrap().unwrap();
            c.typed::<ByteArrayType>().write_batch(&texts, Some(&[1, 0, 1, 1, 1, 1]), None).unwrap();
            c.close().unwrap();
            let mut c = w.next_column().unwrap().unwrap();
            c.typed::<DoubleType>().write_batch(&[0.5, 1.0, 2.0, -3.0, 1e9, 0.0], None, None).unwrap();
            c.close().unwrap();
            w.close().unwrap();
        }
        writer.close().unwrap();
        bytes
    };
    use parquet::basic::Compression;
    each_table("parquet", &[file(Compression::UNCOMPRESSED), file(Compression::SNAPPY)], 1500);
}

#[test]
fn hdf5_of_keras() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keras");
    let files = ["best_model.weights", "whole.h5", "bert.weights", "packed.h5", "tf_model.h5"];
    let files = files.map(|name| fs::read(data.join(name)).unwrap());
    each("hdf5", &files, 4000, |bytes| {
        for name in ["x", "model.safetensors", "vocab.txt", "best_model.weights"] {
            let _ = (not_weights(Path::new(name), bytes), stand_in(Path::new(name), bytes));
        }
        keras::check(bytes).is_ok()
    });
}

#[test]
fn gguf() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/gguf");
    let files =
        ["t5-Q8_0", "t5-mixed", "umt5-F32"].map(|n| fs::read(data.join(format!("{n}.gguf"))).unwrap());
    each("gguf", &files, 4000, |bytes| gguf::check(bytes).is_ok());
    // Without a tokenizer the lists are all there is before the weights.
    each("gguf's lists", &files[2..], 4000, |bytes| gguf::check(bytes).is_ok());
}

#[test]
fn configurations() {
    let mt5 = json!({
        "d_ff": 1024, "d_kv": 64, "d_model": 512, "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": [1, 2],
        "feed_forward_proj": "gated-gelu", "layer_norm_epsilon": 1e-06, "model_type": "mt5", "num_decoder_layers": 8,
        "num_heads": 6, "num_layers": 8, "pad_token_id": 0, "relative_attention_num_buckets": 32,
        "tie_word_embeddings": false, "vocab_size": 250112, "num_beams": 4, "max_length": 20
    });
    let of_bert4keras = json!({
        "hidden_act": ["gelu", "linear"], "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
        "intermediate_size": 2048, "num_attention_heads": 12, "attention_head_size": 64, "num_hidden_layers": 12,
        "vocab_size": 50000, "relative_attention_num_buckets": 32
    });
    let bert = json!({
        "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768,
        "intermediate_size": 3072, "max_position_embeddings": 512, "num_attention_heads": 12, "num_hidden_layers": 12,
        "type_vocab_size": 2, "vocab_size": 21128, "model_type": "bert", "layer_norm_eps": 1e-12
    });
    let nezha = json!({
        "hidden_size": 8, "intermediate_size": 16, "max_relative_position": 64, "num_attention_heads": 2,
        "num_hidden_layers": 1, "use_relative_position": true, "vocab_size": 99
    });
    let path = Path::new("config.json");
    each("configuration", &objects(&[mt5, of_bert4keras, bert, nezha]), 5000, |bytes| {
        let Ok(map) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return false };
        let mut taken = false;
        if let Ok(config) = T5Config::from_json(path, map.clone()) {
            config.validate().expect("what is read is valid");
            T5Config::from_json(path, config.to_json()).expect("what is written is read");
            let _ =
                (config.inner_dim(), config.feed_forward(), GenerationConfig::of_model(path, &config.other));
            taken = true;
        }
        if let Ok(mut config) = BertConfig::from_json(path, map) {
            config.validate().expect("what is read is valid");
            BertConfig::from_json(path, config.to_json()).expect("what is written is read");
            let _ = (config.positions(), config.most_tokens(), config.raise_positions(1024));
            taken = true;
        }
        taken
    });
    let gin = "d_ff = 1024\nd_kv = 64\nd_model = 512\ndropout_rate = 0.1\nnum_heads = 6\nnum_layers = 8\n\n\
               # Parameters for transformer.Unitransformer\nencoder/Unitransformer.d_model = %d_model\n\
               decoder/transformer.make_layer_stack.layers = [@mesh_tensorflow.SelfAttention, @DenseReluDense,]\n\
               encoder/DenseReluDense.activation = ['gelu', 'linear']\ndecoder/SelfAttention.key_value_size = %d_kv\n";
    each("gin", &texts(&[gin]), 2000, |bytes| {
        T5Config::from_gin(path, &String::from_utf8_lossy(bytes), 1000).is_ok()
    });
}

#[test]
fn small_files_beside_a_model() {
    let folder = mutate::folder();
    let path = folder.path().join("file.json");
    let trained = json!({"format_version": 1, "source_prefix": "标题：", "prompt": "", "prompt_text": "summarize",
        "max_source_length": 256, "max_target_length": 32, "punctuation": "restore"});
    let generation = json!({"num_beams": 4, "early_stopping": "never", "max_new_tokens": 32, "eos_token_id": [1, 2],
        "bad_words_ids": [[1, 2], [3]], "temperature": 0.7, "top_p": 0.9, "do_sample": true,
        "sequence_bias": [[[5], 2.5]], "pad_token_id": 0, "decoder_start_token_id": 0});
    let keep = json!([0, 1, 2, 5, 9]);
    each("t5kit.json and others", &objects(&[trained, generation, keep]), 3000, |bytes| {
        fs::write(&path, bytes).unwrap();
        let (trained, keep) = (Trained::read(&path), keep_tokens::read(&path, 10));
        let generation = GenerationConfig::read(&path);
        trained.is_ok() || keep.is_ok() || generation.is_ok()
    });
}

#[test]
fn adapters() {
    let plain = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": ["q", "v"], "task_type": "SEQ_2_SEQ_LM",
        "base_model_name_or_path": "google/mt5-small", "bias": "none", "lora_dropout": 0.05, "use_rslora": true});
    let patterns = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 0.5, "target_modules": ".*\\.(q|v)$",
        "rank_pattern": {"q": 2, "^encoder.*v": 4}, "alpha_pattern": {"block.0.*q": 16}, "modules_to_save": ["lm_head"]});
    let path = Path::new("adapter_config.json");
    each("adapter_config.json", &objects(&[plain.clone(), patterns]), 4000, |bytes| {
        let Ok(map) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return false };
        let Ok(lora) = LoraConfig::from_json(path, map) else { return false };
        LoraConfig::from_json(path, lora.to_json()).expect("what is written is read");
        for module in ["encoder.block.0.layer.0.SelfAttention.q", "lm_head", ""] {
            let _ = (lora.scale_of(module, lora.rank(module).unwrap_or(1).max(1)), lora.saves(module));
        }
        true
    });

    let folder = mutate::folder();
    let weights = folder.path().join("adapter_model.safetensors");
    fs::write(folder.path().join("adapter_config.json"), plain.to_string()).unwrap();
    let module = "base_model.model.encoder.block.0.layer.0.SelfAttention.q";
    let specs = [("lora_A", vec![2, 4]), ("lora_B", vec![6, 2])].map(|(side, shape)| TensorSpec {
        name: format!("{module}.{side}.weight"),
        dtype: DType::F32,
        shape,
    });
    let mut writer = SafetensorsWriter::new(Vec::new(), &weights, &specs, &[]).unwrap();
    for spec in &specs {
        writer.tensor(&spec.name, [vec![0; 4 * spec.shape.iter().product::<usize>()]]).unwrap();
    }
    let sound = writer.finish().unwrap();
    fs::write(&weights, &sound).unwrap();
    assert!(LoraFile::open(folder.path()).is_ok());
    each("adapter_model.safetensors", &[sound], 1500, |bytes| {
        // Not over the file that may still be mapped.
        fs::remove_file(&weights).unwrap();
        fs::write(&weights, bytes).unwrap();
        LoraFile::open(folder.path()).is_ok()
    });
}

fn pieces() -> SpieceModel {
    let piece = |text: &str, kind, score| Piece { text: text.into(), kind, score, ..Piece::default() };
    let mut pieces = vec![
        piece("<pad>", PieceKind::Control, 0.0),
        piece("</s>", PieceKind::Control, 0.0),
        piece("<unk>", PieceKind::Unknown, 0.0),
    ];
    pieces.extend("▁甲乙丙ab".chars().map(|c| piece(&c.to_string(), PieceKind::Normal, -1.5)));
    pieces.push(piece("▁<extra_id_0>", PieceKind::UserDefined, 0.0));
    let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
    SpieceModel::new(pieces, TrainerSpec::default(), normalizer)
}

#[test]
fn sentencepiece_models() {
    let path = Path::new("spiece.model");
    each("spiece.model", &[pieces().to_bytes()], 6000, |bytes| {
        let Ok(model) = SpieceModel::parse(bytes, path) else { return false };
        let again = SpieceModel::parse(&model.to_bytes(), path).expect("what is written is read");
        assert_eq!(again.pieces.len(), model.pieces.len());
        let odd: Vec<usize> = (1..model.pieces.len()).step_by(2).collect();
        if !odd.is_empty() {
            SpieceModel::parse(&model.with_pieces(&odd).to_bytes(), path).expect("a cut model is read");
        }
        true
    });
}

#[test]
fn tokenizer_json_and_what_lies_beside_it() {
    let unigram = json!({
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "<pad>", "special": true}, {"id": 1, "content": "</s>", "special": true},
            {"id": 2, "content": "<unk>", "special": true}, {"id": 6, "content": "<event>", "lstrip": true}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": "AQID"},
            {"type": "Strip", "strip_left": false, "strip_right": true},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1]}}},
        "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false,
            "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁好", -3.3], ["甲", -3.5], ["a", -4.0]]}
    });
    let path = Path::new("tokenizer.json");
    let renumbering = keep_tokens::Renumbering::new(&[0, 1, 2, 4]);
    each("tokenizer.json", &objects(std::slice::from_ref(&unigram)), 4000, |bytes| {
        let _ = tokenizer_json::cut(bytes, &renumbering, path);
        let Ok(TokenizerJson { model: tokenizer_json::Model::Unigram(read), .. }) =
            tokenizer_json::read(bytes, path)
        else {
            return false;
        };
        if !read.model.pieces.is_empty() {
            SpieceModel::parse(&read.model.to_bytes(), path).expect("what is written is read");
        }
        true
    });

    let folder = mutate::folder();
    let files = [
        ("added_tokens.json", json!({"<event>": 9, "</event>": 10})),
        (
            "special_tokens_map.json",
            json!({"eos_token": {"content": "</s>", "lstrip": false}, "pad_token": "<pad>",
            "additional_special_tokens": ["<extra_id_0>", {"content": "<event>"}]}),
        ),
        (
            "tokenizer_config.json",
            json!({"eos_token": "</s>", "extra_ids": 100, "tokenizer_class": "T5Tokenizer",
            "added_tokens_decoder": {"9": {"content": "<event>", "special": false, "normalized": true}}}),
        ),
        ("tokenizer.json", unigram),
    ];
    let all = objects(&files.clone().map(|(_, file)| file));
    let mut round = 0;
    each("beside a tokenizer", &all, 3000, |bytes| {
        round += 1;
        for (i, (name, file)) in files.iter().enumerate() {
            let to = folder.path().join(name);
            match (round % 5, i == round % 4) {
                (_, true) => fs::write(to, bytes).unwrap(),
                (0, _) => drop(fs::remove_file(to)),
                _ => fs::write(to, file.to_string()).unwrap(),
            }
        }
        let path = folder.path().join("tokenizer_config.json");
        let text = fs::read(&path).unwrap_or_default();
        let config = serde_json::from_slice::<Map<String, Value>>(&text).ok();
        SpecialTokens::read(folder.path(), config.as_ref().map(|config| (&*path, config))).is_ok()
    });
}
