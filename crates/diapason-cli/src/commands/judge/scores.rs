//! Scores of answers, and who has the higher one: the quality lever is `quality` fixed against
//! inferred.

use super::answers::{Answered, Answers, Pair, pairs};
use super::by::By;
use super::{Found, Session, finish, kept_answers, mean, open, percent, question, told};
use crate::args::ScoresArgs;
use crate::asking::{Asker, Estimate};
use crate::judging::{ask, estimate, judges, ruling};
use diapason_eval::{
    Asked, Duel, JudgeQuestion, Ruling, Tally, Units, Verdict, compare_units, win_rates,
};
use diapason_flow::Streams;
use serde_json::{Map, Value, json};

/// Runs `judge scores`.
pub(super) fn scores(session: &Session<'_>, args: &ScoresArgs) -> anyhow::Result<()> {
    let column = args.judges.judges.is_empty().then_some(args.score_column.as_str());
    let (by, marker) = (By::of(&args.by)?, args.by.by.as_deref());
    let mut files = vec![Answers::read(&args.model, column, marker)?];
    if let Some(opponent) = &args.opponent {
        files.push(Answers::read(opponent, column, marker)?);
        // Told before anything is paid.
        pairs(&files[0], &files[1])?;
    }
    let asked = if args.reward { Asked::Reward } else { Asked::Score };
    let question = question(asked, &args.out)?;
    let mut settings =
        json!({"files": files.iter().map(told).collect::<Vec<_>>(), "column": column});
    if column.is_none() {
        settings["judges"] = json!(args.judges.models);
        settings["reward"] = args.reward.into();
        settings["instructions"] = question.instructions().into();
        settings["question"] = json!(question.fingerprint());
    }
    if let Some(by) = &by {
        settings["by"] = by.settings();
    }
    let Some(artifact) = open(session, &args.out, "scores", settings)? else { return Ok(()) };
    let judges = judges(&args.judges, args.reward, &kept_answers(&args.out))?;
    let all: Vec<Value> = files.iter().flat_map(|file| &file.rows).map(shown).collect();
    let mut expected = Estimate::default();
    for judge in &judges {
        estimate(&mut expected, judge, &question, &all);
    }
    if column.is_none() {
        expected.agree(session, &args.judges.spending, ("", 0.0))?;
    }
    let streams = Streams::new(args.out.seed).within("scores");
    let mut scores = Scores { by, ..Scores::default() };
    if let Some(column) = column {
        scores.add(column, &files, &streams)?;
    }
    for judge in &judges {
        ask(session, judge, &question, &all)?;
        session.console.say(&judge.summary("without a score"));
        let scored = files.iter().map(|file| scored(judge, &question, file));
        scores.add(&judge.model, &scored.collect::<anyhow::Result<Vec<_>>>()?, &streams)?;
    }
    let results = json!({"results": scores.figures, "scores": scores.told});
    let found =
        Found { file: "scores.jsonl", rulings: scores.rulings, results, lines: scores.lines };
    finish(session, &args.out, artifact, found)
}

/// An answer as a judge sees it.
fn shown(row: &Answered) -> Value {
    json!({"prompt": row.prompt, "answer": row.answer})
}

/// The same answers with the scores of a judge.
fn scored(judge: &Asker, question: &JudgeQuestion, file: &Answers) -> anyhow::Result<Answers> {
    let mut file = file.clone();
    for row in &mut file.rows {
        let ruling: Option<Ruling<f64>> = ruling(judge, question, &shown(row))?;
        row.score = ruling.map(|ruling| ruling.said);
    }
    Ok(file)
}

/// What is found, score by score.
#[derive(Default)]
struct Scores {
    /// By what prompts are told apart.
    by: Option<By>,
    rulings: Vec<Value>,
    /// Model → task → metric.
    figures: Map<String, Value>,
    told: Map<String, Value>,
    lines: Vec<String>,
}

impl Scores {
    /// The figures of one kind of score of one file, or two.
    fn add(&mut self, by: &str, files: &[Answers], streams: &Streams) -> anyhow::Result<()> {
        let task = format!("levers/scores/{by}");
        let mut told = Map::new();
        for file in files {
            let scored = file.rows.iter().filter(|row| row.score.is_some()).count();
            told.insert(file.name.clone(), json!({"scored": scored, "of": file.rows.len()}));
            if let Some(found) = diapason_eval::estimate(&units(file), streams) {
                let of = format!("{scored} of {} answers scored", file.rows.len());
                self.lines.push(format!("{by}: {} has {}; {of}", file.name, mean(&found)));
                let figures = self.figures.entry(file.name.clone()).or_insert_with(|| json!({}));
                figures[&task] = json!({"score": found});
            }
            self.rulings.extend(file.units().into_iter().zip(&file.rows).map(|(unit, row)| {
                json!({"by": by, "model": file.name, "unit": unit, "prompt": row.prompt,
                       "completion": row.answer, "score": row.score})
            }));
        }
        if let [model, opponent] = files {
            let pairs = pairs(model, opponent)?;
            let duels: Vec<Duel> = pairs.iter().filter_map(duel).collect();
            if let Some(rates) = win_rates(&duels, streams) {
                self.lines.push(format!(
                    "{by}: {} against {}, {} pairs: win rate {}, at equal length {}",
                    model.name,
                    opponent.name,
                    duels.len(),
                    percent(&rates.win_rate),
                    percent(&rates.at_equal_length)
                ));
                if let Some(groups) = &self.by {
                    let (more, groups) = groups.told(&pairs, &duels, streams);
                    self.lines.extend(more);
                    told.insert("by".to_owned(), groups);
                }
                let figures = &mut self.figures[&model.name][&task];
                figures["win_rate"] = json!(rates.win_rate);
                figures["win_rate_at_equal_length"] = json!(rates.at_equal_length);
            }
            if let Some(found) = compare_units(&units(model), &units(opponent), 1.0, streams) {
                let [low, high] = found.ci95;
                let (gain, p) = (found.difference, found.p);
                self.lines.push(format!(
                    "{by}: {} scores {gain:+.2} [{low:+.2}, {high:+.2}] beside {}, p {p:.3}",
                    model.name, opponent.name
                ));
                told.insert("difference".to_owned(), json!(found));
            }
        }
        self.told.insert(by.to_owned(), told.into());
        Ok(())
    }
}

/// Scores by prompt.
fn units(file: &Answers) -> Units {
    let mut units = Units::new();
    for (unit, row) in file.units().into_iter().zip(&file.rows) {
        let Some(score) = row.score else { continue };
        let tally = units.entry(unit).or_default();
        *tally = tally.plus(Tally { sum: score, count: 1.0 });
    }
    units
}

/// Whose score is higher. A score knows no order, so both orders say the same.
fn duel(pair: &Pair<'_>) -> Option<Duel> {
    let (model, opponent) = (pair.model.score?, pair.opponent.score?);
    let (model_first, opponent_first) = match model.total_cmp(&opponent) {
        std::cmp::Ordering::Greater => (Verdict::First, Verdict::Second),
        std::cmp::Ordering::Less => (Verdict::Second, Verdict::First),
        std::cmp::Ordering::Equal => (Verdict::Tie, Verdict::Tie),
    };
    let length = |text: &str| text.chars().count() as f64;
    let longer = length(&pair.model.answer) - length(&pair.opponent.answer);
    Some(Duel { unit: pair.unit.clone(), model_first, opponent_first, longer })
}
