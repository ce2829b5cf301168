//! Weights in a device's memory.

use std::ops::Deref;
use std::sync::Arc;

use super::{Bytes, Halves, Storage, Weight};
use crate::cuda::{Core, Memory};
use crate::kernels::{Bits, SHARE};
use crate::rows::Elements;
use crate::{DType, Device, DeviceError, Tensor};

/// A matrix as it lies in a device's memory.
pub(super) struct OnDevice {
    pub(super) dtype: DType,
    elements: Memory,
    /// A scale a row, of int8; one for every share of a row, of 4 bits.
    scales: Option<Memory>,
}

impl OnDevice {
    pub(super) fn bytes(&self) -> usize {
        self.elements.bytes() + self.scales.as_ref().map_or(0, Memory::bytes)
    }
}

/// Where kernels read a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) dtype: DType,
    /// The elements, row after row.
    pub(crate) at: u64,
    /// A scale a row, of int8, or a share of a row, of 4 bits; else null.
    pub(crate) scales: u64,
}

/// A weight in the processor's memory.
pub enum Readable<'a> {
    /// One that is there.
    Own(&'a Weight),
    /// A copy of a device's.
    Copy(Box<Weight>),
}

impl Deref for Readable<'_> {
    type Target = Weight;

    fn deref(&self) -> &Weight {
        match self {
            Readable::Own(weight) => weight,
            Readable::Copy(weight) => weight,
        }
    }
}

impl Weight {
    /// An error where no device takes its storage type.
    pub(crate) fn check_for_device(&self) -> Result<(), DeviceError> {
        match self.dtype() {
            DType::F32 | DType::Bf16 | DType::F16 | DType::I8 | DType::I4 => Ok(()),
            other => Err(DeviceError::Type(other.name())),
        }
    }

    /// A copy on a device, in the same storage type.
    pub(crate) fn to_device(&self, device: &Device) -> Weight {
        if let Storage::Device(_) = self.storage {
            return self.to_host().to_device(device);
        }
        let rows = self.as_rows();
        let (elements, scales) = match rows.elements() {
            Elements::F32(x) => (device.upload(x), None),
            Elements::Bf16(x) | Elements::F16(x) => (device.upload(x), None),
            Elements::Int8(q, scales) => (device.upload(q), Some(device.upload(scales))),
            Elements::Panels(panels, first, count) if panels.bits() == Bits::Four => {
                let numbers = (first..first + count).flat_map(|row| {
                    let row: Vec<u8> = panels.row(row).map(|q| (q + 8) as u8).collect();
                    row.chunks(2).map(|two| two[0] | two.get(1).unwrap_or(&8) << 4).collect::<Vec<u8>>()
                });
                let scales: Vec<f32> = (first..first + count).flat_map(|row| panels.scales(row)).collect();
                (device.upload(&numbers.collect::<Vec<u8>>()), Some(device.upload(&scales)))
            }
            Elements::Panels(..) => {
                let (q, scales) = rows.quantized(1.0).expect("whole numbers are finite");
                (device.upload(&q), Some(device.upload(&scales)))
            }
        };
        let on = OnDevice { dtype: self.dtype(), elements, scales };
        Weight { shape: self.shape.clone(), storage: Storage::Device(on) }
    }

    /// A copy of a device's in the processor's memory, where it can be read; the device is waited for. Panics on one that
    /// is there.
    pub fn to_host(&self) -> Weight {
        let Storage::Device(on) = &self.storage else { panic!("a weight in the processor's memory") };
        let storage = match on.dtype {
            DType::F32 => {
                let mut tensor = Tensor::unspecified(self.rows(), self.cols());
                on.elements.read(bytemuck::cast_slice_mut(tensor.data_mut()));
                Storage::Owned(tensor)
            }
            DType::I8 => {
                let mut q = Halves(vec![0; on.elements.bytes().div_ceil(2)]);
                let len = on.elements.bytes();
                on.elements.read(&mut bytemuck::cast_slice_mut(&mut q.0)[..len]);
                let mut scales = vec![0f32; self.rows()];
                if let Some(from) = &on.scales {
                    from.read(bytemuck::cast_slice_mut(&mut scales));
                }
                Storage::Int8(Bytes::new(Arc::new(q), 0..len), scales.into())
            }
            DType::I4 => {
                let shares = self.cols().div_ceil(SHARE);
                let (mut bytes, mut scales) =
                    (vec![0; on.elements.bytes()], vec![0f32; self.rows() * shares]);
                on.elements.read(&mut bytes);
                if let Some(from) = &on.scales {
                    from.read(bytemuck::cast_slice_mut(&mut scales));
                }
                Storage::four(self.rows(), self.cols(), &bytes, &scales)
            }
            dtype => {
                let mut bits = vec![0u16; self.len()];
                on.elements.read(bytemuck::cast_slice_mut(&mut bits));
                Storage::halves(dtype, bits)
            }
        };
        Weight { shape: self.shape.clone(), storage }
    }

    /// The weight itself where it can be read, else a copy of a device's.
    pub fn readable(&self) -> Readable<'_> {
        match self.storage {
            Storage::Device(_) => Readable::Copy(Box::new(self.to_host())),
            _ => Readable::Own(self),
        }
    }

    /// The core of its device, where it is on one.
    pub(crate) fn core(&self) -> Option<&Arc<Core>> {
        match &self.storage {
            Storage::Device(on) => Some(on.elements.core()),
            _ => None,
        }
    }

    /// Where kernels write it, in f32; panics in another type, and on the processor's.
    pub(crate) fn placed_mut(&mut self) -> u64 {
        let placed = self.placed();
        assert!(placed.dtype == DType::F32, "only f32 can be trained");
        placed.at
    }

    /// Where kernels read it; panics on the processor's.
    pub(crate) fn placed(&self) -> Placed {
        match &self.storage {
            Storage::Device(on) => Placed {
                dtype: on.dtype,
                at: on.elements.at(),
                scales: on.scales.as_ref().map_or(0, Memory::at),
            },
            _ => panic!("a weight of the processor's, on a device"),
        }
    }
}
