//! Activations: matrices of f32, shared by reference count, in the processor's memory or a device's.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::buffer::Buffer;
use crate::cuda::{Core, Memory};
use crate::{MatMut, MatRef, Rows};

/// A `[rows, cols]` row-major matrix of f32. Cloning shares the elements.
///
/// A packed batch of sequences is `[tokens, features]`; there is no padding and no third dimension.
///
/// Operations give tensors where the model's parameters are ([`Params::move_to`](crate::Params::move_to)). The elements of
/// one on a device are read after [`Tensor::to_host`] alone.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    rows: usize,
    cols: usize,
}

enum Storage {
    Host(Buffer),
    Device(OnDevice),
    /// Its elements are on a device, rounded to bf16, and nowhere else.
    Rounded(Arc<Memory>),
}

struct OnDevice {
    memory: Memory,
    /// The same elements in bf16, once somebody has multiplied them so.
    rounded: OnceLock<Arc<Memory>>,
}

impl Storage {
    fn host(&self) -> &Buffer {
        match self {
            Storage::Host(buffer) => buffer,
            _ => panic!("reading elements on a device, without `to_host`"),
        }
    }

    fn device(&self) -> &OnDevice {
        match self {
            Storage::Host(_) => panic!("a tensor of the processor's, on a device"),
            Storage::Device(on) => on,
            Storage::Rounded(_) => panic!("elements that are kept in bf16 alone"),
        }
    }

    /// The same, to be written: the elements in bf16 are no longer these.
    fn device_mut(&mut self) -> &mut OnDevice {
        let Storage::Device(on) = self else { panic!("writing elements on a device") };
        on.rounded.take();
        on
    }
}

impl Tensor {
    fn host(buffer: Buffer, rows: usize, cols: usize) -> Self {
        Tensor { storage: Arc::new(Storage::Host(buffer)), rows, cols }
    }

    /// `[rows, cols]` zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Tensor::host(Buffer::zeros(rows * cols), rows, cols)
    }

    /// `[rows, cols]` zeros that take memory as they are written to: for a matrix most of whose rows may stay zero.
    pub fn untouched(rows: usize, cols: usize) -> Self {
        Tensor::host(Buffer::untouched(rows * cols), rows, cols)
    }

    /// `[rows, cols]` whose elements the caller will all overwrite; until then they are arbitrary numbers.
    pub fn unspecified(rows: usize, cols: usize) -> Self {
        Tensor::host(Buffer::unspecified(rows * cols), rows, cols)
    }

    /// Unspecified elements where the caller overwrites `all` of them, zeros where it may leave some.
    pub(crate) fn to_fill(rows: usize, cols: usize, all: bool) -> Self {
        if all { Tensor::unspecified(rows, cols) } else { Tensor::zeros(rows, cols) }
    }

    /// The same elements as a matrix of another shape; panics when their count differs.
    pub(crate) fn reshaped(self, rows: usize, cols: usize) -> Self {
        assert_eq!(rows * cols, self.rows * self.cols, "elements of a [{rows}, {cols}] tensor");
        Tensor { rows, cols, ..self }
    }

    /// Takes `rows * cols` elements; panics when the count differs.
    pub fn from_vec(rows: usize, cols: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), rows * cols, "elements of a [{rows}, {cols}] tensor");
        Tensor::host(Buffer::from(data), rows, cols)
    }

    /// Number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns (features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All elements, row by row. Panics on a device's.
    pub fn data(&self) -> &[f32] {
        self.storage.host().as_slice()
    }

    /// All elements, to write. Panics when the elements are shared: operations write only into tensors they
    /// have made or have asked for with [`Tensor::is_unique`] or [`Tensor::into_unique`].
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        match Arc::get_mut(&mut self.storage).expect("writing to a shared tensor") {
            Storage::Host(buffer) => buffer.as_mut_slice(),
            _ => panic!("writing elements on a device"),
        }
    }

    /// Whether nobody else holds these elements.
    pub(crate) fn is_unique(&mut self) -> bool {
        Arc::get_mut(&mut self.storage).is_some()
    }

    /// This tensor if nobody shares it, else a copy.
    pub(crate) fn into_unique(mut self) -> Self {
        if self.is_unique() {
            return self;
        }
        if let Storage::Device(OnDevice { memory, .. }) = &*self.storage {
            let mut copy = memory.core().allocate(memory.bytes());
            copy.copy_from(memory, 0);
            return Tensor::of(copy, self.rows, self.cols);
        }
        let mut copy = Tensor::unspecified(self.rows, self.cols);
        copy.data_mut().copy_from_slice(self.data());
        copy
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data()[row * self.cols..][..self.cols]
    }

    /// A copy of some rows.
    pub(crate) fn rows_copied(&self, rows: Range<usize>) -> Tensor {
        if let Storage::Device(OnDevice { memory, .. }) = &*self.storage {
            let mut copy = memory.core().allocate(rows.len() * self.cols * size_of::<f32>());
            copy.copy_from(memory, rows.start * self.cols * size_of::<f32>());
            return Tensor::of(copy, rows.len(), self.cols);
        }
        let mut copy = Tensor::unspecified(rows.len(), self.cols);
        copy.data_mut().copy_from_slice(&self.data()[rows.start * self.cols..rows.end * self.cols]);
        copy
    }

    /// `[rows, cols]` in the same memory, whose elements the caller will all overwrite or leave unread.
    pub(crate) fn unspecified_beside(&self, rows: usize, cols: usize) -> Tensor {
        match self.core() {
            None => Tensor::unspecified(rows, cols),
            Some(core) => Tensor::on(core, rows, cols),
        }
    }

    /// The rows, as files are written from them.
    pub fn as_rows(&self) -> Rows<'_> {
        Rows::f32(self.data(), self.cols)
    }

    /// Reads elements from little-endian bytes, into zeros that nobody has written to: what is zero there too takes no
    /// memory then (see [`Tensor::untouched`]). Panics when their count differs.
    pub fn read_f32(&mut self, bytes: &[u8]) {
        let data = self.data_mut();
        assert_eq!(bytes.len(), size_of_val(data), "bytes of a tensor");
        let pieces = data.chunks_mut(1024).zip(bytes.chunks(4096));
        for (piece, bytes) in pieces.filter(|(_, bytes)| bytes.iter().any(|&b| b != 0)) {
            for (x, bytes) in piece.iter_mut().zip(bytes.chunks_exact(4)) {
                *x = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
    }

    /// A view of the whole matrix.
    pub(crate) fn view(&self) -> MatRef<'_> {
        MatRef::new(self.data(), self.rows, self.cols, self.cols)
    }

    /// A view of the whole matrix, to write; panics when shared.
    pub(crate) fn view_mut(&mut self) -> MatMut<'_> {
        let (rows, cols) = (self.rows, self.cols);
        MatMut::new(self.data_mut(), rows, cols, cols)
    }
}

