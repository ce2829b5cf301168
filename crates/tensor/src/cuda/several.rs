//! GPUs that work on one thing: each has all parameters, and what their passes give is added up over all of them.

use std::collections::HashSet;

use super::driver::{Driver, Shared, Sums};
use super::{Device, DeviceError, emulated, nvidia};
use crate::{Context, Gradient, Gradients};

/// Several GPUs of one machine, or one.
pub struct Devices {
    all: Vec<Device>,
    /// What adds up over them; none where there is one alone.
    sums: Option<Box<dyn Sums>>,
}

/// What drives some devices, and what adds up over them where they are several.
pub(super) type Opened = (Vec<Box<dyn Driver>>, Option<Box<dyn Sums>>);

impl Devices {
    /// GPUs of these numbers, from 0 on, or their emulation as in [`Device::open`]. Panics where none is named.
    ///
    /// # Errors
    /// As for one; a number that is given twice, and several where what adds up over them is not installed.
    pub fn open(numbers: &[usize]) -> Result<Devices, DeviceError> {
        assert!(!numbers.is_empty(), "the number of a GPU");
        let mut seen = HashSet::new();
        if let Some(&twice) = numbers.iter().find(|&number| !seen.insert(number)) {
            return Err(DeviceError::Twice(twice));
        }
        let opened = match std::env::var_os(emulated::VARIABLE) {
            Some(library) => emulated::open(library.as_ref(), numbers)?,
            None => nvidia::open(numbers)?,
        };
        Ok(Devices::of(opened))
    }

    pub(super) fn of((drivers, sums): Opened) -> Devices {
        Devices { all: drivers.into_iter().map(Device::new).collect(), sums }
    }

    /// All of them, at least one.
    pub fn all(&self) -> &[Device] {
        &self.all
    }

    /// Adds up the gradients of a pass on every device, which all become the sum, the same to the bit. A device may have
    /// none. `contexts`, by device: where its pass ran.
    pub fn add_up(&self, contexts: &[Context<'_>], gradients: &mut [&mut Gradients]) {
        let Some(sums) = &self.sums else { return };
        assert!([contexts.len(), gradients.len()] == [self.all.len(); 2], "gradients of every device");
        let mut lists = Vec::new();
        for (id, _, weight) in contexts[0].params.iter() {
            let held = || gradients.iter().filter_map(|gradients| gradients.get(id));
            let dense = held().any(|gradient| matches!(gradient, Gradient::Dense(_)));
            let mut met = HashSet::new();
            let rows: Vec<u32> = held()
                .flat_map(|gradient| match gradient {
                    Gradient::Rows(rows) => rows.ids(),
                    Gradient::Dense(_) => &[],
                })
                .copied()
                .filter(|&row| met.insert(row))
                .collect();
            let count = if dense { weight.len() } else { rows.len() * weight.cols() };
            if count == 0 {
                continue;
            }
            let at =
                gradients.iter_mut().zip(contexts).zip(&self.all).map(|((gradients, &context), device)| {
                    match gradients.rows_mut(id).filter(|_| !dense) {
                        Some(own) => own.spread(device, &rows, weight.cols()),
                        None => gradients.param_add(context, id).address_mut(),
                    }
                });
            lists.push(Shared { at: at.collect(), count });
        }
        let drivers: Vec<&dyn Driver> = self.all.iter().map(|device| device.driver()).collect();
        super::device::unwrap(sums.sum(&drivers, &lists));
    }
}
