//! `*.index.json`: which shard holds which tensor, as transformers writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::{Checkpoint, WeightFile};
use crate::error::{Error, Result};
use crate::json;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens every shard that the file `index` names and checks that they hold what it says.
///
/// Tensors that lie in a shard without being listed are taken too, as transformers does.
pub(super) fn open(index: &Path) -> Result<Checkpoint> {
    let dir = index.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bad = |what: String| Error::malformed(index, "shard index", what);
    let parsed: Index = json::read(index, "shard index")?;
    let shards: BTreeSet<&str> = parsed.weight_map.values().map(String::as_str).collect();
    let mut files = Vec::with_capacity(shards.len());
    for &shard in &shards {
        // A name and nothing else: an index must not reach outside its folder.
        let mut parts = Path::new(shard).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == shard) {
            return Err(bad(format!("{shard:?} is not the name of a file in its folder")));
        }
        let path = dir.join(shard);
        if !path.exists() {
            return Err(bad(format!("the shard {shard} is missing; download it again")));
        }
        files.push(WeightFile::open(&path)?);
    }
    let checkpoint = Checkpoint::from_files(dir, files)?;
    for (name, shard) in &parsed.weight_map {
        match checkpoint.tensors.get(name) {
            Some(place) if shards.iter().nth(place.file) == Some(&shard.as_str()) => {}
            Some(_) => return Err(bad(format!("tensor {name} is said to be in {shard}, but is in another"))),
            None => return Err(Error::tensor(&dir.join(shard), name, "missing, though the index lists it")),
        }
    }
    Ok(checkpoint)
}
