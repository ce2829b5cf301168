//! Any bytes as a table of every format, in any encoding: reading ends, and what is read can be written and read again.
#![no_main]

use std::cell::OnceCell;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use t5kit_formats::encoding::Encoding;
use t5kit_formats::table::{Columns, Format, Table, TableOptions, Texts, open_columns};

thread_local! {
    static FILE: OnceCell<PathBuf> = const { OnceCell::new() };
}

/// The file that the bytes go to: in memory where the system has such a folder.
fn file() -> PathBuf {
    let folder = if cfg!(target_os = "linux") { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    FILE.with(|file| file.get_or_init(|| folder.join(format!("t5kit-fuzz-{}", std::process::id()))).clone())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, content)) = bytes.split_first() else { return };
    let path = file();
    std::fs::write(&path, content).expect("the file is written");
    let format = Format::by_name(Format::NAMES[usize::from(kind) % Format::NAMES.len()]);
    let encoding = ["auto", "gb18030", "utf-16", "big5", "utf-8"][usize::from(kind / 16) % 5];
    let options = TableOptions {
        format,
        encoding: Encoding::by_name(encoding).expect("it is one"),
        text_as_table: true,
        empty_for_missing: kind % 2 == 0,
        max_row_bytes: 1 << 20,
        ..TableOptions::default()
    };
    for columns in [Columns::All, Columns::Text] {
        if let Ok(rows) = open_columns(&path, &columns, &options) {
            rows.take(10_000).for_each(drop);
        }
    }
    if let Ok(table) = Table::open(&path, &options) {
        let names: Vec<String> = table.names().into_iter().map(str::to_owned).collect();
        if let Ok(records) = table.whole_rows() {
            for record in records.take(1000).flatten() {
                record.with(&names, &[]);
            }
        }
    }
    if let Ok(texts) = Texts::open(&path, None, &[], &options) {
        texts.take(10_000).for_each(drop);
    }
});
