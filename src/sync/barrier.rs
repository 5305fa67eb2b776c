//! `Barrier`: where several wait for each other.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use slab::Slab;

use super::flavor::Flavor;
use super::waiters::Ticket;
use super::waiting::let_go;
use super::waking::{Line, Woken, still_waits, waking};

/// A point that tasks pass together, when as many have come as were agreed; asyncio's `Barrier`.
///
/// It can be passed again and again. Unlike asyncio's, it takes the first of the next round while those of the last one
/// are still on their way, and the positions of one round are all different, whoever has left it.
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
    line: F::Cell<Round<F>>,
    parties: usize,
}

/// The line holds the seats of those who wait for the others, in order of their coming.
type Round<F> = Line<F, usize, State<F>>;

struct State<F: Flavor> {
    broken: bool,
    /// Of those who wait, and of those who don't and have not noticed.
    seats: Slab<Seat<F>>,
}

/// Somebody's place: its seat, and where that is in the line.
#[derive(Clone, Copy, Debug)]
struct Place {
    seat: usize,
    ticket: Ticket,
}

enum Came {
    Last(usize),
    Waits(Place),
}

enum Seat<F: Flavor> {
    Waits(F::Waiter),
    Passes(usize),
    Broken,
}

impl<F: Flavor> Barrier<F> {
    /// One for so many.
    ///
    /// # Panics
    /// If that is zero.
    #[track_caller]
    pub fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier needs one party at least");
        Barrier { line: Line::<F, _, _>::new(State { broken: false, seats: Slab::new() }), parties }
    }

    /// Waits until all parties wait, and gives the position in which this one came, from zero.
    ///
    /// # Errors
    /// [`BrokenBarrier`] if it is [aborted](Self::abort), before or meanwhile, or [reset](Self::reset) meanwhile.
    ///
    /// # Cancellation
    /// Dropping the future takes this party back, if the others have not passed yet; they wait for another one.
    pub fn wait(&self) -> BarrierWait<'_, F> {
        BarrierWait { barrier: self, state: WaitState::New }
    }

    /// Breaks it: who waits gets [`BrokenBarrier`], and who will until it is [reset](Self::reset). Unlike with
    /// asyncio's, who has been let pass does pass, also if it has not noticed yet.
    pub fn abort(&self) {
        self.end_wait(true);
    }

    /// Makes it as it was at first: who waits gets [`BrokenBarrier`]; it is not broken any more.
    pub fn reset(&self) {
        self.end_wait(false);
    }

    fn end_wait(&self, broken: bool) {
        waking::<F, _, _, _>(&self.line, |line, woken| {
            line.state.broken = broken;
            settle(line, woken, |_| Seat::Broken);
        });
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        F::with(&self.line, |line| line.state.broken)
    }

    /// How many it takes to pass.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait for the others.
    pub fn n_waiting(&self) -> usize {
        F::with(&self.line, |line| line.queue.len())
    }

    /// Comes to the barrier: the position if it was the last, and otherwise its place there, which takes the waiter.
    fn come(&self, waiter: &mut Option<F::Waiter>) -> Result<Came, BrokenBarrier> {
        waking::<F, _, _, _>(&self.line, |line, woken| {
            if line.state.broken {
                return Err(BrokenBarrier(()));
            }
            if line.queue.len() + 1 == self.parties {
                settle(line, woken, Seat::Passes);
                return Ok(Came::Last(self.parties - 1));
            }
            let waiter = waiter.take().expect("it is taken once");
            let seat = line.state.seats.insert(Seat::Waits(waiter));
            Ok(Came::Waits(Place { seat, ticket: line.queue.push_back(seat) }))
        })
    }
}

/// Ends the wait of all, each of which learns by its seat how.
fn settle<F: Flavor>(line: &mut Round<F>, woken: &mut Woken<F>, how: impl Fn(usize) -> Seat<F>) {
    for (position, seat) in line.queue.drain().enumerate() {
        if let Seat::Waits(waiter) = mem::replace(&mut line.state.seats[seat], how(position)) {
            woken.push(&mut line.room, waiter);
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
    Over,
}

impl<F: Flavor> Future for BarrierWait<'_, F> {
    type Output = Result<usize, BrokenBarrier>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let barrier = self.barrier;
        let result = match self.state {
            WaitState::New => {
                let mut waiter = Some(F::waiter(cx));
                match barrier.come(&mut waiter) {
                    Ok(Came::Last(position)) => Ok(position),
                    Ok(Came::Waits(place)) => {
                        self.state = WaitState::Waits(place);
                        return Poll::Pending;
                    }
                    Err(broken) => Err(broken),
                }
            }
            WaitState::Waits(Place { seat, .. }) => {
                let waits =
                    still_waits::<F, _>(&barrier.line, cx, |line| match &mut line.state.seats[seat] {
                        Seat::Waits(waiter) => Some(waiter),
                        Seat::Passes(_) | Seat::Broken => None,
                    });
                if waits {
                    return Poll::Pending;
                }
                match F::with(&barrier.line, |line| line.state.seats.remove(seat)) {
                    Seat::Passes(position) => Ok(position),
                    Seat::Broken | Seat::Waits(_) => Err(BrokenBarrier(())),
                }
            }
            WaitState::Over => panic!("a wait at a barrier was polled after its result"),
        };
        self.state = WaitState::Over;
        Poll::Ready(result)
    }
}

impl<F: Flavor> Drop for BarrierWait<'_, F> {
    fn drop(&mut self) {
        if let WaitState::Waits(Place { seat, ticket }) = self.state {
            let seat = F::with(&self.barrier.line, |line| {
                line.queue.remove(ticket); // unless all have passed
                line.state.seats.remove(seat)
            });
            if let Seat::Waits(waiter) = seat {
                let_go::<F>(Some(waiter));
            }
        }
    }
}

impl<F: Flavor> fmt::Debug for BarrierWait<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The barrier was aborted, or reset while somebody waited at it.
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
        f.write_str("the barrier is broken: it was aborted, or reset meanwhile")
    }
}

impl Error for BrokenBarrier {}

into_io_error!(BrokenBarrier: BrokenBarrier(()) => Other);

debug_as_display!(BrokenBarrier);
