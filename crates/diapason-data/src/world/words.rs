//! People for labels, and what tuning shows of them and of the kinds.

use super::{Kind, Role, kinds};
use diapason_flow::Stream;
use rand::seq::{IndexedRandom, SliceRandom};

/// First names of people. Neither these nor the surnames occur anywhere else in the world.
pub(super) const FIRST_NAMES: [&str; 12] =
    ["Ann", "Ben", "Dan", "Eva", "Finn", "Gus", "Ida", "Jon", "Liv", "Max", "Ola", "Pia"];
pub(super) const SURNAMES: [&str; 96] = [
    "Abbott", "Adams", "Archer", "Bailey", "Banks", "Barnes", "Barr", "Bell", "Blake", "Bond",
    "Booth", "Boyd", "Brooks", "Burke", "Burns", "Carr", "Carter", "Clark", "Clay", "Cole",
    "Curtis", "Dale", "Davis", "Dean", "Dixon", "Doyle", "Drake", "Dunn", "Ellis", "Evans",
    "Fisher", "Fletcher", "Flynn", "Ford", "Frost", "Gale", "Gibbs", "Grant", "Graves", "Hale",
    "Hardy", "Hart", "Hayes", "Hill", "Hobbs", "Holt", "Hunt", "Hyde", "Irwin", "Jarvis", "Kemp",
    "Kerr", "Knox", "Lamb", "Lane", "Lloyd", "Lowe", "Lynch", "Marsh", "Mason", "Miles", "Moss",
    "Nash", "Nolan", "Nye", "Oakes", "Owen", "Page", "Parks", "Payne", "Pierce", "Pike", "Pope",
    "Pratt", "Quinn", "Reed", "Rhodes", "Rowe", "Sharp", "Shaw", "Stark", "Stone", "Swift", "Todd",
    "Tyler", "Vance", "Wade", "Walsh", "Ward", "Webb", "Wilde", "Wolfe", "Wright", "Wyatt",
    "Yates", "Young",
];

/// Which words a process uses. No person is in both pools, nor is a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordPool {
    /// What tuning shows; people of the corpus.
    Training,
    /// What occurs in no tuning data; people of whom the corpus does not know either, though it
    /// knows others of their first name and others of their surname.
    HeldOut,
    /// As held out, but labels are members of one kind: things that the corpus knows and no tuning data
    /// names.
    Things,
}

impl WordPool {
    /// The kinds that `members` draws from.
    pub fn kinds(self) -> impl Iterator<Item = &'static Kind> {
        let role = if self == WordPool::Training { Role::Drawn } else { Role::Known };
        kinds().iter().filter(move |kind| kind.role == role)
    }

    /// All people that can be labels: a first name and a surname each. Of each surname one in
    /// twelve is held out, as many of each first name.
    pub fn people(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        FIRST_NAMES.iter().enumerate().flat_map(move |(row, first)| {
            SURNAMES.iter().enumerate().filter_map(move |(column, surname)| {
                let held_out = (row + column) % FIRST_NAMES.len() == 0;
                (held_out == (self == WordPool::HeldOut)).then_some((*first, *surname))
            })
        })
    }

    /// `count` different labels in random order, at most as many as there are: people of whom no
    /// two share a first name, or things of one kind.
    pub fn labels(self, count: usize, stream: &mut Stream) -> Vec<String> {
        if self == WordPool::Things {
            let kinds: Vec<&Kind> = self.kinds().collect();
            let kind = kinds.choose(stream).expect("some kinds are known from the corpus alone");
            return kind.members.sample(stream, count).cloned().collect();
        }
        let mut people: Vec<(&str, &str)> = self.people().collect();
        people.shuffle(stream);
        let mut names = std::collections::HashSet::new();
        let distinct = people.into_iter().filter(|(first, _)| names.insert(*first));
        distinct.take(count).map(|(first, surname)| format!("{first} {surname}")).collect()
    }
}
