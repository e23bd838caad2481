//! Episodes as spans: what is shown, in which order, and what of it bears loss.
//!
//! One pass serves training ([`Template::render`]), prompts ([`Template::render_prompt`]) and
//! options ([`Template::render_output`]), so a prompt is a prefix of the training rendering and an
//! option is what follows it. Texts stand exactly as they are in the episode; only `colon`, whose
//! terminator is a blank line, trims outputs.

use crate::family::SystemTurn;
use crate::template::{Frames, Template, TemplateKind};
use diapason_flow::{Episode, LossPolicy, Marked, Markers, Role, Span};
use diapason_markers::{Lists, SEPARATOR, print_list};

/// What the user says in `chat` where a turn has no input.
pub(crate) const NO_INPUT: &str = "Give the next output.";

/// Stands between a description and the first user text where a family folds them into one.
pub(crate) const FOLD: &str = "\n\n";

impl Template {
    /// Renders the description and the turns for training.
    ///
    /// Without a description the first of several draws bears no loss, as nothing predicts it, in
    /// every kind but `plain`: a document has nothing before it by nature, and predicting it is the
    /// point. What is no sequence of draws, such as a chat, is learned from its first answer.
    pub fn render(&self, episode: &Episode, policy: LossPolicy) -> Marked {
        self.render_with_lists(episode, policy, &self.whole_lists(episode))
    }

    /// [`render`](Self::render) with the marker lists of every turn given: what
    /// [`Dropout::lists`](diapason_markers::Dropout::lists) drew for this example. A turn beyond
    /// `lists` shows none.
    pub fn render_with_lists(
        &self,
        episode: &Episode,
        policy: LossPolicy,
        lists: &[Lists],
    ) -> Marked {
        if policy == LossPolicy::ModalAnswer {
            return self.render_with_lists(&episode.modal(), LossPolicy::LastOutput, lists);
        }
        let predicted = episode.description.is_some()
            || !episode.exchangeable
            || self.kind == TemplateKind::Plain;
        let first = usize::from(!predicted);
        let last = episode.turns.len().saturating_sub(1);
        let learned = |turn: usize| match policy {
            LossPolicy::AllTokens => true,
            LossPolicy::EveryOutput => turn >= first,
            LossPolicy::FirstOutput => turn == first,
            LossPolicy::LastOutput | LossPolicy::ModalAnswer => turn >= first && turn == last,
        };
        let frames = self.frames();
        let mut page = Page { learn_all: policy == LossPolicy::AllTokens, ..Page::new(&frames) };
        self.write_turns(&mut page, (episode, lists), None, learned);
        Marked { spans: page.spans }
    }

    /// Renders everything up to and including the header of the awaited output. No span bears loss.
    ///
    /// An episode without a query awaits one more draw without input.
    pub fn render_prompt(&self, episode: &Episode) -> Marked {
        self.render_prompt_with(episode, &Markers::default())
    }

    /// [`render_prompt`](Self::render_prompt) with markers set for the awaited output (the levers
    /// of Treasure Hunt), shown on the prompt side whatever [`MarkerSides`](crate::MarkerSides)
    /// says of the turns.
    pub fn render_prompt_with(&self, episode: &Episode, markers: &Markers) -> Marked {
        let frames = self.frames();
        let mut page = Page::new(&frames);
        let awaited = Asked {
            turn: episode.turns.len(),
            input: episode.query.as_ref().and_then(|query| query.input.as_deref()),
            list: print_list(markers),
        };
        let lists = self.whole_lists(episode);
        self.write_turns(&mut page, (episode, &lists), Some(&awaited), |_| false);
        Marked { spans: page.spans }
    }

    /// Renders what follows a prompt if `text` is the output: the text and its terminator, both
    /// learned.
    pub fn render_output(&self, text: &str) -> Marked {
        let frames = self.frames();
        let mut page = Page::new(&frames);
        self.write_answer(&mut page, text, "", true, None);
        Marked { spans: page.spans }
    }

