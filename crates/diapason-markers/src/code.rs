//! Programming languages of a text: labels of code fences first, cues of the code itself otherwise.

mod cues;
mod tokens;

use cues::{CUES, LABELS};
use std::collections::{HashMap, HashSet};
use tokens::tokens;

/// Tokens looked at; more of a file does not say more.
const TOKENS_READ: usize = 2000;

/// A cue counts this often at most.
const MOST: u32 = 4;

/// Least score of the best language inside an unlabelled fence.
const LEAST_FENCED: f32 = 2.0;

/// Where no fence says that there is code at all: least score of the best language where signs of
/// code are at least this share of the letters, and where they are fewer, as in SQL and COBOL. On
/// HumanEvalPack 94 % of the functions pass and are named, of prose answers 0.3 % do.
const LEAST_BARE: f32 = 4.0;
const LEAST_SIGNS: f64 = 0.04;
const LEAST_WITHOUT_SIGNS: f32 = 16.0;

/// A stretch of a text between code fences, or outside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'text> {
    /// `None` outside fences; the label, perhaps empty, inside.
    pub(crate) label: Option<&'text str>,
    pub(crate) body: &'text str,
}

/// Tells programming languages apart; made once, shared by all threads.
#[derive(Debug)]
pub struct CodeDetector {
    /// Tokens joined by blanks → (position in [`LABELS`], weight).
    cues: HashMap<String, Vec<(usize, f32)>>,
    /// Every token that stands in a cue as it is.
    known: HashSet<String>,
}

impl Default for CodeDetector {
    fn default() -> Self {
        CodeDetector::new()
    }
}

impl CodeDetector {
    /// A detector of the languages of the taxonomy.
    pub fn new() -> Self {
        let mut cues: HashMap<String, Vec<(usize, f32)>> = HashMap::new();
        for group in CUES {
            for name in group.languages {
                let language = LABELS.iter().position(|(known, _)| known == name);
                let language = language.expect("every cue names a row of the table of labels");
                for sequence in group.sequences.split(',') {
                    let entry = cues.entry(sequence.trim().to_owned()).or_default();
                    entry.push((language, group.weight));
                }
            }
        }
        let known = cues.keys().flat_map(|cue| cue.split(' ')).map(str::to_owned).collect();
        CodeDetector { cues, known }
    }

    /// The languages of the code in a text, each once, in the order of their first appearance.
    pub fn detect(&self, text: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        let mut fenced = false;
        for block in blocks(text) {
            let Some(label) = block.label else { continue };
            fenced = true;
            let language = match label {
                "" => self.classify(block.body).filter(|(_, score)| *score >= LEAST_FENCED),
                label => labelled(label).map(|language| (language, 0.0)),
            };
            found.extend(language.map(|(language, _)| language));
        }
        if !fenced {
            let least = if signs(text) >= LEAST_SIGNS { LEAST_BARE } else { LEAST_WITHOUT_SIGNS };
            let bare = self.classify(text).filter(|(_, score)| *score >= least);
            found.extend(bare.map(|(language, _)| language));
        }
        let mut unique = Vec::new();
        for language in found {
            if !unique.contains(&language) {
                unique.push(language);
            }
        }
        unique
    }

    /// The likeliest language of a piece of code and its score.
    pub fn classify(&self, code: &str) -> Option<(&'static str, f32)> {
        let mut tokens = tokens(code);
        tokens.truncate(TOKENS_READ);
        let mut counts: HashMap<&str, u32> = HashMap::new();
        let mut key = String::new();
        // Bit k says that token k can stand in a cue only as "any word".
        let strange: Vec<u32> =
            tokens.iter().map(|token| u32::from(!self.known.contains(*token))).collect();
        for start in 0..tokens.len() {
            let window = &tokens[start..tokens.len().min(start + 3)];
            let mut needed = 0;
            for length in 1..=window.len() {
                needed |= strange[start + length - 1] << (length - 1);
                // Bit k of the mask turns token k into "any word".
                for mask in (0..1u32 << length).filter(|mask| mask & needed == needed) {
                    if !spell(&window[..length], mask, &mut key) {
                        continue;
                    }
                    if let Some((cue, _)) = self.cues.get_key_value(key.as_str()) {
                        *counts.entry(cue).or_default() += 1;
                    }
                }
            }
        }
        let mut scores = [0.0f32; LABELS.len()];
        for (cue, count) in counts {
            for (language, weight) in &self.cues[cue] {
                // Weights are multiples of 0.1 and small: the sum does not depend on the order.
                scores[*language] += (weight * 10.0).round() * count.min(MOST) as f32;
            }
        }
        let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
        let score = scores[best] / 10.0;
        (score > 0.0).then(|| (LABELS[best].0, score))
    }
}

