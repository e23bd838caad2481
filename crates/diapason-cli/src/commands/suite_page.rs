//! `diapason suite ls --markdown`: the page `docs/suite.md`, with every task and an example of it.

use anyhow::Context;
use diapason_data::{BuildSettings, DIFFERS_EVERYWHERE, Family, Suite, Task};
use diapason_flow::{Check, Episode, Goal, Streams};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "\
# The suite

Every task with one example. Made by `cargo xtask generate`; edit the files in `suite/` instead.
Examples come from the rows that we made up in `suite/fixtures`, or from a process; real files
give others. `⏎` is a line break, `→` stands between what is given and what is learned or asked.
";

/// The families in the order of the page, each with what an evaluation asks of it.
const FAMILIES: &[(Family, &str)] = &[
    (Family::Steer, "In-context steering: draws, and further draws to predict"),
    (Family::Align, "Distributional alignment: options with known shares"),
    (Family::Cover, "Coverage: any output that an exact rule calls valid"),
];

/// Most characters of one text in a cell.
const LONGEST_TEXT: usize = 110;

/// The page of a suite whose tables lie in the folder `data`.
pub(super) fn page(suite: &Suite, data: Option<&Path>) -> anyhow::Result<String> {
    let mut page = HEAD.to_owned();
    for (family, what) in FAMILIES {
        let tasks: Vec<&Task> =
            suite.tasks().iter().filter(|task| task.family == *family).collect();
        write!(
            page,
            "\n## {what}\n\n{} tasks.\n\n| task | split | kind | outputs | source | what it is | wording | \
             example |\n|---|---|---|---|---|---|---|---|\n",
            tasks.len()
        )?;
        for task in tasks {
            let [wording, example] = example(suite, task, data)?;
            let facts = [json!(task.split), json!(task.kind), json!(task.output_type)];
            let facts: Vec<&str> = facts.iter().map(|fact| fact.as_str().unwrap_or("")).collect();
            let (name, source, title) = (&task.name, &task.source, cell(&task.title));
            let facts = facts.join(" | ");
            writeln!(page, "| {name} | {facts} | {source} | {title} | {wording} | {example} |")?;
        }
    }
    page +=
        "\n## Sources\n\n| source | what it is | licence | where it lives |\n|---|---|---|---|\n";
    for source in suite.sources() {
        let [title, licence, place] =
            [&source.title, &source.licence, &source.locator].map(|text| cell(text));
        writeln!(page, "| {} | {title} | {licence} | {place} |", source.name)?;
    }
    page += "\n## Otherwise than in the reference\n\nEvery task:\n\n";
    for line in DIFFERS_EVERYWHERE {
        writeln!(page, "- {line}")?;
    }
    page += "\nAnd each by itself:\n\n";
    for task in suite.tasks().iter().filter(|task| !task.differs.is_empty()) {
        writeln!(page, "- **{}**: {}", task.name, task.differs.join("; "))?;
    }
    // Printing adds the last line break.
    Ok(page.trim_end().to_owned())
}

/// A wording of a task, and an example of what follows it.
fn example(suite: &Suite, task: &Task, data: Option<&Path>) -> anyhow::Result<[String; 2]> {
    // A process makes as many episodes as it is asked for; tables give all of theirs anyway.
    let max_episodes = (task.family != Family::Cover).then_some(1);
    let settings =
        BuildSettings { description_probability: 1.0, max_episodes, ..BuildSettings::default() };
    let episodes = suite
        .build(task, data, &settings, &Streams::new(0))
        .with_context(|| format!("no example of {}", task.path()))?;
    let wording = episodes.iter().find_map(|episode| episode.description.as_deref());
    // Of the ways to ask a cover task one shows examples and one does not.
    let episode = episodes.iter().find(|episode| !episode.turns.is_empty()).or(episodes.first());
    let shown = episode.map(shown).unwrap_or_default();
    Ok([wording.map(quoted).unwrap_or_default(), shown])
}

fn shown(episode: &Episode) -> String {
    let Some(query) = &episode.query else {
        return episode.turns.first().map_or(String::new(), |turn| {
            let output = quoted(&turn.output);
            turn.input
                .as_ref()
                .map_or(output.clone(), |input| format!("{} → {output}", quoted(input)))
        });
    };
    match &query.goal {
        Goal::Valid(check) => {
            let turns: Vec<String> =
                episode.turns.iter().map(|turn| quoted(&turn.output)).collect();
            if turns.is_empty() {
                return rule(check);
            }
            format!("{}; {}", turns.join(", "), rule(check))
        }
        Goal::Text(text) => {
            format!("{} → {}", query.input.as_deref().map(quoted).unwrap_or_default(), quoted(text))
        }
        Goal::Choices { options, probs } => {
            let shares = options.iter().zip(probs).take(4);
            let shares: Vec<String> =
                shares.map(|(option, share)| format!("{} {share:.2}", quoted(option))).collect();
            let rest = if options.len() > shares.len() { ", …" } else { "" };
            let input = query.input.as_deref().map(quoted).unwrap_or_default();
            format!("{input} → {}{rest}", shares.join(", "))
        }
    }
}

/// A rule in words.
fn rule(check: &Check) -> String {
    match check {
        Check::List { items, .. } => format!("one of a list of {}", items.len()),
        Check::Pattern { .. } => "a pattern".to_owned(),
        Check::Integer { min, max } => format!("{min} to {max}"),
        Check::Prime { max } => format!("primes up to {max}"),
        Check::Open { .. } => "anything, classes by their words".to_owned(),
        Check::Judged { criterion } => format!("what a judge accepts: {criterion}"),
    }
}

/// A text as code in a cell, cut where it is long.
fn quoted(text: &str) -> String {
    let mut short: String = text.trim().chars().take(LONGEST_TEXT).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    format!("`{}`", cell(&short.replace('`', "'")))
}

/// A text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\r\n", "⏎").replace(['\n', '\r'], "⏎")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_in_its_cell_and_is_cut_between_characters() {
        assert_eq!(quoted(" a|b\r\n`c` "), "`a\\|b⏎'c'`");
        let long = "é".repeat(LONGEST_TEXT + 1);
        assert_eq!(quoted(&long), format!("`{}…`", "é".repeat(LONGEST_TEXT)));
    }

    #[test]
    fn the_page_has_a_row_for_every_task_and_every_source() {
        let suite = Suite::embedded().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suite/fixtures");
        let page = page(&suite, Some(&fixtures)).unwrap();
        let rows = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
        for task in suite.tasks() {
            assert_eq!(rows(&format!("| {} | t", task.name)), 1, "{}", task.name);
        }
        assert!(suite.sources().iter().all(|source| rows(&format!("| {} | ", source.name)) >= 1));
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(
            page.lines()
                .filter(|line| line.starts_with("| "))
                .all(|line| [9, 5].contains(&cells(line)))
        );
    }
}
