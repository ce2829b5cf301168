//! The row readers of `t5kit_formats::table` on every format, packed and plain, good and bad.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use t5kit_formats::table::{ColumnRef, Columns, Error, Format, Row, TableOptions, open, open_columns};
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn names(list: &[&str]) -> Vec<ColumnRef> {
    list.iter().map(|n| ColumnRef::parse(n)).collect()
}

fn values(path: &Path, columns: &[&str]) -> Vec<Vec<String>> {
    open(path, &names(columns), &TableOptions::default()).unwrap().map(|row| row.unwrap().values).collect()
}

/// The message of the first error that reading the whole file meets.
fn first_error(path: &Path, columns: &[&str]) -> String {
    match open(path, &names(columns), &TableOptions::default()) {
        Err(error) => error.to_string(),
        Ok(rows) => rows.filter_map(Result::err).next().expect("an error").to_string(),
    }
}

fn text_of(path: &Path) -> Result<Vec<String>, Error> {
    open_columns(path, &Columns::Text, &TableOptions::default())?
        .map(|row| row.map(|mut row| row.values.remove(0)))
        .collect()
}

#[test]
fn column_references() {
    assert_eq!(ColumnRef::parse("2"), ColumnRef::Number(2));
    assert_eq!(ColumnRef::parse("0"), ColumnRef::Name("0".into()));
    assert_eq!(ColumnRef::parse("title"), ColumnRef::Name("title".into()));
}

#[test]
fn format_by_name_of_file() {
    for (name, format) in [
        ("a.txt", Format::Text),
        ("a", Format::Text),
        ("wiki_00.gz", Format::Text),
        ("a.JSONL", Format::JsonLines),
        ("a.json.zst", Format::Json),
        ("a.xlsx", Format::Sheet),
        ("a.ods", Format::Sheet),
        ("a.tsv.gz", Format::Tsv),
        ("a.csv", Format::Csv),
        ("a.parquet", Format::Parquet),
    ] {
        assert_eq!(Format::of_path(name.as_ref()), format, "{name}");
    }
    for name in Format::NAMES {
        assert_eq!(Format::by_name(name).unwrap().name(), name);
    }
}

#[test]
fn tsv_without_header_by_number() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "a.tsv", "p\t文一\t题一\r\np\t\"文\"二\t\n".as_bytes());
    let rows: Vec<Row> =
        open(&path, &names(&["3", "2"]), &TableOptions::default()).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[0], Row { line: 1, values: vec!["题一".into(), "文一".into()] });
    assert_eq!(rows[1], Row { line: 2, values: vec!["".into(), "\"文\"二".into()] });
    assert_eq!(rows.len(), 2);
    // No column asked for: all, in order.
    assert_eq!(values(&path, &[])[0], ["p", "文一", "题一"]);
    // One column twice.
    assert_eq!(values(&path, &["3", "3"])[0], ["题一", "题一"]);
}

#[test]
fn header_when_named() {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("a.tsv", "source\ttarget\nx\ty\n"),
        ("a.csv", "source,target\nx,y\n"),
        ("bom.csv", "\u{feff}source,target\r\nx,y\r\n"),
        ("bom.tsv", "\u{feff}source\ttarget\nx\ty"),
    ] {
        let path = write(&folder, name, text.as_bytes());
        assert_eq!(values(&path, &["target", "source"]), [["y", "x"]], "{name}");
        let error = first_error(&path, &["goal"]);
        assert!(error.ends_with("no column \"goal\"; it has source, target"), "{error}");
        // By number too, since these are names that columns have; it is a row where one says so.
        assert_eq!(values(&path, &["2"]), [["y"]], "{name}");
        let options = TableOptions { has_header: Some(false), ..TableOptions::default() };
        assert_eq!(open(&path, &names(&["2"]), &options).unwrap().count(), 2, "{name}");
        let options = TableOptions { has_header: Some(true), ..TableOptions::default() };
        let rows: Vec<Row> = open(&path, &names(&["2"]), &options).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows, [Row { line: 2, values: vec!["y".into()] }], "{name}");
        let options = TableOptions { has_header: Some(false), ..TableOptions::default() };
        let error = open(&path, &names(&["source"]), &options).err().unwrap().to_string();
        assert!(error.contains("without a header"), "{error}");
    }
    let twice = write(&folder, "twice.tsv", b"a\ta\n1\t2\n");
    assert!(first_error(&twice, &["a"]).contains("the only one of that name"));
}

#[test]
fn csv_quoting_and_places() {
    let folder = TempDir::new().unwrap();
    let text = "id,text\n1,\"二,\"\"引\"\"\n行\"\n2,plain\n3\n4,last";
    let path = write(&folder, "a.csv", text.as_bytes());
    let rows: Vec<_> = open(&path, &names(&["text"]), &TableOptions::default()).unwrap().collect();
    assert_eq!(rows[0].as_ref().unwrap(), &Row { line: 2, values: vec!["二,\"引\"\n行".into()] });
    assert_eq!(rows[1].as_ref().unwrap(), &Row { line: 4, values: vec!["plain".into()] });
    let error = rows[2].as_ref().unwrap_err();
    assert!(error.is_bad_row());
    assert!(error.to_string().ends_with("a.csv, line 5: 1 column, where the first row has 2"), "{error}");
    assert_eq!(rows[3].as_ref().unwrap(), &Row { line: 6, values: vec!["last".into()] });
    assert_eq!(rows.len(), 4);
}

