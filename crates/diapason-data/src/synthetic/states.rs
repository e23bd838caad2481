//! US states, each equally likely.

use super::instance::{Instance, Told};
use super::parameters::{Parameters, Turns};
use diapason_flow::Stream;
use rand::RngExt;

const STATES: [&str; 50] = [
    "Alabama",
    "Alaska",
    "Arizona",
    "Arkansas",
    "California",
    "Colorado",
    "Connecticut",
    "Delaware",
    "Florida",
    "Georgia",
    "Hawaii",
    "Idaho",
    "Illinois",
    "Indiana",
    "Iowa",
    "Kansas",
    "Kentucky",
    "Louisiana",
    "Maine",
    "Maryland",
    "Massachusetts",
    "Michigan",
    "Minnesota",
    "Mississippi",
    "Missouri",
    "Montana",
    "Nebraska",
    "Nevada",
    "New Hampshire",
    "New Jersey",
    "New Mexico",
    "New York",
    "North Carolina",
    "North Dakota",
    "Ohio",
    "Oklahoma",
    "Oregon",
    "Pennsylvania",
    "Rhode Island",
    "South Carolina",
    "South Dakota",
    "Tennessee",
    "Texas",
    "Utah",
    "Vermont",
    "Virginia",
    "Washington",
    "West Virginia",
    "Wisconsin",
    "Wyoming",
];

/// The uniform distribution over the states; an outcome is the index of a state.
pub(super) struct States {
    told: Told,
}

impl Instance for States {
    const NAME: &'static str = "states";
    const ABOUT: &'static str = "One of the 50 US states, uniformly, with replacement.";
    const OPTIMAL: &'static str = "Always: ln 50.";
    const CAN_QUERY: bool = true;
    const TURNS: Turns = Turns::GeometricPoisson(32);
    type Outcome = usize;

    fn new(_: &Parameters, told: Told, _: &mut Stream) -> Self {
        States { told }
    }

    fn wordings(&self) -> Vec<String> {
        let wordings = if self.told == Told::Family {
            [
                "US states picked at random, one at a time.",
                "Random draws from the states of the USA.",
                "Each output is the full name of a US state.",
            ]
        } else {
            [
                "US states picked uniformly at random: all 50 are equally likely every time.",
                "Independent uniform draws from the 50 states of the USA, by their full names.",
                "A list of the 50 US states; each output is one of them, each with probability 1/50.",
            ]
        };
        wordings.map(str::to_owned).to_vec()
    }

    fn questions(&self) -> Vec<String> {
        [
            "Name one of the 50 US states, chosen uniformly at random.",
            "Pick a US state at random, each equally likely, and give its full name.",
            "Draw one US state from a uniform distribution over all 50. Answer with its name only.",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        stream.random_range(0..STATES.len())
    }

    fn ln_predictive(&self, _: &usize) -> Option<f64> {
        Some(-(STATES.len() as f64).ln())
    }

    fn observe(&mut self, _: &usize) {}

    fn text(&self, state: &usize) -> String {
        STATES[*state].to_owned()
    }

    fn options(&self) -> Vec<usize> {
        (0..STATES.len()).collect()
    }
}