    /// Renders the list that an answer begins with, as it follows a prompt; the text of the answer
    /// follows it as [`render_output`](Self::render_output) renders it.
    pub fn render_list(&self, list: &str) -> Marked {
        let frames = self.frames();
        let mut page = Page::new(&frames);
        self.write_list(&mut page, list, true, Place { role: Role::Output, turn: None });
        Marked { spans: page.spans }
    }

    /// Renders the beginning of such a list: `<MARKER_LIST> <lang>`.
    pub fn render_list_start(&self, start: &str) -> Marked {
        let mut marked = self.render_list(start);
        marked.spans.truncate(1);
        marked
    }

    /// Every marker of every turn, on the sides that the settings name.
    fn whole_lists(&self, episode: &Episode) -> Vec<Lists> {
        let lists = |markers: &Markers| {
            let answer = print_list(markers);
            let prompt = if self.markers.prompt { answer.clone() } else { String::new() };
            Lists { prompt, answer }
        };
        episode.turns.iter().map(|turn| lists(&turn.markers)).collect()
    }

    fn write_turns(
        &self,
        page: &mut Page<'_>,
        (episode, lists): (&Episode, &[Lists]),
        awaited: Option<&Asked>,
        learned: impl Fn(usize) -> bool,
    ) {
        if let Some(begin) = &self.begin {
            // Never a target, whatever the policy: nothing comes before it.
            page.spans.push(Span {
                text: begin.clone(),
                template: true,
                learn: false,
                role: None,
                turn: None,
            });
        }
        let description = episode.description.as_deref();
        let list = |turn: usize| lists.get(turn).cloned().unwrap_or_default();
        let asked: Vec<Asked> = (episode.turns.iter().enumerate())
            .map(|(turn, draw)| Asked {
                turn,
                input: draw.input.as_deref(),
                list: list(turn).prompt,
            })
            .collect();
        self.write_description(page, description, asked.first().or(awaited));
        for (asked, draw) in asked.iter().zip(&episode.turns) {
            self.write_question(page, asked, description);
            let answer = list(asked.turn).answer;
            let place = Some(asked.turn);
            self.write_answer(page, &draw.output, &answer, learned(asked.turn), place);
        }
        if let Some(awaited) = awaited {
            self.write_question(page, awaited, description);
        }
    }

    fn write_description(
        &self,
        page: &mut Page<'_>,
        description: Option<&str>,
        first: Option<&Asked>,
    ) {
        let Some(frame) = &page.frames.description else { return };
        let preamble = match self.family.chat.system {
            SystemTurn::Message { preamble, .. } if self.kind == TemplateKind::Chat => preamble,
            _ => "",
        };
        if description.is_none() && preamble.is_empty() {
            return;
        }
        let place = Place { role: Role::Description, turn: None };
        page.scaffold(frame.header.as_str(), place);
        if let Some(description) = description {
            page.data(format!("{}{description}", frame.lead), false, place);
        }
        if let Some(first) = first.filter(|first| self.on_description(first, description)) {
            page.data(format!("{}{}", self.separator(), first.list), false, place);
        }
        page.scaffold(format!("{}{}", frame.terminator, frame.trailer), place);
    }

