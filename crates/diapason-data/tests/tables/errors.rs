//! One clear message a mistake: what, where, and a hint.

use crate::common::Folder;
use diapason_data::{BuildSettings, Status, Suite};

const CSV: &str = "who,what,topic\nAnn,a,x\nAnn,b,x\nBob,c,y\nBob,d,z\n";

/// The error of a task with these lines; its own lines begin at line 7 of the file.
fn error(lines: &str) -> String {
    let folder = Folder::new(CSV);
    folder.task(lines);
    let error = folder.build(&BuildSettings::default(), 1).expect_err("this task is broken");
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn mistakes_in_task_files() {
    let cases = [
        (
            "tables = ['t']\nsql = 'select 1 as output'\ndescriptons = ['d']",
            "tasks/one.toml:9: unknown field `descriptons`",
            "did you mean `descriptions`?",
        ),
        ("tables = ['tt']\nsql = ''", "tasks/one.toml:7: unknown table `tt`", "did you mean `t`?"),
        ("process = 'urm'\nepisodes = 3", "tasks/one.toml:7: unknown process `urm`", "`urn`?"),
        ("process = 'urn'", "tasks/one.toml:7: a process never ends by itself", "episodes = 500"),
        ("title2 = ''", "tasks/one.toml:7: unknown field `title2`", "did you mean `title`?"),
        ("tables = ['t']", "tasks/one.toml:1: nothing says where the rows come from", "give one"),
        (
            "process = 'urn'\nsql = 'select 1'",
            "tasks/one.toml:1: sql and process exclude one another",
            "give one",
        ),
        ("sql = 'select 1", "tasks/one.toml:7: invalid", ""),
        (
            "sql = 'select 1'\n[sampling]\nmode = 'draws'",
            "tasks/one.toml:9: unknown variant `draws`",
            "did you mean `draw`?",
        ),
        (
            "sql = 'select 1'\ndescriptions = [\n'fine',\n'{open']",
            "tasks/one.toml:10: unbalanced brace",
            "write {{",
        ),
    ];
    for (lines, problem, hint) in cases {
        let error = error(lines);
        assert!(error.contains(problem) && error.contains(hint), "{lines}\n→ {error}");
    }
}

#[test]
fn mistakes_in_sql() {
    let sql = |sql: &str| format!("tables = ['t']\nsql = \"\"\"\n{sql}\"\"\"");
    let cases = [
        (
            sql("select who as unit,\n  wat as output\nfrom t"),
            "tasks/one.toml:10: SQL: no such column: wat",
        ),
        (sql("select who\nfrom t"), "tasks/one.toml:9: the SQL gives no column `output`"),
        (sql("delete from t"), "tasks/one.toml:9: the SQL gives no rows"),
        (sql("delete from t returning who as output"), "the SQL gives no rows"),
        (sql("attach 'other.db' as other"), "the SQL gives no rows"),
        (
            sql("select nullif(what, 'c') as output from t"),
            "row 3 of the SQL, column `output`: there is no value",
        ),
        (
            sql("select nullif(who, 'Bob') as unit, what as output from t"),
            "`s/t.csv`, row 4, column `unit`: there is no value",
        ),
        (sql("select random() as output from t"), "random() has no seed"),
        (sql("select python_literal('[1') as output from t"), "python_literal: character 3"),
        (
            sql("select who as unit, what as output, topic from t")
                + "\ndescriptions = ['{topik}']",
            "tasks/one.toml:10: unknown variable `topik`\n\nhint: did you mean `topic`?",
        ),
        (
            sql("select who as unit, what as output, topic from t")
                + "\ndescriptions = ['{topic}']",
            "`s/t.csv`, row 5, column `topic`: a description uses it, and unit `Bob` has another value",
        ),
        (sql("select what as output from t where who = 'Cleo'"), "task `one` yields no episodes"),
    ];
    for (lines, problem) in cases {
        let error = error(&lines);
        assert!(error.contains(problem), "{lines}\n→ {error}");
    }
}

#[test]
fn distributions_that_are_none() {
    let folder = Folder::new(CSV);
    let cases = [
        (
            "'[\"a\", \"b\"]' as options, '[0.5, 0.4]' as probs",
            "row 1 of the SQL, column `probs`: probabilities that sum to 0.9, not 1",
        ),
        (
            "'[\"a\", \"b\"]' as options, '[1]' as probs",
            "column `probs`: 1 probabilities for 2 options",
        ),
        (
            "'[\"a\", \"b\"]' as options, '[0, 0]' as weights",
            "column `weights`: probabilities that sum to 0, not 1",
        ),
        ("'[\"a\", \"b\"]' as options, '[2, -1]' as probs", "negative probability -1"),
        (
            "'[\"a\", \"b\"]' as options, '[NaN, 1]' as probs",
            "column `probs`: no JSON list of numbers",
        ),
        ("'[\"a\", \"b\"]' as options, '[null, 1]' as probs", "`probs`: no JSON list of numbers"),
        ("'a, b' as options, '[1]' as probs", "column `options`: no JSON list of texts"),
        ("'[\"a\"]' as options", "gives no column `probs`"),
    ];
    for (columns, problem) in cases {
        let task = format!(
            "name = 'one'\ntitle = 't'\nfamily = 'align'\nkind = 'iid'\nsplit = 'test'\n\
             source = 's'\nsql = \"\"\"\nselect {columns}\"\"\"\n"
        );
        folder.write("tasks/one.toml", &task);
        let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
        assert!(error.contains("one.toml:8: ") && error.contains(problem), "{columns}\n→ {error}");
    }
}

#[test]
fn mistakes_between_files() {
    let folder = Folder::new(CSV);
    folder.task("sql = 'select 1 as output'");
    let text = std::fs::read_to_string(folder.path().join("tasks/one.toml")).unwrap();
    folder.write("tasks/two.toml", &text);
    let error = Suite::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("two.toml:1: a second task is called `one`"), "{error}");
    folder.write("tasks/two.toml", &text.replace("'one'", "'two'").replace("'s'", "'polls'"));
    let error = Suite::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("two.toml:6: unknown source `polls`"), "{error}");
    assert!(error.contains("did you mean `polis`?"), "embedded sources are known too: {error}");
}

