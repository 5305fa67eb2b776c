//! Many tasks that sleep.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::Running;
use crate::{failure::Failure, probe::Probe};

/// Tasks that sleep at the same time.
pub(crate) const TASKS: u64 = 1000;
/// The longest sleep; the shortest is none at all.
pub(crate) const LONGEST: Duration = Duration::from_millis(50);

/// Every task sleeps until a random instant, notes how late it woke up, and
/// starts over. A wake-up before its instant is an error.
pub(crate) fn start(probe: Rc<Probe>) -> Running {
    let sleeper = |seed| proactor::spawn(sleep(seed, probe.clone()));
    (0..TASKS).map(sleeper).collect()
}

async fn sleep(seed: u64, probe: Rc<Probe>) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    while probe.running() {
        let pause = Duration::from_nanos(random.u64(..LONGEST.as_nanos() as u64));
        let deadline = Instant::now() + pause;
        proactor::time::sleep_until(deadline).await;
        let woken = Instant::now();
        if woken < deadline {
            return Err(Failure::Wrong(format!("a timer fired {:?} before its time", deadline - woken)));
        }
        probe.record(woken - deadline, 1);
    }
    Ok(())
}
