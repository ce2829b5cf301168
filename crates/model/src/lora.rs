//! LoRA (Hu et al. 2021): which layers can have an adapter, how training begins one, and how one becomes part
//! of the weights. The files are [`t5kit_formats::peft`]'s.

use std::collections::HashMap;
use std::path::Path;

use t5kit_formats::peft::{self, LoraConfig, LoraFile, Side, adapter_folder, tensor_name};
use t5kit_tensor::{Adapter, Bytes, DType, Params, Rng, Weight, mix};

use crate::architecture::{Architecture, ParamKind, Slot, VocabularyNames};
use crate::load::weight_of;
use crate::plan::Entry;
use crate::{Error, Seq2Seq, write_tensors};

/// The layers that can have an adapter, by the last parts of their names (peft's `target_modules`), of all kinds of
/// models.
pub const LORA_TARGETS: [&str; 12] =
    ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo", "query", "key", "value", "dense"];

/// The layers of a model that can have an adapter: name (without `.weight`), outputs and inputs.
pub fn lora_modules<A: Architecture>(config: &A) -> impl Iterator<Item = (String, [usize; 2])> + use<A> {
    config.layout().into_iter().filter(|slot| slot.kind == ParamKind::Linear).filter_map(|slot| {
        let module = slot.name.strip_suffix(".weight")?;
        let &[outputs, inputs] = &*slot.shape else { return None };
        LORA_TARGETS.contains(&last(module)).then(|| (module.to_owned(), [outputs, inputs]))
    })
}

/// The last part of a layer's name, which targets are compared with.
fn last(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}

/// Opens the adapter at `path` (a folder of one, or of a training run: its `best`, else its `last`) for a model.
///
/// # Errors
/// Those of [`LoraFile::open`]; a tensor of a layer that the model has not, or has in another shape.
pub fn open_adapter(path: &Path, config: &impl Architecture) -> Result<LoraFile, Error> {
    let file = LoraFile::open(&adapter_folder(path).unwrap_or_else(|| path.to_owned()))?;
    let known: HashMap<String, [usize; 2]> = lora_modules(config).collect();
    for (module, &[outputs, inputs]) in &file.modules {
        let what = match known.get(module) {
            None => "the model has no such linear layer; is it the adapter's base?".to_owned(),
            Some(&[o, i]) if (o, i) != (outputs, inputs) => {
                format!(
                    "an adapter for {inputs} inputs and {outputs} outputs, where the model has {i} and {o}"
                )
            }
            Some(_) => continue,
        };
        let (path, tensor) = (file.path().to_owned(), tensor_name(module, Side::A));
        return Err(t5kit_formats::Error::Tensor { path, tensor, what }.into());
    }
    Ok(file)
}

/// Checks that each weight that an adapter's file has whole is one of the model's and of its shape; a vocabulary's matrix
/// has the `rows` of the checkpoint, before any are cut.
pub(crate) fn check_saved(
    file: &LoraFile,
    entries: &[Entry],
    rows: usize,
    names: &VocabularyNames,
) -> Result<(), Error> {
    for name in &file.saved {
        let of_embedding = names.aliases.contains(&name.as_str());
        let own = if of_embedding { names.embedding } else { name };
        let what = match entries.iter().find(|e| e.slot.name == own) {
            None if name == names.softmax => {
                "a softmax of its own, where the model's is the embedding; merge the adapter by peft's \
                 merge_and_unload() and save the whole model"
                    .to_owned()
            }
            None => "a weight that the model has not; is it the adapter's base?".to_owned(),
            Some(entry) => {
                let mut shape = entry.slot.shape.clone();
                if entry.slot.is_vocabulary {
                    shape[0] = rows;
                }
                let (dtype, has) = file.saved_info(name)?;
                match dtype.of_weight() {
                    None => format!("{dtype} elements are not read"),
                    Some(_) if has != shape => {
                        format!("has shape {has:?}, where the model has {shape:?}; is it the adapter's base?")
                    }
                    Some(_) => continue,
                }
            }
        };
        let (path, tensor) = (file.path().to_owned(), name.clone());
        return Err(t5kit_formats::Error::Tensor { path, tensor, what }.into());
    }
    Ok(())
}

/// The weight that an adapter's file has whole in the place of a parameter, if it has one: only the rows `keep` of a
/// vocabulary's matrix. Of several names of the embedding the first that is there counts.
pub(crate) fn saved(
    file: &LoraFile,
    slot: &Slot,
    keep: Option<&[u32]>,
    names: &VocabularyNames,
) -> Result<Option<Weight>, Error> {
    let aliases = names.aliases.iter().copied().filter(|_| slot.name == names.embedding);
    let mut all = std::iter::once(slot.name.as_str()).chain(aliases);
    let Some(name) = all.find(|name| file.saved.contains(*name)) else { return Ok(None) };
    let (dtype, shape) = file.saved_info(name)?;
    let mut bytes = file.saved_bytes(name)?;
    if let Some(keep) = keep.filter(|_| slot.is_vocabulary) {
        let row = dtype.size() * shape.iter().skip(1).product::<usize>();
        let rows = keep.iter().flat_map(|&at| &bytes[at as usize * row..][..row]);
        bytes = rows.copied().collect::<Vec<u8>>().into();
    }
    let weight = weight_of(&slot.shape, dtype, bytes).map_err(|source| Error::Weight {
        path: file.path().to_owned(),
        tensor: name.to_owned(),
        source,
    })?;
    Ok(Some(weight))
}

