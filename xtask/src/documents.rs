//! Documents that must agree with the code: the architecture, links, and what the binary prints.

use crate::arrows::Row;
use crate::check::Findings;
use crate::house::Generated;
use crate::repository::{Package, Repository, SourceFile, cargo};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Checks that `ARCHITECTURE.md` has every crate with its arrows in a table, and that links
/// between files lead somewhere.
pub(crate) fn check(
    root: &Path,
    packages: &[Package],
    files: &[SourceFile],
    arrows: &[Row<'_>],
) -> Findings {
    let mut findings = Findings::default();
    let architecture = files.iter().find(|file| file.path == "ARCHITECTURE.md");
    let architecture = architecture.map_or("", |file| file.text.as_str());
    for package in packages {
        let allowed = arrows.iter().find(|(name, _)| *name == package.name);
        let allowed = allowed.map_or(&[][..], |(_, allowed)| *allowed);
        match drawn_arrows(architecture, &package.name) {
            None => findings.problem(format!("ARCHITECTURE.md has no row `{}`", package.name)),
            Some(drawn) if drawn != allowed => findings.problem(format!(
                "ARCHITECTURE.md draws {} → {drawn:?}, xtask/src/house.rs {allowed:?}",
                package.name
            )),
            Some(_) => {}
        }
    }
    let mut links = 0;
    for file in files.iter().filter(|file| file.has_extension("md")) {
        let folder = root.join(&file.path);
        let folder = folder.parent().unwrap_or(root);
        for target in local_links(&file.text) {
            links += 1;
            if !folder.join(target).exists() {
                findings.problem(format!("{}: nothing lies at `{target}`", file.path));
            }
        }
    }
    findings.summary(format!("{} crates named, {links} links", packages.len()))
}

/// The crates in the last cell of the row that begins with the name of a crate. The cell leaves
/// `diapason-` out; a dash stands for none.
fn drawn_arrows(architecture: &str, name: &str) -> Option<Vec<String>> {
    let begin = format!("| `{name}` |");
    let row = architecture.lines().find(|line| line.starts_with(&begin))?;
    let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next()?.trim();
    let names = cell.split(", ").filter(|name| *name != "–");
    Some(names.map(|name| format!("diapason-{name}")).collect())
}

/// Targets of the Markdown links that lead to files, without their fragments.
fn local_links(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = ends.map(|(target, _)| target.split('#').next().unwrap_or(target));
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

/// Checks that every generated document is what the binary prints now.
pub(crate) fn check_generated(
    repository: &Repository,
    documents: &[Generated],
) -> Result<Findings> {
    if !documents.is_empty() {
        build(&repository.root)?;
    }
    compare(&repository.root, documents, |arguments| diapason(repository, arguments))
}

/// Writes every generated document.
pub(crate) fn generate(repository: &Repository, documents: &[Generated]) -> Result<()> {
    build(&repository.root)?;
    for document in documents {
        let path = repository.root.join(document.path);
        let text = diapason(repository, document.arguments)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", document.path);
    }
    Ok(())
}

fn compare(
    root: &Path,
    documents: &[Generated],
    print: impl Fn(&[&str]) -> Result<String>,
) -> Result<Findings> {
    let mut findings = Findings::default();
    for document in documents {
        // A document that is not there yet differs from any text.
        let found = fs::read_to_string(root.join(document.path)).unwrap_or_default();
        if found != print(document.arguments)? {
            findings.problem(format!(
                "{} is out of date\n\nhint: run `cargo xtask generate` and commit the result",
                document.path
            ));
        }
    }
    Ok(findings.summary(format!("{} documents", documents.len())))
}

/// Builds the binary beside the tests: their features are those of the `test` stage, so that no
/// dependency is built again.
fn build(root: &Path) -> Result<()> {
    let arguments = ["build", "--quiet", "--workspace", "--release", "--bins", "--tests"];
    let status = cargo(root).args(arguments).stdin(Stdio::null()).status();
    ensure!(status.context("cannot start cargo")?.success(), "`cargo build` failed");
    Ok(())
}

/// What `diapason` prints for some arguments.
fn diapason(repository: &Repository, arguments: &[&str]) -> Result<String> {
    let binary = format!("diapason{}", std::env::consts::EXE_SUFFIX);
    let output = Command::new(repository.target.join("release").join(binary))
        .args(arguments)
        .current_dir(&repository.root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run diapason")?;
    ensure!(output.status.success(), "`diapason {}` failed", arguments.join(" "));
    String::from_utf8(output.stdout).context("diapason printed something that is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_crate_that_the_architecture_forgets_or_draws_otherwise_fails() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            description: String::new(),
            folder: format!("crates/{name}"),
            dependencies: Vec::new(),
        };
        let table = "| `diapason-low` | the lower | – |\n| `diapason-high` | the higher | low |\n";
        let files = [file("ARCHITECTURE.md", table)];
        let packages = ["diapason-low", "diapason-high", "diapason-new"].map(package);
        let nowhere = Path::new("/nowhere");
        let arrows: &[Row<'_>] = &[("diapason-high", &["diapason-low"])];
        let findings = check(nowhere, &packages, &files, arrows);
        assert_eq!(findings.problems(), ["ARCHITECTURE.md has no row `diapason-new`"]);
        let findings = check(nowhere, &packages[..2], &files, &[]);
        assert_eq!(findings.problems().len(), 1, "an arrow that is not in the table");
    }

    #[test]
    fn a_link_to_nothing_fails() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("here.md"), "").unwrap();
        let text = "[a](here.md#part) [b](gone.md) [c](https://example.org) [d](#below)";
        let findings = check(root.path(), &[], &[file("README.md", text)], &[]);
        assert_eq!(findings.problems(), ["README.md: nothing lies at `gone.md`"]);
        assert_eq!(findings.text(), "0 crates named, 2 links");
    }

    #[test]
    fn a_generated_document_must_be_what_is_printed_now() {
        let root = tempfile::tempdir().unwrap();
        let documents = [Generated { path: "cli.md", arguments: &["help", "--markdown"] }];
        let print = |arguments: &[&str]| Ok(format!("# {}\n", arguments.join(" ")));
        assert_eq!(compare(root.path(), &documents, print).unwrap().problems().len(), 1);
        fs::write(root.path().join("cli.md"), "# help --markdown\n").unwrap();
        assert!(compare(root.path(), &documents, print).unwrap().problems().is_empty());
        fs::write(root.path().join("cli.md"), "# help\n").unwrap();
        assert_eq!(compare(root.path(), &documents, print).unwrap().problems().len(), 1);
    }
}
