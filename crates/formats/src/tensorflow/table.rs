//! The sorted table of an `.index` file: blocks of keys and values, and a block that lists the blocks.
//!
//! Format: tensorflow/core/lib/io/format.h and table_builder.cc, which follow LevelDB's
//! `doc/table_format.md`.

use std::ops::Range;

/// The last eight bytes of a table.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57u64.to_le_bytes();
/// Two handles of up to 20 bytes each, and the magic number.
const FOOTER: usize = 48;
/// One byte of compression and four of checksum after every block.
const TRAILER: usize = 5;
/// The longest index that is read, in bytes; one of ten thousand tensors has about one million.
const MAX: usize = 64 << 20;
/// Longer names are refused.
const MAX_KEY: usize = 1000;

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// All keys and values of the table in `file`, in their order.
///
/// # Errors
/// One line that says what is wrong.
pub(super) fn read(file: &[u8]) -> Result<Vec<Pair>, String> {
    if file.len() > MAX {
        return Err(format!("an index of {} MB, more than {} MB", file.len() >> 20, MAX >> 20));
    }
    let footer = file.len().checked_sub(FOOTER).map(|at| &file[at..]);
    let footer = footer.filter(|f| f.ends_with(&MAGIC)).ok_or("its end is missing; is it cut off?")?;
    let mut at = 0;
    let mut handles = [(); 2].map(|()| handle(footer, &mut at));
    let index = handles[1].take().ok_or("its end is broken")?;
    // Snappy and shared prefixes make little of much; so does a block that is listed again and again.
    let mut budget = 16 * file.len() + (1 << 16);

    let mut all = Vec::new();
    for (_, place) in entries(&block(file, &index, &mut budget)?, &mut budget)? {
        let place = handle(&place, &mut 0).ok_or("the list of blocks is broken")?;
        all.append(&mut entries(&block(file, &place, &mut budget)?, &mut budget)?);
    }
    if !all.is_sorted_by(|a, b| a.0 < b.0) {
        return Err("its keys are not in order, or one is given twice".to_owned());
    }
    Ok(all)
}

/// Offset and length of a block.
fn handle(bytes: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let offset = usize::try_from(varint(bytes, at)?).ok()?;
    let size = usize::try_from(varint(bytes, at)?).ok()?;
    Some(offset..offset.checked_add(size)?)
}

/// Takes what is about to be allocated off the `budget`.
fn spend(budget: &mut usize, bytes: usize) -> Result<(), &'static str> {
    *budget = budget.checked_sub(bytes).ok_or("it expands to more than an index can have")?;
    Ok(())
}

/// The content of a block, its checksum compared.
fn block(file: &[u8], place: &Range<usize>, budget: &mut usize) -> Result<Vec<u8>, String> {
    let with_trailer = place.end.checked_add(TRAILER).and_then(|end| file.get(place.start..end));
    let with_trailer = with_trailer.ok_or("a block lies outside the file; is it cut off?")?;
    let (checked, crc) = with_trailer.split_at(place.len() + 1);
    let crc = crc.try_into().map(u32::from_le_bytes).unwrap_or_default();
    if mask(crc32c::crc32c(checked)) != crc {
        return Err(format!("the checksum of the block at byte {} is wrong; download it again", place.start));
    }
    let (content, kind) = checked.split_at(place.len());
    let size = match kind[0] {
        0 => content.len(),
        1 => snap::raw::decompress_len(content).map_err(|e| format!("a block does not decompress: {e}"))?,
        other => return Err(format!("a block of the unknown compression {other}")),
    };
    spend(budget, size)?;
    match kind[0] {
        0 => Ok(content.to_vec()),
        _ => snap::raw::Decoder::new()
            .decompress_vec(content)
            .map_err(|e| format!("a block does not decompress: {e}")),
    }
}

/// The keys and values of a block. A key shares its beginning with the one before it.
fn entries(block: &[u8], budget: &mut usize) -> Result<Vec<Pair>, String> {
    let broken = "a block is broken";
    let (rest, count) = block.split_last_chunk::<4>().ok_or(broken)?;
    // Places where nothing is shared, for searching; reading in order needs none.
    let restarts = (u32::from_le_bytes(*count) as usize).checked_mul(4).ok_or(broken)?;
    let end = rest.len().checked_sub(restarts).ok_or(broken)?;
    let rest = &rest[..end];
    let mut all = Vec::new();
    let (mut at, mut key) = (0, Vec::new());
    while at < rest.len() {
        let mut entry = || {
            let mut length = || usize::try_from(varint(rest, &mut at)?).ok();
            let (shared, new, value) = (length()?, length()?, length()?);
            let from = at.checked_add(new)?;
            let to = from.checked_add(value)?;
            key.truncate(shared);
            if key.len() != shared || new > MAX_KEY - shared {
                return None;
            }
            key.extend_from_slice(rest.get(at..from)?);
            let value = rest.get(from..to)?.to_vec();
            at = to;
            Some((key.clone(), value))
        };
        let entry = entry().ok_or(broken)?;
        spend(budget, entry.0.len() + entry.1.len())?;
        all.push(entry);
    }
    Ok(all)
}

/// A number of up to 64 bits, seven in a byte.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The form in which checksums are stored, so that the checksum of data with checksums in it means something.
pub(crate) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
