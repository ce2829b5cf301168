//! Which device a user asks for.

use std::str::FromStr;

use super::{Device, DeviceError};

/// `auto`, `cpu` or `cuda[:N]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU, or the processor where none can be used.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of that number, from 0 on.
    Cuda(usize),
}

/// A device as it was asked for.
#[derive(Debug)]
pub struct Opened {
    /// The GPU; none is the processor.
    pub device: Option<Device>,
    /// Why it is the processor although a GPU would have been taken.
    pub instead: Option<DeviceError>,
}

impl DeviceChoice {
    /// Opens it. `auto` never fails.
    pub fn open(self) -> Result<Opened, DeviceError> {
        match self {
            DeviceChoice::Cpu => Ok(Opened { device: None, instead: None }),
            DeviceChoice::Cuda(number) => Ok(Opened { device: Some(Device::open(number)?), instead: None }),
            DeviceChoice::Auto => Ok(match Device::open(0) {
                Ok(device) => Opened { device: Some(device), instead: None },
                Err(error) => Opened { device: None, instead: Some(error) },
            }),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cpu" => Ok(DeviceChoice::Cpu),
            None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
            Some(("cuda", number)) if number.bytes().all(|b| b.is_ascii_digit()) => number
                .parse()
                .map(DeviceChoice::Cuda)
                .map_err(|_| format!("{number:?} is no number of a GPU")),
            _ => Err(format!("{text:?} is no device; take auto, cpu, cuda or cuda:N")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read() {
        for (text, want) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:13", DeviceChoice::Cuda(13)),
        ] {
            assert_eq!(text.parse(), Ok(want));
        }
        for text in [
            "",
            "gpu",
            "CPU",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:0,1",
            "cuda:99999999999999999999",
            "cpu:0",
        ] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().contains("no"), "{text}");
        }
    }
}
