//! `diapason quickstart`, `run` and `train`: recipes into artifacts.

use super::Session;
use crate::args::{QuickstartArgs, RunArgs, TrainArgs};
use crate::pipeline::Run;
use crate::settings::{resolve, resolve_file};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The recipe of the main job, part of the binary.
const QUICKSTART: &str = include_str!("../../../../recipes/quickstart.toml");

/// The main job on the embedded recipe.
pub(crate) fn quickstart(session: &Session<'_>, args: &QuickstartArgs) -> anyhow::Result<()> {
    session.leave_precision_to_the_recipe()?;
    let started = Instant::now();
    let settings = resolve(Path::new("recipes/quickstart.toml"), QUICKSTART, &args.overrides)?;
    let page = Run::new(session, &settings, &args.out).everything()?;
    session.console.say(&format!("done in {:.0} s", started.elapsed().as_secs_f64()));
    Ok(session.console.data(&page.display().to_string())?)
}

/// A recipe from a file.
pub(crate) fn run(session: &Session<'_>, args: &RunArgs) -> anyhow::Result<()> {
    session.leave_precision_to_the_recipe()?;
    let settings = resolve_file(&args.recipe, &args.overrides)?;
    let out = out_of(args.out.as_ref(), &settings.name);
    let run = Run::new(session, &settings, &out);
    if args.dry_run {
        session.console.data(&toml::to_string(&settings)?)?;
        for stage in run.stages() {
            session.console.data(&format!("# {}", out.join(stage).display()))?;
        }
        return Ok(());
    }
    let page = run.everything()?;
    Ok(session.console.data(&page.display().to_string())?)
}

/// One model of a recipe.
pub(crate) fn train(session: &Session<'_>, args: &TrainArgs) -> anyhow::Result<()> {
    session.leave_precision_to_the_recipe()?;
    let settings = resolve_file(&args.recipe, &args.overrides)?;
    let out = out_of(args.out.as_ref(), &settings.name);
    if args.resume {
        anyhow::ensure!(
            out.exists(),
            "`{}` does not exist, so there is nothing to resume",
            out.display()
        );
    }
    let made = Run::new(session, &settings, &out).one_model(args.model.as_deref())?;
    Ok(session.console.data(&made.path.display().to_string())?)
}

fn out_of(given: Option<&PathBuf>, name: &str) -> PathBuf {
    given.cloned().unwrap_or_else(|| Path::new("runs").join(name))
}
