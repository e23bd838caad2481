//! A family laid out in one of four kinds: what stands around every text.

use crate::family::{Begin, DocumentEnd, Family, SystemTurn};
use diapason_flow::Role;
use std::fmt;

/// How episodes are laid out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateKind {
    /// The roles description, input and output as messages of the family
    /// (Spectrum Tuning, arXiv 2510.06084).
    #[default]
    Spectrum,
    /// The family's own chat: description → system, input → user, output → assistant.
    Chat,
    /// `Description:`, `Input:` and `Output:` fields, for models without role tokens.
    Colon,
    /// Documents: the bare outputs, each ended by the end token; nothing else is shown.
    Plain,
}

impl fmt::Display for TemplateKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TemplateKind::Spectrum => "spectrum",
            TemplateKind::Chat => "chat",
            TemplateKind::Colon => "colon",
            TemplateKind::Plain => "plain",
        })
    }
}

/// Where marker lists stand and whether they bear loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarkerSides {
    /// Also append the list to the prompt of a turn. A turn's list always precedes its output.
    pub prompt: bool,
    /// Whether the list before an output that bears loss bears loss too.
    pub learn: bool,
}

impl Default for MarkerSides {
    fn default() -> Self {
        MarkerSides { prompt: false, learn: true }
    }
}

/// A family laid out in one kind: the renderer of episodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(crate) kind: TemplateKind,
    pub(crate) family: &'static Family,
    pub(crate) begin: Option<String>,
    pub(crate) document_end: String,
    pub(crate) markers: MarkerSides,
}

/// What stands around one text: `header lead TEXT terminator trailer`.
pub(crate) struct Frame {
    /// Up to the text; not predicted.
    pub(crate) header: String,
    /// A space that belongs to the text as it is tokenised.
    pub(crate) lead: &'static str,
    /// Ends the text; predicted with it.
    pub(crate) terminator: String,
    /// Follows the terminator; not predicted.
    pub(crate) trailer: &'static str,
}

/// The frames of one template; `None` where the kind does not show a role as a message of its own.
pub(crate) struct Frames {
    pub(crate) description: Option<Frame>,
    pub(crate) input: Option<Frame>,
    pub(crate) output: Option<Frame>,
}

impl Template {
    /// A template of a family whose begin and end tokens the row itself names; what the row leaves
    /// to the tokenizer ([`Begin::Declared`]) is absent, and the end is the terminator.
    pub fn new(kind: TemplateKind, family: &'static Family) -> Self {
        Template::declared(kind, family, None, None)
    }

    /// A template with the tokenizer's own begin and end tokens where the row leaves them to it.
    pub(crate) fn declared(
        kind: TemplateKind,
        family: &'static Family,
        begin: Option<String>,
        end: Option<String>,
    ) -> Self {
        let begin = match family.begin {
            Begin::Token(token) => Some(token.to_owned()),
            Begin::Never => None,
            Begin::Declared => begin,
        };
        let document_end = match family.document_end {
            DocumentEnd::Token(token) => token.to_owned(),
            DocumentEnd::Declared => end.unwrap_or_else(|| family.close.to_owned()),
        };
        Template { kind, family, begin, document_end, markers: MarkerSides::default() }
    }

    /// The same template with other marker settings.
    pub fn with_markers(self, markers: MarkerSides) -> Self {
        Template { markers, ..self }
    }

    /// The layout.
    pub fn kind(&self) -> TemplateKind {
        self.kind
    }

    /// The family.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// What ends an output.
    pub fn terminator(&self) -> &str {
        match self.kind {
            TemplateKind::Spectrum | TemplateKind::Chat => self.family.close,
            TemplateKind::Colon => "\n\n",
            TemplateKind::Plain => &self.document_end,
        }
    }

    /// Strings that must be single tokens of the tokenizer for this template.
    pub(crate) fn needed(&self) -> Vec<&str> {
        let mut needed: Vec<&str> = self.begin.as_deref().into_iter().collect();
        match self.kind {
            TemplateKind::Spectrum | TemplateKind::Chat => needed.extend(self.family.specials),
            TemplateKind::Plain => needed.push(&self.document_end),
            TemplateKind::Colon => {}
        }
        needed.dedup();
        needed
    }

    /// Every string of the family and of this template that is a token in template text.
    pub(crate) fn strings(&self) -> impl Iterator<Item = &str> {
        let own = self.begin.as_deref().into_iter().chain([self.document_end.as_str()]);
        own.chain(self.family.specials.iter().copied())
    }

    /// What stands around the texts of every role.
    pub(crate) fn frames(&self) -> Frames {
        Frames {
            description: self.frame(Role::Description),
            input: self.frame(Role::Input),
            output: self.frame(Role::Output),
        }
    }

    /// What stands around the text of a role; `None` where the kind does not show the role as a
    /// message of its own.
    pub(crate) fn frame(&self, role: Role) -> Option<Frame> {
        let message = |role: &str| Frame {
            header: self.family.header(role),
            lead: "",
            terminator: self.family.close.to_owned(),
            trailer: self.family.closed,
        };
        let chat = &self.family.chat;
        match (self.kind, role) {
            (TemplateKind::Spectrum, _) => Some(message(role_name(role))),
            (TemplateKind::Chat, Role::Description) => match chat.system {
                SystemTurn::Folded => None,
                SystemTurn::Message { role, preamble } => {
                    let mut frame = message(role);
                    frame.header.push_str(preamble);
                    Some(frame)
                }
            },
            (TemplateKind::Chat, Role::Input) => Some(message(chat.user)),
            (TemplateKind::Chat, Role::Output) => {
                let mut frame = message(chat.assistant);
                frame.header.push_str(chat.before_answer);
                Some(frame)
            }
            (TemplateKind::Colon, _) => Some(Frame {
                header: format!("{}:", capitalised(role_name(role))),
                lead: " ",
                terminator: self.terminator().to_owned(),
                trailer: "",
            }),
            (TemplateKind::Plain, Role::Output) => Some(Frame {
                header: String::new(),
                lead: "",
                terminator: self.document_end.clone(),
                trailer: "",
            }),
            (TemplateKind::Plain, _) => None,
        }
    }
}

/// The name of a role in messages and templates.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Description => "description",
        Role::Input => "input",
        Role::Output => "output",
    }
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}
