//! Patience: how often to ask again, how long to wait, and who is told.

use crate::error::NetError;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What goes on while a call takes its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes of a file that are there, of how many where that is known.
    Bytes {
        /// Bytes in place, with those of an earlier run.
        done: u64,
        /// Bytes of the whole file.
        of: Option<u64>,
    },
    /// Nothing is done until the other side is ready.
    Waiting {
        /// Seconds left, rounded up.
        seconds: u64,
        /// Why.
        reason: String,
    },
}

/// Is told what goes on; breaking stops the call with [`NetError::Stopped`].
pub type Observe<'a> = dyn FnMut(&Event) -> ControlFlow<()> + 'a;

/// How often a call that failed for now is made again. Waits double from `first` up to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Calls in a row without any progress before giving up.
    pub attempts: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait; a server that asks for more is given up on.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: 6, first: Duration::from_millis(500), longest: Duration::from_mins(2) }
    }
}

/// The observer is asked this often whether to stop.
const SLICE: Duration = Duration::from_millis(100);

impl Retry {
    /// Calls until it succeeds, fails for good, or has failed `attempts` times.
    pub(crate) fn run<T>(
        &self,
        observe: &mut Observe<'_>,
        mut call: impl FnMut(&mut Observe<'_>) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let mut failures = 0;
        loop {
            let error = match call(observe) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            let Some(wait) = self.wait(failures, &error) else { return Err(error) };
            sleep(wait, &error.to_string(), observe)?;
        }
    }

    /// How long to wait after the `failures`th failure in a row; `None` to give up.
    pub(crate) fn wait(&self, failures: u32, error: &NetError) -> Option<Duration> {
        if !error.is_transient() || failures >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << (failures - 1).min(20)).min(self.longest);
        match error {
            NetError::Busy { wait: Some(asked), .. } if *asked > self.longest => None,
            NetError::Busy { wait: Some(asked), .. } => Some(doubled.max(*asked)),
            _ => Some(doubled),
        }
    }
}

/// Waits, asking the observer now and then whether to stop.
pub(crate) fn sleep(
    wait: Duration,
    reason: &str,
    observe: &mut Observe<'_>,
) -> Result<(), NetError> {
    let until = Instant::now() + wait;
    let reason = reason.lines().next().unwrap_or_default().to_owned();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seconds = left.as_millis().div_ceil(1000) as u64;
        let event = Event::Waiting { seconds, reason: reason.clone() };
        if observe(&event).is_break() {
            return Err(NetError::Stopped);
        }
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// The wait that a server asks for: seconds, or a date to be compared with the server's own.
pub(crate) fn asked_wait(retry_after: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let text = retry_after?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let wait = seconds_of_date(text)?.saturating_sub(seconds_of_date(date?)?);
    Some(Duration::from_secs(wait))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
pub(crate) fn seconds_of_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(text.split(' ').nth(2)?)? as u64 / 3 + 1;
    let day: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let mut numbers = text.split([' ', ':']).skip(3).map(|part| part.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let (year, hour, minute, second) = (next()?, next()?, next()?, next()?);
    // Days of the civil calendar, counted from March so that leap days come last.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(wait: Option<u64>) -> NetError {
        NetError::Busy { url: String::new(), status: 429, wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn waits_double_and_heed_the_server() {
        let retry = Retry::default();
        let seconds =
            |failures, wait| retry.wait(failures, &busy(wait)).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds(1, None), Some(0.5));
        assert_eq!(seconds(3, None), Some(2.0));
        assert_eq!(seconds(1, Some(7)), Some(7.0));
        assert_eq!(seconds(1, Some(3600)), None, "an hour is not waited for");
        assert_eq!(seconds(6, None), None, "six failures in a row are enough");
        assert_eq!(retry.wait(1, &NetError::Stopped), None);
    }

    #[test]
    fn dates_are_compared_with_the_servers_own() {
        assert_eq!(seconds_of_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds_of_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        let (now, then) = ("Fri, 31 Dec 1999 23:59:59 GMT", "Sat, 01 Jan 2000 00:00:09 GMT");
        assert_eq!(asked_wait(Some(then), Some(now)), Some(Duration::from_secs(10)));
        assert_eq!(asked_wait(Some(then), None), None);
        assert_eq!(asked_wait(Some("soon"), Some(now)), None);
        assert_eq!(asked_wait(Some("12"), None), Some(Duration::from_secs(12)));
    }

    #[test]
    fn the_observer_can_end_a_wait() {
        let started = Instant::now();
        let stopped = sleep(Duration::from_mins(1), "x", &mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(NetError::Stopped)));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