/// A matrix of an adapter in f32.
fn matrix(file: &LoraFile, module: &str, side: Side) -> Result<Weight, Error> {
    let (dtype, bytes) = file.tensor(module, side)?;
    let [outputs, inputs] = file.modules[module];
    let shape = match side {
        Side::A => [file.rank(module), inputs],
        Side::B => [outputs, file.rank(module)],
    };
    let error = |what: String| t5kit_formats::Error::Tensor {
        path: file.path().to_owned(),
        tensor: tensor_name(module, side),
        what,
    };
    let dtype = match dtype.of_weight() {
        Some(stored) if stored.size() == dtype.size() => stored,
        _ => return Err(error(format!("{dtype} elements are not read")).into()),
    };
    let (owner, range) = bytes.into_parts();
    let weight = Weight::mapped(&shape, dtype, Bytes::new(owner, range)).map_err(|e| error(e.to_string()))?;
    Ok(weight.to_dtype(DType::F32))
}

/// A parameter with its adapter in it, if it has one: `W + scale·B·A`, in f32.
pub(crate) fn merged(file: &LoraFile, name: &str, weight: Weight) -> Result<Weight, Error> {
    let module = name.strip_suffix(".weight").filter(|module| file.modules.contains_key(*module));
    let Some(module) = module else { return Ok(weight) };
    let (a, b) = (matrix(file, module, Side::A)?, matrix(file, module, Side::B)?);
    Ok(weight.plus_low_rank(&a, &b, file.scale(module)))
}

/// A model with adapters beside its weights.
pub trait Adapted: Seq2Seq {
    /// Gives the layers that `lora.target_modules` names new adapters as peft begins them: A uniform in
    /// ±1/√inputs (`kaiming_uniform_` with a = √5), B zero, so that the model computes what it did. Nothing else is
    /// trained from now on.
    ///
    /// # Errors
    /// [`Error::LoraTarget`] for a target that no layer of this model has.
    fn begin_adapters(&mut self, lora: &LoraConfig, seed: u64) -> Result<(), Error> {
        let modules: Vec<_> = lora_modules(&self.config()).collect();
        for target in &lora.target_modules {
            if !modules.iter().any(|(module, _)| last(module) == target) {
                let mut names: Vec<&str> = modules.iter().map(|(module, _)| last(module)).collect();
                names.sort_unstable();
                names.dedup();
                return Err(Error::LoraTarget { target: target.clone(), known: names.join(", ") });
            }
        }
        freeze_all(self.params_mut());
        let key = mix(seed, u64::from_be_bytes(*b"adapters"));
        let targeted = modules.iter().filter(|(m, _)| lora.target_modules.iter().any(|t| last(m) == t));
        for (stream, (module, [outputs, inputs])) in targeted.enumerate() {
            let bound = (*inputs as f64).powf(-0.5);
            let a = Weight::uniform(&[lora.r, *inputs], bound, Rng::new(key, stream as u64));
            adapt(self.params_mut(), module, a, Weight::zeros(&[*outputs, lora.r]), lora.scale())?;
        }
        Ok(())
    }

    /// Gives layers the adapters of a file, opened for this model by [`open_adapter`]. Nothing else is trained from now
    /// on.
    ///
    /// # Errors
    /// Those of reading.
    fn attach_adapters(&mut self, file: &LoraFile) -> Result<(), Error> {
        if let Some(name) = file.saved.first() {
            let (path, tensor) = (file.path().to_owned(), name.clone());
            let what =
                "a whole weight beside the adapter, which is not trained on; merge the two first".to_owned();
            return Err(t5kit_formats::Error::Tensor { path, tensor, what }.into());
        }
        freeze_all(self.params_mut());
        // In the model's order, as they began.
        for (module, _) in
            lora_modules(&self.config()).filter(|(module, _)| file.modules.contains_key(module))
        {
            let (a, b) = (matrix(file, &module, Side::A)?, matrix(file, &module, Side::B)?);
            adapt(self.params_mut(), &module, a, b, file.scale(&module))?;
        }
        Ok(())
    }
}

impl<M: Seq2Seq + ?Sized> Adapted for M {}

fn freeze_all(params: &mut Params) {
    let ids: Vec<_> = params.iter().map(|(id, _, _)| id).collect();
    ids.into_iter().for_each(|id| params.freeze(id));
}

fn adapt(params: &mut Params, module: &str, a: Weight, b: Weight, scale: f32) -> Result<(), Error> {
    let name = format!("{module}.weight");
    let weight = params.id(&name).ok_or(Error::MissingParameter { name })?;
    let a = params.add(tensor_name(module, Side::A), a);
    let b = params.add(tensor_name(module, Side::B), b);
    params.adapt(weight, Adapter { a, b, scale });
    Ok(())
}

/// Writes the adapters of a model, and nothing of the model itself, as peft does into a folder that exists.
///
/// # Errors
/// Those of writing.
pub fn save_adapter(model: &dyn Seq2Seq, lora: &LoraConfig, folder: &Path) -> Result<(), Error> {
    let adapters = model.params().iter().filter_map(|(id, _, _)| model.params().adapter(id));
    let weights: Vec<_> = adapters
        .flat_map(|adapter| [adapter.a, adapter.b])
        .map(|id| (model.params().name(id), model.params().get(id).readable()))
        .collect();
    let tensors: Vec<_> =
        weights.iter().map(|(name, w)| (name.to_string(), w.shape(), w.as_rows())).collect();
    write_tensors(&folder.join(peft::WEIGHTS), &tensors)?;
    lora.write(&folder.join(peft::CONFIG))?;
    Ok(())
}
