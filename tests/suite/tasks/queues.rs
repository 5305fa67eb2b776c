//! asyncio's queues, local and between threads: order, room, fairness, `join`, `shutdown`; and that who is served and does
//! not come takes nothing along.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use proactor::sync::Flavor;
use proactor::sync::queue::{Fifo, Get, Put, Queue, QueueShutDown, TaskDoneError, TryGetError, TryPutError};
use proactor::task::catch_cancel;
use proactor::time::{LimitHandle, timeout_scope};
use proactor::{Runtime, spawn};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::kit::*;

tests! {
    each_kind_of_queue_has_its_order,
    a_queue_holds_exactly_its_maxsize,
    getters_are_served_in_the_order_in_which_they_came,
    no_getter_overtakes_one_that_was_served,
    no_putter_overtakes_one_that_waits,
    a_served_waiter_is_sure_of_an_item_but_not_which,
    a_get_that_is_dropped_after_it_was_served_leaves_the_item_first,
    a_put_that_is_dropped_after_it_was_served_gives_its_place_on,
    join_waits_for_what_is_unfinished,
    a_join_is_not_held_up_by_what_comes_later,
    task_done_too_often_is_an_error,
    a_shutdown_lets_getters_take_what_is_left,
    an_immediate_shutdown_drops_what_is_left_and_counts_it_done,
    a_shutdown_wakes_all_waiters,
    items_dropped_by_a_shutdown_may_use_the_queue,
    a_comparison_that_panics_loses_no_item,
    a_queue_between_threads,
    a_queue_agrees_with_a_plain_one_whatever_is_done,
    t305_a_getter_that_is_served_and_cancelled_in_one_turn_loses_nothing,
}

const SHUT_DOWN: QueueShutDown = QueueShutDown(());

fn each_kind_of_queue_has_its_order<R: Runtime>() {
    run::<R>(async {
        each!(queue, {
            let (fifo, lifo, priority) = (queue::unbounded(), queue::lifo(0), queue::priority(0));
            for number in [(3, 'a'), (1, 'a'), (2, 'a'), (1, 'b')] {
                fifo.put(number).await.unwrap();
                lifo.put(number).await.unwrap();
                priority.put(number).await.unwrap();
            }
            for number in [(3, 'a'), (1, 'a'), (2, 'a'), (1, 'b')] {
                assert_eq!(fifo.get().await, Ok(number));
            }
            for number in [(1, 'b'), (2, 'a'), (1, 'a'), (3, 'a')] {
                assert_eq!(lifo.get().await, Ok(number));
            }
            for number in [(1, 'a'), (1, 'b'), (2, 'a'), (3, 'a')] {
                assert_eq!(priority.get().await, Ok(number));
            }
        });
    });
}

fn a_queue_holds_exactly_its_maxsize<R: Runtime>() {
    each!(queue, {
        let queue = queue::bounded(2);
        assert!(queue.is_empty() && !queue.is_full());
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        assert_eq!(queue.try_put(3), Err(TryPutError::Full(3)));
        assert!(queue.is_full() && queue.len() == 2 && queue.maxsize() == Some(2));
        assert_eq!(queue.try_get(), Ok(1));
        queue.try_put(3).unwrap();
        assert!(queue::lifo::<u32>(1).maxsize() == Some(1) && queue::priority::<u32>(0).maxsize().is_none());
        assert!(panic_of(|| queue::bounded::<u32>(0)).contains("queue::unbounded"));
    });
}

fn getters_are_served_in_the_order_in_which_they_came<R: Runtime>() {
    each!(queue, {
        let queue = queue::unbounded();
        let mut gets: Vec<_> = (0..3).map(|_| queue.get()).collect();
        let mut noted: Vec<_> = gets.iter_mut().map(|get| poll_noted(get).1).collect();
        for number in 0..3 {
            assert!(!noted[number].is_woken());
            queue.try_put(number).unwrap();
            assert!(noted[number].is_woken(), "the one who came first");
            for later in number + 1..3 {
                let (poll, new) = poll_noted(&mut gets[later]);
                assert!(poll.is_pending(), "one who came later");
                noted[later] = new;
            }
        }
        for (number, get) in gets.iter_mut().enumerate() {
            assert_eq!(poll_unheard(get), Poll::Ready(Ok(number)));
        }
    });
}

