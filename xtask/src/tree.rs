//! `cargo xtask tree`: the crates at a glance.

use crate::repository::Repository;

/// Prints every crate with its Rust lines, files and one-line description.
pub(crate) fn print(repository: &Repository) {
    for row in rows(repository) {
        println!("{row}");
    }
}

fn rows(repository: &Repository) -> Vec<String> {
    let mut rows = vec![format!("{:<17} {:>6} {:>6}", "crate", "lines", "files")];
    let (mut all_lines, mut all_files) = (0, 0);
    for package in &repository.packages {
        let folder = format!("{}/", package.folder);
        let own = repository.files.iter();
        let own = own.filter(|file| file.path.starts_with(&folder) && file.has_extension("rs"));
        let (lines, files) = own.fold((0, 0), |(l, f), file| (l + file.lines(), f + 1));
        rows.push(format!("{:<17} {lines:>6} {files:>6}  {}", package.name, package.description));
        all_lines += lines;
        all_files += files;
    }
    rows.push(format!("{:<17} {all_lines:>6} {all_files:>6}", "all"));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{Package, SourceFile};

    #[test]
    fn a_crate_counts_the_rust_files_of_its_own_folder() {
        let file = |path: &str| SourceFile { path: path.into(), text: "a\nb\n".into() };
        let package = |name: &str| Package {
            name: name.into(),
            description: format!("the {name}"),
            folder: format!("crates/{name}"),
            dependencies: Vec::new(),
        };
        let repository = Repository {
            root: "/nowhere".into(),
            target: "/nowhere/target".into(),
            packages: vec![package("hall"), package("hallway")],
            files: ["crates/hall/src/lib.rs", "crates/hall/README.md", "crates/hallway/src/a.rs"]
                .map(file)
                .to_vec(),
        };
        let rows = rows(&repository);
        assert_eq!(rows[1], "hall                   2      1  the hall");
        assert_eq!(rows[3], "all                    4      2");
    }
}
