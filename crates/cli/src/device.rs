//! Where a model runs: `--device`.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use t5kit_pipeline::Pipeline;
use t5kit_tensor::{Device, DeviceChoice, DeviceError, Devices, Opened};

use crate::errors::usage;

/// Where a model runs.
#[derive(clap::Args, Clone, Debug)]
pub struct DeviceArgs {
    /// Where the model runs: cpu, an NVIDIA GPU by its number (cuda is cuda:0), to train several (cuda:0,1), or auto, the
    /// first GPU and the processor where there is none
    #[arg(long, value_name = "DEVICE", default_value = "cpu", help_heading = "Work")]
    device: DeviceChoice,
}

impl DeviceArgs {
    /// The GPU, or none for the processor, before a model is read; says once where that is not what was hoped for.
    pub fn open(&self) -> Result<Option<Device>> {
        if let DeviceChoice::Cuda(numbers) = &self.device
            && numbers.len() > 1
        {
            return Err(usage(format_args!("--device: {}", DeviceError::Several)));
        }
        Ok(self.opened()?.single()?)
    }

    /// The same of several GPUs.
    pub fn open_all(&self) -> Result<Option<Devices>> {
        Ok(self.opened()?.devices)
    }

    fn opened(&self) -> Result<Opened> {
        let mut opened = self.device.open()?;
        static SAID: AtomicBool = AtomicBool::new(false);
        if let Some(error) = opened.instead.take().filter(|_| !SAID.swap(true, Ordering::Relaxed)) {
            // What may be done about it is not needed where something else is.
            let text = error.to_string();
            let what = text.split_once("; ").map_or(&text[..], |(what, _)| what);
            told!(processor_instead, why = what);
        }
        for device in opened.devices.iter().flat_map(Devices::all) {
            let [free, total] = [device.memory().0, device.memory().1].map(|bytes| bytes >> 20);
            detail!("device: {}, {free} of {total} MiB free", device.name());
        }
        Ok(opened)
    }
}

/// A model that has been read, on its device.
pub fn on_device(mut model: Pipeline, device: Option<&Device>) -> Result<Pipeline> {
    if let Some(device) = device {
        model.model.move_to(device)?;
    }
    Ok(model)
}