fn no_getter_overtakes_one_that_was_served<R: Runtime>() {
    each!(queue, {
        let queue = queue::unbounded();
        let mut first = queue.get();
        assert!(poll_unheard(&mut first).is_pending());
        queue.try_put(1).unwrap();
        assert_eq!((queue.len(), queue.try_get()), (1, Err(TryGetError::Empty)));
        assert!(poll_unheard(&mut queue.get()).is_pending());
        assert_eq!(poll_unheard(&mut first), Poll::Ready(Ok(1)));
    });
}

fn no_putter_overtakes_one_that_waits<R: Runtime>() {
    each!(queue, {
        let queue = queue::bounded(1);
        queue.try_put(0).unwrap();
        let (mut first, mut second) = (queue.put(1), queue.put(2));
        let (_, first_noted) = poll_noted(&mut first);
        assert!(poll_unheard(&mut second).is_pending());
        assert_eq!(queue.try_get(), Ok(0));
        assert!(first_noted.is_woken());
        assert_eq!(queue.try_put(3), Err(TryPutError::Full(3)));
        assert!(poll_unheard(&mut second).is_pending());
        assert_eq!(poll_unheard(&mut first), Poll::Ready(Ok(())));
        assert!(poll_unheard(&mut second).is_pending());
        assert_eq!(queue.try_get(), Ok(1));
        assert_eq!(poll_unheard(&mut second), Poll::Ready(Ok(())));
    });
}

fn a_served_waiter_is_sure_of_an_item_but_not_which<R: Runtime>() {
    each!(queue, {
        let queue = queue::bounded(2);
        let mut get = queue.get();
        assert!(poll_unheard(&mut get).is_pending());
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        assert_eq!((queue.try_get(), queue.try_get()), (Ok(1), Err(TryGetError::Empty)));
        assert_eq!(poll_unheard(&mut get), Poll::Ready(Ok(2)));

        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        let mut put = queue.put(3);
        assert!(poll_unheard(&mut put).is_pending());
        assert_eq!((queue.try_get(), queue.try_get()), (Ok(1), Ok(2)));
        assert_eq!((queue.try_put(4), queue.try_put(5)), (Ok(()), Err(TryPutError::Full(5))));
        assert_eq!(poll_unheard(&mut put), Poll::Ready(Ok(())));
        assert_eq!((queue.try_get(), queue.try_get()), (Ok(4), Ok(3)));
    });
}

fn a_get_that_is_dropped_after_it_was_served_leaves_the_item_first<R: Runtime>() {
    each!(queue, {
        let queue = queue::unbounded();
        let (mut first, mut second) = (queue.get(), queue.get());
        assert!(poll_unheard(&mut first).is_pending());
        let (_, noted) = poll_noted(&mut second);
        queue.try_put(1).unwrap();
        assert!(!noted.is_woken());
        drop(first);
        assert!(noted.is_woken());
        queue.try_put(2).unwrap();
        assert_eq!(queue.try_get(), Ok(1), "there are two items and one promise");
        drop(second);
        assert_eq!(queue.try_get(), Ok(2));
    });
}

fn a_put_that_is_dropped_after_it_was_served_gives_its_place_on<R: Runtime>() {
    each!(queue, {
        let queue = queue::bounded(1);
        queue.try_put(0).unwrap();
        let (mut first, mut second) = (queue.put(1), queue.put(2));
        assert!(poll_unheard(&mut first).is_pending());
        let (_, noted) = poll_noted(&mut second);
        queue.try_get().unwrap();
        assert!(!noted.is_woken());
        drop(first);
        assert!(noted.is_woken());
        assert_eq!(poll_unheard(&mut second), Poll::Ready(Ok(())));
        assert_eq!(queue.try_get(), Ok(2));
        drop(queue.put(3)); // never polled
        assert!(queue.is_empty());
    });
}

