use super::*;
use diapason_flow::Streams;
use rusqlite::types::Value;
use std::io::Write as _;

/// A folder of files and the table that a spec makes of them.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Files(folder)
    }

    fn load(&self, spec: &str) -> Result<Database, DataError> {
        let spec: TableSpec = toml::from_str(spec).unwrap();
        let mut database = Database::open(Streams::new(0), 64 << 20).unwrap();
        database.load("t", &spec, self.0.path())?;
        Ok(database)
    }

    /// Every row as text with `|` between cells.
    fn rows(&self, spec: &str, sql: &str) -> Vec<String> {
        let database = self.load(spec).unwrap();
        let mut statement = database.connection.prepare(sql).unwrap();
        let width = statement.column_count();
        let print = |cell: Value| match cell {
            Value::Null => "NULL".to_owned(),
            Value::Integer(integer) => integer.to_string(),
            Value::Real(real) => format!("{real:?}"),
            Value::Text(text) => text,
            Value::Blob(_) => "BLOB".to_owned(),
        };
        let rows = statement.query_map([], |row| {
            let cells: Vec<String> = (0..width).map(|at| print(row.get(at).unwrap())).collect();
            Ok(cells.join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn error(&self, spec: &str) -> String {
        self.load(spec).err().expect("this table is broken").to_string()
    }
}

#[test]
fn csv_keeps_text_as_it_stands_and_blanks_are_null() {
    let bytes = "\u{feff}id,body,x y\r\n001,\"a,\n\"\"b\"\"\",\r\n2,ü,1.50\r\n".as_bytes();
    let files = Files::new(&[("one/t.csv", bytes)]);
    assert_eq!(
        files.rows("path = '*/t.csv'", "select id, body, \"x y\", file, folder from t"),
        ["001|a,\n\"b\"|NULL|one/t.csv|one", "2|ü|1.50|one/t.csv|one"]
    );
}

#[test]
fn csv_without_header_with_tabs_in_latin_1() {
    let files = Files::new(&[("t.tsv", b"caf\xe9\t1\n")]);
    let spec = "path = 't.tsv'\nheader = false\ncolumns = ['word', 'n']\nencoding = 'latin-1'";
    assert_eq!(files.rows(spec, "select word, n from t"), ["café|1"]);
    let named = "path = 't.tsv'\nheader = false\nencoding = 'latin-1'";
    assert_eq!(files.rows(named, "select column_1 from t"), ["café"]);
    let error = files.error("path = 't.tsv'");
    assert!(error.contains("t.tsv`, row 1, column `1`: byte 4 is not UTF-8"), "{error}");
}

#[test]
fn csv_mistakes_name_file_and_row() {
    let files = Files::new(&[("a.csv", b"x,y\n1,2\n3\n"), ("b.csv", b"x,X\n1,2\n")]);
    let error = files.error("path = 'a.csv'");
    assert!(error.contains("a.csv`, row 3: 1 cells for 2 columns"), "{error}");
    let error = files.error("path = 'b.csv'");
    assert!(error.contains("b.csv`, row 1, column `X`: a second column has this name"), "{error}");
}

#[test]
fn files_with_different_columns_make_one_table() {
    let files = Files::new(&[("a/t.csv", b"x,y\n1,2\n"), ("b/t.csv", b"z,x\n3,4\n")]);
    let sql = "select folder, x, y, z from t";
    assert_eq!(files.rows("path = '*/t.csv'", sql), ["a|1|2|NULL", "b|4|NULL|3"]);
}

#[test]
fn the_first_pattern_that_matches_counts() {
    let files = Files::new(&[("t.csv", b"x\n1\n"), ("t.sample.csv", b"x\n2\n")]);
    let path = |first: &str| format!("path = ['{first}', 't.*.csv']");
    assert_eq!(files.rows(&path("t.csv"), "select x from t"), ["1"]);
    assert_eq!(files.rows(&path("full.csv"), "select x from t"), ["2"]);
}

#[test]
fn json_objects_and_lists_become_rows() {
    let object = br#"{"k1": {"a": 1, "b": [true, null],}, "k2": 2.5,}"#;
    let list = br#"[{"a": "x"}, {"c": false, "d": 18446744073709551615}]"#;
    let files = Files::new(&[("o.json", object), ("l.json", list)]);
    let spec = "path = 'o.json'\ntrailing_commas = true";
    let sql = "select key, a, b, value from t";
    assert_eq!(files.rows(spec, sql), ["k1|1|[true,null]|NULL", "k2|NULL|NULL|2.5"]);
    let sql = "select a, c, d from t";
    assert_eq!(files.rows("path = 'l.json'", sql), ["x|NULL|NULL", "NULL|0|18446744073709551615"]);
    let error = files.error("path = 'o.json'");
    assert!(error.contains("is not JSON: trailing comma at line 1"), "{error}");
}

#[test]
fn json_lines_mistakes_name_the_line() {
    let files = Files::new(&[("t.jsonl", b"{\"a\": 1}\n\n{\"a\": 2}\n{\"a\": \n")]);
    let error = files.error("path = 't.jsonl'");
    assert!(error.contains("t.jsonl`, row 4: EOF"), "{error}");
}

#[test]
fn trailing_commas_inside_texts_stay() {
    let text = r#"{"a": "x, }", "b": [1, 2 , ], "c": "\",]" , }"#;
    let clean = json::without_trailing_commas(text);
    let value: serde_json::Value = serde_json::from_str(&clean).unwrap();
    assert_eq!(value, serde_json::json!({"a": "x, }", "b": [1, 2], "c": "\",]"}));
}

#[test]
fn parquet_rows_are_read_by_way_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut episode = diapason_flow::Episode::new("t", "u 1");
    episode.turns.push(diapason_flow::Turn { output: "o".into(), ..Default::default() });
    crate::write_episodes(&folder.path().join("e.parquet"), &[episode]).unwrap();
    let files = Files(folder);
    let sql = "select unit, json_extract(messages, '$[0].content'), exchangeable, goal from t";
    assert_eq!(files.rows("path = 'e.parquet'", sql), ["u 1|o|1|NULL"]);
    std::fs::write(files.0.path().join("bad.parquet"), b"PAR1").unwrap();
    assert!(files.error("path = 'bad.parquet'").contains("bad.parquet` is not Parquet"));
}

#[test]
fn an_unknown_extension_asks_for_a_format() {
    let files = Files::new(&[("t.dat", b"x\n1\n")]);
    assert!(files.error("path = 't.dat'").contains("set format ="));
    assert_eq!(files.rows("path = 't.dat'\nformat = 'csv'", "select x from t"), ["1"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn bzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, ::zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn compressed_files_are_read_as_what_they_hold() {
    let csv = b"x,y\n1,a\n2,b\n";
    let files = Files::new(&[("t.csv.gz", &gzip(csv)), ("t.csv.bz2", &bzip(csv))]);
    for name in ["t.csv.gz", "t.csv.bz2"] {
        let spec = format!("path = '{name}'");
        assert_eq!(
            files.rows(&spec, "select x, y, file from t where x = '2'"),
            [format!("2|b|{name}")]
        );
    }
}

#[test]
fn members_of_archives_are_files_of_their_own() {
    let members: [(&str, &[u8]); 4] =
        [("d/b.csv", b"x\n3\n"), ("d/", b""), ("d/a.csv", b"x\n1\n2\n"), ("note.txt", b"no")];
    let files = Files::new(&[("t.zip", &zip(&members))]);
    let spec = "path = 't.zip'\nmember = '*.csv'";
    assert_eq!(
        files.rows(spec, "select x, file, folder from t"),
        ["1|t.zip/d/a.csv|d", "2|t.zip/d/a.csv|d", "3|t.zip/d/b.csv|d"]
    );
    let error = files.error("path = 't.zip'\nmember = '*.tsv'");
    assert!(error.contains("t.zip` is not the archive") && error.contains("`*.tsv`"), "{error}");
}

#[test]
fn encrypted_archives_need_the_published_password() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suite/fixtures/gpqa");
    let bytes = std::fs::read(fixtures.join("dataset.zip")).unwrap();
    let files = Files::new(&[("t.zip", &bytes)]);
    let spec = |password: &str| format!("path = 't.zip'\nmember = '*/gpqa_main.csv'\n{password}");
    let sql = "select count(*) > 0 from t where \"Correct Answer\" is not null";
    assert_eq!(files.rows(&spec("password = 'deserted-untie-orchid'"), sql), ["1"]);
    for wrong in ["", "password = 'sesame'"] {
        let error = files.error(&spec(wrong));
        assert!(error.contains("gpqa_main.csv`") && error.contains("set password"), "{error}");
    }
}

#[test]
fn truncated_files_name_themselves() {
    let row = "some words that take some room in the file\n";
    let csv = format!("x\n{}", row.repeat(2000));
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 30].to_vec();
    let files = Files::new(&[
        ("t.zip", &cut(zip(&[("t.csv", csv.as_bytes())]))),
        ("t.csv.gz", &cut(gzip(csv.as_bytes()))),
        ("t.csv.bz2", &cut(bzip(csv.as_bytes()))),
    ]);
    for name in ["t.zip", "t.csv.gz", "t.csv.bz2"] {
        let error = files.error(&format!("path = '{name}'"));
        assert!(error.contains(&format!("{name}` is not")), "{error}");
        assert!(error.contains("fetch it again"), "{error}");
    }
}

#[test]
fn damage_inside_an_archive_names_the_member() {
    let row = "x1,y2,z3\n";
    let mut bytes = zip(&[("t.csv", row.repeat(500).as_bytes())]);
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0xFF;
    let files = Files::new(&[("t.zip", &bytes)]);
    let error = files.error("path = 't.zip'");
    assert!(error.contains("t.zip/t.csv`"), "{error}");
}

#[test]
fn mixed_line_ends_and_marks_do_not_show() {
    let files = Files::new(&[
        ("t.csv", b"\xEF\xBB\xBFa,b\r\n1,2\n3,4\r\n"),
        ("t.txt", b"\xEF\xBB\xBFone\r\ntwo\n\nthree"),
        ("t.jsonl", b"\xEF\xBB\xBF{\"a\": 1}\r\n{\"a\": 2}\n"),
    ]);
    assert_eq!(files.rows("path = 't.csv'", "select a, b from t"), ["1|2", "3|4"]);
    let lines = "path = 't.txt'\nformat = 'lines'";
    assert_eq!(files.rows(lines, "select line from t"), ["one", "two", "", "three"]);
    let text = "path = 't.txt'\nformat = 'text'";
    assert_eq!(files.rows(text, "select text from t"), ["one\r\ntwo\n\nthree"]);
    assert_eq!(files.rows("path = 't.jsonl'", "select a from t"), ["1", "2"]);
}

#[test]
fn quotes_can_be_characters_like_any_other() {
    let files = Files::new(&[("t.tsv", b"a\tb\n\"Oh\tno\n")]);
    let spec = "path = 't.tsv'\nquotes = false";
    assert_eq!(files.rows(spec, "select a, b from t"), ["\"Oh|no"]);
}

#[test]
fn wide_tables_become_one_object_a_row() {
    let files = Files::new(&[("a.csv", b"q1,q2\nx,\n,y\n"), ("b.csv", b"q3\nz\n")]);
    let spec = "path = '*.csv'\nas_object = true";
    assert_eq!(
        files.rows(spec, "select file, cells from t"),
        ["a.csv|{\"q1\":\"x\"}", "a.csv|{\"q2\":\"y\"}", "b.csv|{\"q3\":\"z\"}"]
    );
}

#[test]
fn a_row_that_stands_twice_is_named_with_the_first() {
    let files = Files::new(&[("t.csv", b"id,x\n7,a\n8,b\n7,c\n")]);
    let error = files.error("path = 't.csv'\nunique = ['id']");
    let expected =
        "t.csv`, row 4, column `id`: `7` stands here a second time; first in t.csv, row 2";
    assert!(error.contains(expected), "{error}");
    assert_eq!(files.rows("path = 't.csv'\nunique = ['id', 'x']", "select count(*) from t"), ["3"]);
    let error = files.error("path = 't.csv'\nunique = ['ident']");
    assert!(error.contains("row 2, column `ident`: there is no such column"), "{error}");
}

/// tests/golden/data/raw_files.py wrote these files with pyreadstat, and what it reads in them.
#[test]
fn spss_files_give_what_an_independent_reader_gives() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data");
    let expected = std::fs::read_to_string(golden.join("sav.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    for name in ["plain", "packed", "zipped"] {
        let bytes = std::fs::read(golden.join(format!("{name}.sav"))).unwrap();
        let files = Files::new(&[("t.sav", &bytes)]);
        let sql = "select json_array(id, name, \"Q_long_name\", share, town) from t";
        let rows: Vec<serde_json::Value> = files
            .rows("path = 't.sav'", sql)
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        assert_eq!(serde_json::json!(rows), expected["cases"], "{name}");
        let sql = "select json_array(variable, variable_label, code, label, missing) from t";
        let labels: Vec<serde_json::Value> = files
            .rows("path = 't.sav'\nformat = 'sav-labels'", sql)
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        assert_eq!(serde_json::json!(labels), expected["labels"], "{name}");
        // Behind the cases of a compressed file stands a list of its blocks, which nobody needs.
        let end = if name == "zipped" { 13 + 48 } else { 13 };
        let cut = Files::new(&[("t.sav", &bytes[..bytes.len() - end])]);
        assert!(cut.error("path = 't.sav'").contains("t.sav` is not whole"));
    }
}

/// tests/golden/data/raw_files.py wrote this file too: 20 000 cases in two blocks.
#[test]
fn compressed_blocks_of_spss_files_follow_one_another() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data");
    let bytes = std::fs::read(golden.join("blocks.zsav")).unwrap();
    let files = Files::new(&[("t.zsav", &bytes)]);
    let sql = "select count(*), sum(id), sum(words like 'word ' || id || ' word%'), max(length(words)) from t";
    assert_eq!(files.rows("path = 't.zsav'", sql), ["20000|59997|20000|209"]);
    let half = Files::new(&[("t.zsav", &bytes[..bytes.len() / 2])]);
    assert!(half.error("path = 't.zsav'").contains("t.zsav` is not whole"));
}

/// tests/golden/data/raw_files.py wrote these files with pyarrow, and what it reads in them.
#[test]
fn arrow_files_and_streams_give_what_their_maker_gives() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data");
    let expected = std::fs::read_to_string(golden.join("arrow.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let read = |name: &str| std::fs::read(golden.join(name)).unwrap();
    let (file, stream) = (read("file.feather"), read("stream.arrow"));
    let files = Files::new(&[
        ("t.feather", &file),
        ("t.arrow", &stream),
        ("t.feather.gz", &gzip(&file)),
        ("t.zip", &zip(&[("d/t.arrow", &stream)])),
    ]);
    for name in ["t.feather", "t.arrow", "t.feather.gz", "t.zip"] {
        let sql = "select json_array(id, word, kind, share, truth, list, struct, day, moment, price, big) from t";
        let rows: Vec<serde_json::Value> = files
            .rows(&format!("path = '{name}'"), sql)
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        assert_eq!(serde_json::json!(rows), expected["rows"], "{name}");
    }
    for (name, bytes) in [("t.feather", &file), ("t.arrow", &stream)] {
        for cut in [9, bytes.len() / 2, bytes.len() - 20] {
            let files = Files::new(&[(name, &bytes[..cut])]);
            let error = files.error(&format!("path = '{name}'"));
            assert!(error.contains(&format!("{name}` is not Arrow")), "{cut}: {error}");
            assert!(error.contains("fetch it again"), "{error}");
        }
    }
    let odd = Files::new(&[("t.arrow", &read("odd.arrow")), ("v1.feather", b"FEA1\0\0\0\0FEA1")]);
    let error = odd.error("path = 't.arrow'");
    assert!(error.contains("t.arrow`, row 1, column `wait`: the type Duration"), "{error}");
    assert!(odd.error("path = 'v1.feather'").contains("first version of Feather"));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let files = Files::new(&[("t", &bytes)]);
        for format in ["csv", "tsv", "json", "jsonl", "lines", "text", "parquet", "arrow", "sav", "sav-labels"] {
            let _ = files.load(&format!("path = 't'\nformat = '{format}'\ntrailing_commas = true"));
        }
    }
}