    /// Writes the prompt side of a draw: its input, if any, and the header of its output.
    fn write_question(&self, page: &mut Page<'_>, asked: &Asked, description: Option<&str>) {
        let chat = self.kind == TemplateKind::Chat;
        let list = if self.on_description(asked, description) { "" } else { &asked.list };
        let shown = chat || asked.input.is_some() || !list.is_empty();
        if let Some(frame) = page.frames.input.as_ref().filter(|_| shown) {
            let place = Place { role: Role::Input, turn: Some(asked.turn) };
            page.scaffold(frame.header.as_str(), place);
            let folded = chat && self.family.chat.system == SystemTurn::Folded && asked.turn == 0;
            if let Some(description) = description.filter(|_| folded) {
                page.data(description, false, Place { role: Role::Description, turn: None });
                page.scaffold(FOLD, place);
            }
            match asked.input {
                Some(input) => page.data(format!("{}{input}", frame.lead), false, place),
                None if chat => page.scaffold(NO_INPUT, place),
                None => {}
            }
            if !list.is_empty() {
                let alone = asked.input.is_none() && !chat;
                let before = if alone { frame.lead } else { self.separator() };
                page.data(format!("{before}{list}"), false, place);
            }
            page.scaffold(format!("{}{}", frame.terminator, frame.trailer), place);
        }
        if let Some(frame) = &page.frames.output {
            page.scaffold(
                frame.header.as_str(),
                Place { role: Role::Output, turn: Some(asked.turn) },
            );
        }
    }

    /// Writes an output after its header: marker list, text, terminator, trailer.
    fn write_answer(
        &self,
        page: &mut Page<'_>,
        text: &str,
        list: &str,
        learn: bool,
        turn: Option<usize>,
    ) {
        let Some(frame) = &page.frames.output else { return };
        let place = Place { role: Role::Output, turn };
        let text = if self.kind == TemplateKind::Colon { text.trim() } else { text };
        self.write_list(page, list, learn && self.markers.learn, place);
        page.data(format!("{}{text}", frame.lead), learn, place);
        page.write(frame.terminator.as_str(), true, learn, place);
        if turn.is_some() {
            page.scaffold(frame.trailer, place);
        }
    }

    /// Writes the list that an answer begins with. Its separator is scaffolding, so that the text
    /// behind it has the same ids with a list as without one; in `colon`, the text brings a space.
    fn write_list(&self, page: &mut Page<'_>, list: &str, learn: bool, place: Place) {
        let Some(frame) = &page.frames.output else { return };
        if list.is_empty() || self.kind == TemplateKind::Plain {
            return;
        }
        page.data(format!("{}{list}", frame.lead), learn, place);
        if self.kind != TemplateKind::Colon {
            page.write(SEPARATOR, true, learn, place);
        }
    }

    /// Whether the list of a draw stands at the end of the description: it is the only text of the
    /// prompt side when the first draw has no input.
    fn on_description(&self, asked: &Asked, description: Option<&str>) -> bool {
        !asked.list.is_empty()
            && asked.turn == 0
            && asked.input.is_none()
            && description.is_some()
            && self.kind != TemplateKind::Chat
    }

    /// What stands between a marker list and the text beside it: in `colon` line ends are taken.
    fn separator(&self) -> &'static str {
        if self.kind == TemplateKind::Colon { " " } else { SEPARATOR }
    }
}

/// The prompt side of one draw.
struct Asked<'episode> {
    turn: usize,
    input: Option<&'episode str>,
    /// The marker list shown here; empty if none is.
    list: String,
}

/// The part of an episode that is being written.
#[derive(Clone, Copy)]
struct Place {
    role: Role,
    turn: Option<usize>,
}

/// The spans written so far.
struct Page<'frames> {
    /// What stands around the texts.
    frames: &'frames Frames,
    spans: Vec<Span>,
    /// Whether everything bears loss, scaffolding included.
    learn_all: bool,
}

impl<'frames> Page<'frames> {
    fn new(frames: &'frames Frames) -> Self {
        Page { frames, spans: Vec::new(), learn_all: false }
    }

    fn scaffold(&mut self, text: impl Into<String>, place: Place) {
        self.write(text, true, false, place);
    }

    fn data(&mut self, text: impl Into<String>, learn: bool, place: Place) {
        self.write(text, false, learn, place);
    }

    fn write(&mut self, text: impl Into<String>, template: bool, learn: bool, place: Place) {
        let text = text.into();
        if text.is_empty() {
            return;
        }
        self.spans.push(Span {
            text,
            template,
            learn: learn || self.learn_all,
            role: Some(place.role),
            turn: place.turn.map(|turn| turn as u32),
        });
    }
}