/// On a device.
impl Tensor {
    /// `[rows, cols]` on a device, whose elements the caller will all overwrite.
    pub(crate) fn on(device: &Arc<Core>, rows: usize, cols: usize) -> Self {
        Tensor::of(device.allocate(rows * cols * size_of::<f32>()), rows, cols)
    }

    /// `[rows, cols]` zeros on a device.
    pub(crate) fn zeros_on(device: &Arc<Core>, rows: usize, cols: usize) -> Self {
        let mut memory = device.allocate(rows * cols * size_of::<f32>());
        memory.zero();
        Tensor::of(memory, rows, cols)
    }

    /// Some of its rows, on a device, become zeros.
    pub(crate) fn zero_rows(&mut self, rows: Range<usize>) {
        let bytes = self.cols * size_of::<f32>();
        let storage = Arc::get_mut(&mut self.storage).expect("writing to a shared tensor");
        storage.device_mut().memory.zero_within(rows.start * bytes..rows.end * bytes);
    }

    fn of(memory: Memory, rows: usize, cols: usize) -> Self {
        let on = OnDevice { memory, rounded: OnceLock::new() };
        Tensor { storage: Arc::new(Storage::Device(on)), rows, cols }
    }

    /// A copy on a device.
    pub(crate) fn to_device(&self, device: &Arc<Core>) -> Self {
        Tensor::of(device.place(self.data()), self.rows, self.cols)
    }

    /// The same elements in the processor's memory, where they can be read: a copy, for which a device is waited, or
    /// themselves.
    pub fn to_host(&self) -> Self {
        if let Storage::Host(_) = &*self.storage {
            return self.clone();
        }
        let mut copy = Tensor::unspecified(self.rows, self.cols);
        self.storage.device().memory.read(bytemuck::cast_slice_mut(copy.data_mut()));
        copy
    }

    /// The device's core, where it is on one.
    pub(crate) fn core(&self) -> Option<&Arc<Core>> {
        match &*self.storage {
            Storage::Host(_) => None,
            Storage::Device(on) => Some(on.memory.core()),
            Storage::Rounded(memory) => Some(memory.core()),
        }
    }

    /// Where the elements are on the device; panics on the processor's.
    pub(crate) fn address(&self) -> u64 {
        self.storage.device().memory.at()
    }

    /// The same to write there; panics when the elements are shared.
    pub(crate) fn address_mut(&mut self) -> u64 {
        let storage = Arc::get_mut(&mut self.storage).expect("writing to a shared tensor");
        storage.device_mut().memory.at()
    }

    /// Where the elements are in bf16, in the same order; `round` makes them, once.
    pub(crate) fn rounded(&self, round: impl FnOnce() -> Memory) -> &Arc<Memory> {
        match &*self.storage {
            Storage::Rounded(memory) => memory,
            storage => storage.device().rounded.get_or_init(|| Arc::new(round())),
        }
    }

    /// The same elements in bf16 alone, which [`Tensor::rounded`] has made: for what reads nothing else of them.
    pub(crate) fn only_rounded(&self) -> Self {
        let memory = self.rounded(|| unreachable!("elements in bf16")).clone();
        Tensor { storage: Arc::new(Storage::Rounded(memory)), ..*self }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.core().is_some() {
            return write!(f, "Tensor [{}, {}] on a device", self.rows, self.cols);
        }
        let start = &self.data()[..self.data().len().min(6)];
        write!(f, "Tensor [{}, {}] {start:?}…", self.rows, self.cols)
    }
}
