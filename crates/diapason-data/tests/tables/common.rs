//! A suite of the test's own in a temporary folder.

use diapason_data::{BuildSettings, DataError, Suite};
use diapason_flow::{Episode, Streams};
use std::path::Path;

/// `tasks/`, `sources/` and data files in one folder.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// A suite with one source `s`, whose table `t` is `s/t.csv`.
    pub(crate) fn new(csv: &str) -> Self {
        let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
        let source = "title = 'S'\ncitation = 'c'\nlicence = 'CC0'\nlocator = 'here'\n\
            access = 'auto'\n[tables.t]\npath = 't.csv'\n";
        folder.write("sources/s.toml", source);
        folder.write("s/t.csv", csv);
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        let folder = path.parent().expect("a file lies in a folder");
        std::fs::create_dir_all(folder).expect("the folder is ours");
        std::fs::write(path, text).expect("the folder is ours");
    }

    /// Writes the task `one` with these further lines.
    pub(crate) fn task(&self, lines: &str) {
        let head = "name = 'one'\ntitle = 't'\nfamily = 'steer'\nkind = 'iid'\nsplit = 'train'\n\
            source = 's'\n";
        self.write("tasks/one.toml", &format!("{head}{lines}"));
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Builds the task `one`.
    pub(crate) fn build(
        &self,
        settings: &BuildSettings,
        seed: u64,
    ) -> Result<Vec<Episode>, DataError> {
        let suite = Suite::load(self.path())?;
        let task = suite.matching("one")?[0].clone();
        suite.build(&task, Some(self.path()), settings, &Streams::new(seed))
    }
}
