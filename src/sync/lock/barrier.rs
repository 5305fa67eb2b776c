//! `Barrier`: a point at which several tasks wait for each other.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use slab::Slab;

use crate::sync::core::flavor::Flavor;
use crate::sync::core::waiters::Ticket;
use crate::sync::core::waiting::drop_waiter;
use crate::sync::core::wake_list::{WaitQueue, WakeList, lock_and_wake, still_waits};

/// A point at which tasks wait until a fixed number of them has arrived; asyncio's `Barrier`.
///
/// It can be used for any number of rounds. It differs from asyncio's in two points: tasks of the next round can arrive
/// while tasks of the last round have not resumed yet, and the positions in one round are always distinct, also if a
/// waiter has left.
///
/// The flavours are [`sync::Barrier`](crate::sync::Barrier), for the tasks of one loop, and
/// [`sync::shared::Barrier`](crate::sync::shared::Barrier), for any thread.
///
/// # Examples
/// ```
/// use proactor::sync::Barrier;
/// use std::rc::Rc;
/// proactor::run(async {
///     let barrier = Rc::new(Barrier::new(3));
///     let tasks = [(); 3].map(|()| {
///         let barrier = barrier.clone();
///         proactor::spawn(async move { barrier.wait().await.unwrap() })
///     });
///     let mut positions = Vec::new();
///     for task in tasks {
///         positions.push(task.await.unwrap());
///     }
///     assert_eq!(positions, [0, 1, 2]);
/// });
/// ```
pub struct Barrier<F: Flavor> {
    queue: F::Cell<Round<F>>,
    parties: usize,
}

/// The queue of a round: the seats of the waiters, in order of arrival.
type Round<F> = WaitQueue<F, usize, State<F>>;

struct State<F: Flavor> {
    broken: bool,
    /// The seats of the waiters, and of those that have been released and have not run since.
    seats: Slab<Seat<F>>,
}

/// The place of a waiter: its seat, and its ticket in the queue.
#[derive(Clone, Copy, Debug)]
struct Place {
    seat: usize,
    ticket: Ticket,
}

enum Arrived {
    Last(usize),
    Waits(Place),
}

enum Seat<F: Flavor> {
    Waits(F::Waiter),
    Passes(usize),
    Broken,
}

impl<F: Flavor> Barrier<F> {
    /// Creates a barrier for `parties` tasks.
    ///
    /// # Panics
    /// If `parties` is zero.
    #[track_caller]
    pub fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier needs at least one party");
        Barrier { queue: WaitQueue::<F, _, _>::new(State { broken: false, seats: Slab::new() }), parties }
    }

    /// Waits until all parties have arrived. Returns the position in which this one arrived, from zero.
    ///
    /// # Errors
    /// [`BrokenBarrier`] if the barrier is [aborted](Self::abort), before or during the wait, or [reset](Self::reset)
    /// during the wait.
    ///
    /// # Cancellation
    /// Dropping the future withdraws this party, if the round is not complete yet; the others wait for another one.
    pub fn wait(&self) -> BarrierWait<'_, F> {
        BarrierWait { barrier: self, state: WaitState::New }
    }

    /// Breaks the barrier: all waits fail with [`BrokenBarrier`], current ones and, until a [reset](Self::reset), later
    /// ones. Unlike with asyncio's, a task whose round is complete still succeeds, also if it has not resumed yet.
    pub fn abort(&self) {
        self.end_wait(true);
    }

    /// Returns the barrier to its initial state: current waits fail with [`BrokenBarrier`], and it is no longer broken.
    pub fn reset(&self) {
        self.end_wait(false);
    }

    fn end_wait(&self, broken: bool) {
        lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            queue.state.broken = broken;
            end_waits(queue, wakes, |_| Seat::Broken);
        });
    }

    /// Whether the barrier is broken.
    pub fn is_broken(&self) -> bool {
        F::with(&self.queue, |queue| queue.state.broken)
    }

    /// Number of tasks that pass the barrier together.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Number of tasks that wait at the barrier.
    pub fn n_waiting(&self) -> usize {
        F::with(&self.queue, |queue| queue.waiters.len())
    }

    /// Arrives at the barrier. Returns the position if this was the last party, and otherwise its place, which takes
    /// the waiter.
    fn arrive(&self, waiter: &mut Option<F::Waiter>) -> Result<Arrived, BrokenBarrier> {
        lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            if queue.state.broken {
                return Err(BrokenBarrier(()));
            }
            if queue.waiters.len() + 1 == self.parties {
                end_waits(queue, wakes, Seat::Passes);
                return Ok(Arrived::Last(self.parties - 1));
            }
            let waiter = waiter.take().expect("it is taken once");
            let seat = queue.state.seats.insert(Seat::Waits(waiter));
            Ok(Arrived::Waits(Place { seat, ticket: queue.waiters.push_back(seat) }))
        })
    }
}

