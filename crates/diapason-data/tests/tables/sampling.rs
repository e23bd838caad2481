//! How rows become episodes.

use crate::common::Folder;
use diapason_data::BuildSettings;
use diapason_flow::Episode;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// Rows `u{unit}-{row}` of several units of the same size.
fn folder(units: usize, rows: usize, sampling: &str) -> Folder {
    let mut csv = String::from("unit,output\n");
    for unit in 0..units {
        for row in 0..rows {
            writeln!(csv, "u{unit},u{unit}-{row}").expect("a string takes everything");
        }
    }
    let folder = Folder::new(&csv);
    folder.task(&format!(
        "tables = ['t']\nsql = 'select unit, output from t'\ndescriptions = ['A', 'B']\n\
         [sampling]\n{sampling}\n"
    ));
    folder
}

fn build(folder: &Folder) -> Vec<Episode> {
    folder.build(&BuildSettings::default(), 1).expect("this task builds")
}

fn outputs(episode: &Episode) -> Vec<&str> {
    episode.turns.iter().map(|turn| turn.output.as_str()).collect()
}

#[test]
fn draw_mode_gives_every_unit_fresh_shuffles() {
    let episodes = build(&folder(3, 40, "per_unit = 2\nlength = { fixed = 10 }"));
    assert_eq!(episodes.len(), 6);
    assert!(episodes.iter().all(|episode| episode.turns.len() == 10));
    assert_eq!(episodes[0].unit, "u0");
    assert_eq!(episodes[1].unit, "u0");
    assert_ne!(outputs(&episodes[0]), outputs(&episodes[1]));
    let all = build(&folder(3, 40, ""));
    let distinct: BTreeSet<_> = outputs(&all[0]).into_iter().collect();
    assert_eq!((all.len(), distinct.len()), (3, 40));
}

#[test]
fn chunk_mode_cuts_every_unit_without_overlap() {
    let episodes = build(&folder(2, 25, "mode = 'chunk'\nlength = { fixed = 10 }"));
    let sizes: Vec<usize> = episodes.iter().map(|episode| episode.turns.len()).collect();
    assert_eq!(sizes, [10, 10, 5, 10, 10, 5]);
    let seen: BTreeSet<_> = episodes.iter().flat_map(|episode| outputs(episode)).collect();
    assert_eq!(seen.len(), 50);
    assert!(episodes.iter().all(|episode| {
        outputs(episode).iter().all(|output| output.starts_with(&format!("{}-", episode.unit)))
    }));
}

#[test]
fn permutations_of_a_chunk_hold_the_same_rows_in_other_orders() {
    let sampling = "mode = 'chunk'\nlength = { fixed = 12 }\npermutations = 3";
    let episodes = build(&folder(1, 24, sampling));
    assert_eq!(episodes.len(), 6);
    let rows = |index: usize| outputs(&episodes[index]).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(rows(0), rows(2));
    assert_ne!(outputs(&episodes[0]), outputs(&episodes[1]));
    assert_ne!(rows(0), rows(3));
}

