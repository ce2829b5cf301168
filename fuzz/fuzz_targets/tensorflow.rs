//! Any bytes as the index of a TensorFlow checkpoint: as they are, and as its one block with a true checksum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use t5kit_formats::tensorflow::check;

fuzz_target!(|bytes: &[u8]| {
    let _ = check(bytes);
    let Some((kind, block)) = bytes.split_first() else { return };
    let mut table = Vec::new();
    let first = append(&mut table, block, kind & 1);
    // The list of blocks: one entry with the key "k", and no restarts.
    let list = [&[0, 1, first.len() as u8, b'k'][..], &first, &[0; 4]].concat();
    let list = append(&mut table, &list, 0);
    let mut footer = [&[0, 0][..], &list].concat();
    footer.resize(40, 0);
    footer.extend(0xdb47_7524_8b80_fb57u64.to_le_bytes());
    table.extend(footer);
    let _ = check(&table);
});

/// Appends a block with its checksum and gives its handle.
fn append(table: &mut Vec<u8>, block: &[u8], kind: u8) -> Vec<u8> {
    let handle = [varint(table.len()), varint(block.len())].concat();
    let block = [block, &[kind]].concat();
    let crc = crc32c::crc32c(&block).rotate_right(15).wrapping_add(0xa282_ead8);
    table.extend(&block);
    table.extend(crc.to_le_bytes());
    handle
}

fn varint(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}
