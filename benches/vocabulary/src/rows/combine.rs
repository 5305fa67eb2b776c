//! A thousand futures side by side: all outputs, outputs as they come, and groups in which an error ends the others.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::future::{join_all, try_join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use proactor::task::{TaskGroup, task_group};
use tokio::task::JoinSet;

use super::{Row, THOUSAND, row};
use crate::loops::{HereOnly, Loop, Ours, Tokio, turn};
use crate::measure::{Cost, here};

/// Where futures wait until another task wakes them all.
#[derive(Clone, Default)]
struct Gate(Rc<RefCell<Vec<Waker>>>);

impl Gate {
    /// Wakes so many in all, as they come.
    async fn open(&self, mut count: u64) {
        let mut wakers = Vec::new();
        while count > 0 {
            std::mem::swap(&mut wakers, &mut self.0.borrow_mut());
            count -= wakers.len() as u64;
            wakers.drain(..).for_each(Waker::wake);
            turn().await;
        }
    }
}

/// What the futures of a row do.
trait Work: 'static {
    type Future: Future<Output = u64> + 'static;
    fn new() -> Self;
    fn start(&self, number: u64) -> Self::Future;
    /// Runs beside, in a task of its own.
    fn beside(&self, ops: u64) -> impl Future<Output = ()> + 'static;
}

/// They are ready at once.
struct AtOnce;

impl Work for AtOnce {
    type Future = Ready<u64>;

    fn new() -> Self {
        AtOnce
    }

    fn start(&self, number: u64) -> Ready<u64> {
        ready(number)
    }

    fn beside(&self, _: u64) -> impl Future<Output = ()> + 'static {
        ready(())
    }
}

/// They wait once, and another task wakes them.
struct Woken(Gate);

struct Wait {
    gate: Gate,
    waits: bool,
    number: u64,
}

impl Future for Wait {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        if std::mem::replace(&mut self.waits, true) {
            return Poll::Ready(self.number);
        }
        self.gate.0.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

impl Work for Woken {
    type Future = Wait;

    fn new() -> Self {
        Woken(Gate::default())
    }

    fn start(&self, number: u64) -> Wait {
        Wait { gate: self.0.clone(), waits: false, number }
    }

    fn beside(&self, ops: u64) -> impl Future<Output = ()> + 'static {
        let gate = self.0.clone();
        async move { gate.open(ops).await }
    }
}

const SUM: u64 = THOUSAND * (THOUSAND - 1) / 2;

fn fine<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

/// A child of a group: it adds its output to the sum.
async fn add(
    future: impl Future<Output = u64>,
    sum: impl Deref<Target = Cell<u64>>,
) -> Result<(), Infallible> {
    let number = future.await;
    sum.set(sum.get() + number);
    Ok(())
}

/// A thousand at a time; `all` gives the sum of their outputs.
fn thousands<L: Loop, W: Work>(ops: u64, all: impl AsyncFn(&W) -> u64 + 'static) -> Cost {
    here::<L>(ops, async move |ops| {
        let work = W::new();
        let beside = L::spawn(work.beside(ops / THOUSAND * THOUSAND));
        for _ in 0..ops / THOUSAND {
            assert_eq!(all(&work).await, SUM);
        }
        beside.await;
    })
}

fn futures_of<W: Work>(work: &W) -> impl Iterator<Item = W::Future> {
    (0..THOUSAND).map(|number| work.start(number))
}

fn gather<W: Work>(ops: u64) -> Cost {
    thousands::<Ours, W>(ops, async |work| proactor::gather(futures_of(work)).await.iter().sum())
}

fn joined<L: Loop, W: Work>(ops: u64) -> Cost {
    thousands::<L, W>(ops, async |work| join_all(futures_of(work)).await.iter().sum())
}

fn try_joined<L: Loop, W: Work>(ops: u64) -> Cost {
    thousands::<L, W>(ops, async |work| {
        let futures = futures_of(work).map(|future| async { fine(future.await) });
        let Ok(numbers) = try_join_all(futures).await;
        numbers.iter().sum()
    })
}

fn completed<W: Work>(ops: u64) -> Cost {
    thousands::<Ours, W>(ops, async |work| {
        let mut numbers = proactor::as_completed(futures_of(work));
        let mut sum = 0;
        while let Some((_, number)) = numbers.next().await {
            sum += number;
        }
        sum
    })
}