#[test]
fn a_table_without_units_makes_its_chunks_the_units() {
    let folder = folder(1, 24, "mode = 'chunk'\nlength = { fixed = 12 }\npermutations = 2");
    let path = folder.path().join("tasks/one.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("select unit,", "select")).unwrap();
    let units: Vec<String> = build(&folder).into_iter().map(|episode| episode.unit).collect();
    assert_eq!(units, ["chunk 0", "chunk 0", "chunk 1", "chunk 1"]);
}

#[test]
fn lengths_are_geometric_plus_poisson_with_the_given_mean() {
    let episodes = build(&folder(1, 60_000, "mode = 'chunk'\nlength = { geometric_poisson = 20 }"));
    let lengths: Vec<f64> = episodes.iter().map(|episode| episode.turns.len() as f64).collect();
    let count = lengths.len() as f64;
    let mean = lengths.iter().sum::<f64>() / count;
    let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / count;
    // Geometric with mean 10 from 1 on has variance 90, Poisson with mean 10 has 10.
    assert!((mean - 20.0).abs() < 0.7, "{mean}");
    assert!((variance - 100.0).abs() < 15.0, "{variance}");
}

#[test]
fn limits_hold() {
    assert_eq!(build(&folder(9, 4, "max_units = 4")).len(), 4);
    let capped = build(&folder(30, 4, "max_episodes = 5"));
    let units: Vec<&str> = capped.iter().map(|episode| episode.unit.as_str()).collect();
    assert_eq!(units.len(), 5);
    assert_ne!(units, ["u0", "u1", "u2", "u3", "u4"], "the cap takes at random");
    let settings =
        BuildSettings { max_episodes: Some(3), max_turns: Some(2), ..BuildSettings::default() };
    let episodes = folder(9, 4, "min_turns = 3").build(&settings, 1).unwrap();
    assert_eq!(episodes.len(), 3);
    assert!(episodes.iter().all(|episode| episode.turns.len() == 2));
    let error = folder(9, 4, "min_turns = 5").build(&BuildSettings::default(), 1).unwrap_err();
    assert!(error.to_string().contains("yields no episodes"));
}

#[test]
fn descriptions_come_at_their_rate_and_each_wording_occurs() {
    let folder = folder(2000, 2, "");
    let share = |probability: f64| {
        let settings =
            BuildSettings { description_probability: probability, ..BuildSettings::default() };
        let episodes = folder.build(&settings, 1).unwrap();
        let mut counts: HashMap<Option<String>, usize> = HashMap::new();
        for episode in episodes {
            *counts.entry(episode.description).or_default() += 1;
        }
        ["A", "B"].map(|word| counts.get(&Some(word.to_owned())).copied().unwrap_or(0))
    };
    let [a, b] = share(0.8);
    assert!(a.abs_diff(800) < 90 && b.abs_diff(800) < 90, "{a} {b}");
    assert_eq!(share(0.0), [0, 0]);
    assert_eq!(share(1.0).iter().sum::<usize>(), 2000);
}

#[test]
fn a_wording_without_its_variable_is_left_out_for_that_unit() {
    let folder = Folder::new("unit,output,topic\na,1,tea\na,2,tea\nb,1,\nb,2,\n");
    folder.task(
        "tables = ['t']\nsql = 'select unit, output, topic from t'\n\
         descriptions = ['On {topic}.', 'More on {topic}, by {unit}.']",
    );
    let settings = BuildSettings { description_probability: 1.0, ..BuildSettings::default() };
    let episodes = folder.build(&settings, 1).unwrap();
    let words = episodes[0].description.as_deref().unwrap();
    assert!(words == "On tea." || words == "More on tea, by a.", "{words}");
    assert_eq!(episodes[1].description, None);
}

#[test]
fn one_units_episodes_do_not_depend_on_the_others() {
    let few = build(&folder(2, 20, "length = { geometric_poisson = 10 }"));
    let many = build(&folder(6, 20, "length = { geometric_poisson = 10 }"));
    assert_eq!(few, many[..few.len()]);
    let other = folder(2, 20, "length = { geometric_poisson = 10 }")
        .build(&BuildSettings::default(), 2)
        .unwrap();
    assert_ne!(few, other);
}

#[test]
fn several_sqls_make_one_task() {
    let folder = Folder::new("unit,output\na,1\na,2\n");
    folder.task(
        "tables = ['t']\n[[part]]\nname = 'up'\nsql = 'select unit, output from t'\n\
         descriptions = []\n[[part]]\nname = 'all'\nsql = 'select output from t'\n\
         descriptions = []\n",
    );
    let units: Vec<String> = build(&folder).into_iter().map(|episode| episode.unit).collect();
    assert_eq!(units, ["up/a", "all"]);
}

#[test]
fn cover_tasks_ask_in_three_ways_for_what_a_table_lists() {
    let folder = Folder::new("unit,output\na,Red\na,Blue\n");
    folder.write(
        "tasks/one.toml",
        "name = 'one'\ntitle = 't'\nfamily = 'cover'\nkind = 'iid'\nsplit = 'test'\nsource = 's'\n\
         tables = ['t']\ndescriptions = ['A colour.']\nexamples = ['Red', 'Green', 'Blue']\n\
         [valid]\nsql = 'select output from t'\nignore_case = true\n",
    );
    let episodes = build(&folder);
    let shape: Vec<_> = episodes
        .iter()
        .map(|episode| (episode.unit.as_str(), episode.description.is_some(), episode.turns.len()))
        .collect();
    assert_eq!(shape, [("description", true, 0), ("examples", false, 3), ("both", true, 3)]);
    let goal = format!("{:?}", episodes[0].query.as_ref().unwrap().goal);
    assert!(goal.contains(r#"List { items: ["Red", "Blue"], ignore_case: true }"#), "{goal}");
}
