//! Constraints of `sample` and forced beginnings, in the ids that the engine knows.

use crate::args::DrawingArgs;
use crate::evaluate::Subject;
use anyhow::{Context as _, bail};
use diapason_flow::{Ask, Constraint, Request};
use diapason_text::TemplateKind;

/// The same requests with what the arguments say about their draws.
pub(super) fn constrained(
    mut requests: Vec<Request>,
    args: &DrawingArgs,
    subject: &Subject,
) -> anyhow::Result<Vec<Request>> {
    let only = constraint(args, subject)?;
    let begin = args.begin.as_deref().map(|text| opening(text, subject)).transpose()?;
    for request in &mut requests {
        if let Ask::Sample(sampling) = &mut request.ask {
            sampling.only.clone_from(&only);
            sampling.begin = begin.clone().unwrap_or_default();
            sampling.bias.clone_from(&args.biases);
            sampling.stop_texts.clone_from(&args.stop_texts);
        }
    }
    Ok(requests)
}

/// Ids of a text that outputs begin with: an output without what ends it.
fn opening(text: &str, subject: &Subject) -> anyhow::Result<Vec<u32>> {
    let mut marked = subject.tokenizer.template().render_output(text);
    while marked.spans.last().is_some_and(|span| span.template) {
        marked.spans.pop();
    }
    Ok(subject.tokenizer.encode(&marked)?.ids().to_vec())
}

fn constraint(args: &DrawingArgs, subject: &Subject) -> anyhow::Result<Option<Constraint>> {
    if !args.choices.is_empty() {
        let ids = args.choices.iter().map(|choice| subject.tokenizer.encode_output(choice));
        return Ok(Some(Constraint::Choices(ids.collect::<Result<_, _>>()?)));
    }
    let constraint = if let Some(pattern) = &args.pattern {
        Constraint::Pattern(pattern.clone())
    } else if let Some(path) = &args.schema {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let schema = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is no JSON", path.display()))?;
        Constraint::Schema(schema)
    } else {
        return Ok(None);
    };
    let kind = subject.tokenizer.template().kind();
    if kind == TemplateKind::Colon {
        bail!(
            "the template `colon` ends outputs with a blank line, which a pattern or schema cannot \
             see\n\nhint: use `--choice`, or a template with a terminator such as `spectrum`"
        );
    }
    Ok(Some(constraint))
}
