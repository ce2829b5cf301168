//! From what a pickle built to a dictionary of tensors.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::pickle::{Id, Object, Pickled};
use super::wrappers;
use crate::DType;
use crate::error::{Error, Result};

/// Longer names of tensors and storages are refused: each is copied, and one can be used many times.
const MAX_NAME: usize = 500;

/// Tensors of more dimensions are refused.
const MAX_RANK: usize = 16;

/// A tensor as torch describes it: a view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Strided {
    /// The storage's key.
    pub storage: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, a dimension each.
    pub stride: Vec<usize>,
    /// Elements before the first.
    pub offset: usize,
    /// Elements that the storage is said to have.
    pub numel: usize,
}

/// A tensor and its name.
pub(super) type Named = (String, Strided);

impl Strided {
    /// Checks that the tensor lies within a storage of `len` bytes and is not larger than it, which a view
    /// with a stride of zero could be without bound.
    pub fn check(&self, len: usize) -> Result<(), String> {
        let (size, what) = (self.dtype.size(), "its shape overflows");
        let stored = self.numel.checked_mul(size).ok_or(what)?;
        if stored > len {
            return Err(format!(
                "its storage should have {stored} bytes and has {len}; is the file cut off?"
            ));
        }
        let bytes = self.dtype.byte_len(&self.shape).ok_or(what)?;
        if bytes == 0 {
            return Ok(());
        }
        let mut last = self.offset;
        for (&n, &stride) in self.shape.iter().zip(&self.stride) {
            last = (n - 1).checked_mul(stride).and_then(|x| last.checked_add(x)).ok_or(what)?;
        }
        if last >= self.numel {
            return Err(format!("it reaches to element {last} of a storage of {}", self.numel));
        }
        if bytes > stored {
            return Err(format!("{bytes} bytes are made of a storage of {stored}, which is refused"));
        }
        Ok(())
    }

    /// Where it lies in its storage, in bytes, if its elements are there in their order.
    pub fn contiguous(&self) -> Option<Range<usize>> {
        let size = self.dtype.size();
        let bytes = self.dtype.byte_len(&self.shape)?;
        if bytes == 0 {
            return Some(0..0);
        }
        let mut step = 1;
        for (&n, &stride) in self.shape.iter().zip(&self.stride).rev() {
            // The stride of a dimension of one means nothing.
            if n != 1 && stride != step {
                return None;
            }
            step *= n;
        }
        let start = self.offset * size;
        Some(start..start + bytes)
    }

    /// The elements in their order, gathered from the storage; to be called after [`check`](Self::check).
    pub fn gather(&self, storage: &[u8]) -> Vec<u8> {
        let size = self.dtype.size();
        let mut out = Vec::with_capacity(self.dtype.byte_len(&self.shape).unwrap_or(0));
        if self.shape.contains(&0) {
            return out;
        }
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        'elements: loop {
            out.extend_from_slice(&storage[at * size..(at + 1) * size]);
            for d in (0..self.shape.len()).rev() {
                index[d] += 1;
                at += self.stride[d];
                if index[d] < self.shape[d] {
                    continue 'elements;
                }
                at -= self.stride[d] * self.shape[d];
                index[d] = 0;
            }
            return out;
        }
    }
}

/// The tensors of the state dictionary that a pickle made, in their order, and what is to be said of where it lay and of
/// what was left out.
///
/// Numbers and texts among the tensors are left out; anything else that is no tensor is an error.
pub(super) fn tensors(path: &Path, p: &Pickled) -> Result<(Vec<Named>, Vec<String>)> {
    let (entries, mut notes) = wrappers::find(path, p)?;
    let (mut tensors, mut plain) = (Vec::new(), Vec::new());
    for &(key, value) in entries {
        let name = text(p, key).ok_or_else(|| no_state(path))?;
        if matches!(
            p.get(value),
            Object::None | Object::Bool(_) | Object::Int(_) | Object::Number(_) | Object::Text(_)
        ) {
            plain.push(name);
            continue;
        }
        let tensor = tensor(p, value).map_err(|what| Error::tensor(path, name, what))?;
        tensors.push((name.to_owned(), tensor));
    }
    if !plain.is_empty() {
        notes.push(format!("left out, being no tensors: {}", wrappers::listed(&plain)));
    }
    Ok((tensors, notes))
}

/// Bytes an element of every storage that a pickle names.
pub(super) fn element_sizes(p: &Pickled) -> HashMap<String, usize> {
    let storages = (0..).zip(p.objects()).filter(|(_, o)| matches!(o, Object::Persistent(_)));
    storages.filter_map(|(id, _)| storage_of(p, id).ok()).map(|(key, dtype, _)| (key, dtype.size())).collect()
}

