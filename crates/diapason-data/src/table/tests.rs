use super::*;
use diapason_flow::Streams;
use rusqlite::types::Value;

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
        let database = Database::open(Streams::new(0)).unwrap();
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
    assert!(files.error("path = 't.tsv'").contains("row 1: byte 3 is not UTF-8"));
}

#[test]
fn csv_mistakes_name_file_and_row() {
    let files = Files::new(&[("a.csv", b"x,y\n1,2\n3\n"), ("b.csv", b"x,X\n1,2\n")]);
    let error = files.error("path = 'a.csv'");
    assert!(error.contains("a.csv`, row 3: 1 cells for 2 columns"), "{error}");
    let error = files.error("path = 'b.csv'");
    assert!(error.contains("b.csv`, row 1: two columns are called `X`"), "{error}");
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

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let files = Files::new(&[("t", &bytes)]);
        for format in ["csv", "tsv", "json", "jsonl", "parquet"] {
            let _ = files.load(&format!("path = 't'\nformat = '{format}'\ntrailing_commas = true"));
        }
    }
}
