//! Pairwise judging: every pair in both orders, by one judge or several.

use super::answers::{Answers, Pair, pairs as matched};
use super::by::By;
use super::{Found, Session, finish, kept_answers, open, percent, question, told};
use crate::args::PairsArgs;
use crate::asking::{Asker, Estimate};
use crate::judging::{ask, estimate, judges, ruling};
use anyhow::ensure;
use diapason_eval::{Agreement, Asked, Duel, JudgeQuestion, Ruling, Verdict, agreement, win_rates};
use diapason_flow::Streams;
use serde_json::{Map, Value, json};

/// Verdicts on one pair: with the model's answer first, and with the opponent's.
type Both = [Option<Ruling<Verdict>>; 2];

/// Runs `judge pairs`.
pub(super) fn pairs(session: &Session<'_>, args: &PairsArgs) -> anyhow::Result<()> {
    let (by, marker) = (By::of(&args.by)?, args.by.by.as_deref());
    let model = Answers::read(&args.model, None, marker)?;
    let opponent = Answers::read(&args.opponent, None, marker)?;
    let pairs = matched(&model, &opponent)?;
    let question = question(Asked::Better, &args.out)?;
    ensure!(
        !args.judges.judges.is_empty(),
        "nobody judges\n\nhint: `--judge URL --judge-model NAME` asks a language model; `judge scores` compares scores that the rows have"
    );
    let mut settings = json!({
        "model": told(&model), "opponent": told(&opponent), "judges": args.judges.models,
        "instructions": question.instructions(), "question": question.fingerprint(),
    });
    if let Some(by) = &by {
        settings["by"] = by.settings();
    }
    let Some(artifact) = open(session, &args.out, "duels", settings)? else { return Ok(()) };
    let judges = judges(&args.judges, false, &kept_answers(&args.out))?;
    let about: Vec<Value> = pairs.iter().filter(|pair| !is_equal(pair)).flat_map(shown).collect();
    let mut expected = Estimate::default();
    for judge in &judges {
        estimate(&mut expected, judge, &question, &about);
    }
    expected.agree(session, &args.judges.spending, ("", 0.0))?;
    for judge in &judges {
        ask(session, judge, &question, &about)?;
        session.console.say(&judge.summary("without a verdict"));
    }
    let names = [model.name.as_str(), opponent.name.as_str()];
    let found = found((&judges, &question), &pairs, names, by.as_ref(), args.out.seed)?;
    finish(session, &args.out, artifact, found)
}

/// Equal answers are as good as one another: nobody has to be asked.
fn is_equal(pair: &Pair<'_>) -> bool {
    pair.model.answer == pair.opponent.answer
}

/// A pair in both orders, as a judge sees it.
fn shown(pair: &Pair<'_>) -> [Value; 2] {
    let sides = [&pair.model.answer, &pair.opponent.answer];
    [[0, 1], [1, 0]].map(|[first, second]| {
        json!({"prompt": pair.model.prompt, "first": sides[first], "second": sides[second]})
    })
}

