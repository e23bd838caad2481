//! `cargo xtask check`: the stages of CI, cheapest first, each with its time.

use crate::house;
use crate::repository::{Repository, SourceFile, cargo};
use crate::{arrows, documents, manifests, sources};
use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a stage found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Vec<String>,
    summary: String,
}

impl Findings {
    /// Adds one problem: where, what, and a hint where one helps.
    pub(crate) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Ends with what was looked at.
    pub(crate) fn summary(self, summary: String) -> Self {
        Findings { summary, ..self }
    }

    /// The problems in the order found.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What was looked at.
    pub(crate) fn text(&self) -> &str {
        &self.summary
    }
}

/// One stage.
pub(crate) struct Stage {
    name: &'static str,
    work: Work,
}

enum Work {
    /// A look at the files.
    Look(fn(&Repository) -> Result<Findings>),
    /// A cargo command, with variables set for it alone. Its output goes straight through.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
}

/// All stages. Tests run in release because the numeric ones are slow otherwise, and because the
/// binary of the README then finds most of its dependencies built.
const STAGES: &[Stage] = &[
    Stage { name: "format", work: Work::Cargo(&["fmt", "--all", "--check"], &[]) },
    Stage {
        name: "arrows",
        work: Work::Look(|it| Ok(arrows::check(&it.packages, house::ARROWS, house::DOORS))),
    },
    Stage {
        name: "sizes",
        work: Work::Look(|it| Ok(sources::check_sizes(&it.files, house::LONGEST_FILE_LINES))),
    },
    Stage { name: "words", work: Work::Look(|it| Ok(words(&it.files))) },
    Stage { name: "manifests", work: Work::Look(|it| manifests::check(&it.packages, &it.files)) },
    Stage {
        name: "documents",
        work: Work::Look(|it| {
            Ok(documents::check(&it.root, &it.packages, &it.files, house::ARROWS))
        }),
    },
    Stage {
        name: "clippy",
        work: Work::Cargo(
            &["clippy", "--workspace", "--all-targets", "--release", "--", "-D", "warnings"],
            &[],
        ),
    },
    Stage {
        name: "doc",
        work: Work::Cargo(
            &["doc", "--workspace", "--no-deps", "--release"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        ),
    },
    Stage { name: "test", work: Work::Cargo(&["test", "--workspace", "--release"], &[]) },
    Stage {
        name: "generated",
        work: Work::Look(|it| documents::check_generated(it, house::GENERATED)),
    },
];

/// Stages that run the code, which `--fast` leaves out.
const RUNNING: &[&str] = &["test", "generated"];

/// The stages that some arguments ask for: all, all but the running ones, or those named.
pub(crate) fn stages(wanted: &[&str]) -> Result<Vec<&'static Stage>> {
    let chosen = |keep: &dyn Fn(&str) -> bool| STAGES.iter().filter(|it| keep(it.name)).collect();
    match wanted {
        [] => Ok(chosen(&|_| true)),
        ["--fast"] => Ok(chosen(&|name| !RUNNING.contains(&name))),
        names => {
            let known = |name: &&str| STAGES.iter().any(|stage| stage.name == *name);
            if let Some(other) = names.iter().find(|name| !known(name)) {
                let all: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
                bail!("no stage `{other}`\n\nhint: the stages are {}", all.join(", "));
            }
            Ok(chosen(&|name| names.contains(&name)))
        }
    }
}

/// Runs stages and stops at the first that fails.
pub(crate) fn run(repository: &Repository, stages: Vec<&Stage>) -> Result<()> {
    let begun = Instant::now();
    let mut times = Vec::new();
    for stage in stages {
        println!("── {}", stage.name);
        let stage_begun = Instant::now();
        let summary = run_stage(stage, repository)
            .with_context(|| format!("check failed at stage `{}`", stage.name))?;
        let elapsed = stage_begun.elapsed();
        println!("   ok {} {summary}", seconds(elapsed));
        times.push(format!("{} {}", stage.name, seconds(elapsed)));
    }
    println!("── passed in {}: {}", seconds(begun.elapsed()), times.join(", "));
    Ok(())
}

fn run_stage(stage: &Stage, repository: &Repository) -> Result<String> {
    match &stage.work {
        Work::Look(look) => {
            let findings = look(repository)?;
            match findings.problems() {
                [] => Ok(findings.text().to_owned()),
                problems => bail!("{} to mend\n{}", problems.len(), problems.join("\n")),
            }
        }
        Work::Cargo(arguments, variables) => {
            let mut command = cargo(&repository.root);
            command.args(*arguments).envs(variables.iter().copied());
            finish(command)
        }
    }
}

fn words(files: &[SourceFile]) -> Findings {
    // The table of the words holds them all.
    let files = files.iter().filter(|file| file.path != "xtask/src/house.rs");
    sources::check_words(files, house::WORDS, house::WORD_EXTENSIONS)
}

/// Runs a command to its end and returns its words.
fn finish(mut command: Command) -> Result<String> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let words = format!("cargo {}", words.join(" "));
    let status = command.stdin(Stdio::null()).status().context("cannot start cargo")?;
    ensure!(status.success(), "`{words}` failed");
    Ok(words)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn stages_have_distinct_names_and_the_running_ones_exist() {
        let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
        }
        assert!(RUNNING.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn arguments_choose_stages_in_the_order_of_the_table() {
        let names = |wanted: &[&str]| -> Vec<_> {
            stages(wanted).unwrap().iter().map(|stage| stage.name).collect()
        };
        assert_eq!(names(&[]).len(), STAGES.len());
        assert_eq!(names(&["--fast"]).len(), STAGES.len() - RUNNING.len());
        assert_eq!(names(&["clippy", "format"]), ["format", "clippy"]);
        assert!(stages(&["--quick"]).is_err());
    }

    #[test]
    fn a_stage_with_problems_fails_and_lists_them() {
        let repository = Repository {
            root: "/nowhere".into(),
            target: "/nowhere".into(),
            packages: Vec::new(),
            files: Vec::new(),
        };
        let look = |_: &Repository| {
            let mut findings = Findings::default();
            findings.problem("a.rs: too long".to_owned());
            findings.problem("b.rs: too long".to_owned());
            Ok(findings.summary("2 files".to_owned()))
        };
        let stage = Stage { name: "sizes", work: Work::Look(look) };
        let error = run_stage(&stage, &repository).unwrap_err();
        assert_eq!(error.to_string(), "2 to mend\na.rs: too long\nb.rs: too long");
    }

    #[test]
    fn a_failing_command_is_named() {
        let command = |word: &str| {
            let mut command = cargo(Path::new(env!("CARGO_MANIFEST_DIR")));
            command.arg(word).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let error = finish(command("no-such-verb")).unwrap_err();
        assert_eq!(error.to_string(), "`cargo no-such-verb` failed");
        assert_eq!(finish(command("version")).unwrap(), "cargo version");
    }
}
