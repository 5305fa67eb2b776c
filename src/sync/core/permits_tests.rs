//! The permits beside a plain queue: both must serve the same requests.
#![forbid(unsafe_code)]

use super::super::flavor::{Local, Threaded};
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

#[derive(Default)]
struct Noted(AtomicBool);

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The state of a request in the model.
#[derive(Debug, PartialEq)]
enum Fate {
    Waits,
    /// It was given its permits and has not been polled since.
    Served,
    Has,
    Gone,
}

/// Permits with a plain queue.
struct Model {
    free: usize,
    queue: VecDeque<usize>,
    asked: Vec<(usize, Fate)>,
}

impl Model {
    fn serve(&mut self) {
        while let Some(front) = self.queue.front().copied().filter(|id| self.asked[*id].0 <= self.free) {
            self.queue.pop_front();
            self.free -= self.asked[front].0;
            self.asked[front].1 = Fate::Served;
        }
    }

    /// Whether permits are free for a newcomer: no request waits, and all served ones have been polled.
    fn free_for_all(&self, count: usize) -> bool {
        count <= self.free && !self.asked.iter().any(|(_, fate)| matches!(fate, Fate::Waits | Fate::Served))
    }

    fn ask(&mut self, count: usize) {
        if self.free_for_all(count) {
            self.free -= count;
            self.asked.push((count, Fate::Has));
        } else {
            self.asked.push((count, Fate::Waits));
            self.queue.push_back(self.asked.len() - 1);
            self.serve();
        }
    }

    fn go(&mut self, id: usize) {
        match std::mem::replace(&mut self.asked[id].1, Fate::Gone) {
            Fate::Waits => self.queue.retain(|other| *other != id),
            Fate::Served | Fate::Has => self.free += self.asked[id].0,
            Fate::Gone => {}
        }
        self.serve();
    }
}

fn it_is_a_queue_for_permits<F: Flavor>(
    steps: Vec<(u8, usize, prop::sample::Index)>,
) -> Result<(), TestCaseError> {
    let permits = Permits::<F>::new(4);
    let mut model = Model { free: 4, queue: VecDeque::new(), asked: Vec::new() };
    let mut real: Vec<(Acquiring, Arc<Noted>)> = Vec::new();
    for (step, count, pick) in steps {
        let id = (step > 1 && !real.is_empty()).then(|| pick.index(real.len()));
        match (step, id) {
            (2 | 3, Some(id)) if matches!(model.asked[id].1, Fate::Waits | Fate::Served) => {
                let (acquiring, noted) = &mut real[id];
                *noted = Arc::default(); // another waker
                let waker = Waker::from(noted.clone());
                let result = permits.poll_acquire(acquiring, &Context::from_waker(&waker));
                prop_assert_eq!(result.is_ready(), model.asked[id].1 == Fate::Served);
                if result.is_ready() {
                    model.asked[id].1 = Fate::Has;
                }
            }
            (_, Some(id)) => {
                if model.asked[id].1 == Fate::Has {
                    permits.release(model.asked[id].0);
                } else {
                    permits.cancel(&mut real[id].0);
                }
                model.go(id);
            }
            (1, None) => {
                let free = model.free_for_all(count);
                prop_assert_eq!(permits.try_acquire(count).is_ok(), free);
                if free {
                    permits.release(count);
                }
            }
            _ => {
                let noted = Arc::new(Noted::default());
                let mut acquiring = Acquiring::new(count);
                let waker = Waker::from(noted.clone());
                let result = permits.poll_acquire(&mut acquiring, &Context::from_waker(&waker));
                real.push((acquiring, noted));
                model.ask(count);
                prop_assert_eq!(result.is_ready(), model.asked.last().unwrap().1 == Fate::Has);
            }
        }
        prop_assert_eq!(permits.available(), model.free);
        prop_assert_eq!(permits.waiting(), model.queue.len());
        for ((_, noted), (_, fate)) in real.iter().zip(&model.asked) {
            let wakes = noted.0.load(Ordering::Relaxed);
            match fate {
                Fate::Waits => prop_assert!(!wakes),
                Fate::Served => prop_assert!(wakes),
                Fate::Has | Fate::Gone => {}
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn local_ones(steps in prop::collection::vec((0..6_u8, 0..5_usize, any::<prop::sample::Index>()), 1..100)) {
        it_is_a_queue_for_permits::<Local>(steps)?;
    }

    #[test]
    fn threaded_ones(steps in prop::collection::vec((0..6_u8, 0..5_usize, any::<prop::sample::Index>()), 1..100)) {
        it_is_a_queue_for_permits::<Threaded>(steps)?;
    }
}
