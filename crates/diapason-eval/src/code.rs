//! Code: which program tests an answer, and pass@k (HumanEvalPack, arXiv 2308.07124; the estimator
//! of arXiv 2107.03374). Running it is the caller's, in a sandbox.

use crate::error::EvalError;
use diapason_flow::Fingerprint;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A problem as HumanEval and HumanEvalPack publish them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// Such as `Python/0`, `CPP/12` or `HumanEval/3`.
    pub task_id: String,
    /// The beginning of the program, with what it should do.
    pub prompt: String,
    /// The same without comments; HumanEval has none.
    #[serde(default)]
    pub declaration: String,
    /// What follows a right answer and fails otherwise.
    pub test: String,
    /// The function that is tested.
    pub entry_point: String,
    /// A right answer, where it is known.
    #[serde(default)]
    pub canonical_solution: String,
}

/// Languages whose programs can be tested without anything from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    JavaScript,
    Cpp,
    Java,
}

/// A program to run, and how to tell that it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name → content.
    pub files: BTreeMap<String, String>,
    /// Commands in order; every one must succeed.
    pub commands: Vec<Vec<String>>,
    /// What the last command prints at its very end if it came that far.
    mark: Option<String>,
    /// Whether a word of complaint means failure: `console.assert` says so and goes on.
    quiet: bool,
}

impl Program {
    /// Whether a program whose commands succeeded passed, by what the last one printed.
    pub fn passed(&self, stdout: &str, stderr: &str) -> bool {
        let ended = self.mark.as_ref().is_none_or(|mark| stdout.trim_end().ends_with(mark));
        ended && (!self.quiet || stderr.trim().is_empty())
    }
}

impl Problem {
    /// The language by the name of the task, as it is printed: `python`.
    ///
    /// # Errors
    /// As for [`Problem::program`].
    pub fn language(&self) -> Result<&'static str, EvalError> {
        Ok(match self.kind()? {
            Language::Python => "python",
            Language::JavaScript => "javascript",
            Language::Cpp => "cpp",
            Language::Java => "java",
        })
    }

    fn kind(&self) -> Result<Language, EvalError> {
        match self.task_id.split('/').next().unwrap_or_default() {
            "Python" | "HumanEval" => Ok(Language::Python),
            "JavaScript" => Ok(Language::JavaScript),
            "CPP" => Ok(Language::Cpp),
            "Java" => Ok(Language::Java),
            _ => Err(EvalError::CodeLanguage { task: self.task_id.clone() }),
        }
    }

    /// The program that tests an answer: a continuation of the prompt, or a text with the whole
    /// function in it, in a fence or not. A continuation ends where the function does.
    ///
    /// # Errors
    /// [`EvalError::CodeLanguage`] for languages whose tests need packages.
    pub fn program(&self, answer: &str) -> Result<Program, EvalError> {
        let language = self.kind()?;
        let answer = fenced(answer);
        let begun = if self.declaration.is_empty() { &self.prompt } else { &self.declaration };
        let code = if answer.lines().any(|line| self.defines(language, line)) {
            self.whole(language, begun, answer)
        } else {
            format!("{begun}{}", continuation(language, answer))
        };
        let mark = format!("passed {}", Fingerprint::of(code.as_bytes()));
        let test = &self.test;
        Ok(match language {
            Language::Python => {
                // HumanEval leaves the call to whoever runs it.
                let original = self.task_id.starts_with("HumanEval/");
                let call =
                    if original { format!("check({})", self.entry_point) } else { String::new() };
                let text = format!("{PYTHON}{code}\n{test}\n{call}\nprint(\"{mark}\")\n");
                program("main.py", text, &[&["python3", "main.py"]], Some(mark), false)
            }
            Language::JavaScript => {
                let text = format!("{code}\n{test}\nconsole.log(\"{mark}\")\n");
                program("main.js", text, &[&["node", "main.js"]], Some(mark), true)
            }
            Language::Cpp => {
                let compile = ["g++", "-std=c++17", "-w", "-o", "main", "main.cpp"];
                let text = format!("{CPP}{code}\n{test}\n");
                program("main.cpp", text, &[&compile, &["/work/main"]], None, false)
            }
            Language::Java => {
                let compile = ["javac", "-J-Xmx384m", "-nowarn", "Main.java"];
                let run = ["java", "-Xmx384m", "-cp", "/work", "Main"];
                let text = format!("{JAVA}{code}\n{test}\n");
                program("Main.java", text, &[&compile, &run], None, false)
            }
        })
    }

    /// Whether a line begins the function.
    fn defines(&self, language: Language, line: &str) -> bool {
        let name = &self.entry_point;
        // A variable of that name may stand inside.
        let begins = |word: &str| {
            let rest = line.strip_prefix(word).map(str::trim_start);
            rest.and_then(|rest| rest.strip_prefix(name.as_str())).is_some_and(|rest| {
                !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
            })
        };
        let called = || line.contains(&format!("{name}("));
        match language {
            Language::Python => begins("def "),
            Language::JavaScript => ["const ", "let ", "var ", "function "].into_iter().any(begins),
            Language::Cpp => !line.starts_with([' ', '\t']) && called(),
            Language::Java => line.trim_start().starts_with("public ") && called(),
        }
    }

    /// An answer that is the whole function, behind what stands before it in the problem.
    fn whole(&self, language: Language, begun: &str, answer: &str) -> String {
        let class = language == Language::Java && answer.contains("class Solution");
        let before: String = begun
            .lines()
            .take_while(|line| !self.defines(language, line))
            .filter(|line| !(class && line.contains("class Solution")))
            .flat_map(|line| [line, "\n"])
            .collect();
        // The class that the problem opens has to be closed.
        let after = if language == Language::Java && !class { "\n}" } else { "" };
        format!("{before}{answer}{after}")
    }
}

