//! The dependencies of the workspace: each pinned, used, and with a reason.

use crate::check::Findings;
use crate::repository::{Package, SourceFile};
use crate::sources::contains_word;
use anyhow::{Context, Result};
use toml::{Table, Value};

/// Checks the workspace's `Cargo.toml` and those of the packages.
///
/// In the root, a comment stands above every dependency; it may serve the lines that follow it
/// without an empty line. Versions allow new patches only (`~1.2`). Packages take every
/// dependency and their lints from the workspace.
pub(crate) fn check(packages: &[Package], files: &[SourceFile]) -> Result<Findings> {
    let mut findings = Findings::default();
    let manifest = |path: &str| {
        let found = files.iter().find(|file| file.path == path);
        found.map(|file| file.text.as_str()).with_context(|| format!("{path} is missing"))
    };
    let root = manifest("Cargo.toml")?;
    for name in without_reason(root) {
        findings.problem(format!("Cargo.toml: no comment above `{name}` says why it is here"));
    }
    let dependencies = workspace_dependencies(root)?;
    for (name, entry) in &dependencies {
        check_entry(name, entry, packages, &mut findings);
    }
    for package in packages {
        let path = format!("{}/Cargo.toml", package.folder);
        let table: Table = manifest(&path)?.parse().with_context(|| path.clone())?;
        for problem in not_inherited(&table) {
            findings.problem(format!("{path}: {problem}"));
        }
        if package.description.is_empty() {
            findings.problem(format!("{path}: no `description`"));
        }
        for name in never_named(package, files) {
            findings.problem(format!("{path}: no code names `{name}`"));
        }
    }
    Ok(findings.summary(format!("{} dependencies", dependencies.len())))
}

/// Dependencies of a package that none of its Rust files names.
fn never_named<'a>(package: &'a Package, files: &[SourceFile]) -> Vec<&'a str> {
    let folder = format!("{}/", package.folder);
    let own = |file: &&SourceFile| file.path.starts_with(&folder) && file.has_extension("rs");
    let own: Vec<_> = files.iter().filter(own).collect();
    let named = |name: &str| {
        let identifier = name.replace('-', "_");
        own.iter().any(|file| file.text.lines().any(|line| contains_word(line, &identifier)))
    };
    let names = package.dependencies.iter().map(|dependency| dependency.name.as_str());
    names.filter(|name| !named(name)).collect()
}

fn workspace_dependencies(root: &str) -> Result<Table> {
    let table: Table = root.parse().context("Cargo.toml")?;
    let dependencies = table.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let dependencies = dependencies.and_then(Value::as_table);
    Ok(dependencies.context("Cargo.toml has no [workspace.dependencies]")?.clone())
}

fn check_entry(name: &str, entry: &Value, packages: &[Package], findings: &mut Findings) {
    let field = |key: &str| entry.get(key).and_then(Value::as_str);
    if field("path").is_none() {
        let version = entry.as_str().or_else(|| field("version")).unwrap_or("none");
        if !pinned_to_minor(version) {
            findings.problem(format!("Cargo.toml: `{name}` has version `{version}`, not `~X.Y`"));
        }
    }
    let registry_name = field("package").unwrap_or(name);
    let used = |package: &Package| {
        package.dependencies.iter().any(|dependency| dependency.name == registry_name)
    };
    if !packages.iter().any(used) {
        findings.problem(format!("Cargo.toml: no crate uses `{name}`"));
    }
}

