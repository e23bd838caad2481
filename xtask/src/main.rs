//! `cargo xtask`: the checks of the repository, which are also its CI.
//!
//! The rules themselves are tables in [`house`]; the other modules say how each is checked.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

mod arrows;
mod check;
mod documents;
mod house;
mod manifests;
mod repository;
mod sources;
mod tree;

use anyhow::{Result, bail};
use repository::Repository;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask VERB

  check            every check of CI, cheapest first
  check --fast     the same without the stages that run the code
  check STAGE...   these stages only
  generate         writes the generated documents
  tree             the crates with what they are for and how long they are";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["check", wanted @ ..] => check::run(&Repository::open()?, check::stages(wanted)?),
        ["generate"] => documents::generate(&Repository::open()?, house::GENERATED),
        ["tree"] => {
            tree::print(&Repository::open()?);
            Ok(())
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown arguments {other:?}\n\n{USAGE}"),
    }
}
