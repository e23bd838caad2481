//! Embeds every file of `suite/tasks` and `suite/sources` in the library.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let crate_folder = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let suite = Path::new(&crate_folder).join("../../suite");
    let mut list = String::from("&[\n");
    for part in ["sources", "tasks"] {
        let folder = suite.join(part);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut paths: Vec<_> = fs::read_dir(&folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let literal = format!("{:?}", fs::canonicalize(&path)?.display().to_string());
            writeln!(list, "(\"suite/{part}/{name}\", include_str!({literal})),")
                .map_err(io::Error::other)?;
        }
    }
    list.push(']');
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("suite.rs"), list)
}