/// Names in `[workspace.dependencies]` with no comment above their block. Our own crates need none.
fn without_reason(root: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut inside, mut reason) = (false, false);
    for line in root.lines().map(str::trim) {
        if line.starts_with('[') {
            (inside, reason) = (line == "[workspace.dependencies]", false);
        } else if line.is_empty() {
            reason = false;
        } else if line.starts_with('#') {
            reason = true;
        } else if let Some((name, value)) = line.split_once(" = ")
            && inside
            && !reason
            && !value.contains("path =")
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// `~X.Y` or `~X.Y.Z`.
fn pinned_to_minor(version: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    version.strip_prefix('~').is_some_and(|version| {
        let parts: Vec<_> = version.split('.').collect();
        (2..=3).contains(&parts.len()) && parts.into_iter().all(number)
    })
}

/// What a package's manifest says for itself although the workspace should say it.
fn not_inherited(manifest: &Table) -> Vec<String> {
    let inherits = |value: &Value| value.get("workspace").and_then(Value::as_bool) == Some(true);
    let mut problems = Vec::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    for table in tables.chain([manifest]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(kind).and_then(Value::as_table);
            for (name, value) in entries.into_iter().flatten() {
                if !inherits(value) {
                    problems.push(format!("`{name}` does not come from the workspace"));
                }
            }
        }
    }
    if !manifest.get("lints").is_some_and(inherits) {
        problems.push("no `[lints] workspace = true`".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Dependency;

    const ROOT: &str = "
[workspace.dependencies]
ours = { path = \"crates/ours\" }

# Rows.
serde = { version = \"~1.0\", features = [\"derive\"] }
toml = \"~1.2\"

lonely = \"1\"

[profile.release]
debug = 1
";
    const PACKAGE: &str = "
[lints]
workspace = true
[dependencies]
serde.workspace = true
toml = { workspace = true }
";

    fn findings(root: &str, package: &str) -> Vec<String> {
        let uses = ["ours", "serde", "toml", "lonely"];
        let dependency = |name: &str| Dependency { name: name.to_owned(), tests_only: false };
        let packages = [Package {
            name: "ours".to_owned(),
            description: "a crate".to_owned(),
            folder: "crates/ours".to_owned(),
            dependencies: uses.map(dependency).to_vec(),
        }];
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let files = [
            file("Cargo.toml", root),
            file("crates/ours/Cargo.toml", package),
            file("crates/ours/src/lib.rs", "use {ours, serde::Serialize, toml, lonely};"),
        ];
        check(&packages, &files).unwrap().problems().to_vec()
    }

    #[test]
    fn a_dependency_without_reason_or_pin_fails() {
        let expected = [
            "Cargo.toml: no comment above `lonely` says why it is here",
            "Cargo.toml: `lonely` has version `1`, not `~X.Y`",
        ];
        assert_eq!(findings(ROOT, PACKAGE), expected);
    }

    #[test]
    fn an_unused_dependency_fails() {
        let root = ROOT.replace("lonely = \"1\"", "# Why not.\nleftover = \"~1.0\"");
        assert_eq!(findings(&root, PACKAGE), ["Cargo.toml: no crate uses `leftover`"]);
    }

    #[test]
    fn a_dependency_that_no_code_names_fails() {
        let dependency = |name: &str| Dependency { name: name.to_owned(), tests_only: false };
        let package = Package {
            name: "ours".to_owned(),
            description: "a crate".to_owned(),
            folder: "crates/ours".to_owned(),
            dependencies: ["serde-json", "toml"].map(dependency).to_vec(),
        };
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let files = [
            file("crates/ours/src/lib.rs", "use serde_json::Value;"),
            file("crates/ours/README.md", "toml"),
            file("crates/ours-too/src/lib.rs", "use toml::Table;"),
        ];
        assert_eq!(never_named(&package, &files), ["toml"]);
    }

    #[test]
    fn a_package_that_pins_for_itself_fails() {
        let root = ROOT.replace("lonely = \"1\"", "");
        assert!(findings(&root, PACKAGE).is_empty());
        let package = "[target.'cfg(unix)'.dependencies]\nserde = \"1\"\n";
        let expected = [
            "crates/ours/Cargo.toml: `serde` does not come from the workspace",
            "crates/ours/Cargo.toml: no `[lints] workspace = true`",
        ];
        assert_eq!(findings(&root, package), expected);
    }

    #[test]
    fn pins_name_at_least_the_minor_version() {
        for good in ["~1.0", "~0.23", "~1.2.3"] {
            assert!(pinned_to_minor(good), "{good}");
        }
        for bad in ["1.0", "~1", "^1.2", "=1.2.3", "~1.x", "*", "none"] {
            assert!(!pinned_to_minor(bad), "{bad}");
        }
    }
}
