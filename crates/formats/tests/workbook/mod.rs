//! A workbook for tests.

use serde_json::Value;
use std::io::Write;

/// A workbook of one or more sheets, as a zip of XML.
pub fn workbook(sheets: &[(&str, &[&[Value]])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut part = |name: &str, text: String| {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let each = |of: &dyn Fn(usize, &str) -> String| -> String {
        sheets.iter().enumerate().map(|(i, (name, _))| of(i + 1, name)).collect()
    };
    part(
        "xl/workbook.xml",
        format!(
            "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets>{}</sheets></workbook>",
            each(&|i, name| format!("<sheet name=\"{name}\" sheetId=\"{i}\" r:id=\"rId{i}\"/>"))
        ),
    );
    part(
        "_rels/.rels",
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship \
         Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
         Target=\"xl/workbook.xml\"/></Relationships>"
            .to_owned(),
    );
    part(
        "xl/_rels/workbook.xml.rels",
        format!(
            "<Relationships xmlns=\"{package}\">{}</Relationships>",
            each(&|i, _| format!(
                "<Relationship Id=\"rId{i}\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet{i}.xml\"/>"
            ))
        ),
    );
    for (i, (_, rows)) in sheets.iter().enumerate() {
        let mut text = String::new();
        for (r, row) in rows.iter().enumerate() {
            text += &format!("<row r=\"{}\">", r + 1);
            for (c, cell) in row.iter().enumerate() {
                let at = format!("{}{}", char::from(b'A' + c as u8), r + 1);
                text += &match cell {
                    Value::Null => String::new(),
                    Value::String(s) if s == "#N/A" => format!("<c r=\"{at}\" t=\"e\"><v>#N/A</v></c>"),
                    Value::String(s) => format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{s}</t></is></c>"),
                    Value::Bool(b) => format!("<c r=\"{at}\" t=\"b\"><v>{}</v></c>", u8::from(*b)),
                    number => format!("<c r=\"{at}\"><v>{number}</v></c>"),
                };
            }
            text += "</row>";
        }
        part(
            &format!("xl/worksheets/sheet{}.xml", i + 1),
            format!("<worksheet xmlns=\"{main}\"><sheetData>{text}</sheetData></worksheet>"),
        );
    }
    zip.finish().unwrap().into_inner()
}