#[test]
fn missing_files_and_unknown_names() {
    let suite = Suite::embedded().unwrap();
    let error = suite.matching("polis_voet").unwrap_err().to_string();
    assert!(error.contains("no task matches `polis_voet`") && error.contains("`polis_vote`?"));
    let task = suite.matching("polis_vote").unwrap()[0];
    let streams = diapason_flow::Streams::new(1);
    let error = suite.build(task, None, &BuildSettings::default(), &streams).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("task `polis_vote` lacks `polis/*/comments.csv`"), "{error}");
    assert!(error.contains("https://github.com/compdemocracy/openData"), "{error}");
}

#[test]
fn a_short_record_names_its_file_and_row() {
    let folder = Folder::new("who,what\nAnn,a\nBob\n");
    folder.task("tables = ['t']\nsql = 'select what as output from t'");
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("t.csv`, row 3: 1 cells for 2 columns"), "{error}");
}

/// The error of a build from this table by SQL that expects who and what.
fn error_of_table(csv: &[u8], source: &str) -> String {
    let folder = Folder::new("");
    std::fs::write(folder.path().join("s/t.csv"), csv).expect("the folder is ours");
    folder.write(
        "sources/s.toml",
        &format!(
            "title = 'S'\ncitation = 'c'\nlicence = 'CC0'\nlocator = 'here'\naccess = 'auto'\n\
             [tables.t]\npath = 't.csv'\n{source}"
        ),
    );
    folder.task("tables = ['t']\nsql = '''\nselect \"who\" as unit,\n  what as output from t'''");
    let error = folder.build(&BuildSettings::default(), 1).expect_err("this table is broken");
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn mistakes_in_raw_files_name_file_row_and_column() {
    let cases: [(&[u8], &str, &str); 6] = [
        // A header that its makers have changed since, quoted in the SQL or not.
        (b"person,what\nAnn,a\n", "", "tasks/one.toml:9: SQL: no such column: \"who\""),
        (
            b"who,wat\nAnn,a\n",
            "",
            "tasks/one.toml:10: SQL: no such column: what\n\nhint: did you mean `wat`? \
             table `t` (`s/t.csv`, row 1) has `file`, `folder`, `who`, `wat`",
        ),
        (
            b"who,what\nAnn,a\nBj\xF8rn,b\n",
            "",
            "`s/t.csv`, row 3, column `who`: byte 3 is not UTF-8\n\nhint: set encoding = \"latin-1\"",
        ),
        (
            b"who,what\nAnn,a\nBob,b\nAnn,c\n",
            "unique = ['who']",
            "`s/t.csv`, row 4, column `who`: `Ann` stands here a second time; first in t.csv, row 2",
        ),
        (
            b"who,what\nAnn,a\nBob,NaN\n",
            "",
            "`s/t.csv`, row 3, column `what`: `NaN` is a missing value, not a text\n\nhint: mend it \
             there, or leave it out in tasks/one.toml:9, where it is row 2 of the SQL, column `output`",
        ),
        (b"who,what,What\nAnn,a,b\n", "", "`s/t.csv`, row 1, column `What`: a second column"),
    ];
    for (csv, source, problem) in cases {
        let error = error_of_table(csv, source);
        assert!(error.contains(problem), "{}\n→ {error}", String::from_utf8_lossy(csv));
    }
}

#[test]
fn a_prompt_whose_unit_stands_twice_is_named_with_the_first() {
    let folder = Folder::new("id,words\na,one\nb,two\na,three\n");
    folder.write(
        "tasks/one.toml",
        "name = 'one'\ntitle = 't'\nfamily = 'cover'\nkind = 'iid'\nsplit = 'test'\n\
         source = 's'\ntables = ['t']\nsql = 'select id as unit, words as description from t'\n\
         [valid]\nkind = 'judged'\ncriterion = 'a word'\n",
    );
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    let expected = "s/t.csv`, row 4, column `id`: `a` stands here a second time; first in row 1 of";
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("one.toml:8, where it is row 3 of the SQL, column `unit`"), "{error}");
}

