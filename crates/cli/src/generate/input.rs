//! Where sources come from: the command line, or standard input a window at a time.

use anyhow::{Result, anyhow};
use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long a window waits for the next line before it is worked on as it is. A file fills it at once; somebody who
/// types gets an answer to every line.
const PATIENCE: Duration = Duration::from_millis(20);

/// Sources, a window after the other.
pub enum Input {
    /// Those of the command line.
    Given(Vec<String>),
    /// Lines of standard input, read by a thread of their own.
    Lines(Receiver<Result<String>>),
}

impl Input {
    /// The texts given, or standard input if there are none.
    pub fn new(texts: Vec<String>) -> Self {
        if !texts.is_empty() {
            return Input::Given(texts);
        }
        if std::io::stdin().is_terminal() {
            eprintln!("t5kit: reading sources from the terminal, one a line; end with Ctrl-D");
        }
        let (sender, receiver) = sync_channel(1024);
        std::thread::spawn(move || {
            for (number, line) in std::io::stdin().lock().split(b'\n').enumerate() {
                let line = line.map_err(anyhow::Error::from).and_then(|mut line| {
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    String::from_utf8(line)
                        .map_err(|_| anyhow!("standard input, line {}: not UTF-8", number + 1))
                });
                let ends = line.is_err();
                if sender.send(line).is_err() || ends {
                    return;
                }
            }
        });
        Input::Lines(receiver)
    }

    /// The next sources, at most `most` where they come from standard input; none at the end.
    pub fn window(&mut self, most: usize) -> Result<Vec<String>> {
        let lines = match self {
            Input::Given(texts) => return Ok(std::mem::take(texts)),
            Input::Lines(lines) => lines,
        };
        let mut window = Vec::new();
        let Ok(first) = lines.recv() else { return Ok(window) };
        window.push(first?);
        while window.len() < most {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => window.push(line?),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(window)
    }
}