/// Ends all waits; each waiter learns the result from its seat.
fn end_waits<F: Flavor>(queue: &mut Round<F>, wakes: &mut WakeList<F>, how: impl Fn(usize) -> Seat<F>) {
    for (position, seat) in queue.waiters.drain().enumerate() {
        if let Seat::Waits(waiter) = mem::replace(&mut queue.state.seats[seat], how(position)) {
            wakes.push(&mut queue.wake_buffer, waiter);
        }
    }
}

impl<F: Flavor> fmt::Debug for Barrier<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &self.n_waiting())
            .field("broken", &self.is_broken())
            .finish()
    }
}

/// The future of [`Barrier::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct BarrierWait<'a, F: Flavor> {
    barrier: &'a Barrier<F>,
    state: WaitState,
}

#[derive(Clone, Copy, Debug)]
enum WaitState {
    New,
    Waits(Place),
    Done,
}

impl<F: Flavor> Future for BarrierWait<'_, F> {
    type Output = Result<usize, BrokenBarrier>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let barrier = self.barrier;
        let result = match self.state {
            WaitState::New => {
                let mut waiter = Some(F::waiter(cx));
                match barrier.arrive(&mut waiter) {
                    Ok(Arrived::Last(position)) => Ok(position),
                    Ok(Arrived::Waits(place)) => {
                        self.state = WaitState::Waits(place);
                        return Poll::Pending;
                    }
                    Err(broken) => Err(broken),
                }
            }
            WaitState::Waits(Place { seat, .. }) => {
                let waits =
                    still_waits::<F, _>(&barrier.queue, cx, |queue| match &mut queue.state.seats[seat] {
                        Seat::Waits(waiter) => Some(waiter),
                        Seat::Passes(_) | Seat::Broken => None,
                    });
                if waits {
                    return Poll::Pending;
                }
                match F::with(&barrier.queue, |queue| queue.state.seats.remove(seat)) {
                    Seat::Passes(position) => Ok(position),
                    Seat::Broken | Seat::Waits(_) => Err(BrokenBarrier(())),
                }
            }
            WaitState::Done => panic!("a wait at a barrier was polled after its result"),
        };
        self.state = WaitState::Done;
        Poll::Ready(result)
    }
}

impl<F: Flavor> Drop for BarrierWait<'_, F> {
    fn drop(&mut self) {
        if let WaitState::Waits(Place { seat, ticket }) = self.state {
            let seat = F::with(&self.barrier.queue, |queue| {
                queue.waiters.remove(ticket); // unless all have passed
                queue.state.seats.remove(seat)
            });
            if let Seat::Waits(waiter) = seat {
                drop_waiter::<F>(Some(waiter));
            }
        }
    }
}

impl<F: Flavor> fmt::Debug for BarrierWait<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Error of a wait at a barrier that was aborted, or reset during the wait.
///
/// # Examples
/// ```
/// let barrier = proactor::sync::Barrier::new(2);
/// barrier.abort();
/// let error = proactor::run(barrier.wait()).unwrap_err();
/// assert!(error.to_string().contains("aborted"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BrokenBarrier(());

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken: it was aborted, or reset during the wait")
    }
}

impl Error for BrokenBarrier {}

into_io_error!(BrokenBarrier: BrokenBarrier(()) => Other);

debug_as_display!(BrokenBarrier);
