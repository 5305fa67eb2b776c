//! What buffers do when they are dropped: spawn, submit, drop other futures, panic; wherever that happens.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use proactor::fs::File;
use proactor::io::nop;
use proactor::{Config, Runtime, spawn};

use crate::kit::*;

tests! {
    t19_a_buffer_whose_drop_spawns,
    t19_a_buffer_whose_drop_submits,
    t19_a_buffer_whose_drop_drops_another_future,
    t19_a_buffer_whose_drop_panics,
}

/// When the driver lets go of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// With the future, which has not begun.
    Unpolled,
    /// With the future, which waits until another one on the same stream has ended.
    BehindAnother,
    /// Before the kernel knows of it.
    Unsubmitted,
    /// Before there was room in the queue.
    Backlog,
    /// When the kernel has given up.
    InFlight,
    /// When the kernel has delivered bytes for a future that has gone.
    Delivered,
    /// With the future, which has not taken its result.
    Completed,
    /// When a job of the pool, or the kernel, has read a file for a future that has gone.
    FileRead,
    /// At the end of `block_on`, which leaves nothing unsubmitted.
    Return,
    /// In a shutdown that ends a task.
    Shutdown,
    /// With the future, which has outlived its runtime.
    Afterwards,
}

const MOMENTS: [Moment; 11] = [
    Moment::Unpolled,
    Moment::BehindAnother,
    Moment::Unsubmitted,
    Moment::Backlog,
    Moment::InFlight,
    Moment::Delivered,
    Moment::Completed,
    Moment::FileRead,
    Moment::Return,
    Moment::Shutdown,
    Moment::Afterwards,
];

impl Moment {
    fn has_runtime(self) -> bool {
        self != Moment::Afterwards
    }

    /// Whether the runtime goes on afterwards.
    fn goes_on(self) -> bool {
        !matches!(self, Moment::Shutdown | Moment::Afterwards)
    }

    /// Whether the kernel knows of the operation before its future is dropped.
    fn is_submitted(self) -> bool {
        use Moment::*;
        matches!(self, InFlight | Delivered | Completed | Return | Afterwards)
    }

    /// Whether the buffer goes with the future, on the proactor as well.
    fn is_at_once(self) -> bool {
        matches!(self, Moment::Unpolled | Moment::BehindAnother | Moment::Backlog | Moment::Completed)
    }
}