fn join_waits_for_what_is_unfinished<R: Runtime>() {
    run::<R>(async {
        each!(queue, {
            let queue = queue::bounded(2);
            queue.join().await; // nothing was ever put
            let workers: Vec<_> = (0..3)
                .map(|_| {
                    let queue = queue.clone();
                    spawn(async move {
                        while queue.get().await.is_ok() {
                            turns(1).await;
                            queue.task_done().unwrap();
                        }
                    })
                })
                .collect();
            for number in 0..10 {
                queue.put(number).await.unwrap();
            }
            let mut joins: Vec<_> = (0..40).map(|_| queue.join()).collect();
            assert!(joins.iter_mut().all(|join| poll_unheard(join).is_pending()));
            join_all(joins).await;
            assert_eq!(queue.task_done(), Err(TaskDoneError), "all was done");
            queue.shutdown(false);
            join_all(workers).await;
        });
    });
}

fn a_join_is_not_held_up_by_what_comes_later<R: Runtime>() {
    each!(queue, {
        let queue = queue::unbounded();
        queue.try_put(1).unwrap();
        let mut join = queue.join();
        let (pending, noted) = poll_noted(&mut join);
        assert!(pending.is_pending());
        queue.try_get().unwrap();
        assert!(!noted.is_woken() && poll_unheard(&mut queue.join()).is_pending(), "got, and not done");
        queue.task_done().unwrap();
        assert!(noted.is_woken());
        queue.try_put(2).unwrap();
        assert!(poll_unheard(&mut queue.join()).is_pending());
        assert!(poll_unheard(&mut join).is_ready());
    });
}

fn task_done_too_often_is_an_error<R: Runtime>() {
    each!(queue, {
        let queue = queue::lifo(0);
        assert_eq!(queue.task_done(), Err(TaskDoneError));
        queue.try_put(1).unwrap();
        queue.task_done().unwrap(); // as in asyncio it counts puts, not gets
        assert_eq!(queue.task_done(), Err(TaskDoneError));
    });
}

fn a_shutdown_lets_getters_take_what_is_left<R: Runtime>() {
    run::<R>(async {
        each!(queue, {
            let queue = queue::bounded(2);
            queue.try_put(1).unwrap();
            queue.try_put(2).unwrap();
            let mut waits = queue.put(3);
            assert!(poll_unheard(&mut waits).is_pending());
            queue.shutdown(false);
            assert!(queue.is_shut_down());
            assert_eq!(waits.await, Err(QueueShutDown(3)));
            assert_eq!(queue.put(4).await, Err(QueueShutDown(4)));
            assert_eq!(queue.try_put(4), Err(TryPutError::ShutDown(4)));
            assert_eq!((queue.get().await, queue.try_get()), (Ok(1), Ok(2)));
            assert_eq!((queue.get().await, queue.try_get()), (Err(SHUT_DOWN), Err(TryGetError::ShutDown)));
            let mut join = queue.join();
            assert!(poll_unheard(&mut join).is_pending(), "what was got is not done yet");
            queue.task_done().unwrap();
            queue.task_done().unwrap();
            join.await;
        });
    });
}

