//! A shuffled deck, dealt without replacement.

use super::instance::{Instance, Told};
use super::parameters::{Parameters, Turns};
use diapason_flow::Stream;
use rand::RngExt;

const RANKS: [(&str, &str); 13] = [
    ("2", "two"),
    ("3", "three"),
    ("4", "four"),
    ("5", "five"),
    ("6", "six"),
    ("7", "seven"),
    ("8", "eight"),
    ("9", "nine"),
    ("10", "ten"),
    ("J", "jack"),
    ("Q", "queen"),
    ("K", "king"),
    ("A", "ace"),
];
const SUITS: [(&str, &str); 4] =
    [("♣", "clubs"), ("♦", "diamonds"), ("♥", "hearts"), ("♠", "spades")];

/// What is left of a deck; an outcome is `4 * rank + suit`.
pub(super) struct Cards {
    told: Told,
    /// Whether cards are written `ten of clubs` rather than `10♣`.
    in_words: bool,
    left: Vec<usize>,
}

impl Instance for Cards {
    const NAME: &'static str = "cards";
    const ABOUT: &'static str =
        "All 52 cards of a shuffled deck, one after the other, in symbols or in words.";
    const OPTIMAL: &'static str = "Always: 1 / cards left; without a description the first card \
        also pays for the choice between symbols and words.";
    const CAN_QUERY: bool = true;
    const TURNS: Turns = Turns::Fixed(52);
    type Outcome = usize;

    fn new(_: &Parameters, told: Told, stream: &mut Stream) -> Self {
        Cards { told, in_words: stream.random::<bool>(), left: (0..52).collect() }
    }

    fn wordings(&self) -> Vec<String> {
        let (example, ranks, suits) = if self.in_words {
            let ranks = RANKS.map(|(_, rank)| rank).join(", ");
            ("queen of hearts", ranks, SUITS.map(|(_, suit)| suit).join(", "))
        } else {
            let ranks = RANKS.map(|(rank, _)| rank).join(", ");
            ("Q♥", ranks, SUITS.map(|(suit, _)| suit).join(", "))
        };
        if self.told == Told::Family {
            return vec![
                format!("Cards dealt from one shuffled deck, written like {example}."),
                format!(
                    "A standard deck is shuffled and turned over card by card, as in {example}."
                ),
                format!(
                    "Playing cards in the style of {example}, drawn one at a time and kept out."
                ),
            ];
        }
        vec![
            format!(
                "The 52 cards of a shuffled deck, dealt without replacement and written like {example}. Ranks: {ranks}. Suits: {suits}."
            ),
            format!(
                "A full deck (ranks {ranks}; suits {suits}) is shuffled and turned over; no card comes twice. Cards look like {example}."
            ),
            format!(
                "Every rank ({ranks}) of every suit ({suits}) exactly once, in random order, as in {example}."
            ),
        ]
    }

    fn questions(&self) -> Vec<String> {
        ["Deal a card.", "Turn over the next card.", "Draw one card from what is left."]
            .map(str::to_owned)
            .to_vec()
    }

    fn exhausted(&self) -> bool {
        self.left.is_empty()
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        self.left[stream.random_range(0..self.left.len())]
    }

    fn ln_predictive(&self, card: &usize) -> Option<f64> {
        if !self.left.contains(card) {
            return Some(f64::NEG_INFINITY);
        }
        let unknown_style = self.told == Told::Nothing && self.left.len() == 52;
        let styles = if unknown_style { 2.0 } else { 1.0 };
        Some(-(styles * self.left.len() as f64).ln())
    }

    fn observe(&mut self, card: &usize) {
        self.left.retain(|other| other != card);
    }

    fn text(&self, card: &usize) -> String {
        let (rank, suit) = (RANKS[card / 4], SUITS[card % 4]);
        if self.in_words {
            format!("{} of {}", rank.1, suit.1)
        } else {
            format!("{}{}", rank.0, suit.0)
        }
    }

    fn options(&self) -> Vec<usize> {
        self.left.clone()
    }
}