/// The whole life of a runtime, in which a buffer is dropped at this moment, and acts. `prepare` runs before, and
/// what it gives is dropped right behind the buffer's future; `finish` runs afterwards if the runtime goes on.
/// What may meet a panic of the act is done through `attempt`.
fn act_at<R: Runtime, T>(
    moment: Moment,
    mut act: impl FnMut() + 'static,
    prepare: impl AsyncFnOnce() -> T,
    finish: impl AsyncFnOnce(),
    attempt: &mut dyn FnMut(&mut dyn FnMut()),
) {
    let config = match moment {
        Moment::Backlog => Config::new().ring_entries(8).fault(REFUSING),
        _ => Config::new(),
    };
    let mut runtime = Some(R::with_config(&config).unwrap());
    let ran = Rc::new(Cell::new(0));
    let counts = ran.clone();
    let mut acts = Some(Acts(Vec::with_capacity(10), move || {
        counts.set(counts.get() + 1);
        act();
    }));
    let mut left = None;
    let mut peers = Vec::new();
    let mut beside = Some(runtime.as_ref().unwrap().block_on(prepare()));
    attempt(&mut || {
        runtime.as_ref().unwrap().block_on(async {
            let beside_it = beside.take(); // a panic drops it as well
            let (stream, peer) = half_pair();
            peers.push(peer);
            let acts = acts.take().unwrap();
            if moment == Moment::Shutdown {
                spawn(async move { stream.read(acts).await.map(drop) });
                turns(2).await;
                return;
            }
            if moment == Moment::FileRead {
                let file = File::open("/dev/zero").await.unwrap();
                let mut read = file.read_at(acts, 0);
                assert!(poll_once(&mut read).await.is_pending());
                drop(read);
                return until(|| ran.get() > 0).await;
            }
            let front = if moment == Moment::Backlog { in_front().await } else { Vec::new() };
            let mut first = stream.read([0; 1]);
            if moment == Moment::BehindAnother {
                assert!(poll_once(&mut first).await.is_pending());
            }
            let mut read = boxed(stream.read(acts));
            if moment != Moment::Unpolled {
                assert!(poll_once(&mut read).await.is_pending());
            }
            if moment.is_submitted() {
                turns(2).await;
            }
            if moment == Moment::Completed {
                peers[0].write_all(b"bytes").unwrap();
                turns(2).await;
            }
            if moment == Moment::Afterwards {
                left = Some(read);
                return;
            }
            drop(read);
            drop(beside_it);
            let at_once = moment.is_at_once() || !is_proactor::<R>();
            assert_eq!(ran.get(), u32::from(at_once), "{moment:?}: the kernel keeps it");
            if moment == Moment::Delivered {
                peers[0].write_all(b"bytes").unwrap();
            }
            if moment == Moment::Return {
                return;
            }
            until(|| ran.get() > 0).await;
            drop((first, front));
            if matches!(moment, Moment::Delivered | Moment::Completed) {
                assert_eq!(&stream.read_exact([0; 5]).await.unwrap().1, b"bytes");
            }
        });
    });
    if moment.goes_on() {
        assert_eq!(ran.get(), 1, "{moment:?}");
        let runtime = runtime.as_ref().unwrap();
        runtime.block_on(async {
            // What the act has left behind comes to its end, and all goes on.
            until(|| live(runtime).0 == 0).await;
            finish().await;
            let ends = Ends::stream();
            let mut receive = Receive::Read.begin(&ends, || Tombstone::new(1));
            assert!(poll_once(&mut receive).await.is_pending());
            turns(1).await;
            ends.send(b"x");
            receive.await;
            ends.expect_nothing().await;
            reaped(runtime).await; // no slot is left behind, whatever happened in the drop
        });
    } else {
        assert_eq!(ran.get(), 0, "{moment:?}");
    }
    attempt(&mut || end(runtime.take().unwrap()));
    assert_eq!(ran.get(), u32::from(moment.has_runtime()), "{moment:?}");
    attempt(&mut || drop(left.take()));
    assert_eq!(ran.get(), 1, "{moment:?}: once");
}

fn t19_a_buffer_whose_drop_spawns<R: Runtime>() {
    for moment in MOMENTS.into_iter().filter(|moment| moment.has_runtime()) {
        let (polled, dropped) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (polls, drops) = (polled.clone(), dropped.clone());
        let act = move || {
            let (polls, counted) = (polls.clone(), Counted(drops.clone()));
            spawn(async move {
                let _counted = counted;
                turns(1).await;
                polls.set(polls.get() + 1);
            });
        };
        act_at::<R, _>(moment, act, async || {}, async || {}, &mut |work| work());
        // In a shutdown a new task is dropped before it begins.
        assert_eq!((polled.get(), dropped.get()), (u32::from(moment.goes_on()), 1), "{moment:?}");
    }
}

fn t19_a_buffer_whose_drop_submits<R: Runtime>() {
    for moment in MOMENTS.into_iter().filter(|moment| moment.has_runtime()) {
        let kept = Rc::new(RefCell::new(Vec::new()));
        let keeps = kept.clone();
        let act = move || {
            let begin = |mut future: Pending| {
                let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                (future, polled.is_pending())
            };
            let ends = Ends::stream();
            let datagrams = Ends::datagrams();
            let (canary, watch) = Canary::new(64);
            let Ends::Datagrams(ours, _) = &datagrams else { unreachable!() };
            // One stays, one is dropped at once, and there are more than a small queue holds.
            let receive = begin(boxed(ours.recv(canary)));
            drop(begin(Receive::Read.begin(&ends, || Tombstone::new(1))));
            drop((0..20).map(|_| begin(boxed(nop()))).collect::<Vec<_>>());
            keeps.borrow_mut().push((receive, watch, datagrams, ends));
        };
        let finish = async || {
            // What was begun in the drop is an operation like any other.
            let ((receive, pending), watch, datagrams, ends) = kept.borrow_mut().pop().unwrap();
            assert!(pending && !watch.is_dropped(), "{moment:?}");
            datagrams.send(b"bytes");
            receive.await;
            watch.assert_untouched();
            datagrams.expect_nothing().await;
            ends.send(b"x");
            ends.expect(b"x").await;
            ends.expect_nothing().await;
        };
        act_at::<R, _>(moment, act, async || {}, finish, &mut |work| work());
        for ((receive, _), watch, datagrams, _) in kept.take() {
            datagrams.send(b"late");
            drop(receive);
            watch.assert_untouched();
        }
    }
}

