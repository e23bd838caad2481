//! Judges behind endpoints: their questions asked, and draws put into classes by what they say.

use crate::args::{JudgeArgs, SpendingArgs};
use crate::asking::{Asker, Estimate, Form, Open, Place, Read, ledger};
use crate::commands::Session;
use anyhow::{Context as _, bail, ensure};
use diapason_eval::{Asked, Classing, JudgeQuestion, Ruling};
use diapason_flow::{Check, Fingerprint};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;

impl Form for JudgeQuestion {
    fn fingerprint(&self) -> &Fingerprint {
        self.fingerprint()
    }

    fn schema(&self) -> Value {
        self.schema()
    }

    fn answer_tokens(&self) -> u64 {
        self.answer_tokens()
    }

    /// No ruling at all is kept as null.
    fn read(&self, answer: &str) -> Read {
        let ruling = match self.asked() {
            Asked::Better => self.verdict(answer).map(|ruling| json!(ruling)),
            Asked::Score | Asked::Reward => self.score(answer).map(|ruling| json!(ruling)),
            Asked::Valid | Asked::Same => self.yes(answer).map(|ruling| json!(ruling)),
        };
        match ruling {
            Ok(kept) => Read { kept, unusable: 0, correction: None },
            Err(problem) => Read { kept: Value::Null, unusable: 1, correction: Some(problem) },
        }
    }
}

/// The judges that the arguments name, in their order; answers go to `beside` unless the arguments
/// name a file.
pub(crate) fn judges(args: &JudgeArgs, reward: bool, beside: &Path) -> anyhow::Result<Vec<Asker>> {
    if args.judges.is_empty() {
        return Ok(Vec::new());
    }
    let (urls, models, keys) = (&args.judges, &args.models, &args.keys);
    let fits = |count: usize| count == 1 || count == models.len();
    if models.is_empty() || !fits(urls.len()) || !fits(keys.len()) {
        bail!(
            "{} addresses, {} names and {} keys of judges\n\nhint: a `--judge-model NAME` for each `--judge URL`",
            urls.len(),
            models.len(),
            keys.len()
        );
    }
    let ledger = ledger(args.answers.as_deref().unwrap_or(beside))?;
    let mut judges: Vec<Asker> = Vec::new();
    for (index, model) in models.iter().enumerate() {
        ensure!(
            judges.iter().all(|judge| judge.model != *model),
            "two judges are called `{model}`"
        );
        let of = |list: &'_ [String]| list[index.min(list.len() - 1)].clone();
        let place = Place {
            url: &of(urls),
            model,
            key: &of(keys),
            seconds: args.seconds,
            at_once: args.at_once,
            reward,
        };
        judges.push(Asker::new(&place, std::sync::Arc::clone(&ledger))?);
    }
    Ok(judges)
}

/// Counts the questions about some things.
pub(crate) fn estimate<'a>(
    estimate: &mut Estimate,
    judge: &Asker,
    question: &JudgeQuestion,
    about: impl IntoIterator<Item = &'a Value>,
) {
    for about in about {
        let key = judge.key(question, [about.clone()]);
        estimate.add(judge, question, key, || question.messages(about));
    }
}

/// Asks about some things what has not been asked before.
///
/// # Errors
/// Those of the endpoint, and being stopped; answers until then are kept.
pub(crate) fn ask<'a>(
    session: &Session<'_>,
    judge: &Asker,
    question: &JudgeQuestion,
    about: impl IntoIterator<Item = &'a Value>,
) -> anyhow::Result<()> {
    let open = about.into_iter().map(|about| Open {
        key: judge.key(question, [about.clone()]),
        messages: question.messages(about),
    });
    let what = format!("questions to {}", judge.model);
    ensure!(
        judge.ask_all(session, question, open.collect(), &what)?,
        "stopped; the same command resumes"
    );
    session.console.clear();
    Ok(())
}

/// What a judge said about something; `None` where that could not be used.
pub(crate) fn ruling<Said: DeserializeOwned>(
    judge: &Asker,
    question: &JudgeQuestion,
    about: &Value,
) -> anyhow::Result<Option<Ruling<Said>>> {
    let kept = judge.kept(&judge.key(question, [about.clone()]))?;
    let kept = kept.context("a question was not asked")?;
    serde_json::from_value(kept).context("the kept answers are damaged")
}

/// The draws of one prompt.
pub(crate) struct Draws {
    /// What was asked for, in words.
    pub prompt: String,
    /// In the order in which they were drawn.
    pub texts: Vec<String>,
}

/// A judge of draws: which are valid, and which are the same.
pub(crate) struct Panel<'a> {
    /// Draws that it looks at of each prompt.
    pub draws: usize,
    session: &'a Session<'a>,
    judge: Asker,
    spending: &'a SpendingArgs,
    /// What was agreed on so far.
    cost: Cell<f64>,
    valid: JudgeQuestion,
    same: JudgeQuestion,
}

/// What tells the rulings of a panel from those of others, for a stamp.
pub(crate) fn panel_settings(judge: &str, draws: usize) -> Value {
    let [valid, same] = [Asked::Valid, Asked::Same].map(JudgeQuestion::new);
    json!({"model": judge, "draws": draws, "valid": valid.instructions(),
           "same": same.instructions()})
}

