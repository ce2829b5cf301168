//! Ctrl-C (and the signals that ask a program to end).
//!
//! A subcommand that has something to save or to say asks [`requested`] as it goes; the first Ctrl-C then only
//! sets the flag and the second ends the program. The others end at the first. Ending removes what is half
//! written.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the user has asked the program to end.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Whether work is to go on: not once the user has asked the program to end.
pub fn flow() -> ControlFlow<()> {
    if requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Installs the handler. `in_order`: the subcommand asks [`requested`], so that the first signal only sets the flag.
pub fn install(in_order: bool) -> anyhow::Result<()> {
    ctrlc::set_handler(move || {
        let again = REQUESTED.swap(true, Ordering::SeqCst);
        if !in_order || again {
            t5kit_formats::output::cleanup_all();
            if std::io::stderr().is_terminal() {
                let _ = writeln!(std::io::stderr()); // the shell's prompt starts a line, below any progress bar
            }
            std::process::exit(i32::from(crate::errors::INTERRUPTED));
        }
        let _ = writeln!(std::io::stderr(), "\nt5kit: ending in order; Ctrl-C again ends at once");
    })
    .map_err(|e| anyhow::anyhow!("cannot catch Ctrl-C: {e}"))
}
