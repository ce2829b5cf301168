//! Tables as people bring them: encodings, separators, headers, JSON documents, workbooks, and what is written back.

mod workbook;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use t5kit_formats::encoding::Encoding;
use t5kit_formats::table::{
    ColumnRef, Format, ReadRow, Roles, Table, TableOptions, TableWriter, format_to_write, open,
};
use tempfile::TempDir;
use workbook::workbook;

fn write(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// `source → target` of every row, by the names of the columns, and what the head says.
fn pairs(path: &Path, options: &TableOptions) -> (Vec<String>, String) {
    let table = Table::open(path, options).unwrap_or_else(|e| panic!("{e}"));
    let head = table.head().clone();
    let names = table.names();
    let roles = Roles::of_names(&names).or((names.len() == 2 && head.header == Some(false))
        .then_some(Roles { source: 0, target: 1, prompt: None }));
    let roles = roles.unwrap_or_else(|| panic!("{}: {names:?}", path.display()));
    let said = format!(
        "{} {} {}",
        head.format.name(),
        head.encoding.unwrap_or("-"),
        match head.header {
            None => "-",
            Some(true) => "yes",
            Some(false) => "no",
        }
    );
    let rows = table.rows_at(&[roles.source, roles.target]).unwrap();
    let rows = rows.map(|row| row.unwrap_or_else(|e| panic!("{e}")).values.join(" → "));
    (rows.collect(), said)
}

const ROWS: [&str; 4] = [
    "今天天气真好 → 天气",
    "水运工程项目管理 → 航运",
    "采用修正的参数建立模型 → 建模",
    "用户,要求\"退款\" → 退款",
];

/// The four rows in cells separated by `delimiter`, below `header`, each line ended by `end`.
fn cells(header: &str, delimiter: char, end: &str) -> String {
    let mut text = if header.is_empty() { String::new() } else { format!("{header}{end}") };
    for row in ROWS {
        let quoted = |cell: &str| match delimiter != '\t' && cell.contains([delimiter, '"']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.to_owned(),
        };
        let (source, target) = row.split_once(" → ").unwrap();
        text += &format!("{}{delimiter}{}{end}", quoted(source), quoted(target));
    }
    text
}

fn wide(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn four_rows_are_four_rows_in_every_table_of_cells() {
    let folder = TempDir::new().unwrap();
    let csv = cells("source,target", ',', "\r\n");
    let gbk = encoding_rs::GB18030.encode(&csv).0.into_owned();
    let mut gzipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzipped.write_all(&gbk).unwrap();
    let pandas: String = std::iter::once(",source,target\r\n".to_owned())
        .chain(cells("", ',', "\r\n").lines().enumerate().map(|(i, line)| format!("{i},{line}\r\n")))
        .collect();
    let tsv = cells("source\ttarget", '\t', "\n");
    let marked = |text: &str| format!("\u{feff}{text}");
    for (name, bytes, said) in [
        ("plain.csv", cells("source,target", ',', "\r\n").into_bytes(), "csv UTF-8 yes"),
        ("upper.csv", cells("Source,Target", ',', "\r\n").into_bytes(), "csv UTF-8 yes"),
        ("spaces.csv", cells(" source , target ", ',', "\n").into_bytes(), "csv UTF-8 yes"),
        ("chinese.csv", cells("正文,标题", ',', "\n").into_bytes(), "csv UTF-8 yes"),
        ("none.csv", cells("", ',', "\n").into_bytes(), "csv UTF-8 no"),
        ("semi.csv", cells("source;target", ';', "\r\n").into_bytes(), "csv UTF-8 yes"),
        ("bar.csv", cells("source|target", '|', "\r\n").into_bytes(), "csv UTF-8 yes"),
        ("tab.csv", cells("source\ttarget", '\t', "\r\n").replace('"', "").into_bytes(), "csv UTF-8 yes"),
        ("sep.csv", cells("sep=;\r\nsource;target", ';', "\r\n").into_bytes(), "csv UTF-8 yes"),
        (
            "sepmark.csv",
            marked(&cells("\"sep=;\"\r\nsource;target", ';', "\r\n")).into_bytes(),
            "csv UTF-8 yes",
        ),
        ("comma.tsv", cells("source,target", ',', "\n").into_bytes(), "csv UTF-8 yes"),
        ("pandas.csv", pandas.into_bytes(), "csv UTF-8 yes"),
        ("gbk.csv", gbk, "csv GB18030 yes"),
        ("gbk.csv.gz", gzipped.finish().unwrap(), "csv GB18030 yes"),
        ("utf16.tsv", wide(&marked(&tsv), false), "tsv UTF-16LE yes"),
        ("utf16be.tsv", wide(&marked(&tsv), true), "tsv UTF-16BE yes"),
        ("unmarked16.tsv", wide(&tsv, false), "tsv UTF-16LE yes"),
        ("blank.tsv", format!("{tsv}\n\n").into_bytes(), "tsv UTF-8 yes"),
        ("within.tsv", tsv.replacen("天气\n", "天气\n\n \n", 1).into_bytes(), "tsv UTF-8 yes"),
        ("before.tsv", format!("\n{tsv}").into_bytes(), "tsv UTF-8 yes"),
        ("windows.tsv", cells("source\ttarget", '\t', "\r\n").into_bytes(), "tsv UTF-8 yes"),
        ("data.txt", cells("", '\t', "\n").into_bytes(), "tsv UTF-8 no"),
        (
            "excel.tsv",
            tsv.replace("用户,要求\"退款\"", "\"用户,要求\"\"退款\"\"\"").into_bytes(),
            "tsv UTF-8 yes",
        ),
    ] {
        let path = write(&folder, name, bytes);
        let options = TableOptions { text_as_table: true, ..TableOptions::default() };
        let (rows, found) = pairs(&path, &options);
        assert_eq!(found, said, "{name}");
        let rows: Vec<String> = if name == "tab.csv" {
            rows.iter().map(|r| r.replace("要求退款", "要求\"退款\"")).collect()
        } else {
            rows
        };
        assert_eq!(rows, ROWS, "{name}");
    }
}

#[test]
fn cells_over_several_lines() {
    let folder = TempDir::new().unwrap();
    let csv = write(&folder, "a.csv", "source,target\n\"一\n二\",x\n三,\"y\r\nz\"\n");
    assert_eq!(pairs(&csv, &TableOptions::default()).0, ["一\n二 → x", "三 → y\r\nz"]);
    let tsv =
        write(&folder, "a.tsv", "source\ttarget\n\"一\n二\t三\"\tx\n四\t\"y\n\"\"z\"\"\"\n\"五\ty\n六\t\"\n");
    assert_eq!(
        pairs(&tsv, &TableOptions::default()).0,
        ["一\n二\t三 → x", "四 → y\n\"z\"", "\"五 → y", "六 → \""]
    );
}

#[test]
fn a_header_is_never_a_row() {
    let folder = TempDir::new().unwrap();
    let numbers = [ColumnRef::Number(1), ColumnRef::Number(2)];
    let rows = |name: &str, text: &str, has_header| {
        let path = write(&folder, name, text);
        let options = TableOptions { has_header, ..TableOptions::default() };
        open(&path, &numbers, &options).unwrap().map(|row| row.unwrap().values[0].clone()).collect::<Vec<_>>()
    };
    let known = "Source,Target\n甲,乙\n丙,丁\n";
    assert_eq!(rows("a.csv", known, None), ["甲", "丙"]);
    assert_eq!(rows("a.csv", known, Some(false)), ["Source", "甲", "丙"]);
    assert_eq!(rows("a.csv", "col_a,col_b\n甲甲,乙\n丙丙,丁\n", None), ["甲甲", "丙丙"]);
    assert_eq!(rows("a.csv", "cat,chat\ndog,chien\nboy,garçon\n", None), ["cat", "dog", "boy"]);
    assert_eq!(rows("a.csv", "cat,chat\ndog,chien\n", Some(true)), ["dog"]);
    assert_eq!(rows("a.tsv", "昨天\t坏\n今天\t好\n", None), ["昨天", "今天"]);
}

#[test]
fn json_of_every_shape() {
    let folder = TempDir::new().unwrap();
    let records: Vec<Value> = ROWS
        .iter()
        .map(|row| {
            let (source, target) = row.split_once(" → ").unwrap();
            json!({"id": 1, "source": source, "target": target})
        })
        .collect();
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    let pretty: String =
        records.iter().map(|record| serde_json::to_string_pretty(record).unwrap() + "\n").collect();
    let talks: Vec<Value> = records
        .iter()
        .map(|r| {
            json!({"conversations": [{"from": "human", "value": r["source"]}, {"from": "gpt", "value": r["target"]}]})
        })
        .collect();
    let chats: String = records
        .iter()
        .map(|r| {
            let turns = [
                json!({"role": "user", "content": r["source"]}),
                json!({"role": "assistant", "content": r["target"]}),
            ];
            json!({"messages": turns}).to_string() + "\n"
        })
        .collect();
    for (name, text, format) in [
        ("array.json", serde_json::to_string_pretty(&records).unwrap(), "json"),
        ("flat.json", serde_json::to_string(&records).unwrap(), "json"),
        ("array.jsonl", serde_json::to_string(&records).unwrap(), "json"),
        ("data.json", json!({"version": 1, "data": records}).to_string(), "json"),
        ("lines.json", lines.clone(), "jsonl"),
        ("lines.jsonl", format!("\u{feff}{lines}\n\n"), "jsonl"),
        ("pretty.json", pretty, "json"),
        ("talks.json", serde_json::to_string(&talks).unwrap(), "json"),
        ("chats.jsonl", chats, "json"),
    ] {
        let (rows, said) = pairs(&write(&folder, name, &text), &TableOptions::default());
        assert_eq!(rows, ROWS, "{name}");
        assert_eq!(said, format!("{format} UTF-8 -"), "{name}");
        let (gbk, ..) = encoding_rs::GB18030.encode(text.trim_start_matches('\u{feff}'));
        let (rows, said) = pairs(&write(&folder, name, &gbk), &TableOptions::default());
        assert_eq!((rows.len(), said), (4, format!("{format} GB18030 -")), "{name}");
    }
    // Arrays of pairs, and what the reader says of rows that are none.
    let list = write(&folder, "list.json", "[[\"甲\", \"乙\"],\n [\"丙\", 1]]");
    let table = Table::open(&list, &TableOptions::default()).unwrap();
    assert_eq!(table.names(), ["1", "2"]);
    let rows: Vec<_> = table.rows_at(&[1, 0]).unwrap().map(|row| row.unwrap().values.join(" ")).collect();
    assert_eq!(rows, ["乙 甲", "1 丙"]);
    let bad =
        write(&folder, "bad.json", "[{\"source\": \"a\"},\n 7,\n {\"source\": null}, {\"source\": \"b\"}]");
    let rows: Vec<String> = open(&bad, &[ColumnRef::Name("source".into())], &TableOptions::default())
        .unwrap()
        .map(|row| match row {
            Ok(row) => row.values[0].clone(),
            Err(error) => error.to_string().rsplit_once("bad.json, ").unwrap().1.to_owned(),
        })
        .collect();
    assert_eq!(
        rows,
        ["a", "line 2: 7 is no record: an object is expected", "line 3: field \"source\" is null", "b"]
    );
}

#[test]
fn fields_within_fields() {
    let folder = TempDir::new().unwrap();
    let text = "{\"translation\":{\"en\":\"Hello\",\"zh\":\"你好\"},\"answers\":{\"text\":[\"a\",\"b\"]}}\n\
                {\"translation\":{\"en\":\"test\",\"zh\":\"测试\"},\"answers\":{\"text\":[\"c\"]}}\n";
    let array = format!("[{}]", text.trim().replace('\n', ","));
    for (name, text) in [("a.jsonl", text), ("a.json", &array)] {
        let path = write(&folder, name, text);
        let mut table = Table::open(&path, &TableOptions::default()).unwrap();
        assert_eq!(table.names(), ["translation.en", "translation.zh"], "{name}");
        assert_eq!(table.head().columns[1].first, "你好");
        assert_eq!(Roles::of_names(&table.names()), None, "nobody knows the direction");
        let wanted = ["Translation.EN", "translation.zh", "answers.text.0"].map(ColumnRef::parse);
        let places = table.resolve(&wanted).unwrap();
        let rows: Vec<_> = table.rows_at(&places).unwrap().map(|row| row.unwrap().values.join(" ")).collect();
        assert_eq!(rows, ["Hello 你好 a", "test 测试 c"], "{name}");
        let mut table = Table::open(&path, &TableOptions::default()).unwrap();
        let error = table.resolve(&[ColumnRef::parse("translation.fr")]).unwrap_err().to_string();
        assert!(error.contains("no column \"translation.fr\"; it has translation.en"), "{error}");
    }
}

#[test]
fn questions_and_their_answers() {
    let folder = TempDir::new().unwrap();
    let squad = json!({"version": "v1.0", "data": [{"paragraphs": [{"id": "D", "context": "文", "qas": [
        {"question": "问一？", "id": "Q0", "answers": [{"text": "答一", "answer_start": 0}]},
        {"question": "问二？", "id": "Q1", "answers": [{"text": "答二"}]}]}]}]});
    for text in [serde_json::to_string_pretty(&squad).unwrap(), squad.to_string()] {
        let path = write(&folder, "squad.json", text);
        let table = Table::open(&path, &TableOptions::default()).unwrap();
        let roles = Roles::of_names(&table.names()).unwrap();
        let places = [roles.prompt.unwrap(), roles.source, roles.target];
        let rows: Vec<_> = table.rows_at(&places).unwrap().map(|row| row.unwrap().values.join("|")).collect();
        assert_eq!(rows, ["问一？|文|答一", "问二？|文|答二"]);
    }
}

#[test]
fn lone_surrogates_are_replaced_and_counted() {
    let folder = TempDir::new().unwrap();
    let text = r#"{"source":"坏的\ud83d代理","target":"y"}
{"source":"x\ud83d\ude00","target":"y"}
"#;
    let array = format!("[{}]", text.trim().replace('\n', ","));
    for (name, text) in [("a.jsonl", text), ("a.json", &array)] {
        let path = write(&folder, name, text);
        let mut rows =
            open(&path, &["source", "target"].map(ColumnRef::parse), &TableOptions::default()).unwrap();
        let sources: Vec<_> = rows.by_ref().map(|row| row.unwrap().values.swap_remove(0)).collect();
        assert_eq!(sources, ["坏的\u{fffd}代理", "x😀"], "{name}");
        assert_eq!(rows.replaced(), 1, "{name}");
    }
}

#[test]
fn what_an_encoding_does_not_have_is_a_bad_row() {
    let folder = TempDir::new().unwrap();
    let (gbk, ..) = encoding_rs::GB18030.encode("甲\t乙\n丙\t丁\n戊\t己\n");
    let mut gbk = gbk.into_owned();
    gbk[6] = 0xff;
    let path = write(&folder, "a.tsv", gbk);
    let options = TableOptions { encoding: Encoding::by_name("gb18030").unwrap(), ..TableOptions::default() };
    let rows: Vec<_> = open(&path, &[], &options).unwrap().collect();
    assert_eq!(rows[0].as_ref().unwrap().values, ["甲", "乙"]);
    let error = rows[1].as_ref().unwrap_err();
    assert!(
        error.is_bad_row() && error.to_string().contains("line 2: bytes that the file's encoding"),
        "{error}"
    );
    assert_eq!(rows[2].as_ref().unwrap().values, ["戊", "己"]);
}

#[test]
fn workbooks() {
    let folder = TempDir::new().unwrap();
    let papers: [&[Value]; 5] = [
        &[json!("编号"), json!("摘要"), json!("标题")],
        &[json!(1), json!("今天天气真好"), json!("天气")],
        &[Value::Null, json!(" "), Value::Null],
        &[json!(2.5), json!("水运工程\n管理"), json!(true)],
        &[json!(3), json!("#N/A"), json!("x")],
    ];
    let bytes = workbook(&[("论文", &papers), ("二", &[&[json!("甲"), json!("乙")]])]);
    for name in ["papers.xlsx", "renamed.csv", "papers.xlsx.gz"] {
        let bytes = match name.ends_with(".gz") {
            false => bytes.clone(),
            true => {
                let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gz.write_all(&bytes).unwrap();
                gz.finish().unwrap()
            }
        };
        let path = write(&folder, name, bytes);
        let table = Table::open(&path, &TableOptions::default()).unwrap();
        let head = table.head();
        assert_eq!(
            (head.format, head.header, head.sheet.as_deref()),
            (Format::Sheet, Some(true), Some("论文"))
        );
        assert_eq!(table.names(), ["编号", "摘要", "标题"]);
        let roles = Roles::of_names(&table.names()).unwrap();
        let rows: Vec<_> = table.rows_at(&[0, roles.source, roles.target]).unwrap().collect();
        let good: Vec<_> =
            rows.iter().flatten().map(|row| format!("{} {}", row.line, row.values.join("|"))).collect();
        assert_eq!(good, ["2 1|今天天气真好|天气", "4 2.5|水运工程\n管理|true"], "{name}");
        let error = rows[2].as_ref().unwrap_err();
        assert!(
            error.is_bad_row()
                && error.to_string().contains("line 5: column 2: the cell holds the error #N/A")
        );
    }
    let path = folder.path().join("papers.xlsx");
    for sheet in ["二", "2"] {
        let options = TableOptions { sheet: Some(sheet.into()), ..TableOptions::default() };
        let rows: Vec<_> =
            open(&path, &[], &options).unwrap().map(|row| row.unwrap().values.join("|")).collect();
        assert_eq!(rows, ["甲|乙"]);
    }
    let options = TableOptions { sheet: Some("三".into()), ..TableOptions::default() };
    let error = open(&path, &[], &options).err().unwrap().to_string();
    assert!(error.contains("no sheet \"三\"; it has 论文, 二"), "{error}");
    // What is none is said, damaged or cut.
    for cut in [0, 3, 40, bytes.len() / 2, bytes.len() - 5] {
        let path = write(&folder, "cut.xlsx", &bytes[..cut]);
        let error = open(&path, &[], &TableOptions::default()).err().unwrap().to_string();
        assert!(error.contains("cut.xlsx: workbook: "), "{cut}: {error}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let folder = TempDir::new().unwrap();
    let names = ["摘要".to_owned(), "title".to_owned()];
    let rows = [[json!("一,\"二\"\n三"), json!("x")], [json!(" 空格 "), Value::Null], [json!(""), json!(3)]];
    for format in [Format::Csv, Format::Tsv, Format::JsonLines, Format::Parquet] {
        let path = folder.path().join(format!("a.{}", format.name()));
        assert_eq!(format_to_write(&path).unwrap(), format);
        let mut writer =
            TableWriter::new(format, fs::File::create(&path).unwrap(), &names, true, format == Format::Csv)
                .unwrap();
        for row in &rows {
            writer.row(row).unwrap();
        }
        drop(writer.finish().unwrap());
        let mut table = Table::open(&path, &TableOptions::default()).unwrap();
        assert_eq!(table.names(), ["摘要", "title"], "{format:?}");
        table.allow_missing();
        let read: Vec<_> = table.rows_at(&[0, 1]).unwrap().map(|row| row.unwrap().values.join("|")).collect();
        let first = if format == Format::Tsv { "一,\"二\" 三|x" } else { "一,\"二\"\n三|x" };
        assert_eq!(read, [first, " 空格 |", "|3"], "{format:?}");
    }
    for (name, why) in
        [("a.xlsx", "name a .csv"), ("a.json", "name a .jsonl"), ("a.csv.gz", "pack it afterwards")]
    {
        let error = format_to_write(Path::new(name)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn whole_rows_are_handed_on() {
    let folder = TempDir::new().unwrap();
    let path = write(
        &folder,
        "a.jsonl",
        "{\"id\":7,\"摘要\":\"甲\",\"tags\":[1]}\n{\"摘要\":\"乙\",\"new\":null}\n",
    );
    let table = Table::open(&path, &TableOptions::default()).unwrap();
    let names: Vec<String> = table.names().into_iter().map(str::to_owned).collect();
    let added = [("generated".to_owned(), json!("t"))];
    let rows: Vec<String> = table
        .whole_rows()
        .unwrap()
        .map(|record| Value::Object(record.unwrap().with(&names, &added)).to_string())
        .collect();
    assert_eq!(
        rows,
        [
            "{\"id\":7,\"摘要\":\"甲\",\"tags\":[1],\"generated\":\"t\"}",
            "{\"摘要\":\"乙\",\"new\":null,\"generated\":\"t\"}"
        ]
    );
    let path = write(&folder, "a.csv", "id,摘要\n7,甲\n8,\n");
    let table = Table::open(&path, &TableOptions::default()).unwrap();
    let records: Vec<_> = table.whole_rows().unwrap().map(Result::unwrap).collect();
    assert_eq!((records[0].text(1, "摘要"), records[1].text(1, "摘要")), ("甲".to_owned(), String::new()));
    assert_eq!(records[1].cells(&[]), [json!("8"), json!("")]);
}
