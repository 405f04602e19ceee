//! The parameters of a network: named, ordered, seeded, savable.
//!
//! A layer asks a [`Params`] for its tensors by name when it is made. Where they come from is the
//! store's business: drawn from a seed for a new network ([`Params::new`]), or looked up in a
//! snapshot or a file ([`Params::frozen`], [`Params::resumed`]). So one constructor per layer builds, restores and freezes.
//!
//! Each tensor is drawn from a stream of its own, named after it: adding a layer changes no other
//! layer's start. The order is the order of creation, always.
//!
//! ```
//! use unsup_core::Seed;
//! use unsup_core::candle::{DType, Device, Tensor};
//! use unsup_core::nn::{Linear, Params};
//!
//! let params = Params::new(Seed::new(7));
//! let layer = Linear::new(&params.scope("encoder").scope("0"), 3, 2)?;
//! assert_eq!(params.names(), ["encoder.0.weight", "encoder.0.bias"]);
//!
//! // a frozen copy of the same network: no gradients, and later training does not touch it
//! let frozen = params.snapshot()?;
//! let copy = Linear::new(&frozen.scope("encoder").scope("0"), 3, 2)?;
//! let x = Tensor::ones((1, 3), DType::F32, &Device::Cpu)?;
//! assert_eq!(copy.forward(&x)?.to_vec2::<f32>()?, layer.forward(&x)?.to_vec2::<f32>()?);
//! assert!(!copy.forward(&x)?.track_op() && layer.forward(&x)?.track_op());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::init::Init;
use super::tensor_file;
use crate::store::Record;
use crate::{Error, Result, Seed};
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store of parameters, or one scope of it; clones share it. See the [module](self).
#[derive(Debug, Clone)]
pub struct Params {
    store: Arc<Mutex<Store>>,
    /// Empty, or a path that ends with a dot.
    prefix: String,
    dtype: DType,
    device: Device,
}

#[derive(Debug)]
struct Store {
    source: Source,
    entries: Vec<Entry>,
}

#[derive(Debug)]
enum Source {
    Seed(Seed),
    Saved { tensors: BTreeMap<String, Tensor>, trainable: bool },
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    tensor: Tensor,
    trained: bool,
}

impl Params {
    /// A store whose parameters are drawn from `seed`, in `f32` on the CPU.
    pub fn new(seed: Seed) -> Self {
        Self::on(seed, DType::F32, &Device::Cpu)
    }

    /// The same in another element type (`F32` or `F64`) or on another device.
    pub fn on(seed: Seed, dtype: DType, device: &Device) -> Self {
        Self::from_source(Source::Seed(seed.named("parameters")), dtype, device)
    }

    /// A store of given tensors that carry no gradient: what evaluation, teachers and loaded models
    /// run on. Layers find their tensors by name.
    pub fn frozen(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self::saved(tensors, false)
    }

    /// A store of given tensors that can be trained on.
    pub fn resumed(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self::saved(tensors, true)
    }

    fn saved(tensors: impl IntoIterator<Item = (String, Tensor)>, trainable: bool) -> Self {
        let tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
        let like = tensors.values().next();
        let (dtype, device) =
            like.map_or((DType::F32, Device::Cpu), |tensor| (tensor.dtype(), tensor.device().clone()));
        Self::from_source(Source::Saved { tensors, trainable }, dtype, &device)
    }

    fn from_source(source: Source, dtype: DType, device: &Device) -> Self {
        let store = Arc::new(Mutex::new(Store { source, entries: Vec::new() }));
        Params { store, prefix: String::new(), dtype, device: device.clone() }
    }

