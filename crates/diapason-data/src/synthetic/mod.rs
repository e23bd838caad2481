//! Synthetic processes: episodes whose data-generating process we wrote ourselves.
//!
//! One file and one line of [`PROCESSES`] a process. A task file names a process and sets its
//! [`Parameters`]; [`Process::episode`] then builds any of its episodes on its own, from a stream
//! that depends on the task's name and the episode's number only.
//!
//! # What `optimal_nats` means
//! The ideal observer knows how the process is generated (families, priors and label pools, as
//! the file of the process documents them) and whatever the description tells, but not the
//! secrets of the instance. Its predictive is exact: a conjugate closed form or a sum over
//! finitely many hypotheses. Where neither is known, [`Process::optimal`] says so and the turns
//! have `None`. A query asks for the observer's predictive of the next draw.

mod binomial;
mod cards;
mod categorical;
mod coinflip;
mod flight;
mod geometric;
mod geometric_beta;
mod hypergeometric;
mod instance;
mod labels;
mod members;
mod multinomial;
mod negative_binomial;
mod normal;
mod parameters;
mod poisson;
mod predictive;
mod states;
mod urn;
mod zipfian;

#[cfg(test)]
mod tests;

pub(crate) use parameters::geometric_plus_poisson;
pub use parameters::{Parameters, Turns};
pub(crate) use urn::COLOURS;

use diapason_flow::{Episode, Stream, Streams};
use instance::Instance;

/// One synthetic process.
#[derive(Debug)]
pub struct Process {
    /// The name that task files use.
    pub name: &'static str,
    /// What is drawn, and from which prior.
    pub about: &'static str,
    /// When the ideal observer's predictive is known.
    pub optimal: &'static str,
    /// Whether an episode can end in a query over a finite list of options.
    pub can_query: bool,
    /// Builds episode number `index`, whose unit is that instance of the process.
    pub build: fn(&Parameters, &mut Stream, index: u64) -> Episode,
}

/// All synthetic processes, by name.
pub const PROCESSES: &[Process] = &[
    Process::of::<binomial::Binomial>(),
    Process::of::<cards::Cards>(),
    Process::of::<categorical::Categorical>(),
    Process::of::<coinflip::Coin>(),
    Process::of::<flight::Traveller>(),
    Process::of::<geometric::Geometric>(),
    Process::of::<geometric_beta::GeometricBeta>(),
    Process::of::<hypergeometric::Hypergeometric>(),
    Process::of::<members::Members>(),
    Process::of::<multinomial::Multinomial>(),
    Process::of::<negative_binomial::NegativeBinomial>(),
    Process::of::<normal::Normal>(),
    Process::of::<poisson::Poisson>(),
    Process::of::<states::States>(),
    Process::of::<urn::Urn>(),
    Process::of::<zipfian::Zipfian>(),
];

impl Process {
    const fn of<I: Instance>() -> Self {
        Process {
            name: I::NAME,
            about: I::ABOUT,
            optimal: I::OPTIMAL,
            can_query: I::CAN_QUERY,
            build: instance::build::<I>,
        }
    }

    /// The process of that name.
    pub fn named(name: &str) -> Option<&'static Process> {
        PROCESSES.iter().find(|process| process.name == name)
    }

    /// Episode number `index` of a task: the same bytes whatever else was built before.
    pub fn episode(
        &self,
        task: &str,
        parameters: &Parameters,
        streams: &Streams,
        index: u64,
    ) -> Episode {
        let mut stream = streams.within(task).stream("episode", index);
        let mut episode = (self.build)(parameters, &mut stream, index);
        task.clone_into(&mut episode.task);
        episode
    }
}