fn unordered<L: Loop, W: Work>(ops: u64) -> Cost {
    thousands::<L, W>(ops, async |work| {
        let mut numbers: FuturesUnordered<_> = futures_of(work).collect();
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number;
        }
        sum
    })
}

/// Children in place.
fn group<W: Work>(ops: u64) -> Cost {
    thousands::<Ours, W>(ops, async |work| {
        let sum = Cell::new(0);
        let ended = task_group(async |group| {
            for future in futures_of(work) {
                group.spawn(add(future, &sum));
            }
            fine(())
        });
        ended.await.expect("nobody fails");
        sum.get()
    })
}

/// What one writes for it with a `FuturesUnordered`: the first error ends it, by dropping the rest.
fn group_of_futures<L: Loop, W: Work>(ops: u64) -> Cost {
    thousands::<L, W>(ops, async |work| {
        let sum = Cell::new(0);
        let mut children: FuturesUnordered<_> = futures_of(work).map(|future| add(future, &sum)).collect();
        while let Some(ended) = children.next().await {
            let Ok(()) = ended;
        }
        sum.get()
    })
}

/// Children that are tasks.
fn group_of_tasks<W: Work>(ops: u64) -> Cost {
    thousands::<Ours, W>(ops, async |work| {
        let group = TaskGroup::new();
        let sum = Rc::new(Cell::new(0));
        for future in futures_of(work) {
            group.spawn(add(future, sum.clone()));
        }
        group.join().await.expect("nobody fails");
        sum.get()
    })
}

/// The same with a `JoinSet`, whose tasks tell it as they end.
fn join_set<W: Work>(ops: u64) -> Cost {
    thousands::<Tokio, W>(ops, async |work| {
        let mut set = JoinSet::new();
        for future in futures_of(work) {
            set.spawn(HereOnly(async move { fine(future.await) }));
        }
        let mut sum = 0;
        while let Some(ended) = set.join_next().await {
            let Ok(number) = ended.expect("nobody panics").0;
            sum += number;
        }
        sum
    })
}

pub fn rows() -> Vec<Row> {
    vec![
        row!("gather-ready", "one of a thousand futures that are ready at once, all outputs awaited";
            "proactor": gather::<AtOnce>,
            "futures join_all": joined::<Tokio, AtOnce>,
            "futures try_join_all": try_joined::<Tokio, AtOnce>,
            "futures join_all, on proactor": joined::<Ours, AtOnce>,
        ),
        row!("gather", "one of a thousand futures that another task wakes, all outputs awaited";
            "proactor": gather::<Woken>,
            "futures join_all": joined::<Tokio, Woken>,
            "futures try_join_all": try_joined::<Tokio, Woken>,
            "futures join_all, on proactor": joined::<Ours, Woken>,
        ),
        row!("completed-ready", "one of a thousand futures that are ready at once, outputs as they come";
            "proactor": completed::<AtOnce>,
            "futures FuturesUnordered": unordered::<Tokio, AtOnce>,
            "futures FuturesUnordered, on proactor": unordered::<Ours, AtOnce>,
        ),
        row!("completed", "one of a thousand futures that another task wakes, outputs as they come";
            "proactor": completed::<Woken>,
            "futures FuturesUnordered": unordered::<Tokio, Woken>,
            "futures FuturesUnordered, on proactor": unordered::<Ours, Woken>,
        ),
        row!("group-ready", "one of a group of a thousand, ready at once, in place";
            "proactor": group::<AtOnce>,
            "futures FuturesUnordered": group_of_futures::<Tokio, AtOnce>,
            "futures FuturesUnordered, on proactor": group_of_futures::<Ours, AtOnce>,
        ),
        row!("group", "one of a group of a thousand, woken by another task, in place";
            "proactor": group::<Woken>,
            "futures FuturesUnordered": group_of_futures::<Tokio, Woken>,
            "futures FuturesUnordered, on proactor": group_of_futures::<Ours, Woken>,
        ),
        row!("group-of-tasks-ready", "one of a group of a thousand tasks, ready at once";
            "proactor": group_of_tasks::<AtOnce>,
            "tokio JoinSet": join_set::<AtOnce>,
        ),
        row!("group-of-tasks", "one of a group of a thousand tasks, woken by another";
            "proactor": group_of_tasks::<Woken>,
            "tokio JoinSet": join_set::<Woken>,
        ),
    ]
}