/// What solutions and tests use without saying so.
const PYTHON: &str = "import math, re, sys, copy, collections, itertools, functools, heapq, string, hashlib, random\n\
                      from typing import *\n";
const CPP: &str = "#include <bits/stdc++.h>\nusing namespace std;\n";
const JAVA: &str = "import java.util.*;\nimport java.util.stream.*;\nimport java.math.*;\n\
                    import java.security.*;\n";

fn program(
    name: &str,
    text: String,
    commands: &[&[&str]],
    mark: Option<String>,
    quiet: bool,
) -> Program {
    let owned = |command: &&[&str]| command.iter().map(|word| (*word).to_owned()).collect();
    Program {
        files: BTreeMap::from([(name.to_owned(), text)]),
        commands: commands.iter().map(owned).collect(),
        mark,
        quiet,
    }
}

/// The first code block of a text, or all of it.
fn fenced(text: &str) -> &str {
    let Some(start) = text.find("```") else { return text };
    let Some((_, rest)) = text[start..].split_once('\n') else { return text };
    rest.split("\n```").next().unwrap_or(rest)
}

/// A continuation up to the end of the function.
fn continuation(language: Language, answer: &str) -> String {
    let mut kept = String::new();
    for line in answer.split_inclusive('\n') {
        let outside = !line.trim().is_empty() && !line.starts_with([' ', '\t']);
        match language {
            Language::Python if outside && !kept.trim().is_empty() && !line.starts_with('#') => {
                break;
            }
            _ => kept.push_str(line),
        }
        let closed = match language {
            Language::Python => false,
            Language::JavaScript | Language::Cpp => line.starts_with('}'),
            Language::Java => line.trim_end() == "    }",
        };
        if closed {
            if language == Language::Java {
                kept.push_str("}\n");
            }
            break;
        }
    }
    kept
}

