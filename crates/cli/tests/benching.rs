//! `t5kit bench` as a user runs it.

mod common;
use common::{Run, arg, file, model, run};
use serde_json::Value;

struct Tiny {
    folder: tempfile::TempDir,
    model: std::path::PathBuf,
}

fn tiny() -> Tiny {
    let folder = tempfile::tempdir().unwrap();
    let model = model::hugging_face(folder.path());
    Tiny { folder, model }
}

impl Tiny {
    fn bench(&self, more: &[&str]) -> Run {
        let base = ["bench", "--model", arg(&self.model), "--rounds", "2", "--max-new-tokens", "5"];
        run(base.iter().chain(more))
    }
}

#[test]
fn the_table_has_a_row_for_everything_that_was_asked_for() {
    let cells = ["--batch-size", "1,3", "--num-beams", "1,2", "--dtype", "f32,int8", "--sources", "6"];
    let done = tiny().bench(&cells);
    assert!(done.stderr.contains("the program's own sentences"), "{done:#?}");
    let table = done.ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(&rows[0][..4], ["type", "batch", "beams", "samples/s"]);
    let asked: Vec<String> = rows[1..9].iter().map(|row| row[..3].join(" ")).collect();
    let want = ["f32 1 1", "f32 3 1", "f32 1 2", "f32 3 2", "int8 1 1", "int8 3 1", "int8 1 2", "int8 3 2"];
    assert_eq!(asked, want, "{table}");
    assert!(table.contains("instructions: ") && table.contains("6 sources of "), "{table}");
}

#[test]
fn figures_of_a_table_are_positive_and_belong_together() {
    let tiny = tiny();
    let pairs = model::pairs(tiny.folder.path(), "pairs.tsv", 4);
    let input = ["--input", arg(&pairs), "--source", "1", "--batch-size", "2,4", "--sources", "4", "--json"];
    let json: Value = serde_json::from_str(&tiny.bench(&input).ok()).unwrap();
    assert_eq!((&json["sources"], &json["new_tokens"]), (&Value::from(4), &Value::from(5)));
    assert_eq!((&json["complete"], &json["format"]), (&Value::from(true), &Value::from(1)));
    let of = &json["types"][0];
    for key in ["weight_bytes", "operations_per_second", "bytes_per_second"] {
        assert!(of[key].as_f64() > Some(0.0), "{key}: {of}");
    }
    assert_eq!(of["results"].as_array().unwrap().len(), 2);
    for (result, batch) in of["results"].as_array().unwrap().iter().zip([2, 4]) {
        assert_eq!((&result["batch_size"], &result["num_beams"]), (&Value::from(batch), &Value::from(1)));
        // As many tokens as were asked for, whatever the model would say; two rounds of whole requests.
        assert_eq!((&result["new_tokens"], &result["requests"]), (&Value::from(20), &Value::from(8 / batch)));
        let number = |key: &str| result[key].as_f64().unwrap();
        assert!((number("new_tokens_per_second") / number("samples_per_second") - 5.0).abs() < 1e-9);
        let latency = |key: &str| result["latency_ms"][key].as_f64().unwrap();
        assert!(0.0 < latency("p50") && latency("p50") <= latency("p90") && latency("p90") <= latency("p99"));
        assert!(
            result["floor"]["share"].as_f64() > Some(0.0)
                && result["floor"]["operations"].as_f64() > Some(0.0)
        );
    }
    // Two sources at a time read the weights twice as often.
    let bytes = |at: usize| of["results"][at]["floor"]["bytes"].as_f64().unwrap();
    assert!(bytes(0) > bytes(1));
}

#[test]
fn what_cannot_be_measured_is_refused_in_a_line() {
    let tiny = tiny();
    tiny.bench(&["--batch-size", "0"]).is_wrong_usage("--batch-size must be at least 1, not 0");
    tiny.bench(&["--num-beams", "1,0"]).is_wrong_usage("--num-beams must be at least 1, not 0");
    tiny.bench(&["--dtype", "f32,int7"]).is_wrong_usage("--dtype int7: there is f32");
    tiny.bench(&["--rounds", "0"]).is_wrong_usage("--rounds must be at least 1");
    let empty = file(tiny.folder.path(), "empty.txt", "");
    let nothing = tiny.bench(&["--input", arg(&empty)]);
    assert!(nothing.code != 0 && nothing.stdout.is_empty(), "{nothing:#?}");
    tiny.bench(&["--input", "nowhere.tsv"]).fails(&["nowhere.tsv"]);
    let help = run(["bench", "--help"]).ok();
    assert!(help.contains("t5kit bench --model run --batch-size 1,16,32"), "{help}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_prints_what_there_is() {
    use std::io::{BufRead, BufReader, Read};
    let tiny = tiny();
    let mut command = common::program();
    let flags = ["--rounds", "1000000", "--sources", "8", "--batch-size", "1", "--json"];
    command.args(["bench", "--model", arg(&tiny.model)]).args(flags);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // A line of progress says that rounds were measured.
    while !line.contains("rounds") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended by itself");
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130), "{rest}");
    let json: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(json["complete"], false);
    assert!(json["types"][0]["results"][0]["samples_per_second"].as_f64() > Some(0.0), "{json}");
}
