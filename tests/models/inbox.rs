//! The inbox: each node is delivered once, in order of arrival, and a closed inbox keeps none.

use loom::thread;

use crate::kit::{Model, join};
use crate::sys::sync::atomic::{AtomicUsize, Ordering};
use crate::sys::sync::{Arc, Mutex};
use crate::task::threads::inbox::{Delivery, Shared};

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("inbox_two_producers_against_delivery", two_producers_against_delivery),
        ("inbox_close_against_pushes", close_against_pushes),
        ("inbox_last_owner_drops_it", last_owner_drops_it),
    ]
}

/// The delivered closures, as (producer, number) in order of delivery.
type Log = Arc<Mutex<Vec<(usize, usize)>>>;

fn produce(shared: &Shared, log: &Log, producer: usize, count: usize) {
    for number in 0..count {
        let log = log.clone();
        let posted = shared.post(move |delivery| {
            assert_eq!(delivery, Delivery::Run);
            log.lock().unwrap().push((producer, number));
        });
        assert!(posted.is_ok(), "the inbox is open");
    }
}

fn two_producers_against_delivery() {
    let shared = Shared::new().unwrap();
    let log = Log::default();
    let producers = [0, 1].map(|producer| {
        let (shared, log) = (shared.clone(), log.clone());
        thread::spawn(move || produce(&shared, &log, producer, 2))
    });
    shared.deliver();
    shared.deliver();
    join(producers);
    shared.deliver();
    let log = log.lock().unwrap();
    for producer in [0, 1] {
        let numbers: Vec<_> = log.iter().filter(|entry| entry.0 == producer).map(|entry| entry.1).collect();
        assert_eq!(numbers, [0, 1], "each once, in its producer's order");
    }
}

/// The ends of two closures. Each is dropped in any case: loom counts what it holds.
#[derive(Default)]
struct Ends {
    run: AtomicUsize,
    discarded: AtomicUsize,
    given_back: AtomicUsize,
}

impl Ends {
    fn of(shared: &Shared, ends: &Arc<Ends>) {
        let inner = ends.clone();
        let posted = shared.post(move |delivery| {
            let end = if delivery == Delivery::Run { &inner.run } else { &inner.discarded };
            end.fetch_add(1, Ordering::Relaxed);
        });
        if posted.is_err() {
            ends.given_back.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(&self) -> [usize; 3] {
        [&self.run, &self.discarded, &self.given_back].map(|end| end.load(Ordering::Relaxed))
    }
}

fn close_against_pushes() {
    let shared = Shared::new().unwrap();
    let ends: [Arc<Ends>; 2] = Default::default();
    let producers = ends.clone().map(|ends| {
        let shared = shared.clone();
        thread::spawn(move || Ends::of(&shared, &ends))
    });
    shared.deliver();
    shared.close();
    shared.deliver(); // a closed inbox stays closed
    assert!(shared.is_closed());
    join(producers);
    for ends in ends {
        assert_eq!(ends.all().iter().sum::<usize>(), 1, "run, discarded or given back: {:?}", ends.all());
    }
}

/// A loop that has ended without closing its inbox: the last owner, on any thread, discards the nodes.
fn last_owner_drops_it() {
    let shared = Shared::new().unwrap();
    let ends: [Arc<Ends>; 2] = Default::default();
    let producers = ends.clone().map(|ends| {
        let shared = shared.clone();
        thread::spawn(move || Ends::of(&shared, &ends))
    });
    drop(shared);
    join(producers);
    for ends in ends {
        assert_eq!(ends.all(), [0, 1, 0], "discarded with the inbox");
    }
}
