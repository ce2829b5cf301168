//! The language that reports, the demo, summaries and warnings are in.

use std::sync::OnceLock;
use t5kit_formats::lang::Lang;

use crate::errors::usage;

static LANG: OnceLock<Lang> = OnceLock::new();

/// Chooses the language by the environment: `T5KIT_LANG`, else the locale.
///
/// # Errors
/// Wrong usage where `T5KIT_LANG` names a language that there is no table for.
pub fn init() -> anyhow::Result<()> {
    let lang = Lang::of_environment()
        .map_err(|name| usage(format!("T5KIT_LANG={name}: there is no such language here; give en or zh")))?;
    LANG.get_or_init(|| lang);
    Ok(())
}

/// The language that was chosen.
pub fn lang() -> Lang {
    LANG.get().copied().unwrap_or_default()
}
