//! Which instruction set the kernels use: found out once, at run time, and a user can force it.
//!
//! The environment variable `T5KIT_ISA` takes `portable`, `avx2`, `avx512` or, on ARM, `neon` (and `T5KIT_BF16` and
//! `T5KIT_INT8` choose among the bf16 and the int8 products). A choice the processor cannot run is an error, reported by
//! [`init`] when the program starts.

use std::sync::OnceLock;

/// The environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "T5KIT_ISA";

/// A usable instruction set. It is only obtained from [`isa`], [`init`] or [`available`], so holding one
/// proves that this processor has it: the kernels rely on that to call code compiled for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Isa(Kind);

/// The variants there are, the narrowest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// What the target's baseline offers, vectorised by the compiler.
    Portable,
    /// AVX2, FMA and F16C: 8 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL on top of those: 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, as every 64-bit ARM processor has it: 8 lanes in two registers.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// `T5KIT_ISA`, `T5KIT_BF16` or `T5KIT_INT8` asks for what this machine does not have or for something unknown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{variable}={wanted}: this machine has no such instructions; it has {}; unset the variable for the best",
    .available.join(", ")
)]
pub struct IsaError {
    /// The variable's name.
    pub variable: &'static str,
    /// Its value.
    pub wanted: String,
    /// The names that would be accepted here.
    pub available: Vec<&'static str>,
}

impl Isa {
    /// The name as `T5KIT_ISA` spells it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
        }
    }

    /// Whether it is the target's baseline, of whose vectors nothing is known.
    pub fn is_portable(self) -> bool {
        self.0 == Kind::Portable
    }

    /// The variant, for the dispatch in this module's siblings.
    pub(super) fn kind(self) -> Kind {
        self.0
    }
}

/// Every variant this machine can run, the best last.
pub fn available() -> Vec<Isa> {
    #[allow(unused_mut)] // where there is but the baseline
    let mut found = vec![Isa(Kind::Portable)];
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        found.push(Isa(Kind::Neon));
    }
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if avx2 {
            found.push(Isa(Kind::Avx2));
        }
        if avx512 {
            found.push(Isa(Kind::Avx512));
        }
    }
    found
}

/// A variable's value without blanks around it; nothing where it is unset or empty.
pub(super) fn environment(variable: &str) -> Option<String> {
    let value = std::env::var_os(variable)?.to_string_lossy().trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// The best variant, or the one `wanted` names.
fn choose(wanted: Option<&str>) -> Result<Isa, IsaError> {
    let found = available();
    match wanted {
        None => Ok(*found.last().expect("the portable variant is always there")),
        Some(name) => found.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| IsaError {
            variable: ISA_VARIABLE,
            wanted: name.escape_debug().to_string(),
            available: found.iter().map(|isa| isa.name()).collect(),
        }),
    }
}

/// The choice that `T5KIT_ISA` makes, read once.
fn chosen() -> Result<Isa, IsaError> {
    static CHOICE: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
    CHOICE.get_or_init(|| choose(environment(ISA_VARIABLE).as_deref())).clone()
}

/// Reads `T5KIT_ISA`, `T5KIT_BF16` and `T5KIT_INT8` and settles the choices; a program calls it once, when it starts.
///
/// # Errors
/// When a variable names unknown instructions or some that this machine lacks.
pub fn init() -> Result<Isa, IsaError> {
    let isa = chosen()?;
    super::bf16::from_environment(isa)?;
    super::int8::from_environment(isa)?;
    Ok(isa)
}

/// The instruction set to use, chosen once.
///
/// # Panics
/// When `T5KIT_ISA` is impossible and the program did not ask [`init`] first.
pub fn isa() -> Isa {
    chosen().unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_default_and_every_available_name_is_accepted() {
        let found = available();
        assert_eq!(choose(None).unwrap(), *found.last().unwrap());
        for isa in found {
            assert_eq!(choose(Some(isa.name())).unwrap(), isa);
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_what_there_is() {
        let error = choose(Some("sse9")).unwrap_err();
        assert_eq!(error.wanted, "sse9");
        let text = error.to_string();
        assert!(text.contains("T5KIT_ISA=sse9") && text.contains("portable"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert_eq!(choose(Some("a\nb")).unwrap_err().to_string().lines().count(), 1);
    }
}