#[test]
fn a_truncated_archive_names_itself() {
    let folder = Folder::new("");
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suite/fixtures");
    let archive = std::fs::read(fixtures.join("baby_names/names.zip")).unwrap();
    std::fs::write(folder.path().join("s/t.zip"), &archive[..archive.len() / 2]).unwrap();
    let source = std::fs::read_to_string(folder.path().join("sources/s.toml")).unwrap();
    folder.write("sources/s.toml", &source.replace("t.csv", "t.zip"));
    folder.task("tables = ['t']\nsql = 'select 1 as output from t'");
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("s/t.zip` is not a zip archive that can be read"), "{error}");
    assert!(error.contains("truncated or damaged; fetch it again"), "{error}");
}

#[test]
fn mistakes_in_rows_name_the_file_that_the_sql_reads() {
    let folder = Folder::new("options,probs\n\"[\"\"a\"\",\"\"b\"\"]\",\"[0.5,0.4]\"\n");
    folder.write(
        "tasks/one.toml",
        "name = 'one'\ntitle = 't'\nfamily = 'align'\nkind = 'iid'\nsplit = 'test'\n\
         source = 's'\ntables = ['t']\nsql = 'select options, probs from t'\n",
    );
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    let expected = "s/t.csv`, row 2, column `probs`: probabilities that sum to 0.9, not 1";
    assert!(error.contains(expected), "{error}");
    // What the SQL computes stands in no cell, and no other column says which row it was.
    let text = std::fs::read_to_string(folder.path().join("tasks/one.toml")).unwrap();
    folder
        .write("tasks/one.toml", &text.replace("options, probs", "options, trim(probs) as probs"));
    folder.write("s/t.csv", "options,probs\n\"[\"\"a\"\"]\",[1.5]\n\"[\"\"a\"\"]\",[1.0]\n");
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("row 1 of the SQL, column `probs`: probabilities that sum to 1.5"));
    assert!(error.contains("hint: it reads `") && error.contains("s/t.csv`"), "{error}");
}

