//! What holds for all kernels.

use super::super::driver::Argument;
use super::super::sources::SOURCES;
use super::device;
use crate::Tensor;

#[test]
fn every_kernel_has_a_name_of_its_own() {
    let mut names: Vec<&str> = SOURCES.iter().flat_map(|source| source.kernels()).collect();
    assert!(names.len() > 30);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

/// The emulation says what a card would answer with wrong numbers, or not at all.
#[test]
fn wrong_calls_are_found() {
    let Some(device) = device() else { return };
    let wrong = |kernel, arguments: &[Argument]| {
        let run = || device.launch(kernel, [1, 1, 1], 32, 0, arguments);
        let message = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        message.downcast_ref::<String>().unwrap().clone()
    };
    let at = Argument::Pointer(0);
    assert!(wrong("scale", &[at, at, Argument::U32(1), Argument::U64(0)]).contains("takes ppfU, not ppuU"));
    assert!(wrong("add", &[at]).contains("takes ppU, not p"));
}

#[test]
fn memory_is_counted_and_given_back() {
    let Some(device) = device() else { return };
    let a = Tensor::zeros_on(&device, 10, 100);
    let b = a.clone();
    assert_eq!(device.used(), (4000, 4000));
    drop(a);
    let copy = b.into_unique();
    assert_eq!((device.used(), copy.to_host().data()), ((4000, 4000), &[0f32; 1000][..]));
    drop(Tensor::on(&device, 10, 25));
    drop(copy);
    assert_eq!(device.used(), (0, 5000));
    let error = crate::failures(|| Tensor::on(&device, 5 << 20, 1 << 10)).unwrap_err().to_string();
    assert!(error.contains("20480 more MiB asked for, 16384 of 16384 MiB free"), "{error}");
    let empty = Tensor::on(&device, 0, 7);
    assert!(empty.to_host().data().is_empty());
}
