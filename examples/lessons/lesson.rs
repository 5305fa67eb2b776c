//! What the lessons share: seconds, and a watch that counts them.
//!
//! A second is a second, unless the environment says otherwise: with `LESSON_SPEED=100` it lasts 10 ms, for the waits and
//! for the watch.
#![allow(dead_code, reason = "no lesson needs all of it")]

use std::fmt;
use std::time::{Duration, Instant};

/// How many seconds of a lesson pass in one.
pub(crate) fn speed() -> f64 {
    let speed = std::env::var("LESSON_SPEED").ok();
    speed.map_or(1.0, |speed| speed.parse().expect("LESSON_SPEED is a number, such as 10"))
}

/// So many seconds of the lesson.
pub(crate) fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count / speed())
}

/// Counts seconds of the lesson from when it was started. It is displayed as the whole seconds that have passed, `3 s`.
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
