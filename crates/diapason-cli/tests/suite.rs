//! The verbs of `suite` on folders of a user's own: broken files, overlaps, interrupted builds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{diapason, stdout};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A folder of task files with a table of its own each.
struct Mine(tempfile::TempDir);

impl Mine {
    fn new() -> Self {
        Mine(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_string_lossy().into_owned()
    }

    /// A steer task over a table with these rows of `unit,input,output`.
    fn task(&self, name: &str, split: &str, rows: &str) {
        let task = format!(
            "name = '{name}'\ntitle = 't'\nfamily = 'steer'\nkind = 'individual'\n\
             split = '{split}'\nfile = '{name}.csv'\ndescriptions = ['Answers of one person.']\n"
        );
        std::fs::write(self.at(&format!("{name}.toml")), task).unwrap();
        std::fs::write(self.at(&format!("{name}.csv")), format!("unit,input,output\n{rows}"))
            .unwrap();
    }

    /// Runs a recipe into `run`; what it said.
    fn train(&self, recipe: &str) -> String {
        std::fs::write(self.at("recipe.toml.in"), recipe).unwrap();
        let (recipe, out) = (self.text("recipe.toml.in"), self.text("run"));
        let run = diapason(&["train", &recipe, "--out", &out]);
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.success(), "{said}");
        said
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const ROWS: &str = "Ann,Monday,soup\nAnn,Tuesday,rice\nBo,Monday,fish\nBo,Tuesday,fish\n";

#[test]
fn check_goes_on_past_broken_tasks_and_fails_in_the_end() {
    let mine = Mine::new();
    mine.task("good", "train", ROWS);
    mine.task("short", "train", "Ann,Monday,soup\nAnn,Tuesday\n");
    std::fs::write(mine.at("typo.toml"), "nam = 'typo'\n").unwrap();
    let suite = mine.text("");
    let output = diapason(&["suite", "check", "--suite", &suite, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let rows = json(&String::from_utf8(output.stdout).unwrap());
    let row = |name: &str| {
        rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (row("good")["status"].as_str(), row("good")["episodes"].as_u64()),
        (Some("ready"), Some(2))
    );
    assert_eq!(row("short")["status"], "broken");
    let error = row("short")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("short.csv`, row 3: 2 cells for 3 columns"), "{error}");
    let error = row("typo")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("typo.toml:1: unknown field `nam`"), "{error}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("2 of 3 are broken"), "{said}");
    let text = diapason(&["suite", "check", "--suite", &suite]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("broken   steer/short\n"));
}

#[test]
fn the_differences_from_the_reference_are_a_table() {
    let rows = json(&stdout(&["suite", "diff-reference", "--json"]));
    let rows = rows.as_array().unwrap();
    let polis = rows.iter().find(|row| row["name"] == "polis_vote").unwrap();
    assert!(polis["differs"][0].as_str().unwrap().contains("last vote"));
    assert_eq!(rows[0]["name"], "*");
    let text = stdout(&["suite", "diff-reference"]);
    let lines: usize = rows.iter().map(|row| row["differs"].as_array().unwrap().len()).sum();
    assert_eq!(text.lines().count(), lines);
    assert!(text.contains("steer/polis_vote "));
}

const QUESTION: &str =
    "How many apples does Ann have after she gave three of them to Bob and his friends?";

#[test]
fn overlaps_are_listed_and_a_recipe_leaves_them_out() {
    let mine = Mine::new();
    let leak = format!("Cleo,{},7\nCleo,Who is it?,8\n", QUESTION.to_uppercase());
    mine.task("practice", "train", &format!("{ROWS}{leak}"));
    mine.task("exam", "test", &format!("Dan,{QUESTION},7\nDan,What else is there?,8\n"));
    let suite = mine.text("");
    let found = json(&stdout(&["suite", "audit", "--suite", &suite, "--json"]));
    assert_eq!((&found["train_tasks"], &found["test_tasks"]), (&1.into(), &1.into()));
    let overlap = &found["overlaps"][0];
    assert_eq!(found["overlaps"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&overlap["train"], &overlap["test"]),
        (&"steer/practice".into(), &"steer/exam".into())
    );
    assert_eq!((&overlap["likeness"], &overlap["episodes"]), (&"exact".into(), &1.into()));
    assert_eq!(overlap["example"]["unit"], "Cleo");
    let text = stdout(&["suite", "audit", "--suite", &suite]);
    assert!(text.starts_with("exact    steer/practice → steer/exam: 1 of 1 texts"), "{text}");

    let text = format!(
        "name = 'r'\n[base.new]\nwidth = 16\nlayers = 1\nheads = 1\nkv_heads = 1\nmlp_width = 16\n\
         vocabulary = 400\ncorpus = {{ documents = 60, lines = 3 }}\n[data]\nsuite = {suite:?}\n\
         tasks = [{{ task = 'practice' }}]\nheld_out_share = 0.0\nexclude_overlaps = 'near'\n\
         token_budget = 60\n[train]\nmax_sequence_tokens = 128\nmicro_batch_tokens = 128\n\
         [[models]]\nname = 'm'\nloss = 'every-output'\n[evaluate]\ntasks = ['steer/exam']\n"
    );
    let said = mine.train(&text);
    assert!(said.contains("overlap with what is measured: 1 of steer/practice"), "{said}");
    assert!(said.contains("episodes: 2 to train on"), "{said}");
    assert!(said.contains("1 of 2 sequences in the budget"), "{said}");
    let overlaps = std::fs::read_to_string(mine.at("run/episodes/overlaps.json")).unwrap();
    assert_eq!(json(&overlaps)[0]["train"], "steer/practice");
}

#[test]
fn a_task_goes_on_without_the_part_whose_file_is_missing() {
    let mine = Mine::new();
    let part = |name: &str| {
        format!(
            "[[part]]\nname = '{name}'\ntables = ['{name}']\n\
             sql = 'select unit, input, output from {name}'\ndescriptions = ['Answers.']\n"
        )
    };
    let source = "title = 'S'\ncitation = 'c'\nlicence = 'CC0'\nlocator = 'the office'\n\
        access = 'manual'\n[tables.here]\npath = 'here.csv'\n[tables.gone]\npath = 'gone.csv'\n";
    for folder in ["tasks", "sources", "s"] {
        std::fs::create_dir(mine.at(folder)).unwrap();
    }
    let head = "name = 'both'\ntitle = 't'\nfamily = 'steer'\nkind = 'individual'\n\
        split = 'train'\noutput_type = 'free-text'\nsource = 's'\n";
    std::fs::write(mine.at("tasks/both.toml"), format!("{head}{}{}", part("here"), part("gone")))
        .unwrap();
    std::fs::write(mine.at("sources/s.toml"), source).unwrap();
    std::fs::write(mine.at("s/here.csv"), format!("unit,input,output\n{ROWS}")).unwrap();
    let folder = mine.text("");
    let on_both =
        |words: &[&str]| diapason(&[words, &["--suite", &folder, "--data", &folder]].concat());
    let said = |words: &[&str]| String::from_utf8(on_both(words).stdout).unwrap();
    let check = json(&said(&["suite", "check", "--json"]));
    let task = &check[0];
    assert_eq!((&task["status"], &task["episodes"]), (&"ready".into(), &2.into()));
    assert_eq!(task["missing"], serde_json::json!([{"file": "s/gone.csv", "where": "the office"}]));
    let text = said(&["suite", "check"]);
    assert!(text.contains("2 episodes, without\n           s/gone.csv"), "{text}");
    let build = on_both(&["suite", "build", "--out", &mine.text("episodes")]);
    let noted = String::from_utf8(build.stderr).unwrap();
    assert!(noted.contains("note: `both` is built without s/gone.csv"), "{noted}");
    let listed = json(&stdout(&["suite", "ls", "--suite", &folder, "--json"]));
    assert_eq!(listed[0]["output_type"], "free-text");
    // Without any of its files it cannot be built.
    std::fs::remove_file(mine.at("s/here.csv")).unwrap();
    let check = json(&said(&["suite", "check", "--json"]));
    assert_eq!(check[0]["status"], "missing");
    assert_eq!(check[0]["missing"].as_array().unwrap().len(), 2);
}

#[test]
fn a_build_keeps_what_an_interrupted_one_has_finished() {
    let mine = Mine::new();
    for name in ["one", "two", "three"] {
        mine.task(name, "train", ROWS);
    }
    mine.task("gone", "train", ROWS);
    std::fs::remove_file(mine.at("gone.csv")).unwrap();
    let (suite, out) = (mine.text(""), mine.text("episodes"));
    let build = || diapason(&["suite", "build", "--suite", &suite, "--out", &out]);
    let first = build();
    let said = String::from_utf8(first.stderr).unwrap();
    assert!(first.status.success(), "{said}");
    assert!(said.contains("note: `gone` is left out") && said.contains("6 episodes in"), "{said}");
    let content = |name: &str| std::fs::read(Path::new(&out).join(name)).unwrap();
    let (one, two) = (content("one.jsonl"), content("two.jsonl"));
    // As if the machine had gone off before the last task.
    let stamp = Path::new(&out).join("stamp.json");
    std::fs::rename(&stamp, Path::new(&out).join("begun.json")).unwrap();
    std::fs::remove_file(Path::new(&out).join("two.jsonl")).unwrap();
    let said = String::from_utf8(build().stderr).unwrap();
    assert_eq!(said.matches("was built before, kept").count(), 2, "{said}");
    assert!(stamp.exists() && content("one.jsonl") == one && content("two.jsonl") == two);
}

#[test]
fn a_list_a_pattern_and_a_table_of_a_user_are_coverage_tasks() {
    let mine = Mine::new();
    let task = |name: &str, valid: &str| {
        let head = format!(
            "name = '{name}'\ntitle = 't'\nfamily = 'cover'\nkind = 'iid'\nsplit = 'test'\n\
             descriptions = ['A colour.']\nexamples = ['Red', 'Blue', 'Green']\n"
        );
        std::fs::write(mine.at(&format!("{name}.toml")), head + valid).unwrap();
    };
    task("list", "[valid]\nkind = 'list'\nitems = ['Red', 'Blue', 'Green', 'Mauve']\n");
    task("pattern", "[valid]\nkind = 'pattern'\npattern = '[A-Z][a-z]+'\n");
    task("table", "file = 'colours.txt'\n[valid]\nsql = 'select line from colours'\n");
    std::fs::write(mine.at("colours.txt"), "Red\nBlue\nGreen\nTeal\n").unwrap();
    let suite = mine.text("");
    for (name, rule) in [("list", "Mauve"), ("pattern", "[A-Z][a-z]+"), ("table", "Teal")] {
        let shown = stdout(&["suite", "show", name, "--suite", &suite]);
        assert!(shown.contains("3 episodes") && shown.contains(rule), "{shown}");
    }
}

#[test]
fn long_sequences_are_cut_between_draws_and_go_on() {
    let mine = Mine::new();
    let mut rows = String::new();
    for row in 0..60 {
        writeln!(rows, "Ann,day number {row},the dish of that day").unwrap();
    }
    mine.task("long", "train", &rows);
    let text = format!(
        "name = 'r'\n[base.new]\nwidth = 16\nlayers = 1\nheads = 1\nkv_heads = 1\nmlp_width = 16\n\
         vocabulary = 400\ncorpus = {{ documents = 60, lines = 3 }}\n[data]\nsuite = {:?}\n\
         tasks = [{{ task = 'long' }}]\n[train]\nmax_sequence_tokens = 128\n\
         micro_batch_tokens = 128\n[[models]]\nname = 'm'\nloss = 'every-output'\n",
        mine.text("")
    );
    let said = mine.train(&text);
    let line = said.lines().find(|line| line.contains("steer/long")).unwrap();
    let count = |what: &str| -> u64 {
        let before = line.split(&format!(" {what}")).next().unwrap();
        before.split_whitespace().last().unwrap().parse().unwrap()
    };
    assert!(line.ends_with(", 1 cut"), "{line}");
    assert!(count("sequences") > 5 && count("learned") >= 60, "{line}");
}
