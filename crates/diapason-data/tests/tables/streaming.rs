//! Tables that are larger than a batch: the same episodes in any memory, on any number of threads.

use crate::common::Folder;
use diapason_data::{BuildSettings, DataError, Limits, Suite, read_episodes, write_episodes};
use diapason_flow::Streams;
use std::fmt::Write;

/// Rows of `units` units that come in turns, so that no unit stands together.
fn folder(units: usize, rows: usize, lines: &str) -> Folder {
    let mut csv = String::from("who,what\n");
    for row in 0..rows {
        writeln!(csv, "person {},draw {row}", row % units).expect("a string takes everything");
    }
    let folder = Folder::new(&csv);
    folder.task(&format!("tables = ['t']\n{lines}"));
    folder
}

fn limits(threads: usize, memory_bytes: usize) -> BuildSettings {
    BuildSettings { limits: Limits { threads, memory_bytes }, ..BuildSettings::default() }
}

#[test]
fn batches_are_the_whole_at_any_size_and_number_of_threads() {
    for lines in [
        "sql = 'select who as unit, what as output from t'\n[sampling]\nmax_units = 1500",
        "sql = 'select what as output from t'\n[sampling]\nmode = 'chunk'\nlength = { fixed = 50 }",
        "sql = 'select who as unit, what as output from t'\n[sampling]\nmax_episodes = 700",
    ] {
        let folder = folder(2000, 120_000, lines);
        let suite = Suite::load(folder.path()).unwrap();
        let task = suite.matching("one").unwrap()[0];
        let data = Some(folder.path());
        let streams = Streams::new(3);
        let whole = suite.build(task, data, &limits(1, 256 << 20), &streams).unwrap();
        assert!(whole.iter().all(|episode| episode.turns.len() >= 50), "{lines}");
        for name in ["small.jsonl", "small.parquet"] {
            let path = folder.path().join(name);
            let settings = limits(3, 1 << 20);
            let written = suite.build_file(task, data, (&settings, &streams), &path).unwrap();
            let turns: usize = whole.iter().map(|episode| episode.turns.len()).sum();
            assert_eq!((written.episodes, written.turns), (whole.len(), turns), "{lines}");
            assert_eq!(read_episodes(&path).unwrap(), whole, "{lines} {name}");
        }
        let path = folder.path().join("whole.jsonl");
        write_episodes(&path, &whole).unwrap();
        let same = std::fs::read(&path).unwrap();
        assert!(same == std::fs::read(folder.path().join("small.jsonl")).unwrap(), "{lines}");
    }
}

#[test]
fn a_mistake_in_the_last_row_leaves_no_file() {
    let folder = Folder::new("who,what\nAnn,a\nAnn,b\nBob,NaN\n");
    folder.task("tables = ['t']\nsql = 'select who as unit, what as output from t'");
    let suite = Suite::load(folder.path()).unwrap();
    let task = suite.matching("one").unwrap()[0];
    let path = folder.path().join("one.jsonl");
    let settings = (&BuildSettings::default(), &Streams::new(1));
    let error = suite.build_file(task, Some(folder.path()), settings, &path).unwrap_err();
    assert!(matches!(&error, DataError::Row { row: 4, column, .. } if column == "what"), "{error}");
    assert!(error.to_string().contains("row 3 of the SQL, column `output`"), "{error}");
    assert!(!path.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left behind");
}
