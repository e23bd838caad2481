//! The prompt of `sample` and `score` as an episode.

use crate::args::PromptArgs;
use crate::evaluate::Subject;
use crate::pipeline::template_kind;
use anyhow::ensure;
use diapason_flow::{Episode, Goal, Markers, Query, Turn};
use diapason_model::Device;

/// Loads the model of a prompt.
pub(super) fn subject(args: &PromptArgs, device: &Device) -> anyhow::Result<Subject> {
    let template = args.template.as_deref().map(template_kind).transpose()?;
    Subject::load("model", &args.model, args.adapter.as_deref(), template, device)
}

/// The ids of the prompt that the arguments describe, with `markers` shown for the awaited output.
pub(super) fn prompt(
    args: &PromptArgs,
    markers: &Markers,
    subject: &Subject,
) -> anyhow::Result<Vec<u32>> {
    let (inputs, outputs) = (args.inputs.len(), args.outputs.len());
    ensure!(
        inputs == 0 || inputs == outputs + 1 || inputs == outputs || inputs == 1,
        "{inputs} inputs do not fit {outputs} outputs\n\nhint: give one input for each output and \
         one more as the question, or a single one as the question"
    );
    let question_only = inputs == 1 && outputs != 1;
    let mut episode = Episode::new("prompt", "prompt");
    episode.description.clone_from(&args.description);
    let mut given = args.inputs.iter().cloned();
    for output in &args.outputs {
        let input = if question_only { None } else { given.next() };
        episode.turns.push(Turn { input, output: output.clone(), ..Turn::default() });
    }
    let input = if question_only { args.inputs.first().cloned() } else { given.next() };
    episode.query = Some(Query { input, goal: Goal::Text(String::new()) });
    let marked = subject.tokenizer.template().render_prompt_with(&episode, markers);
    let ids = subject.tokenizer.encode(&marked)?.ids().to_vec();
    ensure!(
        !ids.is_empty(),
        "the prompt is empty\n\nhint: give a description, an input or an example output"
    );
    Ok(ids)
}
