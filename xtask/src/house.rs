//! The rules of the house as tables. Every table is checked by a stage of `cargo xtask check`.

/// Which crates a crate may use. `ARCHITECTURE.md` draws the same arrows.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("diapason-flow", &[]),
    ("diapason-markers", &["diapason-flow"]),
    ("diapason-text", &["diapason-flow", "diapason-markers"]),
    ("diapason-data", &["diapason-flow", "diapason-markers"]),
    ("diapason-model", &["diapason-flow"]),
    ("diapason-engine", &["diapason-flow", "diapason-model"]),
    ("diapason-train", &["diapason-flow", "diapason-model"]),
    ("diapason-eval", &["diapason-flow"]),
    ("diapason-net", &[]),
    ("diapason-sandbox", &[]),
    ("diapason-serve", &["diapason-flow", "diapason-markers", "diapason-text", "diapason-engine"]),
    (
        "diapason-cli",
        &[
            "diapason-flow",
            "diapason-markers",
            "diapason-text",
            "diapason-data",
            "diapason-model",
            "diapason-engine",
            "diapason-train",
            "diapason-eval",
            "diapason-net",
            "diapason-sandbox",
            "diapason-serve",
        ],
    ),
    ("xtask", &[]),
];

/// Libraries that only some crates may use outside their tests: the "only door" of each subject.
pub(crate) const DOORS: &[(&str, &[&str])] = &[
    ("anyhow", &["diapason-cli", "xtask"]),
    ("arrow-array", &["diapason-data"]),
    ("arrow-ipc", &["diapason-data"]),
    ("arrow-schema", &["diapason-data"]),
    ("bzip2", &["diapason-data"]),
    ("clap", &["diapason-cli"]),
    ("csv", &["diapason-data"]),
    ("ctrlc", &["diapason-cli"]),
    ("flate2", &["diapason-data"]),
    ("gemm", &["diapason-model"]),
    ("indicatif", &["diapason-cli"]),
    ("memmap2", &["diapason-model"]),
    ("nix", &["diapason-sandbox"]),
    ("parquet", &["diapason-data"]),
    ("rusqlite", &["diapason-data"]),
    ("safetensors", &["diapason-model"]),
    ("sha1", &["diapason-net"]),
    ("tokenizers", &["diapason-text"]),
    ("ureq", &["diapason-net"]),
    ("zip", &["diapason-data"]),
];

/// Most lines of a Rust file that is not marked `@generated`.
pub(crate) const LONGEST_FILE_LINES: usize = 500;

/// Folders that hold the project; nothing else below the root is looked at.
pub(crate) const FOLDERS: &[&str] =
    &[".ci", "benches", "bindings", "crates", "docs", "recipes", "suite", "tests", "xtask"];

/// A word that may stand only in some places.
pub(crate) struct Word {
    /// The word, matched whole and with regard to case.
    pub text: &'static str,
    /// Paths that begin like this may use it.
    pub allowed: &'static [&'static str],
    /// Why not elsewhere.
    pub why: &'static str,
}

const fn word(text: &'static str, allowed: &'static [&'static str], why: &'static str) -> Word {
    Word { text, allowed, why }
}

const UNFINISHED: &str = "finish it, or open an issue and leave it out";
const HIDDEN_INPUT: &str =
    "only binaries and build scripts read their surroundings; make it an argument";
const HIDDEN_RANDOMNESS: &str = "all randomness comes from `diapason_flow::Streams`";
const MACHINE: &str = "code for one kind of processor stands among the kernels only";
const UNSAFE: &str = "unsafe code stands in kernels, mmap and FFI only";

/// The kernels, and the verb that says what the machine offers.
const MACHINE_PLACES: &[&str] =
    &["crates/diapason-model/src/kernels/", "crates/diapason-cli/src/commands/doctor.rs"];
const UNSAFE_PLACES: &[&str] = &["crates/diapason-model/src/", "bindings/"];
/// The binaries, a build script, and a test that tells a process it will kill where to write.
const ENVIRONMENT: &[&str] = &[
    "crates/diapason-cli/",
    "crates/diapason-data/build.rs",
    "crates/diapason-train/src/tests.rs",
    "xtask/",
];
/// TensorBoard's event files hold the time of day of every event.
const CLOCKS: &[&str] = &["crates/diapason-cli/", "crates/diapason-train/src/log.rs"];

/// Words looked for in the files of [`WORD_EXTENSIONS`]; this file, which has them all, is left out.
pub(crate) const WORDS: &[Word] = &[
    word("TODO", &[], UNFINISHED),
    word("FIXME", &[], UNFINISHED),
    word("todo!", &[], UNFINISHED),
    word("unimplemented!", &[], UNFINISHED),
    word("#[ignore", &[], "a test that does not run proves nothing"),
    word("env::var", ENVIRONMENT, HIDDEN_INPUT),
    word("env::var_os", ENVIRONMENT, HIDDEN_INPUT),
    word("env::vars", ENVIRONMENT, HIDDEN_INPUT),
    word("SystemTime::now", CLOCKS, HIDDEN_INPUT),
    word("thread_rng", &[], HIDDEN_RANDOMNESS),
    word("rand::rng", &[], HIDDEN_RANDOMNESS),
    word("from_os_rng", &[], HIDDEN_RANDOMNESS),
    word("static mut", &[], "no globals"),
    word("thread_local!", &[], "no globals"),
    word("target_arch", MACHINE_PLACES, MACHINE),
    word("target_feature", MACHINE_PLACES, MACHINE),
    word("core::arch", MACHINE_PLACES, MACHINE),
    word("std::arch", MACHINE_PLACES, MACHINE),
    word("is_x86_feature_detected", MACHINE_PLACES, MACHINE),
    word("unsafe {", UNSAFE_PLACES, UNSAFE),
    word("unsafe fn", UNSAFE_PLACES, UNSAFE),
    word("unsafe impl", UNSAFE_PLACES, UNSAFE),
];

/// Files that [`WORDS`] are looked for in.
pub(crate) const WORD_EXTENSIONS: &[&str] = &["rs", "py", "sql", "sh"];

/// A document that the binary writes.
pub(crate) struct Generated {
    /// Path below the root of the repository.
    pub path: &'static str,
    /// Arguments of `diapason` that print it.
    pub arguments: &'static [&'static str],
}

/// Documents made by `cargo xtask generate`.
pub(crate) const GENERATED: &[Generated] = &[Generated {
    path: "docs/suite.md",
    arguments: &["suite", "ls", "--markdown", "--data", "suite/fixtures"],
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_upwards_only_so_there_is_no_cycle() {
        for (index, (from, uses)) in ARROWS.iter().enumerate() {
            for to in *uses {
                let place = ARROWS.iter().position(|(name, _)| name == to);
                assert!(place.is_some_and(|place| place < index), "{from} → {to}");
            }
        }
    }

    #[test]
    fn doors_are_sorted_and_open_to_known_crates() {
        assert!(DOORS.is_sorted());
        for (library, crates) in DOORS {
            for name in *crates {
                assert!(ARROWS.iter().any(|(known, _)| known == name), "{library}: {name}");
            }
        }
    }
}