#[test]
fn csv_lines_are_counted_over_blank_lines_and_windows_line_ends() {
    let folder = TempDir::new().unwrap();
    let text = "text\r\n\r\na\r\n\"b\r\nc\"\r\n\n\nd\re\r\n";
    let path = write(&folder, "a.csv", text.as_bytes());
    let rows: Vec<Row> =
        open(&path, &names(&["text"]), &TableOptions::default()).unwrap().map(Result::unwrap).collect();
    let shown: Vec<String> = rows.iter().map(|row| format!("{} {:?}", row.line, row.values[0])).collect();
    assert_eq!(shown, ["3 \"a\"", "4 \"b\\r\\nc\"", "8 \"d\"", "8 \"e\""]);
    // Many cells and long cells: the buffers grow.
    let wide: String = (0..5000).map(|i| format!("{i},")).collect::<String>() + &"长".repeat(100_000);
    let path = write(&folder, "wide.csv", wide.as_bytes());
    let row = &values(&path, &[])[0];
    assert_eq!((row.len(), row[4999].as_str(), row[5000].chars().count()), (5001, "4999", 100_000));
}

#[test]
fn csv_open_quote_is_bounded() {
    let folder = TempDir::new().unwrap();
    let mut text = b"text\n\"open".to_vec();
    text.resize(3 << 20, b'x');
    let path = write(&folder, "a.csv", &text);
    let options = TableOptions { max_row_bytes: 1 << 20, ..TableOptions::default() };
    let rows: Vec<_> = open(&path, &names(&["text"]), &options).unwrap().collect();
    assert_eq!(rows.len(), 1);
    let error = rows[0].as_ref().unwrap_err();
    assert!(!error.is_bad_row() && error.to_string().contains("quote left open"), "{error}");
}

#[test]
fn json_lines() {
    let folder = TempDir::new().unwrap();
    let text = concat!(
        "{\"id\": 7, \"text\": \"甲\\n\\u4e59\", \"tags\": [\"x\", {\"text\": 1}], \"ok\": true, \"w\": 0.5}\n",
        "\n",
        "{\"w\": -1, \"ok\": false, \"text\": \"old\", \"id\": \"八\", \"te\\u0078t\": \"new\"}\r\n",
        "{\"id\": 9}\n",
        "{\"id\": 10, \"text\": null}\n",
        "{\"id\": 11, \"text\": {\"a\": []}}\n",
        "[1]\n",
        "{\"id\": 12, \"text\": \"end\"} x\n",
        "{\"id\": 13, \"text\": \"\\ud800\"}\n",
        "{\"id\": 14, \"text\": \"last\"}",
    );
    let path = write(&folder, "a.jsonl", text.as_bytes());
    let rows: Vec<_> = open(&path, &names(&["text", "id"]), &TableOptions::default()).unwrap().collect();
    let shown: Vec<String> = rows
        .iter()
        .map(|row| match row {
            Ok(row) => format!("{}: {:?}", row.line, row.values),
            Err(error) => error.to_string().rsplit_once("a.jsonl, ").unwrap().1.to_owned(),
        })
        .collect();
    assert_eq!(shown[0], "1: [\"甲\\n乙\", \"7\"]");
    assert_eq!(shown[1], "3: [\"new\", \"八\"]");
    assert_eq!(shown[2], "line 4: no field \"text\"; the fields are id");
    assert_eq!(shown[3], "line 5: field \"text\" is null");
    assert_eq!(shown[4], "line 6: field \"text\" is neither a string nor a number");
    assert!(shown[5].starts_with("line 7: a JSON array where an object is expected"), "{}", shown[5]);
    assert!(shown[6].starts_with("line 8: not a JSON object: trailing characters"), "{}", shown[6]);
    assert_eq!(shown[7], "9: [\"\u{fffd}\", \"13\"]");
    assert_eq!(shown[8], "10: [\"last\", \"14\"]");
    assert_eq!(shown.len(), 9);
    let rows = open(&path, &names(&["ok", "w"]), &TableOptions::default()).unwrap();
    let good: Vec<Vec<String>> = rows.filter_map(Result::ok).map(|row| row.values).collect();
    assert_eq!(good, [["true", "0.5"], ["false", "-1"]]);
}

