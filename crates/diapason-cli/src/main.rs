//! The `diapason` binary: arguments become settings, rooms are wired together, results printed.

mod args;
mod asking;
mod commands;
mod console;
mod evaluate;
mod judging;
mod leakage;
mod levers;
mod pipeline;
mod settings;

use args::{Cli, Verb};
use clap::Parser;
use console::Console;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let console = Console::new(cli.quiet, cli.log_format, no_colour);
    match run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, console: &Console) -> anyhow::Result<()> {
    let session = commands::Session::new(console, cli.threads)?;
    match cli.verb {
        Verb::Quickstart(args) => commands::quickstart(&session, &args),
        Verb::Run(args) => commands::run(&session, &args),
        Verb::Suite(verb) => commands::suite(&session, verb),
        Verb::Mark(args) => commands::mark(&session, *args),
        Verb::Train(args) => commands::train(&session, &args),
        Verb::Sample(args) => commands::sample(&session, &args),
        Verb::Score(args) => commands::score(&session, &args),
        Verb::Eval(args) => commands::eval(&session, &args),
        Verb::Judge(verb) => commands::judge(&session, &verb),
        Verb::Report(args) => commands::report(&session, &args),
        Verb::Model(verb) => commands::model(&session, verb),
        Verb::Bench(verb) => commands::bench(&session, &verb),
        Verb::Doctor(args) => commands::doctor(&session, &args),
    }
}

/// `diapason … | head` is not a failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
