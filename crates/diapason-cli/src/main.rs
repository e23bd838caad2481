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

use args::{Cli, SandboxedArgs, Verb};
use clap::Parser;
use console::Console;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before there is a second thread: namespaces are entered by a process of one.
    if let Verb::Sandboxed(args) = &cli.verb {
        return sandboxed(args);
    }
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
    let session = commands::Session::new(console, cli.threads, cli.product_precision)?;
    match cli.verb {
        Verb::Quickstart(args) => commands::quickstart(&session, &args),
        Verb::Run(args) => commands::run(&session, &args),
        Verb::Suite(verb) => commands::suite(&session, verb),
        Verb::Mark(args) => commands::mark(&session, *args),
        Verb::Answers(verb) => commands::answers(&session, &verb),
        Verb::Train(args) => commands::train(&session, &args),
        Verb::Sample(args) => commands::sample(&session, &args),
        Verb::Score(args) => commands::score(&session, &args),
        Verb::Eval(args) => commands::eval(&session, &args),
        Verb::Judge(verb) => commands::judge(&session, &verb),
        Verb::Report(args) => commands::report(&session, &args),
        Verb::Model(verb) => commands::model(&session, verb),
        Verb::Bench(verb) => commands::bench(&session, &verb),
        Verb::Doctor(args) => commands::doctor(&session, &args),
        // Handled before there was a session.
        Verb::Sandboxed(_) => Ok(()),
    }
}

/// The binary as the helper of its own sandbox. Its words are for the process that started it.
fn sandboxed(args: &SandboxedArgs) -> ExitCode {
    let done = if args.inside {
        diapason_sandbox::serve().map(|()| true)
    } else {
        diapason_sandbox::enter(&[commands::SANDBOX_HELPER, "--inside"])
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            Console::new(false, args::LogFormat::Text, true).error(&error.into());
            ExitCode::FAILURE
        }
    }
}

/// `diapason … | head` is not a failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