impl<'a> Panel<'a> {
    /// A panel of one judge, who looks at `draws` draws of each prompt.
    pub(crate) fn new(
        session: &'a Session<'a>,
        judge: Asker,
        spending: &'a SpendingArgs,
        draws: usize,
    ) -> Self {
        let [valid, same] = [Asked::Valid, Asked::Same].map(JudgeQuestion::new);
        Panel { draws, session, judge, spending, cost: Cell::new(0.0), valid, same }
    }

    /// The same with a question of sameness in the user's words.
    pub(crate) fn asking(self, same: JudgeQuestion) -> Self {
        Panel { same, ..self }
    }

    /// What was asked in this run, in words.
    pub(crate) fn summary(&self) -> String {
        self.judge.summary("without a ruling")
    }

    /// For each draw of each prompt the first draw of its class; `None` for what is not valid.
    ///
    /// # Errors
    /// Those of the endpoint, a cost beyond the budget, and being stopped.
    pub(crate) fn classes(
        &self,
        check: &Check,
        draws: &[Draws],
    ) -> anyhow::Result<Vec<Vec<Option<String>>>> {
        self.agree(check, draws)?;
        let valid = self.valid_draws(check, draws)?;
        let kept = |(draws, valid): (&Draws, &Vec<bool>)| {
            let texts = draws.texts.iter().zip(valid).filter(|(_, valid)| **valid);
            Classing::new(texts.map(|(text, _)| text.clone()).collect())
        };
        let mut classings: Vec<Classing> = draws.iter().zip(&valid).map(kept).collect();
        self.compare(draws, &mut classings)?;
        let name = |(classing, valid): (&Classing, &Vec<bool>)| {
            // The k-th valid draw is the k-th of the classing.
            let mut index = 0..;
            let first = |valid: &bool| {
                let index = valid.then(|| index.next()).flatten()?;
                Some(classing.first_of(index).to_owned())
            };
            valid.iter().map(first).collect()
        };
        Ok(classings.iter().zip(&valid).map(name).collect())
    }

    /// Says what judging these draws takes at most.
    fn agree(&self, check: &Check, draws: &[Draws]) -> anyhow::Result<()> {
        let mut expected = Estimate::default();
        for draws in draws {
            estimate(&mut expected, &self.judge, &self.valid, &validity(check, draws));
            let classing = Classing::new(draws.texts.clone());
            let pairs: Vec<Value> = classing
                .pairs()
                .map(|(one, other)| pair(&draws.prompt, classing.text(one), classing.text(other)))
                .collect();
            estimate(&mut expected, &self.judge, &self.same, &pairs);
        }
        let cost = expected.agree(self.session, self.spending, ("at most ", self.cost.get()))?;
        self.cost.set(cost);
        Ok(())
    }

    /// Whether each draw is valid. What the judge gave no ruling on is not.
    fn valid_draws(&self, check: &Check, draws: &[Draws]) -> anyhow::Result<Vec<Vec<bool>>> {
        let about: Vec<Vec<Value>> = draws.iter().map(|draws| validity(check, draws)).collect();
        ask(self.session, &self.judge, &self.valid, about.iter().flatten())?;
        let mut all = Vec::new();
        for (draws, about) in draws.iter().zip(&about) {
            let mut valid = Vec::new();
            for (index, text) in draws.texts.iter().enumerate() {
                valid.push(match about.get(index) {
                    _ if text.trim().is_empty() => false,
                    None => true,
                    Some(about) => {
                        let ruling = ruling::<bool>(&self.judge, &self.valid, about)?;
                        ruling.is_some_and(|ruling| ruling.said)
                    }
                });
            }
            all.push(valid);
        }
        Ok(all)
    }

    /// Puts draws into classes, all prompts together, round by round. What the judge gave no
    /// ruling on counts as different.
    fn compare(&self, draws: &[Draws], classings: &mut [Classing]) -> anyhow::Result<()> {
        loop {
            let mut round = Vec::new();
            let mut open = false;
            for (prompt, classing) in classings.iter_mut().enumerate() {
                let Some(pairs) = classing.open_class() else { continue };
                open = true;
                round.extend(pairs.into_iter().map(|(first, other)| {
                    let (one, two) = (classing.text(first), classing.text(other));
                    (prompt, other, pair(&draws[prompt].prompt, one, two))
                }));
            }
            if !open {
                return Ok(());
            }
            ask(self.session, &self.judge, &self.same, round.iter().map(|(.., about)| about))?;
            for (prompt, other, about) in &round {
                let ruling = ruling::<bool>(&self.judge, &self.same, about)?;
                if ruling.is_some_and(|ruling| ruling.said) {
                    classings[*prompt].same(*other);
                }
            }
        }
    }
}

fn pair(prompt: &str, first: &str, second: &str) -> Value {
    json!({"prompt": prompt, "first": first, "second": second})
}

/// What is asked about the validity of each draw; nothing where everything is valid.
fn validity(check: &Check, draws: &Draws) -> Vec<Value> {
    let Check::Judged { criterion } = check else { return Vec::new() };
    let about = |text: &String| json!({"criterion": criterion, "prompt": draws.prompt, "answer": text.trim()});
    draws.texts.iter().map(about).collect()
}
