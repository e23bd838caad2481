//! What can be wrong with what is handed to the evaluation.

/// Why an answer cannot be judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A trace that belongs to another sequence.
    #[error(
        "task `{task}`: the trace has {found} tokens, the sequence needs {expected}\n\nhint: trace the whole sequence from token 1"
    )]
    TraceLength {
        /// The task.
        task: String,
        /// Tokens of the sequence after the first.
        expected: usize,
        /// Tokens of the trace.
        found: usize,
    },
    /// A trace whose ids differ from the sequence's.
    #[error("task `{task}`: token {index} is {expected} in the sequence but {found} in the trace")]
    TraceToken {
        /// The task.
        task: String,
        /// Index into the sequence.
        index: usize,
        /// Id in the sequence.
        expected: u32,
        /// Id in the trace.
        found: u32,
    },
    /// A trace without the likeliest tokens.
    #[error(
        "task `{task}`: the trace of token {index} names no alternatives\n\nhint: ask for `top` of at least 1; calibration wants 32"
    )]
    TraceTop {
        /// The task.
        task: String,
        /// Index into the sequence.
        index: usize,
    },
    /// A log-probability that is not a finite number.
    #[error("task `{task}`: the log-probability of token or option {index} is {value}")]
    LogProbability {
        /// The task.
        task: String,
        /// Which token or option.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// A problem in a language whose programs cannot be tested here.
    #[error(
        "`{task}`: programs of this language are not tested\n\nhint: Python, JavaScript, C++ and Java are; the tests of Go and Rust need packages from the network"
    )]
    CodeLanguage {
        /// The name of the problem.
        task: String,
    },
    /// An episode that asks for something else.
    #[error("task `{task}`: the episode of unit `{unit}` has no options to choose from")]
    NoChoices {
        /// The task.
        task: String,
        /// The unit.
        unit: String,
    },
    /// Options, target probabilities and scores of different lengths, or none at all.
    #[error("task `{task}`: {options} options, {probs} probabilities and {scores} scores")]
    OptionCount {
        /// The task.
        task: String,
        /// Number of options.
        options: usize,
        /// Number of target probabilities.
        probs: usize,
        /// Number of scores.
        scores: usize,
    },
    /// A target that is no distribution.
    #[error("task `{task}`: the target probabilities sum to {sum}, or one is negative")]
    Target {
        /// The task.
        task: String,
        /// Their sum.
        sum: f64,
    },
    /// A pattern that does not compile.
    #[error("the pattern `{pattern}` is not a regular expression: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An integer check that nothing can pass.
    #[error("no integer lies in {min}..={max}")]
    Range {
        /// Smallest valid value.
        min: u64,
        /// Largest valid value.
        max: u64,
    },
    /// A criterion that no rule decides.
    #[error(
        "only a judge can say what is valid by \"{criterion}\"\n\nhint: `--judge URL --judge-model NAME` asks a language model"
    )]
    NeedsJudge {
        /// The criterion.
        criterion: String,
    },
    /// A figure that JSON cannot hold.
    #[error("`{place}` is {value}: a report holds finite numbers only")]
    NotFinite {
        /// Where in the report.
        place: String,
        /// What stands there.
        value: f64,
    },
    /// A report that cannot be written or read as JSON.
    #[error("report data: {problem}")]
    Json {
        /// What is wrong.
        problem: String,
    },
}
