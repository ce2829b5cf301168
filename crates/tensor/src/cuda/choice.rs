//! Which device a user asks for.

use std::str::FromStr;

use super::{Device, DeviceError, Devices};

/// `auto`, `cpu` or `cuda[:N[,N…]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU, or the processor where none can be used.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPUs of these numbers, from 0 on; at least one.
    Cuda(Vec<usize>),
}

/// Devices as they were asked for.
pub struct Opened {
    /// The GPUs; none is the processor.
    pub devices: Option<Devices>,
    /// Why it is the processor although a GPU would have been taken.
    pub instead: Option<DeviceError>,
}

impl DeviceChoice {
    /// Opens it. `auto` never fails.
    pub fn open(&self) -> Result<Opened, DeviceError> {
        let found = |devices| Opened { devices: Some(devices), instead: None };
        match self {
            DeviceChoice::Cpu => Ok(Opened { devices: None, instead: None }),
            DeviceChoice::Cuda(numbers) => Devices::open(numbers).map(found),
            DeviceChoice::Auto => Ok(match Devices::open(&[0]) {
                Ok(devices) => found(devices),
                Err(error) => Opened { devices: None, instead: Some(error) },
            }),
        }
    }
}

impl Opened {
    /// The one GPU, where it is one.
    ///
    /// # Errors
    /// Several.
    pub fn single(&self) -> Result<Option<Device>, DeviceError> {
        match self.devices.as_ref().map(Devices::all) {
            None => Ok(None),
            Some([device]) => Ok(Some(device.clone())),
            Some(_) => Err(DeviceError::Several),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cpu" => Ok(DeviceChoice::Cpu),
            None if text == "cuda" => Ok(DeviceChoice::Cuda(vec![0])),
            Some(("cuda", numbers)) if numbers.bytes().all(|b| b.is_ascii_digit() || b == b',') => {
                let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number of a GPU"));
                let numbers = numbers.split(',').map(number).collect::<Result<Vec<usize>, String>>()?;
                match numbers.iter().enumerate().find(|(at, n)| numbers[..*at].contains(n)) {
                    Some((_, number)) => Err(DeviceError::Twice(*number).to_string()),
                    None => Ok(DeviceChoice::Cuda(numbers)),
                }
            }
            _ => Err(format!("{text:?} is no device; take auto, cpu, cuda, cuda:N or cuda:N,M")),
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
            ("cuda", DeviceChoice::Cuda(vec![0])),
            ("cuda:0", DeviceChoice::Cuda(vec![0])),
            ("cuda:13", DeviceChoice::Cuda(vec![13])),
            ("cuda:0,1", DeviceChoice::Cuda(vec![0, 1])),
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
            "cuda:0,",
            "cuda:0,,1",
            "cuda:0, 1",
            "cuda:99999999999999999999",
            "cpu:0",
        ] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().contains("no"), "{text}");
        }
        assert!("cuda:1,0,1".parse::<DeviceChoice>().unwrap_err().contains("number 1 is named twice"));
    }
}