#[test]
fn rows_are_found_in_the_file_that_they_came_from() {
    let folder = Folder::new("");
    let source = std::fs::read_to_string(folder.path().join("sources/s.toml")).unwrap();
    folder.write("sources/s.toml", &source.replace("t.csv", "*/t.jsonl"));
    let row = |what: &str| format!("{{\"who\": \"Ann\", \"what\": \"{what}\"}}\n");
    folder.write("s/a/t.jsonl", &(row("one") + &row("two")));
    folder.write("s/b/t.jsonl", &(row("three") + "\n" + &row("NaN")));
    folder.task("tables = ['t']\nsql = 'select who as unit, what as output from t'");
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("s/b/t.jsonl`, row 3, column `what`: `NaN` is"), "{error}");
    // The cell itself is computed; the one beside it tells the row.
    folder.task(
        "tables = ['t']\nsql = \"select what as unit, nullif(what, 'NaN') as output from t\"",
    );
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("s/b/t.jsonl`, row 3, column `output`: there is no value"), "{error}");
}

#[test]
fn a_changed_header_of_one_of_two_tables_is_told_from_the_other() {
    let folder = Folder::new("person,what\nAnn,a\n");
    folder.write("s/u.csv", "who,say\nAnn,b\n");
    let source = std::fs::read_to_string(folder.path().join("sources/s.toml")).unwrap();
    folder.write("sources/s.toml", &format!("{source}[tables.u]\npath = 'u.csv'\n"));
    folder.task("tables = ['t', 'u']\nsql = 'select t.who as unit, what as output from t, u'");
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("no such column: t.who"), "{error}");
    assert!(!error.contains("did you mean `who`"), "{error}");
    assert!(error.contains("s/t.csv`, row 1) has `file`, `folder`, `person`, `what`"), "{error}");
}

#[test]
fn a_tasks_own_file_can_be_described() {
    let folder = Folder::new("");
    let path = folder.path().join("mine/lunch.csv");
    folder.write("mine/lunch.csv", "");
    std::fs::write(&path, b"unit,output\nBj\xF8rn,soup\nAnn,rice\nAnn,fish\nBj\xF8rn,soup\n")
        .unwrap();
    let write = |name: &str, file: &str| {
        folder.write(
            &format!("mine/{name}.toml"),
            &format!(
                "name = '{name}'\ntitle = 't'\nfamily = 'steer'\nkind = 'individual'\n\
                 split = 'train'\nfile = {file}\n"
            ),
        );
    };
    let build = || {
        let suite = Suite::load(&folder.path().join("mine"))?;
        let streams = diapason_flow::Streams::new(1);
        suite.build(suite.matching("lunch")?[0], None, &BuildSettings::default(), &streams)
    };
    write("lunch", "'lunch.csv'");
    let error = build().unwrap_err().to_string();
    assert!(error.contains("lunch.csv`, row 2, column `unit`: byte 3 is not UTF-8"), "{error}");
    write("lunch", "{ path = 'lunch.csv', encoding = 'latin-1' }");
    let units: Vec<String> = build().unwrap().into_iter().map(|episode| episode.unit).collect();
    assert_eq!(units, ["Bj\u{f8}rn", "Ann"]);
    write("lunch", "{ path = 'lunch.csv', encoding = 'latin-1', unique = ['unit', 'output'] }");
    let error = build().unwrap_err().to_string();
    let twice = "row 5, column `unit, output`: `Bj\u{f8}rn, soup` stands here a second time";
    assert!(error.contains(twice), "{error}");
    write("dinner", "'lunch.csv'");
    let error = build().unwrap_err().to_string();
    assert!(
        error.contains("lunch.toml:1: another task describes `lunch.csv` otherwise"),
        "{error}"
    );
}