fn t19_a_buffer_whose_drop_drops_another_future<R: Runtime>() {
    const LINKS: u32 = 3;
    for moment in MOMENTS {
        for completed in [true, false] {
            // Each future's buffer drops the next future.
            let chain: Rc<RefCell<Vec<Pending>>> = Rc::default();
            let all: Rc<RefCell<Vec<Ends>>> = Rc::default();
            let dropped = Rc::new(Cell::new(0));
            let (rest, counts) = (chain.clone(), dropped.clone());
            let drop_next = move || {
                counts.set(counts.get() + 1);
                let next = rest.borrow_mut().pop();
                drop(next);
            };
            let begin = async || {
                for _ in 0..LINKS {
                    let ends = Ends::stream();
                    let Ends::Stream(ours, _) = &ends else { unreachable!() };
                    let mut read = boxed(ours.read(Acts(Vec::with_capacity(10), drop_next.clone())));
                    assert!(poll_once(&mut read).await.is_pending());
                    chain.borrow_mut().push(read);
                    all.borrow_mut().push(ends);
                }
                turns(2).await;
                if completed {
                    all.borrow().iter().for_each(|ends| ends.send(b"bytes"));
                    turns(2).await;
                }
            };
            let finish = async || {
                until(|| dropped.get() == LINKS + 1).await;
                for ends in all.take() {
                    if completed {
                        ends.expect(b"bytes").await;
                    }
                    ends.expect_nothing().await;
                }
            };
            act_at::<R, _>(moment, drop_next.clone(), begin, finish, &mut |work| work());
            assert_eq!(dropped.get(), LINKS + 1, "{moment:?}");
        }
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn t19_a_buffer_whose_drop_panics<R: Runtime>() {
    for moment in MOMENTS {
        // Other operations end in the same visit, and others are dropped; none of them is lost.
        let all = RefCell::new(Vec::<(Ends, Pending, Arc<Woken>)>::new());
        let (watches, dropped) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let begin = async || {
            let canary = |watches: &RefCell<Vec<CanaryWatch>>| {
                let (canary, watch) = Canary::new(64);
                watches.borrow_mut().push(watch);
                canary
            };
            let mut doomed = Vec::new();
            for kind in RECEIVES {
                let ends = kind.ends();
                let mut receive = kind.begin(&ends, || canary(&watches));
                let woken = Arc::<Woken>::default();
                let waker = Waker::from(woken.clone());
                assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                all.borrow_mut().push((ends, receive, woken));

                let ends = kind.ends();
                let mut receive = kind.begin(&ends, || canary(&dropped));
                assert!(poll_once(&mut receive).await.is_pending());
                doomed.push((receive, ends));
            }
            turns(2).await;
            // As many as fill the buffer, which an exact read waits for.
            all.borrow().iter().for_each(|(ends, ..)| ends.send(&[b'x'; 64]));
            doomed
        };
        let finish = async || {
            until(|| all.borrow().iter().all(|(.., woken)| woken.0.load(Ordering::Relaxed) > 0)).await;
            until(|| dropped.borrow().iter().all(CanaryWatch::is_dropped)).await;
            for (ends, receive, _) in all.take() {
                receive.await;
                ends.expect_nothing().await;
            }
            watches.borrow().iter().chain(&*dropped.borrow()).for_each(CanaryWatch::assert_untouched);
        };
        let act = move || {
            // While a test that fails unwinds, a second panic would hide what it says.
            if !std::thread::panicking() {
                panic!("expected: the drop");
            }
        };
        let messages = RefCell::new(Vec::new());
        act_at::<R, _>(moment, act, begin, finish, &mut |work| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let Err(panic) = result else { return };
            match panic.downcast::<&str>() {
                Ok(message) => messages.borrow_mut().push(*message),
                Err(other) => std::panic::resume_unwind(other),
            }
        });
        // Dropped with a task's future, as the selector can at once, the buffer's panic is that task's.
        let of_task = moment == Moment::Shutdown && !is_proactor::<R>();
        let expected: &[_] = if of_task { &[] } else { &["expected: the drop"] };
        assert_eq!(*messages.borrow(), expected, "{moment:?}");
    }
}
