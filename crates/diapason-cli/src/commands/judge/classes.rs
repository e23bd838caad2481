//! How many different answers there are among k draws of a prompt: `distinct_k` of NoveltyBench
//! (Zhang et al. 2025, arXiv 2504.05228).

use super::answers::Answers;
use super::{Found, Session, finish, kept_answers, mean, open, question, told};
use crate::args::ClassesArgs;
use crate::judging::{Draws, Panel, judges};
use anyhow::{bail, ensure};
use diapason_eval::{Asked, CoverOutcome, Judge, Tally, Units};
use diapason_flow::{Check, Streams};
use serde_json::{Value, json};

/// Runs `judge classes`.
pub(super) fn classes(session: &Session<'_>, args: &ClassesArgs) -> anyhow::Result<()> {
    let answers = Answers::read(&args.input, None, None)?;
    let wanted = usize::from(args.draws);
    let (units, draws) = draws(&answers, wanted)?;
    let same = question(Asked::Same, &args.out)?;
    let check = Check::Open { similarity: args.similarity };
    let (by, mut settings) = match args.judges.models.first() {
        Some(model) => (
            model.clone(),
            json!({"judge": model, "question": same.fingerprint(),
                                              "instructions": same.instructions()}),
        ),
        None => ("words".to_owned(), json!({"similarity": args.similarity})),
    };
    settings["answers"] = told(&answers);
    settings["draws"] = wanted.into();
    let Some(artifact) = open(session, &args.out, "classes", settings)? else { return Ok(()) };
    let mut judges = judges(&args.judges, false, &kept_answers(&args.out))?;
    ensure!(judges.len() < 2, "two judges are given\n\nhint: classes are those of one judge");
    let classes = match judges.pop() {
        Some(judge) => {
            let panel = Panel::new(session, judge, &args.judges.spending, wanted).asking(same);
            let classes = panel.classes(&check, &draws)?;
            session.console.say(&panel.summary());
            classes
        }
        None => by_words(&check, &draws)?,
    };
    let found = found(&answers.name, (&by, wanted), &units, (&draws, &classes), args.out.seed);
    finish(session, &args.out, artifact, found)
}

/// The first draws of each prompt.
fn draws(answers: &Answers, wanted: usize) -> anyhow::Result<(Vec<String>, Vec<Draws>)> {
    let (mut units, mut all) = (Vec::new(), Vec::new());
    for (unit, rows) in answers.by_prompt() {
        if rows.len() < wanted {
            bail!(
                "`{}`, line {}: {} answers to this prompt, {wanted} are to be compared\n\nhint: `--draws {}`, or draw more",
                answers.path.display(),
                rows[0].line,
                rows.len(),
                rows.len()
            );
        }
        let texts = rows[..wanted].iter().map(|row| row.answer.clone()).collect();
        units.push(unit);
        all.push(Draws { prompt: rows[0].prompt.clone(), texts });
    }
    Ok((units, all))
}

/// Classes by our own clustering.
fn by_words(check: &Check, draws: &[Draws]) -> anyhow::Result<Vec<Vec<Option<String>>>> {
    let judge = Judge::new(check)?;
    let classes = |draws: &Draws| {
        let mut classes = judge.classes();
        draws.texts.iter().map(|text| classes.class(text)).collect()
    };
    Ok(draws.iter().map(classes).collect())
}

fn found(
    model: &str,
    (by, wanted): (&str, usize),
    units: &[String],
    (draws, classes): (&[Draws], &[Vec<Option<String>>]),
    seed: u64,
) -> Found {
    let outcomes: Vec<CoverOutcome> =
        classes.iter().map(|classes| CoverOutcome::of(classes.iter().cloned())).collect();
    let tallies = |of: &dyn Fn(&CoverOutcome) -> Option<f64>| -> Units {
        let tally = |(unit, outcome): (&String, &CoverOutcome)| {
            Some((unit.clone(), Tally { sum: of(outcome)?, count: 1.0 }))
        };
        units.iter().zip(&outcomes).filter_map(tally).collect()
    };
    let streams = Streams::new(seed).within("classes");
    let figure =
        |of: &dyn Fn(&CoverOutcome) -> Option<f64>| diapason_eval::estimate(&tallies(of), &streams);
    let distinct = figure(&|outcome| Some(outcome.distinct() as f64));
    let name = format!("distinct_{wanted}");
    let mut lines = vec![format!("{model}: {} prompts, classes by {by}", units.len())];
    lines.extend(distinct.as_ref().map(|found| format!("{name} {}", mean(found))));
    let figures = json!({name: distinct,
                         "good_turing_coverage": figure(&|o| Some(o.good_turing_coverage())),
                         "unique_share": figure(&|o| Some(o.unique_share()))});
    let rulings = units.iter().zip(draws).zip(classes.iter().zip(&outcomes));
    let rulings: Vec<Value> = rulings
        .map(|((unit, draws), (classes, outcome))| {
            json!({"unit": unit, "prompt": draws.prompt, "distinct": outcome.distinct(),
                   "generations": draws.texts, "partition": numbered(classes)})
        })
        .collect();
    let results = json!({"results": {model: {format!("cover/classes/{by}"): figures}}});
    Found { file: "classes.jsonl", rulings, results, lines }
}

/// Classes as numbers in the order in which they first come; null for no class.
fn numbered(classes: &[Option<String>]) -> Vec<Option<usize>> {
    let mut seen: Vec<&String> = Vec::new();
    let mut numbers = Vec::new();
    for class in classes {
        numbers.push(class.as_ref().map(|class| {
            let known = seen.iter().position(|known| *known == class);
            known.unwrap_or_else(|| {
                seen.push(class);
                seen.len() - 1
            })
        }));
    }
    numbers
}
