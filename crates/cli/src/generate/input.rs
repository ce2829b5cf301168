//! Where sources come from: the command line, a table, or standard input, a window at a time.

use anyhow::{Result, anyhow};
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use t5kit_formats::encoding::Encoding;
use t5kit_formats::table::WholeRows;
use t5kit_pipeline::Form;

use super::table::Sources;
use crate::results::Rows;
use crate::table_flags::Announced;

/// How long a window waits for the next line before it is worked on as it is. A file fills it at once; somebody who
/// types gets an answer to every line.
const PATIENCE: Duration = Duration::from_millis(20);

/// Sources, a window after the other.
pub enum Input {
    /// Those of the command line.
    Given(Vec<String>),
    /// Those of a table.
    Table(Box<Sources>, WholeRows),
    /// Lines of standard input, read by a thread of their own.
    Lines(Receiver<Result<String>>, Form),
}

impl Input {
    /// The sources of a table.
    pub fn table(mut sources: Sources) -> Result<Self> {
        let rows = sources.rows()?;
        Ok(Input::Table(Box::new(sources), rows))
    }

    /// The texts given, or standard input in an encoding if there are none, as `form` gives them to a model.
    pub fn new(texts: Vec<String>, encoding: Encoding, form: &Form) -> Self {
        if !texts.is_empty() {
            return Input::Given(texts.iter().map(|text| form.source(None, text)).collect());
        }
        if std::io::stdin().is_terminal() {
            told!(reading_from_terminal);
        }
        let (sender, receiver) = sync_channel(1024);
        std::thread::spawn(move || {
            let lines = match Announced::open(Path::new("-"), encoding) {
                Ok(lines) => BufReader::new(lines).split(b'\n'),
                Err(error) => return drop(sender.send(Err(error))),
            };
            for (number, line) in lines.enumerate() {
                let line = line.map_err(anyhow::Error::from).and_then(|mut line| {
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    let number = number + 1;
                    String::from_utf8(line).map_err(|_| {
                        anyhow!("standard input, line {number}: not UTF-8, nor another encoding's text")
                    })
                });
                let ends = line.is_err();
                if sender.send(line).is_err() || ends {
                    return;
                }
            }
        });
        Input::Lines(receiver, form.clone())
    }

    /// The next sources, at most `most` where they are not given; none at the end.
    pub fn window(&mut self, most: usize) -> Result<Vec<String>> {
        let (lines, form) = match self {
            Input::Given(texts) => return Ok(std::mem::take(texts)),
            Input::Table(sources, rows) => {
                return rows.by_ref().take(most).map(|row| Ok(sources.item(&row?))).collect();
            }
            Input::Lines(lines, form) => (lines, form),
        };
        let mut window = Vec::new();
        let Ok(first) = lines.recv() else { return Ok(window) };
        window.push(form.source(None, &first?));
        while window.len() < most {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => window.push(form.source(None, &line?)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(window)
    }
}