fn an_immediate_shutdown_drops_what_is_left_and_counts_it_done<R: Runtime>() {
    run::<R>(async {
        each!(queue, {
            let drops = Rc::new(Cell::new(0));
            let queue = queue::unbounded();
            (0..3).for_each(|_| queue.try_put(Counted(drops.clone())).unwrap());
            drop(queue.try_get().unwrap());
            let mut join = queue.join();
            let (_, noted) = poll_noted(&mut join);
            queue.shutdown(true);
            assert_eq!((drops.get(), queue.len()), (3, 0));
            assert!(queue.get().await.is_err());
            assert!(poll_unheard(&mut join).is_pending(), "one is in the hands of a getter");
            queue.task_done().unwrap();
            assert!(noted.is_woken() || poll_unheard(&mut join).is_ready());
            // With nothing in anybody's hands the shutdown itself ends the join; after a first one, too.
            let queue = queue::unbounded();
            queue.try_put(1).unwrap();
            let mut join = queue.join();
            let (_, noted) = poll_noted(&mut join);
            queue.shutdown(false);
            assert!(poll_unheard(&mut join).is_pending());
            queue.shutdown(true);
            assert!(noted.is_woken());
            join.await;
            assert_eq!(queue.task_done(), Err(TaskDoneError));
        });
    });
}

/// Those who had been served as well.
fn a_shutdown_wakes_all_waiters<R: Runtime>() {
    each!(queue, {
        for immediate in [false, true] {
            let queue = queue::bounded(1);
            let mut gets: Vec<_> = (0..40).map(|_| queue.get()).collect();
            let noted: Vec<_> = gets.iter_mut().map(|get| poll_noted(get).1).collect();
            queue.try_put(1).unwrap(); // the first is served
            let mut puts: Vec<_> = (2..40).map(|number| queue.put(number)).collect();
            let put_noted: Vec<_> = puts.iter_mut().map(|put| poll_noted(put).1).collect();
            queue.shutdown(immediate);
            assert!(noted.iter().chain(&put_noted).all(|noted| noted.is_woken()));
            let first = poll_unheard(&mut gets[0]);
            assert_eq!(first, Poll::Ready(if immediate { Err(SHUT_DOWN) } else { Ok(1) }));
            drop(gets.pop());
            assert!(gets[1..].iter_mut().all(|get| poll_unheard(get) == Poll::Ready(Err(SHUT_DOWN))));
            drop(puts.pop());
            for (number, put) in (2..).zip(&mut puts) {
                assert_eq!(poll_unheard(put), Poll::Ready(Err(QueueShutDown(number))));
            }
        }
    });
}

fn items_dropped_by_a_shutdown_may_use_the_queue<R: Runtime>() {
    struct Uses<F: Fn()>(F);
    impl<F: Fn()> Drop for Uses<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    each!(queue, {
        let queue = queue::unbounded::<Box<dyn std::any::Any>>();
        let used = Rc::new(Cell::new(false));
        let uses = {
            let (queue, used) = (queue.clone(), used.clone());
            Uses(move || {
                assert!(queue.is_empty() && queue.is_shut_down());
                used.set(true);
            })
        };
        queue.try_put(Box::new(uses)).unwrap();
        queue.shutdown(true);
        assert!(used.get());
    });
}

