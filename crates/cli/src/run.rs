//! `t5kit run`: a recipe's stages, each a subcommand run in this process, what is done passed over.

mod check;
mod estimate;
mod examples;
mod machine;
#[cfg(test)]
mod mutated;
mod speed;

use anyhow::{Context, Result};
use console::style;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;
use t5kit_evaluate::{begin_peak, peak_bytes};
use t5kit_formats::lang::fill;
use t5kit_recipe::{How, Recipe, Stage, Standing, State, report};

use crate::commandline::program;
use crate::errors::{self, Interrupted};
use crate::inside;
use crate::interrupt;
use crate::lang::lang;
use crate::progress::{Monitor, Took};
use crate::say::bytes;
use crate::typed;
pub use check::check;

/// The flags of `t5kit run`.
#[derive(clap::Args)]
#[command(
    after_help = "Paths in a recipe begin from its folder, those of --set from the working directory. What is done \
    already is passed over; an interrupted run goes on where it stopped."
)]
pub struct Args {
    /// The recipe: TOML, as `t5kit recipe new` writes it
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Set a key over what the recipe says, such as finetune.epochs=3; may be given several times
    #[arg(long, value_name = "SECTION.KEY=VALUE", action = clap::ArgAction::Append)]
    set: Vec<String>,
    /// Say what would be done, how long it would take, how much memory and disk, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Make stages again whose inputs have changed
    #[arg(long)]
    force: bool,
}

/// Runs what is left to do, and writes the report.
pub fn run(args: Args) -> Result<()> {
    let program = program();
    let recipe = Recipe::read(&args.recipe, &args.set, &program)?;
    let stages = recipe.stages(&program);
    check(&recipe, &stages)?;
    recipe.check_files()?;
    let mut state = State::of(&recipe)?;
    let mut monitor = Monitor::default();
    let standings = state.standings(&recipe, &stages, &mut monitor)?;
    monitor.clear();
    if args.dry_run {
        return estimate::print(&recipe, &stages, &standings, &state, args.force);
    }
    if !args.force {
        state.check(&recipe, &stages, &standings)?;
    }
    std::fs::create_dir_all(&recipe.output)
        .with_context(|| format!("cannot make {}", recipe.output.display()))?;
    let _lock = machine::lock(&recipe.output)?;
    let again = typed::line(&Args::typed(&args));
    for (number, (stage, standing)) in stages.iter().zip(&standings).enumerate() {
        heading(number + 1, stages.len(), stage, standing);
        let Some(how) = standing.how() else { continue };
        let done = one(&recipe, &stages, stage, how, &mut state);
        if interrupt::requested() {
            let values: [(&str, &dyn std::fmt::Display); 2] =
                [("stage", &stage.called(lang())), ("command", &again)];
            let said = fill(lang().texts().recipes.recipe_stopped, &values);
            eprintln!("t5kit: {said}");
            return Err(Interrupted.into());
        }
        done.with_context(|| format!("stage {}", stage.name))?;
    }
    let story = report::Story {
        recipe: &recipe,
        stages: &stages,
        state: &state,
        lang: lang(),
        program: concat!("t5kit ", env!("CARGO_PKG_VERSION")),
        machine: &machine::described(),
        date: &typed::now(),
        typed: &|arguments| typed::command_line(arguments),
        again: &again,
    };
    let summary = report::write(&story)?;
    let mut out = std::io::stdout().lock();
    out.write_all(summary.as_bytes())?;
    let page = recipe.output.join(report::REPORT);
    eprintln!("t5kit: {}", fill(lang().texts().recipes.recipe_done, &[("page", &page.display())]));
    Ok(())
}

impl Args {
    /// The command that goes on with this run.
    fn typed(args: &Args) -> Vec<String> {
        let recipe = args.recipe.to_string_lossy().into_owned();
        let sets = args.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]);
        ["run".to_owned(), recipe].into_iter().chain(sets).collect()
    }
}

/// Runs a stage and writes down how it went.
fn one(recipe: &Recipe, stages: &[Stage], stage: &Stage, how: How, state: &mut State) -> Result<()> {
    // What a stage would go on from is of other inputs.
    if how == How::Again {
        t5kit_formats::output::remove_whole(&stage.output)?;
    }
    state.begin(recipe, stages, stage, how, &mut Monitor::default())?;
    let watched = begin_peak();
    let begun = Instant::now();
    let ran = inside::run(&stage.command(&recipe.output, how));
    let (seconds, peak) = (begun.elapsed().as_secs_f64(), peak_bytes().filter(|_| watched).unwrap_or(0));
    state.end(recipe, stage, ran.is_ok(), seconds, peak, &typed::now())?;
    if ran.is_ok() {
        let took = Took(begun.elapsed());
        let (t, name) = (lang().texts(), stage.called(lang()));
        let took = format!("{took}{}{}", t.terminal.comma, bytes(peak));
        let said = fill(t.terminal.work_at, &[("stage", &name), ("done", &took)]);
        eprintln!("{}", style(format!("t5kit: {said}")).for_stderr().dim());
    }
    ran
}

/// Announces a stage, and what is to be done about it.
fn heading(number: usize, of: usize, stage: &Stage, standing: &Standing) {
    let t = lang().texts();
    let what = match standing {
        Standing::Done => t.recipes.stage_done,
        Standing::New => "",
        Standing::Begun => t.recipes.stage_goes_on,
        Standing::Changed(_) => t.recipes.stage_again,
        Standing::Gone => t.recipes.stage_gone,
    };
    let line = format!("\n[{number}/{of}] {}", stage.called(lang()));
    eprintln!("{} {what}", style(line).for_stderr().cyan().bold());
}

/// A place in the recipe and what is wrong there, as wrong usage.
fn refused(place: &t5kit_recipe::Place, what: &str) -> anyhow::Error {
    errors::usage(format!("{place}: {what}"))
}