#[test]
fn a_file_that_ends_too_early_says_after_which_row() {
    let folder = Folder::new("");
    let rows = (0..5000).map(|row| format!("person {},draw {row}", row * 7919 % 5000));
    let lines: Vec<String> = std::iter::once("who,what".to_owned()).chain(rows).collect();
    let csv = lines.join("\n");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, csv.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(folder.path().join("s/t.csv.gz"), &packed[..packed.len() / 2]).unwrap();
    let source = std::fs::read_to_string(folder.path().join("sources/s.toml")).unwrap();
    folder.write("sources/s.toml", &source.replace("t.csv", "t.csv.gz"));
    folder.task("tables = ['t']\nsql = 'select what as output from t'");
    let error = folder.build(&BuildSettings::default(), 1).unwrap_err().to_string();
    assert!(error.contains("s/t.csv.gz` is not whole") && error.contains("whole rows"), "{error}");
}

#[test]
fn a_task_with_its_own_file_needs_no_source() {
    let folder = Folder::new("");
    folder.write("mine/lunch.csv", "unit,input,output\nAnn,Monday,soup\nAnn,Tuesday,rice\n");
    let head = "name = 'lunch'\ntitle = 't'\nfamily = 'steer'\nkind = 'individual'\n\
        split = 'train'\n";
    folder.write("mine/lunch.toml", &format!("{head}file = 'lunch.csv'\n"));
    let build = || {
        let suite = Suite::load(&folder.path().join("mine"))?;
        let task = suite.matching("lunch")?[0];
        let streams = diapason_flow::Streams::new(1);
        suite.build(task, None, &BuildSettings::default(), &streams)
    };
    let episodes = build().unwrap();
    assert_eq!((episodes.len(), episodes[0].turns.len()), (1, 2));
    folder.write("mine/lunch.toml", &format!("{head}file = 'dinner.csv'\n"));
    let error = build().unwrap_err().to_string();
    assert!(
        error.contains("task `lunch` lacks `") && error.contains("mine/dinner.csv`"),
        "{error}"
    );
    folder.write("mine/lunch.toml", &format!("{head}file = 'lunch.csv'\nsource = 's'\n"));
    let error = build().unwrap_err().to_string();
    assert!(error.contains("lunch.toml:6: a task with a file of its own has no source"), "{error}");
    folder.write("mine/lunch.toml", &format!("{head}tables = ['t']\nsql = 'select 1'\n"));
    let error = build().unwrap_err().to_string();
    assert!(error.contains("lunch.toml:1: nothing says whose tables these are"), "{error}");
}

#[test]
fn a_survey_goes_on_past_broken_files() {
    let folder = Folder::new(CSV);
    folder.task("tables = ['t']\nsql = 'select what as output from t'");
    folder.write("tasks/two.toml", "name = 'two'\n");
    folder.write("sources/bad.toml", "title = 'B'\n");
    let text = std::fs::read_to_string(folder.path().join("tasks/one.toml")).unwrap();
    let three = text.replace("'one'", "'three'").replace("'s'", "'bad'");
    folder.write("tasks/three.toml", &three);
    let four = text.replace("'one'", "'four'").replace("what", "wat");
    folder.write("tasks/four.toml", &four);
    let (suite, mistakes) = Suite::survey(folder.path()).unwrap();
    let names: Vec<&str> = mistakes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["sources/bad", "three", "two"]);
    let three = mistakes[1].1.to_string();
    assert!(three.contains("its source `bad` cannot be read"), "{three}");
    let status = |name: &str| suite.check(suite.matching(name).unwrap()[0], Some(folder.path()));
    assert_eq!(status("one"), Status::Ready { episodes: 1, missing: Vec::new() });
    assert!(matches!(status("four"), Status::Broken { error } if error.contains("wat")));
}