/// The list of storage keys that follows the state dictionary in the older format.
pub(super) fn keys(pickled: &Pickled) -> Option<Vec<&str>> {
    let Object::List(keys) = pickled.get(pickled.root) else { return None };
    keys.iter().map(|&key| text(pickled, key)).collect()
}

/// An error where a pickle has no dictionary of tensors.
pub(super) fn no_state(path: &Path) -> Error {
    Error::unsupported(path, "not a dictionary of tensors; save model.state_dict(), not the model")
}

/// The entries of a dictionary.
pub(super) fn dict(p: &Pickled, id: Id) -> Option<&[(Id, Id)]> {
    match p.get(id) {
        Object::Dict(entries) => Some(entries),
        _ => None,
    }
}

/// Text that is no longer than a name.
pub(super) fn text(p: &Pickled, id: Id) -> Option<&str> {
    match p.get(id) {
        Object::Text(text) if text.len() <= MAX_NAME => Some(text),
        _ => None,
    }
}

fn size(p: &Pickled, id: Id) -> Option<usize> {
    match p.get(id) {
        Object::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}

fn sizes(p: &Pickled, id: Id) -> Option<Vec<usize>> {
    let items = match p.get(id) {
        Object::Tuple(items) | Object::List(items) => items,
        // torch.Size, of one tuple.
        Object::Call("torch.Size", args) => match args[..] {
            [one] => match p.get(one) {
                Object::Tuple(items) | Object::List(items) => items,
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    // Before they are copied: many tensors may share one long tuple.
    if items.len() > MAX_RANK {
        return None;
    }
    items.iter().map(|&id| size(p, id)).collect()
}

/// Whether an object is a tensor, sound or not.
pub(super) fn is_tensor(p: &Pickled, id: Id) -> bool {
    matches!(p.get(id), Object::Call(name, _) if name.contains("._rebuild_"))
}

/// The tensor or parameter that a call would have rebuilt.
fn tensor(p: &Pickled, id: Id) -> Result<Strided, String> {
    let mut object = p.get(id);
    // A parameter wraps a tensor.
    if let Object::Call(
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
        args,
    ) = object
        && let Some(&inner) = args.first()
    {
        object = p.get(inner);
    }
    let args = match object {
        Object::Call("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", args) => args,
        // One with attributes of its own: how it is made, its class, what it is made of, the attributes.
        Object::Call("torch._tensor._rebuild_from_type_v2", args) => match args[..] {
            [how, _, what, ..] => match (p.get(how), p.get(what)) {
                (Object::Global(name), Object::Tuple(args)) if name == "torch._utils._rebuild_tensor_v2" => {
                    args
                }
                _ => return Err("a tensor of a class that is not read".to_owned()),
            },
            _ => return Err("described by too few values".to_owned()),
        },
        _ => {
            return Err(match p.unknown(id) {
                Some(name) => calls(name),
                None => "not a tensor".to_owned(),
            });
        }
    };
    let [storage, offset, shape, stride, ..] = args[..] else {
        return Err("described by too few values".to_owned());
    };
    let shape = sizes(p, shape).ok_or("its shape is not a tuple of sizes")?;
    let stride = sizes(p, stride).ok_or("its strides are not a tuple of sizes")?;
    let offset = size(p, offset).ok_or("its offset is not a size")?;
    if shape.len() != stride.len() {
        return Err(format!("{} dimensions and {} strides", shape.len(), stride.len()));
    }
    let (key, dtype, numel) = storage_of(p, storage)?;
    Ok(Strided { storage: key, dtype, shape, stride, offset, numel })
}

/// What is said of an object that only a call could make.
pub(super) fn calls(name: &str) -> String {
    format!("it wants to call {name:?}, which is refused and was not done; save model.state_dict() alone")
}

/// Key, type and number of elements of a storage.
fn storage_of(p: &Pickled, id: Id) -> Result<(String, DType, usize), String> {
    let what = "its storage is not described as torch does";
    let Object::Persistent(id) = *p.get(id) else { return Err(what.to_owned()) };
    let Object::Tuple(items) = p.get(id) else { return Err(what.to_owned()) };
    let [tag, class, key, _location, numel, ref rest @ ..] = items[..] else { return Err(what.to_owned()) };
    let (Some("storage"), Object::Global(class)) = (text(p, tag), p.get(class)) else {
        return Err(what.to_owned());
    };
    // The older format can have storages that are parts of others; state dictionaries have none.
    if rest.iter().any(|&id| *p.get(id) != Object::None) {
        return Err("its storage is a part of another, which is not read; save it again".to_owned());
    }
    let dtype =
        DType::from_torch_storage(class).ok_or_else(|| format!("elements of {class} are not read"))?;
    let key = text(p, key).ok_or(what)?.to_owned();
    let numel = size(p, numel).ok_or(what)?;
    Ok((key, dtype, numel))
}