/// Share of the letters and signs of a text that prose has few of.
fn signs(text: &str) -> f64 {
    let (mut signs, mut all) = (0usize, 0usize);
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        all += 1;
        signs += usize::from("(){}[];=<>_".contains(letter));
    }
    signs as f64 / all.max(1) as f64
}

/// Spells tokens as a cue; `false` where the mask covers what is no word, or every token.
fn spell(window: &[&str], mask: u32, key: &mut String) -> bool {
    if mask + 1 == 1 << window.len() {
        return false;
    }
    key.clear();
    for (index, token) in window.iter().enumerate() {
        if index > 0 {
            key.push(' ');
        }
        if mask >> index & 1 == 0 {
            key.push_str(token);
            continue;
        }
        if *token == "S"
            || !token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
        {
            return false;
        }
        key.push('_');
    }
    true
}

/// The language that a fence's label names.
fn labelled(label: &str) -> Option<&'static str> {
    let label = label.to_lowercase();
    LABELS.iter().find(|(_, labels)| labels.contains(&label.as_str())).map(|(name, _)| *name)
}

/// Takes a text apart at lines that begin with three backticks or tildes. A fence that is never
/// closed reaches to the end.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut label: Option<(&str, &str)> = None;
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let fence = ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence));
        let closes =
            |open: &str| fence == Some(open) && trimmed.trim_start_matches(open).is_empty();
        let turns = match label {
            None => fence.is_some(),
            Some((open, _)) => closes(open),
        };
        if turns {
            blocks.push(Block { label: label.map(|(_, label)| label), body: &text[start..at] });
            label = match (label, fence) {
                (None, Some(fence)) => {
                    let info = trimmed.trim_start_matches(['`', '~']).trim();
                    let end = info.find([' ', '{', ',', ':']).unwrap_or(info.len());
                    Some((fence, &info[..end]))
                }
                _ => None,
            };
            start = at + line.len();
        }
        at += line.len();
    }
    blocks.push(Block { label: label.map(|(_, label)| label), body: &text[start..] });
    blocks.retain(|block| !block.body.is_empty());
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Taxonomy;

    /// A small program of our own in every language of the taxonomy.
    #[rustfmt::skip]
    const PROGRAMS: &[(&str, &str)] = &[
        ("python", "def total(items):\n    result = 0\n    for item in items:\n        if item is not None:\n            result += item\n    return result\n"),
        ("javascript", "const total = (items) => {\n  let result = 0;\n  items.forEach((item) => { result += item; });\n  console.log(result);\n  return result;\n};\n"),
        ("cpp", "#include <vector>\nint total(const std::vector<int>& items) {\n  int result = 0;\n  for (auto item : items) result += item;\n  return result;\n}\n"),
        ("cobol", "       IDENTIFICATION DIVISION.\n       PROGRAM-ID. TOTAL.\n       DATA DIVISION.\n       WORKING-STORAGE SECTION.\n       01 RESULT PIC 9(5).\n       PROCEDURE DIVISION.\n           DISPLAY RESULT.\n           STOP RUN.\n"),
        ("java", "import java.util.List;\npublic class Total {\n  public static int total(List<Integer> items) {\n    int result = 0;\n    for (int item : items) result += item;\n    System.out.println(result);\n    return result;\n  }\n}\n"),
        ("go", "package main\n\nimport \"fmt\"\n\nfunc total(items []int) int {\n\tresult := 0\n\tfor _, item := range items {\n\t\tresult += item\n\t}\n\tfmt.Println(result)\n\treturn result\n}\n"),
        ("rust", "pub fn total(items: &[i32]) -> i32 {\n    let mut result = 0;\n    for item in items.iter() {\n        result += item;\n    }\n    println!(\"{result}\");\n    result\n}\n"),
        ("swift", "import Foundation\nfunc total(_ items: [Int]) -> Int {\n    var result: Int = 0\n    for item in items { result += item }\n    guard let first = items.first else { return 0 }\n    return result + first\n}\n"),
        ("csharp", "using System;\nnamespace Sums {\n  public class Total {\n    public int Value { get; set; }\n    static void Main(string[] args) {\n      foreach (var item in args) Console.WriteLine(item);\n    }\n  }\n}\n"),
        ("php", "<?php\nfunction total(array $items) {\n    $result = 0;\n    foreach ($items as $item) {\n        $result += $item;\n    }\n    echo $result;\n    return $result;\n}\n"),
        ("typescript", "interface Item { price: number; name: string }\nexport function total(items: Item[]): number {\n  let result: number = 0;\n  items.forEach((item) => { result += item.price; });\n  return result;\n}\n"),
        ("shell", "#!/bin/bash\ntotal=0\nfor item in \"$@\"; do\n  total=$((total + item))\ndone\nif [ $total -gt 10 ]; then\n  echo \"large\"\nfi\n"),
        ("c", "#include <stdio.h>\nint total(const int *items, size_t count) {\n  int result = 0;\n  for (size_t i = 0; i < count; i++) result += items[i];\n  printf(\"%d\\n\", result);\n  return result;\n}\n"),
        ("kotlin", "fun total(items: List<Int>): Int {\n    var result = 0\n    for (item in items) {\n        result += item\n    }\n    val doubled = items.map { it * 2 }\n    println(result)\n    return result\n}\n"),
        ("ruby", "def total(items)\n  result = 0\n  items.each do |item|\n    result += item unless item.nil?\n  end\n  puts result\n  result\nend\n"),
        ("haskell", "module Total where\n\ntotal :: [Int] -> Int\ntotal [] = 0\ntotal (item : items) = item + total items\n\nmain :: IO ()\nmain = putStrLn (show (total [1, 2]))\n"),
        ("sql", "SELECT customer, SUM(price) AS total\nFROM items\nWHERE price IS NOT NULL\nGROUP BY customer\nORDER BY total DESC;\n"),
    ];

    #[test]
    fn every_language_of_the_taxonomy_is_told_bare_and_fenced() {
        let detector = CodeDetector::new();
        for (language, program) in PROGRAMS {
            assert_eq!(detector.detect(program), [*language]);
            assert_eq!(detector.detect(&format!("So:\n```\n{program}```\n")), [*language]);
        }
        let taxonomy = Taxonomy::built_in();
        for value in &taxonomy.marker("code_type").unwrap().values {
            assert!(PROGRAMS.iter().any(|(language, _)| language == value), "{value}");
            assert!(LABELS.iter().any(|(language, _)| language == value), "{value}");
        }
    }

    #[test]
    fn labels_count_before_cues_and_several_languages_are_all_named() {
        let detector = CodeDetector::new();
        let text = "```rs\nx\n```\nthen\n~~~C++ title\ny\n~~~\n```rust\nz\n```\n```text\nq\n```";
        assert_eq!(detector.detect(text), ["rust", "cpp"]);
        assert_eq!(detector.detect("```py\nnever closed"), ["python"]);
    }

    #[test]
    fn cues_are_spelled_as_tokens_are() {
        for cues in CUES {
            for sequence in cues.sequences.split(',') {
                let parts: Vec<&str> = sequence.trim().split(' ').collect();
                assert!((1..=3).contains(&parts.len()), "{sequence}");
                for part in parts.iter().filter(|part| !["^", "S", "$v", "$this"].contains(part)) {
                    assert_eq!(tokens(&format!("x {part} "))[2..], [*part], "{sequence}");
                }
            }
        }
    }

    #[test]
    fn prose_is_no_code() {
        let detector = CodeDetector::new();
        for prose in [
            "For each of the items in the list, import the data and return the total.",
            "The class will begin at nine; let me know if you are not in town. Do puts and calls.",
            "x = 3, y = 4; so x + y = 7.",
            "",
        ] {
            assert!(detector.detect(prose).is_empty(), "{prose}");
        }
    }
}