fn a_comparison_that_panics_loses_no_item<R: Runtime>() {
    thread_local! {
        static ANGRY: Cell<bool> = const { Cell::new(false) };
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Moody(u32);
    impl PartialOrd for Moody {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Moody {
        fn cmp(&self, other: &Self) -> Ordering {
            assert!(!ANGRY.get(), "not now");
            self.0.cmp(&other.0)
        }
    }
    each!(queue, {
        let queue = queue::priority(0);
        (0..5).for_each(|number| queue.try_put(Moody(number)).unwrap());
        ANGRY.set(true);
        assert_eq!(panic_of(|| queue.try_get()), "not now");
        assert_eq!(queue.len(), 5);
        assert_eq!(panic_of(|| queue.try_put(Moody(5))), "not now");
        assert_eq!(queue.len(), 6);
        ANGRY.set(false);
        let mut all: Vec<_> = (0..6).map(|_| queue.try_get().unwrap().0).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        (0..6).for_each(|_| queue.task_done().unwrap());
        assert!(queue.task_done().is_err());
    });
}

fn a_queue_between_threads<R: Runtime>() {
    use proactor::sync::shared::queue;
    const EACH: u64 = 1_000;
    run::<R>(async {
        let queue = queue::bounded(5);
        let getters: Vec<_> = (0..2)
            .map(|number| {
                let queue = queue.clone();
                thread(move || {
                    let mut sum = 0;
                    if number == 0 {
                        while let Ok(item) = queue.blocking_get() {
                            sum += item;
                            queue.task_done().unwrap();
                        }
                        return sum;
                    }
                    R::new().unwrap().block_on(async {
                        while let Ok(item) = queue.get().await {
                            sum += item;
                            queue.task_done().unwrap();
                        }
                        sum
                    })
                })
            })
            .collect();
        let putters = [queue.clone(), queue.clone()]
            .map(|queue| thread(move || (0..EACH).for_each(|item| queue.blocking_put(item).unwrap())));
        for item in 0..EACH {
            queue.put(item).await.unwrap();
        }
        for putter in putters {
            putter.ended().await;
        }
        queue.join().await;
        queue.shutdown(false);
        let mut sum = 0;
        for getter in getters {
            sum += getter.ended().await;
        }
        assert_eq!(sum, 3 * EACH * (EACH - 1) / 2);
    });
}

#[derive(Clone, Debug)]
enum Step {
    Put,
    TryPut,
    PollPut(prop::sample::Index),
    DropPut(prop::sample::Index),
    Get,
    TryGet,
    PollGet(prop::sample::Index),
    DropGet(prop::sample::Index),
    TaskDone,
    ShutDown(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        20 => Just(Step::Put),
        10 => Just(Step::TryPut),
        10 => index().prop_map(Step::PollPut),
        10 => index().prop_map(Step::DropPut),
        20 => Just(Step::Get),
        10 => Just(Step::TryGet),
        10 => index().prop_map(Step::PollGet),
        10 => index().prop_map(Step::DropGet),
        10 => Just(Step::TaskDone),
        1 => any::<bool>().prop_map(Step::ShutDown),
    ]
}

/// What a queue is, said plainly. Getters and putters go by the number of the step that made them.
#[derive(Debug, Default)]
struct Plain {
    maxsize: usize,
    items: VecDeque<u32>,
    unfinished: usize,
    shut_down: bool,
    getters: VecDeque<u32>,
    promised: Vec<u32>,
    putters: VecDeque<u32>,
    granted: Vec<u32>,
}

impl Plain {
    fn serve(&mut self) {
        while !self.shut_down && self.items.len() > self.promised.len() && !self.getters.is_empty() {
            self.promised.extend(self.getters.pop_front());
        }
        while !self.shut_down && self.has_room() && !self.putters.is_empty() {
            self.granted.extend(self.putters.pop_front());
        }
    }

    fn has_room(&self) -> bool {
        self.items.len() + self.granted.len() < self.maxsize
    }

    fn shut_down(&mut self, immediate: bool) {
        self.shut_down = true;
        self.promised.clear();
        self.granted.clear();
        if immediate {
            self.unfinished = self.unfinished.saturating_sub(self.items.len());
            self.items.clear();
        }
    }

    fn put(&mut self, item: u32) {
        self.unfinished += 1;
        self.items.push_back(item);
    }

    /// For somebody who has just come; none if it has to wait.
    fn get(&mut self) -> Option<Result<u32, QueueShutDown>> {
        if self.shut_down {
            return Some(self.items.pop_front().ok_or(SHUT_DOWN));
        }
        if self.items.len() > self.promised.len() { self.items.pop_front().map(Ok) } else { None }
    }
}

/// A future, the number of the step that made it, and its waker.
type Made<W> = (u32, W, Arc<Noted>);

/// A queue beside the plain one, and the futures that wait.
struct Compared<'a, F: Flavor> {
    queue: &'a Queue<u32, Fifo, F>,
    plain: Plain,
    puts: Vec<Made<Put<'a, u32, Fifo, F>>>,
    gets: Vec<Made<Get<'a, u32, Fifo, F>>>,
}

impl<'a, F: Flavor> Compared<'a, F> {
    fn new(queue: &'a Queue<u32, Fifo, F>, maxsize: usize) -> Self {
        let plain = Plain { maxsize, ..Plain::default() };
        Compared { queue, plain, puts: Vec::new(), gets: Vec::new() }
    }

    fn step(&mut self, step: Step, number: u32) -> TestCaseResult {
        match step {
            Step::Put => self.put(number)?,
            Step::TryPut => self.try_put(number)?,
            Step::PollPut(index) if !self.puts.is_empty() => self.poll_put(index.index(self.puts.len()))?,
            Step::DropPut(index) if !self.puts.is_empty() => {
                let (number, _, _) = self.puts.remove(index.index(self.puts.len()));
                self.plain.putters.retain(|other| *other != number);
                self.plain.granted.retain(|other| *other != number);
            }
            Step::Get => self.get(number)?,
            Step::TryGet => {
                let expected = match self.plain.get() {
                    Some(Ok(item)) => Ok(item),
                    Some(Err(_)) => Err(TryGetError::ShutDown),
                    None => Err(TryGetError::Empty),
                };
                prop_assert_eq!(self.queue.try_get(), expected);
            }
            Step::PollGet(index) if !self.gets.is_empty() => self.poll_get(index.index(self.gets.len()))?,
            Step::DropGet(index) if !self.gets.is_empty() => {
                let (number, _, _) = self.gets.remove(index.index(self.gets.len()));
                self.plain.getters.retain(|other| *other != number);
                self.plain.promised.retain(|other| *other != number);
            }
            Step::PollPut(_) | Step::DropPut(_) | Step::PollGet(_) | Step::DropGet(_) => {}
            Step::TaskDone => {
                prop_assert_eq!(self.queue.task_done().is_ok(), self.plain.unfinished > 0);
                self.plain.unfinished = self.plain.unfinished.saturating_sub(1);
            }
            Step::ShutDown(immediate) => {
                self.queue.shutdown(immediate);
                self.plain.shut_down(immediate);
            }
        }
        self.plain.serve();
        self.check()
    }

    fn put(&mut self, number: u32) -> TestCaseResult {
        let mut put = self.queue.put(number);
        let (poll, noted) = poll_noted(&mut put);
        if self.plain.shut_down {
            prop_assert_eq!(poll, Poll::Ready(Err(QueueShutDown(number))));
        } else if self.plain.putters.is_empty() && self.plain.has_room() {
            prop_assert_eq!(poll, Poll::Ready(Ok(())));
            self.plain.put(number);
        } else {
            prop_assert_eq!(poll, Poll::Pending);
            self.plain.putters.push_back(number);
            self.puts.push((number, put, noted));
        }
        Ok(())
    }

    fn try_put(&mut self, number: u32) -> TestCaseResult {
        let expected = if self.plain.shut_down {
            Err(TryPutError::ShutDown(number))
        } else if self.plain.putters.is_empty() && self.plain.has_room() {
            self.plain.put(number);
            Ok(())
        } else {
            Err(TryPutError::Full(number))
        };
        prop_assert_eq!(self.queue.try_put(number), expected);
        Ok(())
    }

    fn poll_put(&mut self, index: usize) -> TestCaseResult {
        let (number, put, noted) = &mut self.puts[index];
        let number = *number;
        let (poll, new) = poll_noted(put);
        *noted = new;
        if self.plain.shut_down {
            prop_assert_eq!(poll, Poll::Ready(Err(QueueShutDown(number))));
        } else if self.plain.granted.contains(&number) {
            prop_assert_eq!(poll, Poll::Ready(Ok(())));
            self.plain.granted.retain(|other| *other != number);
            self.plain.put(number);
        } else {
            prop_assert_eq!(poll, Poll::Pending);
            return Ok(());
        }
        drop(self.puts.remove(index));
        Ok(())
    }

    fn get(&mut self, number: u32) -> TestCaseResult {
        let mut get = self.queue.get();
        let (poll, noted) = poll_noted(&mut get);
        match self.plain.get() {
            Some(result) => prop_assert_eq!(poll, Poll::Ready(result)),
            None => {
                prop_assert_eq!(poll, Poll::Pending);
                self.plain.getters.push_back(number);
                self.gets.push((number, get, noted));
            }
        }
        Ok(())
    }

    fn poll_get(&mut self, index: usize) -> TestCaseResult {
        let (number, get, noted) = &mut self.gets[index];
        let number = *number;
        let (poll, new) = poll_noted(get);
        *noted = new;
        let served = self.plain.promised.contains(&number);
        self.plain.promised.retain(|other| *other != number);
        if served || self.plain.shut_down {
            let item = self.plain.items.pop_front().ok_or(SHUT_DOWN);
            prop_assert_eq!(poll, Poll::Ready(item));
            drop(self.gets.remove(index));
        } else {
            prop_assert_eq!(poll, Poll::Pending);
        }
        Ok(())
    }

    /// Both hold the same, and those who were served have been woken, and no others.
    fn check(&self) -> TestCaseResult {
        let (queue, plain) = (self.queue, &self.plain);
        prop_assert_eq!(queue.len(), plain.items.len());
        prop_assert_eq!(poll_unheard(&mut queue.join()).is_ready(), plain.unfinished == 0);
        for (number, _, noted) in &self.puts {
            let served = plain.shut_down || plain.granted.contains(number);
            prop_assert_eq!(noted.is_woken(), served, "the putter of {}", number);
        }
        for (number, _, noted) in &self.gets {
            let served = plain.shut_down || plain.promised.contains(number);
            prop_assert_eq!(noted.is_woken(), served, "getter {}", number);
        }
        Ok(())
    }
}

/// Random scripts, step by step against the plain queue: what is got, who is served, who is woken.
fn a_queue_agrees_with_a_plain_one_whatever_is_done<R: Runtime>() {
    each!(queue, {
        let script = (1..4_usize, prop::collection::vec(step(), 1..100));
        let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&script, |(maxsize, steps)| {
            let queue = queue::bounded(maxsize);
            let mut compared = Compared::new(&queue, maxsize);
            steps.into_iter().zip(0..).try_for_each(|(step, number)| compared.step(step, number))
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

fn t305_a_getter_that_is_served_and_cancelled_in_one_turn_loses_nothing<R: Runtime>() {
    run::<R>(async {
        each!(queue, {
            for cancelled_first in [false, true] {
                // By a request that the getter's task catches.
                let items = Rc::new(queue::bounded(1));
                let [getting, also] = [items.clone(), items.clone()];
                let first = spawn(async move { catch_cancel(getting.get()).await.ok() });
                let second = spawn(async move { also.get().await });
                turns(2).await;
                if cancelled_first {
                    first.request_cancel();
                    items.try_put(1).unwrap();
                } else {
                    items.try_put(1).unwrap();
                    first.request_cancel();
                }
                if let Some(got) = first.await.unwrap() {
                    assert_eq!(got, Ok(1));
                    items.try_put(1).unwrap();
                }
                assert_eq!(second.await.unwrap(), Ok(1));
                // By a time limit.
                let items = Rc::new(queue::bounded(1));
                let [getting, also] = [items.clone(), items.clone()];
                let limits = Rc::new(RefCell::new(None::<LimitHandle>));
                let gives = limits.clone();
                let first = spawn(timeout_scope(None, async move |limit| {
                    *gives.borrow_mut() = Some(limit.handle());
                    getting.get().await
                }));
                let second = spawn(async move { also.get().await });
                turns(2).await;
                let limit = limits.take().unwrap();
                if cancelled_first {
                    limit.reset(Instant::now());
                    items.try_put(1).unwrap();
                } else {
                    items.try_put(1).unwrap();
                    limit.reset(Instant::now());
                }
                if let Ok(got) = first.await.unwrap() {
                    assert_eq!(got, Ok(1));
                    items.try_put(1).unwrap();
                }
                assert_eq!(second.await.unwrap(), Ok(1));
            }
        });
    });
}
