//! Members of a group by name: a tree of nodes, whose leaves list names in a heap and addresses of objects.

use std::collections::HashSet;

use super::bytes::Reader;
use super::object::Object;
use super::{NOWHERE, Result};

/// The object `name` in the group at `group`.
pub(super) fn member(file: &[u8], group: u64, name: &str) -> Result<Option<u64>> {
    let Some((tree, heap)) = Object::read(file, group)?.symbol_table()? else {
        return Ok(None);
    };
    let names = heap_of(file, heap)?;
    // Nodes are visited once, whatever they say of each other.
    let (mut open, mut seen) = (vec![tree], HashSet::new());
    while let Some(node) = open.pop() {
        if node == NOWHERE || !seen.insert(node) {
            continue;
        }
        let mut r = Reader::at(file, node)?;
        if r.clone().take(4)? == b"SNOD" {
            r.skip(6)?;
            for _ in 0..r.u16()? {
                let (at, object) = (r.u64()?, r.u64()?);
                // The second is a soft link, whose address means nothing.
                let linked = r.u32()? == 2;
                r.skip(20)?;
                if !linked && is_name(names, at, name) {
                    return Ok(Some(object));
                }
            }
            continue;
        }
        r.expect(b"TREE")?;
        if r.u8()? != 0 {
            return Err("a tree of something else than names".to_owned());
        }
        r.skip(1)?;
        let children = r.u16()?;
        r.skip(16)?;
        for _ in 0..children {
            r.skip(8)?;
            open.push(r.u64()?);
        }
    }
    Ok(None)
}

/// The names in a local heap.
fn heap_of(file: &[u8], at: u64) -> Result<&[u8]> {
    let mut r = Reader::at(file, at)?;
    r.expect(b"HEAP")?;
    r.skip(4)?;
    let size = r.u64()?;
    r.skip(8)?;
    let size = usize::try_from(size).map_err(|_| "a heap that is too long")?;
    Reader::at(file, r.u64()?)?.take(size)
}

/// Whether the name at a place of a heap, which a zero ends, is this.
fn is_name(names: &[u8], at: u64, name: &str) -> bool {
    let rest = usize::try_from(at).ok().and_then(|at| names.get(at..)).unwrap_or_default();
    rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}