/// The unbiased estimate of the chance that one of `k` draws passes, of `draws` of which `passed`
/// did: `1 - C(draws - passed, k) / C(draws, k)`. `None` where fewer than `k` were drawn.
pub fn pass_at_k(draws: u64, passed: u64, k: u64) -> Option<f64> {
    if k == 0 || k > draws || passed > draws {
        return None;
    }
    if draws - passed < k {
        return Some(1.0);
    }
    let none: f64 = (draws - passed + 1..=draws).map(|i| 1.0 - k as f64 / i as f64).product();
    Some(1.0 - none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(task_id: &str, declaration: &str, test: &str) -> Problem {
        Problem {
            task_id: task_id.to_owned(),
            declaration: declaration.to_owned(),
            test: test.to_owned(),
            entry_point: "twice".to_owned(),
            ..Problem::default()
        }
    }

    fn text(program: &Program) -> &str {
        program.files.values().next().unwrap()
    }

    #[test]
    fn a_continuation_ends_with_the_function_and_a_whole_function_replaces_it() {
        let python = problem("Python/0", "import os\ndef twice(x):\n", "check(twice)");
        let continued = python.program("    return 2 * x\n\nprint(twice(2))\n").unwrap();
        assert!(text(&continued).contains("def twice(x):\n    return 2 * x\n\n\ncheck(twice)"));
        assert!(!text(&continued).contains("print(twice"));
        let whole = "Here it is:\n```python\ndef helper(x):\n    return x\n\ndef twice(x):\n    return x + helper(x)\n```\nDone.";
        let whole = python.program(whole).unwrap();
        assert!(text(&whole).contains("import os\ndef helper(x)"));
        assert_eq!(text(&whole).matches("def twice").count(), 1);
        assert!(!text(&whole).contains("Done"));
    }

    #[test]
    fn braces_and_classes_are_closed_once() {
        let cpp = problem("CPP/0", "#include<vector>\nint twice(int x){\n", "int main(){}");
        let continued = cpp.program("    return 2 * x;\n}\nint other(){\n}\n").unwrap();
        assert!(text(&continued).contains("int twice(int x){\n    return 2 * x;\n}\n\nint main"));
        let java =
            problem("Java/0", "class Solution {\n    public int twice(int x) {\n", "class Main {}");
        let continued = java.program("        return 2 * x;\n    }\n}").unwrap();
        let whole = java.program("public int twice(int x) {\n  return 2 * x;\n}").unwrap();
        let class = java
            .program("class Solution {\n  public int twice(int x) { return 2 * x; }\n}")
            .unwrap();
        for program in [continued, whole, class] {
            let (open, closed) =
                (text(&program).matches('{').count(), text(&program).matches('}').count());
            assert_eq!((open, closed, text(&program).matches("class Solution").count()), (3, 3, 1));
        }
    }

    #[test]
    fn passing_needs_the_mark_and_in_javascript_silence() {
        let python = problem("Python/0", "def twice(x):\n", "").program("    exit(0)").unwrap();
        assert!(!python.passed("", ""), "it left before its tests");
        let mark = python.mark.clone().unwrap();
        assert!(python.passed(&format!("noise\n{mark}\n"), "a warning"));
        let inner = problem("JavaScript/0", "const twice = (x) => {\n", "");
        let inner = inner.program("  let twice = 2 * x\n  return twice\n}\n").unwrap();
        assert!(text(&inner).starts_with("const twice = (x) => {\n  let twice"));
        let script =
            problem("JavaScript/0", "", "").program("const twice = (x) => 2 * x\n").unwrap();
        let mark = script.mark.clone().unwrap();
        assert!(script.passed(&mark, "") && !script.passed(&mark, "Assertion failed"));
        let error = problem("Go/0", "", "").program("").unwrap_err().to_string();
        assert!(error.contains("`Go/0`"), "{error}");
    }

    #[test]
    fn the_original_problems_get_their_call() {
        let mut original =
            problem("HumanEval/1", "", "def check(candidate):\n    assert candidate(1) == 2\n");
        original.prompt = "def twice(x):\n    \"\"\" twice \"\"\"\n".to_owned();
        assert!(
            text(&original.program("    return 2 * x\n").unwrap()).contains("\ncheck(twice)\n")
        );
    }

    /// By counting subsets.
    #[test]
    fn pass_at_k_is_the_share_of_subsets_with_a_pass() {
        let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
        for draws in 1..9 {
            for passed in 0..=draws {
                for k in 1..=draws {
                    let none = if draws - passed < k { 0.0 } else { choose(draws - passed, k) };
                    let expected = 1.0 - none / choose(draws, k);
                    let found = pass_at_k(draws, passed, k).unwrap();
                    assert!((found - expected).abs() < 1e-12, "{draws} {passed} {k}");
                }
            }
        }
        assert_eq!(pass_at_k(3, 1, 4), None);
    }
}
