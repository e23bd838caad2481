//! What the checks look at: the packages that cargo knows and the files of the project.

use crate::house;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A dependency of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// Name on the registry, or of the crate.
    pub name: String,
    /// Whether only tests, examples and benches use it.
    pub tests_only: bool,
}

/// A package of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub name: String,
    /// Its one line.
    pub description: String,
    /// Its folder, relative to the root, with `/` between parts.
    pub folder: String,
    /// What it uses.
    pub dependencies: Vec<Dependency>,
}

/// A file of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Path relative to the root, with `/` between parts.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl SourceFile {
    /// Whether its name ends in `.extension`.
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// Number of lines.
    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// The repository as it lies on disk.
pub(crate) struct Repository {
    /// The folder that holds the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// The folder that cargo builds in.
    pub target: PathBuf,
    /// The packages of the workspace, by name.
    pub packages: Vec<Package>,
    /// The text files of the project, by path.
    pub files: Vec<SourceFile>,
}

/// What `cargo metadata --no-deps` prints, as far as we read it.
#[derive(serde::Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<MetadataPackage>,
}

#[derive(serde::Deserialize)]
struct MetadataPackage {
    name: String,
    description: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<MetadataDependency>,
}

#[derive(serde::Deserialize)]
struct MetadataDependency {
    name: String,
    /// `dev`, `build`, or absent.
    kind: Option<String>,
}

impl Repository {
    /// Reads the repository around the current folder.
    pub(crate) fn open() -> Result<Self> {
        let output = cargo(Path::new("."))
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo")?;
        ensure!(output.status.success(), "`cargo metadata` failed");
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cannot read `cargo metadata`")?;
        let root = metadata.workspace_root;
        let mut packages: Vec<_> =
            metadata.packages.into_iter().map(|package| package.read(&root)).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        let files = project_files(&root)?;
        Ok(Repository { root, target: metadata.target_directory, packages, files })
    }
}

impl MetadataPackage {
    fn read(self, root: &Path) -> Package {
        let dependencies = self.dependencies.into_iter().map(|dependency| Dependency {
            name: dependency.name,
            tests_only: dependency.kind.as_deref() == Some("dev"),
        });
        Package {
            name: self.name,
            description: self.description.unwrap_or_default(),
            folder: relative(root, self.manifest_path.parent().unwrap_or(root)),
            dependencies: dependencies.collect(),
        }
    }
}

/// Cargo, the same that runs us, in the root of the repository.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

/// All text files directly in the root and below [`house::FOLDERS`], by path.
fn project_files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = house::FOLDERS.iter().map(|name| root.join(name)).collect();
    read_folder(root, root, &mut files, &mut Vec::new())?;
    while let Some(folder) = folders.pop() {
        if folder.is_dir() {
            read_folder(root, &folder, &mut files, &mut folders)?;
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Reads the text files of one folder and appends its folders to `below`.
fn read_folder(
    root: &Path,
    folder: &Path,
    files: &mut Vec<SourceFile>,
    below: &mut Vec<PathBuf>,
) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && !name.starts_with('.') && name != "target" && name != "__pycache__" {
            below.push(path);
        } else if kind.is_file() {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // A file that is not UTF-8 holds data, for which there are no rules.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(SourceFile { path: relative(root, &path), text });
            }
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_below_the_known_folders_only() {
        let root = tempfile::tempdir().unwrap();
        for path in ["README.md", "crates/a/src/lib.rs", "crates/a/target/x.rs", "other/lib.rs"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text\n").unwrap();
        }
        fs::write(root.path().join("crates/a/weights.bin"), [0xff, 0xfe]).unwrap();
        let files = project_files(root.path()).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["README.md", "crates/a/src/lib.rs"]);
    }
}
