//! Parquet rows: good files, chosen columns, skipping, and damaged files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use t5kit_formats::table::{
    ColumnRef, Columns, Error, ParquetRows, ReadRow, Row, TableOptions, open, open_columns,
};
use tempfile::TempDir;

const SCHEMA: &str = "message rows {
    required int64 id;
    optional binary text (UTF8);
    required binary title (UTF8);
    optional double weight;
    required boolean ok;
    required binary raw (BSON);
    optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
}";

/// `text` of row `i`, from 0: every seventh is null.
fn text(i: usize) -> Option<String> {
    (i % 7 != 6).then(|| format!("第{i}行{}", "文".repeat(i % 5)))
}

/// A file of `groups` row groups of `rows` rows.
fn write(path: &Path, groups: usize, rows: usize, compression: Compression) {
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties).unwrap();
    for group in 0..groups {
        let range = group * rows..(group + 1) * rows;
        let bytes = |s: String| ByteArray::from(s.into_bytes());
        let mut w = writer.next_row_group().unwrap();
        let ids: Vec<i64> = range.clone().map(|i| i as i64).collect();
        let mut c = w.next_column().unwrap().unwrap();
        c.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        c.close().unwrap();
        let texts: Vec<ByteArray> = range.clone().filter_map(text).map(bytes).collect();
        let levels: Vec<i16> = range.clone().map(|i| i16::from(text(i).is_some())).collect();
        let mut c = w.next_column().unwrap().unwrap();
        c.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
        c.close().unwrap();
        let titles: Vec<ByteArray> = range.clone().map(|i| bytes(format!("t{i}"))).collect();
        let mut c = w.next_column().unwrap().unwrap();
        c.typed::<ByteArrayType>().write_batch(&titles, None, None).unwrap();
        c.close().unwrap();
        let weights: Vec<f64> = range.clone().map(|i| i as f64 / 4.0).collect();
        let mut c = w.next_column().unwrap().unwrap();
        c.typed::<DoubleType>().write_batch(&weights, Some(&vec![1; rows]), None).unwrap();
        c.close().unwrap();
        let ok: Vec<bool> = range.clone().map(|i| i % 2 == 0).collect();
        let mut c = w.next_column().unwrap().unwrap();
        c.typed::<BoolType>().write_batch(&ok, None, None).unwrap();
        c.close().unwrap();
        let raw: Vec<ByteArray> = range.clone().map(|_| ByteArray::from(vec![0xff, 0])).collect();
        let mut c = w.next_column().unwrap().unwrap();
        c.typed::<ByteArrayType>().write_batch(&raw, None, None).unwrap();
        c.close().unwrap();
        let mut c = w.next_column().unwrap().unwrap();
        let tags: Vec<ByteArray> = range.clone().map(|i| bytes(format!("tag{i}"))).collect();
        c.typed::<ByteArrayType>().write_batch(&tags, Some(&vec![3; rows]), Some(&vec![0; rows])).unwrap();
        c.close().unwrap();
        w.close().unwrap();
    }
    writer.close().unwrap();
}

fn file(folder: &TempDir, compression: Compression) -> PathBuf {
    let path = folder.path().join(format!("{compression}.parquet").replace(['(', ')'], ""));
    write(&path, 3, 700, compression);
    path
}

fn these(list: &[&str]) -> Vec<ColumnRef> {
    list.iter().map(|n| ColumnRef::parse(n)).collect()
}

#[test]
fn rows_in_every_compression() {
    let folder = TempDir::new().unwrap();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let path = file(&folder, compression);
        let rows =
            open(&path, &these(&["title", "2", "id", "weight", "ok"]), &TableOptions::default()).unwrap();
        let mut good = 0;
        for (i, row) in rows.enumerate() {
            match (text(i), row) {
                (Some(text), Ok(row)) => {
                    good += 1;
                    let weight = (i as f64 / 4.0).to_string();
                    let expected = [format!("t{i}"), text, i.to_string(), weight, (i % 2 == 0).to_string()];
                    assert_eq!(row, Row { line: i as u64 + 1, values: expected.to_vec() });
                }
                (None, Err(error)) => {
                    assert!(error.is_bad_row());
                    let expected = format!("line {}: column \"text\" is null", i + 1);
                    assert!(error.to_string().ends_with(&expected), "{error}");
                }
                (expected, got) => panic!("{expected:?} {got:?}"),
            }
        }
        assert_eq!(good, 1800);
    }
}

