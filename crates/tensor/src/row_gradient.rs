//! The gradient of a matrix of which a step touches few rows: those rows alone.

use std::collections::HashMap;

use crate::cpu::embedding::add_to_rows_of;
use crate::ops::{Which, copy_rows};
use crate::{Context, Device, MatMut, Tensor, cuda};

/// Gradients of some rows of a matrix; that of every other row is zero.
#[derive(Default)]
pub struct RowGradient {
    /// The rows in the order in which they were first met.
    ids: Vec<u32>,
    slots: HashMap<u32, usize>,
    /// Rows whose values are there.
    held: usize,
    values: Values,
    cols: usize,
}

/// The rows' values, in the order of `ids`.
enum Values {
    Host(Vec<f32>),
    /// On a device, with room for more.
    Device(Tensor),
}

impl Default for Values {
    fn default() -> Self {
        Values::Host(Vec::new())
    }
}

impl RowGradient {
    /// `row ids[t] += dy[t]` for every `t`. `dy`: [ids, cols].
    pub(crate) fn add(&mut self, context: Context<'_>, ids: &[u32], dy: &Tensor) {
        self.cols = dy.cols();
        let slots = self.slots(ids);
        match context.device {
            None => {
                let Values::Host(values) = &mut self.values else { panic!("a gradient on a device") };
                values.resize(self.ids.len() * self.cols, 0.0);
                let values = MatMut::new(values, self.ids.len(), self.cols, self.cols);
                add_to_rows_of(context, values, &slots, dy);
            }
            Some(device) => cuda::embedding::add_to_rows(context, self.room(device), &slots, dy),
        }
    }

    /// Gives it these rows, in this order, which its own are among; the others are zero. Where the values are on the
    /// device.
    pub(crate) fn spread(&mut self, device: &Device, ids: &[u32], cols: usize) -> u64 {
        let own = std::mem::replace(self, RowGradient { cols, ..RowGradient::default() });
        self.slots(ids);
        self.held = ids.len();
        let mut values = Tensor::zeros_on(device, ids.len(), cols);
        if let (Values::Device(from), 1..) = (&own.values, own.held) {
            let places: Vec<u32> = own.ids.iter().map(|id| self.slots[id] as u32).collect();
            copy_rows(&mut values, Which::List(&places), from, Which::From(0), places.len(), 0);
        }
        let at = values.address();
        self.values = Values::Device(values);
        at
    }

    /// The places of some rows, behind the others where they are new.
    fn slots(&mut self, ids: &[u32]) -> Vec<usize> {
        let slot = |&id: &u32| {
            *self.slots.entry(id).or_insert_with(|| {
                self.ids.push(id);
                self.ids.len() - 1
            })
        };
        ids.iter().map(slot).collect()
    }

    /// Room on a device for the rows there are, the new ones zero.
    fn room(&mut self, device: &Device) -> &mut Tensor {
        let (rows, before, cols) = (self.ids.len(), self.held, self.cols);
        if !matches!(&self.values, Values::Device(values) if values.rows() >= rows && values.cols() == cols) {
            let mut larger = Tensor::on(device, rows, cols);
            if let (Values::Device(values), 1..) = (&self.values, before) {
                copy_rows(&mut larger, Which::From(0), values, Which::From(0), before, 0);
            }
            self.values = Values::Device(larger);
        }
        self.held = rows;
        let Values::Device(values) = &mut self.values else { unreachable!("just made") };
        values.zero_rows(before..rows);
        values
    }

    /// Forgets all rows, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.slots.clear();
        self.held = 0;
        if let Values::Host(values) = &mut self.values {
            values.clear();
        }
    }

    /// The rows with a gradient and where theirs begins in [`RowGradient::values`] (in rows), by ascending row.
    pub fn sorted(&self) -> Vec<(usize, usize)> {
        let mut rows: Vec<(usize, usize)> =
            self.ids.iter().enumerate().map(|(at, &id)| (id as usize, at)).collect();
        rows.sort_unstable();
        rows
    }

    /// The rows with a gradient in the order in which they were first met.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Rows that have a gradient.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Columns of the matrix.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values, row by row in the order of [`RowGradient::row_of`]. Panics on a device's.
    pub fn values(&self) -> &[f32] {
        match &self.values {
            Values::Host(values) => values,
            Values::Device(_) => panic!("reading a gradient on a device, without `to_host`"),
        }
    }

    /// Whether its values are on a device.
    pub fn on_device(&self) -> bool {
        matches!(self.values, Values::Device(_))
    }

    /// Where its values are on the device; panics on the processor's.
    pub(crate) fn address(&self) -> u64 {
        match &self.values {
            Values::Host(_) => panic!("a gradient of the processor's, on a device"),
            Values::Device(values) => values.address(),
        }
    }

    /// A copy in the processor's memory, where it can be read.
    pub fn to_host(&self) -> RowGradient {
        let values = match &self.values {
            Values::Host(values) => values.clone(),
            Values::Device(values) => values.to_host().data()[..self.ids.len() * self.cols].to_vec(),
        };
        let RowGradient { ids, slots, held, cols, .. } = self;
        RowGradient {
            ids: ids.clone(),
            slots: slots.clone(),
            held: *held,
            values: Values::Host(values),
            cols: *cols,
        }
    }

    /// Writes the rows into the whole matrix, [rows, cols] where these are.
    pub(crate) fn write_to(&self, dense: &mut Tensor) {
        match &self.values {
            Values::Host(_) => {
                for (row, at) in self.sorted() {
                    dense.view_mut().row_mut(row).copy_from_slice(self.row(at));
                }
            }
            Values::Device(values) => {
                copy_rows(dense, Which::List(&self.ids), values, Which::From(0), self.ids.len(), 0);
            }
        }
    }

    /// The values at a place that [`RowGradient::sorted`] names.
    pub fn row(&self, at: usize) -> &[f32] {
        &self.values()[at * self.cols..][..self.cols]
    }

    /// Which row of the matrix the values at a place belong to.
    pub fn row_of(&self, at: usize) -> usize {
        self.ids[at] as usize
    }
}

/// The gradient of a parameter, as it is kept.
#[derive(Clone, Copy)]
pub enum Gradient<'a> {
    /// Every element: `[rows, cols]` as the weight.
    Dense(&'a Tensor),
    /// The rows that have one.
    Rows(&'a RowGradient),
}

impl<'a> Gradient<'a> {
    /// All values that are kept, whichever row they belong to. Panics on a device's.
    pub fn values(self) -> &'a [f32] {
        match self {
            Gradient::Dense(tensor) => tensor.data(),
            Gradient::Rows(rows) => rows.values(),
        }
    }
}