#[test]
fn the_text_column() {
    let folder = TempDir::new().unwrap();
    type Case = (&'static str, &'static str, Result<&'static [&'static str], &'static str>);
    let cases: [Case; 8] = [
        ("a.txt", "甲\n\n乙\r\n", Ok(&["甲", "", "乙"])),
        ("named.jsonl", "{\"title\": \"t\", \"text\": \"x\"}", Ok(&["x"])),
        ("only.jsonl", "\n{\"id\": 1, \"content\": \"x\"}\n", Ok(&["x"])),
        ("two.jsonl", "{\"title\": \"t\", \"body\": \"x\"}", Err("`columns` with one of title, body")),
        ("one.tsv", "甲\n乙\n", Ok(&["甲", "乙"])),
        ("head.tsv", "id\ttext\n1\tx\n", Ok(&["x"])),
        ("two.csv", "1,x\n", Err("`columns` with one of 1 (\"1\"), 2 (\"x\")")),
        ("number.jsonl", "{\"text\": \"x\"}\n{\"text\": 5}", Err("line 2: field \"text\" is not a string")),
    ];
    for (name, text, expected) in cases {
        let path = write(&folder, name, text.as_bytes());
        match (text_of(&path), expected) {
            (Ok(texts), Ok(expected)) => assert_eq!(texts, expected, "{name}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{name}: {error}"),
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
}

#[test]
fn packed_files_are_recognised_by_content() {
    let folder = TempDir::new().unwrap();
    let text = "\u{feff}甲\t乙\n丙\t丁\n".as_bytes();
    let twice = [gzip(&text[..9]), gzip(&text[9..])].concat();
    let frames =
        [zstd::encode_all(&text[..9], 1).unwrap(), zstd::encode_all(&text[9..], 1).unwrap()].concat();
    let packed =
        [("a.tsv.gz", gzip(text)), ("b.tsv", twice), ("c.tsv.zst", frames), ("d.tsv", text.to_vec())];
    for (name, bytes) in packed {
        let path = write(&folder, name, &bytes);
        assert_eq!(values(&path, &["2", "1"]), [["乙", "甲"], ["丁", "丙"]], "{name}");
    }
    for (name, mut bytes) in [("t.tsv.gz", gzip(text)), ("t.tsv.zst", zstd::encode_all(text, 1).unwrap())] {
        bytes.truncate(bytes.len() - 5);
        let path = write(&folder, name, &bytes);
        let error = first_error(&path, &["1"]);
        assert!(error.contains("t.tsv") && error.contains("cannot be"), "{error}");
    }
}

#[test]
fn bad_rows_are_placed_and_passed_over() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "a.tsv", b"a\tb\nc\n\nd\te\tf\n\xff\tg\nh\ti\n");
    let rows: Vec<_> = open(&path, &names(&["1"]), &TableOptions::default()).unwrap().collect();
    let shown: Vec<String> = rows
        .iter()
        .map(|row| match row {
            Ok(row) => format!("{} {}", row.line, row.values[0]),
            Err(error) => error.to_string().rsplit_once("a.tsv, ").unwrap().1.to_owned(),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1 a",
            "line 2: 1 column, where the first line has 2",
            "line 4: 3 columns, where the first line has 2",
            "line 5: not UTF-8 at byte 1 of the line",
            "6 h",
        ]
    );
}

#[test]
fn long_lines_are_errors_and_the_next_line_is_found() {
    let folder = TempDir::new().unwrap();
    let long = [b"x".repeat(3000), b"\nshort\n".to_vec()].concat();
    let path = write(&folder, "a.txt", &[b"first\n".to_vec(), long].concat());
    let options = TableOptions { max_row_bytes: 1000, ..TableOptions::default() };
    let rows: Vec<_> = open(&path, &[], &options).unwrap().collect();
    assert_eq!(rows[0].as_ref().unwrap().values, ["first"]);
    assert!(rows[1].as_ref().unwrap_err().to_string().ends_with("line 2: longer than 1000 bytes"));
    assert_eq!(rows[2].as_ref().unwrap(), &Row { line: 3, values: vec!["short".into()] });
    assert_eq!(rows.len(), 3);
}

#[test]
fn empty_and_missing_files() {
    let folder = TempDir::new().unwrap();
    for name in ["a.txt", "a.tsv", "a.csv", "a.jsonl"] {
        assert_eq!(values(&write(&folder, name, b""), &["text"]).len(), 0, "{name}");
    }
    assert!(first_error(&folder.path().join("none.tsv"), &["1"]).contains("none.tsv: cannot be opened"));
    assert!(first_error(folder.path(), &["1"]).contains("folder"));
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_tables() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for (file, columns, rows) in [
        ("csl/title.tsv", &["2", "3"][..], 1000),
        ("csl/keywords.tsv", &["2", "3"], 1000),
        ("csl/category_train.tsv", &["2", "3"], 8000),
        ("csl/discipline.tsv", &["2", "3"], 1000),
        ("sentiment/train.tsv", &[], 16883),
        ("tnews/train.jsonl", &["sentence", "label_desc"], 1185),
        ("text/iflytek_descriptions.jsonl", &["sentence"], 3024),
        ("text/chid_unlabeled.jsonl", &["content"], 7585),
    ] {
        let got = values(&data.join(file), columns);
        assert!(got.iter().all(|v| v.len() == columns.len().max(1) || columns.is_empty()), "{file}");
        assert_eq!(got.len(), rows, "{file}");
    }
    assert_eq!(text_of(&data.join("text/eprstmt_unlabeled.jsonl")).unwrap().len(), 19565);
}
