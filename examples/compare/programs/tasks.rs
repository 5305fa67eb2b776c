//! What tasks cost by themselves, without any I/O.

use std::{rc::Rc, time::Instant};

use super::Running;
use crate::{failure::Failure, probe::Probe};

/// Operations between two looks at the clock.
const BATCH: u64 = 128;

/// One task that spawns another, awaits its result, and starts over.
pub(crate) fn spawn_join(probe: Rc<Probe>) -> Running {
    vec![proactor::spawn(async move {
        while probe.running() {
            let begun = Instant::now();
            for number in 0..BATCH {
                let answer = proactor::spawn(async move { number + 1 }).await?;
                if answer != number + 1 {
                    return Err(Failure::Wrong(format!("task {number} gave {answer} as its result")));
                }
            }
            probe.record(begun.elapsed(), BATCH);
        }
        Ok(())
    })]
}

/// One task that yields over and over.
pub(crate) fn yields(probe: Rc<Probe>) -> Running {
    vec![proactor::spawn(async move {
        while probe.running() {
            let begun = Instant::now();
            for _ in 0..BATCH {
                proactor::yield_now().await;
            }
            probe.record(begun.elapsed(), BATCH);
        }
        Ok(())
    })]
}
