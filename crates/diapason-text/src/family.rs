//! Model families as rows of one table: special strings, newline habits, begin token.
//!
//! A message is `open ROLE opened` text `close closed`; only `close` is predicted with the text of
//! an output. The row of a tokenizer is found by the special tokens it declares, never by a path.

/// One model family.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Name, as settings and errors give it.
    pub name: &'static str,
    /// Strings that must be single tokens for the templates `spectrum` and `chat`.
    pub specials: &'static [&'static str],
    /// Strings that tell the family from others with the same `specials`.
    pub marks: &'static [&'static str],
    /// Begin token of every sequence.
    pub begin: Begin,
    /// Token that ends a document in the template `plain`.
    pub document_end: DocumentEnd,
    /// What stands before the role in a header.
    pub open: &'static str,
    /// What stands between the role and the text.
    pub opened: &'static str,
    /// The terminator of a text.
    pub close: &'static str,
    /// What follows the terminator without being predicted.
    pub closed: &'static str,
    /// How the family chats.
    pub chat: Chat,
}

/// The begin token of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// This one.
    Token(&'static str),
    /// None.
    Never,
    /// Whatever the tokenizer itself puts before a text, if anything.
    Declared,
}

/// The token that ends a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentEnd {
    /// This one.
    Token(&'static str),
    /// The tokenizer's end-of-sequence token.
    Declared,
}

/// Role names and habits of the template `chat`.
#[derive(Debug, PartialEq, Eq)]
pub struct Chat {
    /// How the description is told.
    pub system: SystemTurn,
    /// Role name of an input.
    pub user: &'static str,
    /// Role name of an output.
    pub assistant: &'static str,
    /// What the family puts before every answer, not predicted.
    pub before_answer: &'static str,
}

/// How a family tells a description in `chat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemTurn {
    /// As a message of its own.
    Message {
        /// Role name.
        role: &'static str,
        /// What precedes the description; if not empty the message stands even without one.
        preamble: &'static str,
    },
    /// At the head of the first user message, followed by a blank line.
    Folded,
}

const CHATML: Chat = Chat {
    system: SystemTurn::Message { role: "system", preamble: "" },
    user: "user",
    assistant: "assistant",
    before_answer: "",
};

/// All families. Among rows whose tokens a tokenizer has, the first wins.
pub static FAMILIES: &[Family] = &[
    Family {
        name: "diapason",
        specials: &["<|begin|>", "<|end|>", "<|description|>", "<|input|>", "<|output|>"],
        marks: &[],
        begin: Begin::Token("<|begin|>"),
        document_end: DocumentEnd::Token("<|end|>"),
        open: "<|",
        opened: "|>",
        close: "<|end|>",
        closed: "",
        chat: Chat {
            system: SystemTurn::Message { role: "description", preamble: "" },
            user: "input",
            assistant: "output",
            before_answer: "",
        },
    },
    Family {
        name: "llama3",
        specials: &[
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ],
        marks: &[],
        begin: Begin::Token("<|begin_of_text|>"),
        document_end: DocumentEnd::Token("<|end_of_text|>"),
        open: "<|start_header_id|>",
        opened: "<|end_header_id|>\n\n",
        close: "<|eot_id|>",
        closed: "",
        chat: Chat {
            system: SystemTurn::Message {
                role: "system",
                preamble: "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n",
            },
            ..CHATML
        },
    },
    Family {
        name: "qwen3",
        specials: &["<|im_start|>", "<|im_end|>"],
        marks: &["<think>", "</think>", "<|endoftext|>"],
        begin: Begin::Never,
        document_end: DocumentEnd::Token("<|endoftext|>"),
        open: "<|im_start|>",
        opened: "\n",
        close: "<|im_end|>",
        closed: "\n",
        chat: Chat { before_answer: "<think>\n\n</think>\n\n", ..CHATML },
    },
    Family {
        name: "gemma3",
        specials: &["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
        marks: &[],
        begin: Begin::Token("<bos>"),
        document_end: DocumentEnd::Token("<eos>"),
        open: "<start_of_turn>",
        opened: "\n",
        close: "<end_of_turn>",
        closed: "\n",
        chat: Chat { system: SystemTurn::Folded, assistant: "model", ..CHATML },
    },
    Family {
        name: "chatml",
        specials: &["<|im_start|>", "<|im_end|>"],
        marks: &[],
        begin: Begin::Declared,
        document_end: DocumentEnd::Declared,
        open: "<|im_start|>",
        opened: "\n",
        close: "<|im_end|>",
        closed: "\n",
        chat: CHATML,
    },
];

/// The family of this name, `None` if there is no such row.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

impl Family {
    /// The first row all of whose tokens `has` knows.
    pub(crate) fn of(has: impl Fn(&str) -> bool) -> Option<&'static Family> {
        let whole =
            |family: &&Family| family.specials.iter().chain(family.marks).all(|string| has(string));
        FAMILIES.iter().find(whole)
    }

    /// The row with the smallest share of missing tokens, the simplest of equals, for an error to name them.
    pub(crate) fn nearest(has: impl Fn(&str) -> bool) -> &'static Family {
        let distance = |family: &&Family| {
            let missing = family.specials.iter().filter(|string| !has(string)).count();
            (100 * missing / family.specials.len(), family.specials.len() + family.marks.len())
        };
        FAMILIES.iter().min_by_key(distance).expect("the table of families has rows")
    }

    /// The row for layouts without role tokens, where nothing but what the tokenizer declares is
    /// used.
    pub(crate) fn undeclared() -> &'static Family {
        FAMILIES.last().expect("the table of families has rows")
    }

    /// Header of a message of some role.
    pub(crate) fn header(&self, role: &str) -> String {
        format!("{}{role}{}", self.open, self.opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_header_is_made_of_the_specials() {
        for (index, row) in FAMILIES.iter().enumerate() {
            assert_eq!(family(row.name), Some(row));
            assert!(FAMILIES[..index].iter().all(|earlier| earlier.name != row.name));
            assert!(row.specials.contains(&row.close), "{}", row.name);
            for role in ["description", "input", "output"] {
                let header = row.header(role);
                assert!(row.specials.iter().any(|special| header.starts_with(special)));
            }
        }
    }

    #[test]
    fn a_family_is_found_by_its_tokens_alone() {
        for row in FAMILIES {
            let has = |token: &str| row.specials.contains(&token) || row.marks.contains(&token);
            assert_eq!(Family::of(has), Some(row));
        }
        let turns_only = |token: &str| token.ends_with("_of_turn>");
        assert_eq!(Family::of(turns_only), None);
        assert_eq!(Family::nearest(turns_only).name, "gemma3");
        assert_eq!(Family::nearest(|_| false).name, "chatml");
        assert_eq!(Family::undeclared().begin, Begin::Declared);
    }
}