    /// The part of the store whose names begin with `name` and a dot.
    #[must_use]
    pub fn scope(&self, name: impl Display) -> Self {
        Params { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// The element type of the parameters.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A tensor that training changes. Asking for one name twice gives the same tensor: that is how
    /// layers share weights.
    ///
    /// # Errors
    /// [`Error::Shape`] when a saved tensor of that name is missing or has another shape.
    pub fn trained(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        self.get(name, shape, init, true)
    }

    /// A tensor that belongs to the network but that no optimiser touches: a running average.
    ///
    /// # Errors
    /// As [`trained`](Self::trained).
    pub fn buffer(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        self.get(name, shape, init, false)
    }

    fn get(&self, name: &str, shape: &[usize], init: Init, trained: bool) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let mut store = self.lock();
        let misfit =
            |found: String| Error::shape("parameters", format!("`{name}` of shape {shape:?}"), found);
        let fits = |tensor: &Tensor| match tensor.dims() == shape {
            true => Ok(()),
            false => Err(misfit(format!("shape {:?}", tensor.dims()))),
        };
        if let Some(entry) = store.entries.iter().find(|entry| entry.name == name) {
            return fits(&entry.tensor).map(|()| entry.tensor.clone());
        }
        let tensor = match &store.source {
            Source::Seed(seed) => {
                let tensor = init.draw(shape, seed.named(&name), self.dtype, &self.device)?;
                if trained { Var::from_tensor(&tensor)?.into_inner() } else { tensor }
            }
            Source::Saved { tensors, trainable } => {
                let tensor = tensors.get(&name).ok_or_else(|| misfit("no tensor of this name".to_owned()))?;
                fits(tensor)?;
                if trained && *trainable {
                    Var::from_tensor(&tensor.copy()?.detach())?.into_inner()
                } else {
                    tensor.detach()
                }
            }
        };
        store.entries.push(Entry { name, tensor: tensor.clone(), trained });
        Ok(tensor)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // nothing panics while the lock is held, so a poisoned store is still whole
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> Vec<Entry> {
        let in_scope = |entry: &&Entry| entry.name.starts_with(&self.prefix);
        self.lock().entries.iter().filter(in_scope).cloned().collect()
    }

    /// The tensors of this scope that an optimiser changes, in order of creation.
    pub fn trainable(&self) -> Vec<Var> {
        let tensors = self.entries().into_iter().filter(|entry| entry.tensor.is_variable());
        // a variable is returned as it is, so this cannot fail
        tensors.filter_map(|entry| Var::from_tensor(&entry.tensor).ok()).collect()
    }

    /// Every tensor of this scope, trained or not, by its name within the scope, in order of creation:
    /// what a model file holds. The tensors carry no gradient but share their storage with the network.
    pub fn named_tensors(&self) -> Vec<(String, Tensor)> {
        let relative = |entry: Entry| (entry.name[self.prefix.len()..].to_owned(), entry.tensor.detach());
        self.entries().into_iter().map(relative).collect()
    }

    /// The names within this scope, in order of creation.
    pub fn names(&self) -> Vec<String> {
        self.named_tensors().into_iter().map(|(name, _)| name).collect()
    }

    /// The tensors of a file or a snapshot, whether a layer has asked for them or not.
    pub(crate) fn saved_tensors(&self) -> Vec<(String, Tensor)> {
        match &self.lock().source {
            Source::Seed(_) => Vec::new(),
            Source::Saved { tensors, .. } => tensors.iter().map(|(n, t)| (n.clone(), t.clone())).collect(),
        }
    }

    /// How many numbers an optimiser changes in this scope.
    pub fn count(&self) -> usize {
        self.entries().iter().filter(|entry| entry.trained).map(|entry| entry.tensor.elem_count()).sum()
    }

    /// A frozen copy of this scope, with names as within the scope. Build the network again on it.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn snapshot(&self) -> Result<Self> {
        let copies = self.named_tensors().into_iter().map(|(name, tensor)| Ok((name, tensor.copy()?)));
        Ok(Self::frozen(copies.collect::<Result<Vec<_>>>()?))
    }

    /// Copies the values of `tensors` into the parameters of this scope, by name.
    ///
    /// # Errors
    /// [`Error::Shape`] when a parameter of this scope is missing among them or has another shape; nothing is then changed.
    pub fn load(&self, tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<()> {
        let tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
        // everything is compared before anything is written
        let mut pairs = Vec::new();
        for (name, target) in self.named_tensors() {
            let misfit = |found: String| {
                Error::shape("parameters", format!("`{name}` of shape {:?}", target.dims()), found)
            };
            let source = tensors.get(&name).ok_or_else(|| misfit("no tensor of this name".to_owned()))?;
            if source.dims() != target.dims() {
                return Err(misfit(format!("shape {:?}", source.dims())));
            }
            pairs.push((source, target));
        }
        for (source, target) in pairs {
            // a copy, because the source may be this very network
            let source =
                source.to_dtype(target.dtype())?.to_device(target.device())?.flatten_all()?.copy()?;
            target.flatten_all()?.slice_set(&source, 0, 0)?;
        }
        Ok(())
    }
}

/// What a model file calls the tensors of a network.
const IN_FILE: &str = "network.";

impl Params {
    /// Adds every tensor of this scope to a record, with every bit.
    ///
    /// # Errors
    /// When a tensor cannot be read from its device.
    pub fn write(&self, record: Record) -> Result<Record> {
        self.named_tensors().into_iter().try_fold(record, |record, (name, tensor)| {
            tensor_file::write(record, &format!("{IN_FILE}{name}"), &tensor)
        })
    }

    /// The frozen tensors of a record, on the CPU.
    ///
    /// # Errors
    /// [`Error::File`] when one is neither `f32` nor `f64`, or not finite.
    pub fn read(record: &Record) -> Result<Self> {
        let mut tensors = Vec::new();
        for name in record.array_names() {
            if let Some(short) = name.strip_prefix(IN_FILE) {
                tensors.push((short.to_owned(), tensor_file::read(record, name)?));
            }
        }
        Ok(Self::frozen(tensors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
    }

    #[test]
    fn a_parameter_depends_on_the_seed_and_its_name_alone() -> Result<()> {
        let (a, b) = (Params::new(Seed::new(1)), Params::new(Seed::new(1)));
        b.trained("another", &[9], Init::KaimingNormal)?;
        let weight = |p: &Params| p.scope("x").trained("weight", &[4, 3], Init::KaimingNormal);
        assert_eq!(bits(&weight(&a)?)?, bits(&weight(&b)?)?);
        assert_ne!(bits(&weight(&a)?)?, bits(&weight(&Params::new(Seed::new(2)))?)?);
        Ok(())
    }

    #[test]
    fn scopes_order_and_kinds() -> Result<()> {
        let params = Params::new(Seed::new(1));
        for name in ["z", "a", "m"] {
            let scope = params.scope(name);
            scope.trained("weight", &[2, 2], Init::KaimingUniform)?;
            scope.buffer("mean", &[2], Init::ZEROS)?;
        }
        assert_eq!(params.names(), ["z.weight", "z.mean", "a.weight", "a.mean", "m.weight", "m.mean"]);
        assert_eq!((params.trainable().len(), params.count()), (3, 12));
        assert_eq!(params.scope("a").names(), ["weight", "mean"]);
        let twice = params.scope("a").trained("weight", &[2, 2], Init::ZEROS)?;
        assert_eq!(bits(&twice)?, bits(&params.scope("a").named_tensors()[0].1)?);
        let other_shape = params.scope("a").trained("weight", &[3], Init::ZEROS);
        assert!(matches!(other_shape, Err(Error::Shape { .. })));
        Ok(())
    }

    #[test]
    fn a_snapshot_keeps_its_values_and_load_brings_them_back() -> Result<()> {
        let params = Params::new(Seed::new(1));
        let weight = params.trained("weight", &[3], Init::Normal(1.0))?;
        let before = bits(&weight)?;
        let snapshot = params.snapshot()?;
        params.load([("weight".to_owned(), Tensor::new(&[1_f32, 2., 3.], &Device::Cpu)?)])?;
        assert_eq!(bits(&weight)?, [1.0, 2.0, 3.0]);
        let kept = snapshot.trained("weight", &[3], Init::ZEROS)?;
        assert_eq!(bits(&kept)?, before);
        assert!(!kept.is_variable() && snapshot.trainable().is_empty());
        params.load(snapshot.named_tensors())?;
        assert_eq!(bits(&weight)?, before);
        assert!(matches!(params.load([]), Err(Error::Shape { .. })));
        let missing = snapshot.trained("bias", &[3], Init::ZEROS);
        assert!(matches!(missing, Err(Error::Shape { found, .. }) if found == "no tensor of this name"));
        Ok(())
    }
}
