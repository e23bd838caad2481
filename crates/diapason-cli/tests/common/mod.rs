//! The binary, run as a user runs it.

use std::process::{Command, Output};

pub(crate) fn diapason(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diapason")).args(arguments).output().unwrap()
}

pub(crate) fn stdout(arguments: &[&str]) -> String {
    let output = diapason(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