#[test]
fn text_column_and_refused_columns() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, Compression::SNAPPY);
    let rows = open_columns(&path, &Columns::Text, &TableOptions::default()).unwrap();
    assert_eq!(rows.filter_map(Result::ok).count(), 1800);
    for (column, part) in [
        ("raw", "neither text nor numbers"),
        ("tags.list.element", "holds lists"),
        ("none", "no column \"none\"; it has id, text, title, weight, ok, raw, tags.list.element"),
        ("8", "no column 8"),
    ] {
        let error = open(&path, &these(&[column]), &TableOptions::default()).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
    let options = TableOptions { max_row_bytes: 10, ..TableOptions::default() };
    let error = open(&path, &these(&["text"]), &options).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("where at most 10 are taken"), "{error}");
}

#[test]
fn files_packed_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, Compression::SNAPPY);
    let plain = fs::read(&path).unwrap();
    let read = |path: &Path| -> Result<Vec<Row>, Error> {
        open(path, &these(&["title", "id"]), &TableOptions::default())?.collect()
    };
    let expected = read(&path).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    let gzip = gzip.finish().unwrap();
    for (name, bytes) in
        [("a.parquet.gz", &gzip), ("a.parquet.zst", &zstd::encode_all(&plain[..], 1).unwrap())]
    {
        let packed = folder.path().join(name);
        fs::write(&packed, bytes).unwrap();
        assert_eq!(read(&packed).unwrap(), expected, "{name}");
    }
    let cut = folder.path().join("cut.parquet.gz");
    fs::write(&cut, &gzip[..gzip.len() / 2]).unwrap();
    let error = read(&cut).unwrap_err().to_string();
    assert!(error.contains("cut.parquet.gz: cannot be unpacked into "), "{error}");
    fs::write(&cut, b"\x1f\x8bno parquet at all").unwrap();
    assert!(read(&cut).unwrap_err().to_string().contains("cannot be opened"));
}

#[test]
fn skipping_lands_on_the_same_row() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, Compression::SNAPPY);
    let options = TableOptions::default();
    for (before, skip) in [(0, 0), (0, 1), (0, 700), (3, 256), (255, 1500), (300, 1799), (0, 2100), (2099, 1)]
    {
        let mut rows = ParquetRows::open(&path, &Columns::These(these(&["title", "id"])), &options).unwrap();
        assert_eq!(rows.row_count(), 2100);
        let mut row = Row::default();
        for _ in 0..before {
            rows.read_row(&mut row).unwrap().unwrap();
        }
        rows.skip(skip).unwrap();
        let at = before + skip as usize;
        match rows.read_row(&mut row) {
            Some(read) => {
                read.unwrap();
                assert_eq!(row, Row { line: at as u64 + 1, values: vec![format!("t{at}"), at.to_string()] });
            }
            None => assert_eq!(at, 2100),
        }
    }
    let mut rows = ParquetRows::open(&path, &Columns::These(these(&["id"])), &options).unwrap();
    assert!(rows.skip(2101).unwrap_err().to_string().contains("shorter than 2101 rows"));
}

#[test]
fn damaged_files_are_errors() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let read = |bytes: &[u8]| -> Result<usize, Error> {
        fs::write(&path, bytes).unwrap();
        let mut n = 0;
        for row in open(&path, &these(&["id", "text", "title"]), &TableOptions::default())? {
            match row {
                Err(error) if !error.is_bad_row() => return Err(error),
                _ => n += 1,
            }
        }
        Ok(n)
    };
    let whole = folder.path().join("whole.parquet");
    write(&whole, 2, 40, Compression::SNAPPY);
    let whole = fs::read(whole).unwrap();
    assert_eq!(read(&whole).unwrap(), 80);
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", &whole[..whole.len() - 9]] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains("a.parquet: Parquet: "), "{error}");
    }
    // Every byte in turn, and pairs of bytes by a fixed generator: an error, other rows or the same, but
    // never a panic and never more rows than there can be.
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let mut errors = 0;
    for round in 0..whole.len() + 2000 {
        let mut bytes = whole.clone();
        let at = if round < whole.len() { round } else { random() % whole.len() };
        bytes[at] ^= 1 << (random() % 8);
        if round >= whole.len() {
            let at = random() % whole.len();
            bytes[at] = random() as u8;
        }
        match read(&bytes) {
            Ok(n) => assert!(n < 10_000),
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 100, "{errors}");
}