/// All figures of all judges.
fn found(
    (judges, question): (&[Asker], &JudgeQuestion),
    pairs: &[Pair<'_>],
    [model, opponent]: [&str; 2],
    by: Option<&By>,
    seed: u64,
) -> anyhow::Result<Found> {
    let streams = Streams::new(seed).within("pairs");
    let (mut rulings, mut figures, mut told) = (Vec::new(), Map::new(), Map::new());
    let mut lines = vec![format!("{model} against {opponent}, {} pairs", pairs.len())];
    let mut verdicts = Vec::new();
    for judge in judges {
        let both = pairs.iter().map(|pair| verdict(judge, question, pair));
        let both = both.collect::<anyhow::Result<Vec<Both>>>()?;
        rulings.extend(pairs.iter().zip(&both).map(|(pair, both)| row(&judge.model, pair, both)));
        let summary = Summary::new(pairs, &both);
        let task = format!("levers/pairwise/{}", judge.model);
        let rates = win_rates(&summary.duels, &streams);
        let Some(rates) = rates else {
            lines.push(format!("{}: no verdict that can be used", judge.model));
            verdicts.push(both);
            continue;
        };
        lines.push(format!(
            "{}: win rate {}, at equal length {}; {}",
            judge.model,
            percent(&rates.win_rate),
            percent(&rates.at_equal_length),
            summary.words(rates.consistent_share)
        ));
        figures.insert(
            task,
            json!({"win_rate": rates.win_rate,
                   "win_rate_at_equal_length": rates.at_equal_length}),
        );
        let mut about = summary.json(rates.consistent_share);
        if let Some(by) = by {
            let (more, groups) = by.told(pairs, &summary.duels, &streams);
            lines.extend(more);
            about["by"] = groups;
        }
        told.insert(judge.model.clone(), about);
        verdicts.push(both);
    }
    let agreements = agreements(judges, pairs, &verdicts);
    lines.extend(agreements.iter().map(|(judges, agreement)| agree(*judges, agreement)));
    let agreements: Vec<Value> = agreements
        .iter()
        .map(|(judges, agreement)| {
            json!({"judges": judges, "share": agreement.share, "kappa": agreement.kappa,
                   "n": agreement.n})
        })
        .collect();
    let results = json!({"model": model, "opponent": opponent, "results": {model: figures},
                         "judges": told, "agreement": agreements});
    Ok(Found { file: "verdicts.jsonl", rulings, results, lines })
}

fn verdict(judge: &Asker, question: &JudgeQuestion, pair: &Pair<'_>) -> anyhow::Result<Both> {
    if is_equal(pair) {
        let tie = Ruling { said: Verdict::Tie, reason: Some("the answers are equal".to_owned()) };
        return Ok([Some(tie.clone()), Some(tie)]);
    }
    let [one, other] = shown(pair);
    Ok([ruling(judge, question, &one)?, ruling(judge, question, &other)?])
}

/// One line of the file of verdicts.
fn row(judge: &str, pair: &Pair<'_>, both: &Both) -> Value {
    json!({"judge": judge, "unit": pair.unit, "prompt": pair.model.prompt,
           "model": pair.model.answer, "opponent": pair.opponent.answer,
           "model_first": both[0], "opponent_first": both[1],
           "won": duel(pair, both).map(|duel| duel.won())})
}

/// A pair that was judged in both orders.
fn duel(pair: &Pair<'_>, both: &Both) -> Option<Duel> {
    let [Some(model_first), Some(opponent_first)] = both else { return None };
    let length = |text: &str| text.chars().count() as f64;
    Some(Duel {
        unit: pair.unit.clone(),
        model_first: model_first.said,
        opponent_first: opponent_first.said,
        longer: length(&pair.model.answer) - length(&pair.opponent.answer),
    })
}

/// The duels of one judge, counted.
struct Summary {
    duels: Vec<Duel>,
    /// Pairs without a verdict in one of the orders: they count nowhere.
    lost: usize,
}

impl Summary {
    fn new(pairs: &[Pair<'_>], both: &[Both]) -> Self {
        let duels: Vec<Duel> =
            pairs.iter().zip(both).filter_map(|(pair, both)| duel(pair, both)).collect();
        Summary { lost: pairs.len() - duels.len(), duels }
    }

    /// Duels won, tied and lost.
    fn counts(&self) -> [usize; 3] {
        let count = |of: fn(f64) -> bool| self.duels.iter().filter(|duel| of(duel.won())).count();
        [count(|won| won > 0.5), count(|won| won == 0.5), count(|won| won < 0.5)]
    }

    fn words(&self, consistent: f64) -> String {
        let [won, tied, lost] = self.counts();
        let without = match self.lost {
            0 => String::new(),
            lost => format!("; {lost} pairs without a verdict are left out"),
        };
        let share = 100.0 * consistent;
        format!(
            "{won} won, {tied} tied, {lost} lost; {share:.1} % the same in both orders{without}"
        )
    }

    fn json(&self, consistent: f64) -> Value {
        let [won, tied, lost] = self.counts();
        json!({"won": won, "tied": tied, "lost": lost, "consistent_share": consistent,
               "without_verdict": self.lost})
    }
}

/// An agreement in words.
fn agree([one, other]: [&str; 2], agreement: &Agreement) -> String {
    let kappa = agreement.kappa.map_or("none".to_owned(), |kappa| format!("{kappa:.2}"));
    let (share, n) = (100.0 * agreement.share, agreement.n);
    format!("{one} and {other} agree on {share:.1} % of {n} verdicts, kappa {kappa}")
}

/// How far every two judges agree, on the verdicts that both gave; nobody was asked about answers
/// that are equal.
fn agreements<'a>(
    judges: &'a [Asker],
    pairs: &[Pair<'_>],
    verdicts: &[Vec<Both>],
) -> Vec<([&'a str; 2], Agreement)> {
    let mut found = Vec::new();
    for (other, both) in verdicts.iter().enumerate() {
        for (one, before) in verdicts[..other].iter().enumerate() {
            let asked = pairs.iter().zip(before.iter().zip(both));
            let asked = asked.filter(|(pair, _)| !is_equal(pair));
            let shared = asked.flat_map(|(_, (a, b))| a.iter().zip(b));
            let shared = shared.filter_map(|(a, b)| Some((a.as_ref()?.said, b.as_ref()?.said)));
            let (a, b): (Vec<Verdict>, Vec<Verdict>) = shared.unzip();
            let names = [judges[one].model.as_str(), judges[other].model.as_str()];
            found.extend(agreement(&a, &b).map(|agreement| (names, agreement)));
        }
    }
    found
}
