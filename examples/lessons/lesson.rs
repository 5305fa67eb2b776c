//! Shared code of the lessons: seconds, and a watch that counts them.
//!
//! With `LESSON_SPEED=100` in the environment a second lasts 10 ms, for the waits and for the watch.
#![allow(dead_code, reason = "no lesson needs all of it")]

use std::fmt;
use std::time::{Duration, Instant};

const MIN_SPEED: f64 = 0.001;
const MAX_SPEED: f64 = 1_000_000.0;

/// Seconds of a lesson that pass in one real second.
pub(crate) fn speed() -> f64 {
    let Some(text) = std::env::var_os("LESSON_SPEED") else { return 1.0 };
    let speed = text.to_str().and_then(|text| text.parse().ok());
    speed.filter(|speed| (MIN_SPEED..=MAX_SPEED).contains(speed)).unwrap_or_else(|| {
        eprintln!(
            "LESSON_SPEED is {text:?}, and must be a number from {MIN_SPEED} to {MAX_SPEED}, such as 10"
        );
        std::process::exit(2)
    })
}

/// Converts seconds of the lesson into a real duration.
pub(crate) fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count / speed())
}

/// Counts seconds of the lesson since its start. It displays them as whole seconds, `3 s`.
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        Watch(Instant::now())
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} s", self.0.elapsed().as_secs_f64() * speed())
    }
}
