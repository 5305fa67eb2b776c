//! The blocking pool: a bounded set of threads for calls that would hold up the loop.
//!
//! No thread is started before the first job, and one that has had nothing to do for a while ends. A job is
//! a boxed closure; its report goes home through the inbox. The queue itself has no limit: who submits
//! operations waits for their results, and so limits itself.
//!
//! A job that has not begun can be withdrawn; one that has runs to its end, since nothing can stop a thread
//! in a system call. That is why a shutdown may have to leave jobs behind.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use crate::sys::fork::Origin;
use crate::sys::guarded::contain;
use crate::sys::sync::{Arc, Condvar, Mutex, MutexGuard, ThreadBuilder};

/// What runs on a thread of the pool. Dropped without being called when the pool is closed first.
type Work = Box<dyn FnOnce() + Send>;

struct Job {
    /// Names the job to whoever may withdraw it.
    tag: u64,
    work: Work,
}

/// Clones are the same pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: Arc<Inner>,
    max_threads: usize,
    keep_alive: Duration,
    /// The process whose threads these are.
    origin: Origin,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// A job has come, or the pool has closed.
    work: Condvar,
    /// The last job has ended, and the pool is closed.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    running: usize,
    closed: bool,
    /// Of jobs that are given one here.
    last_tag: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queued", &self.queue.len())
            .field("threads", &self.threads)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run outside the lock, so a panic can't leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(crate) fn new(max_threads: usize, keep_alive: Duration) -> Self {
        let inner = Arc::new(Inner { state: Mutex::default(), work: Condvar::new(), ended: Condvar::new() });
        Pool { inner, max_threads, keep_alive, origin: Origin::here() }
    }

    /// Queues `work`, under a tag that nobody else uses, which it gives. See [`submit`](Self::submit).
    pub(crate) fn submit_closure(&self, work: impl FnOnce() + Send + 'static) -> u64 {
        /// Tags of closures have the top bit; those of operations have not.
        const CLOSURE: u64 = 1 << 63;
        let Some(mut state) = self.lock() else { return CLOSURE };
        state.last_tag += 1;
        let tag = state.last_tag | CLOSURE;
        drop(state);
        self.submit(tag, work);
        tag
    }

    /// Queues `work`. It is dropped uncalled if the pool is closed, or if it can't start a first thread.
    pub(crate) fn submit(&self, tag: u64, work: impl FnOnce() + Send + 'static) {
        let Some(mut state) = self.lock().filter(|state| !state.closed) else { return };
        state.queue.push_back(Job { tag, work: Box::new(work) });
        if state.idle >= state.queue.len() || state.threads == self.max_threads {
            drop(state);
            self.inner.work.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let (inner, keep_alive) = (self.inner.clone(), self.keep_alive);
        let thread = ThreadBuilder::new().name("proactor-pool".into());
        if thread.spawn(move || serve(&inner, keep_alive)).is_err() {
            let mut state = self.inner.lock();
            state.threads -= 1;
            if state.threads == 0 {
                // No thread at all: nobody would ever run the job.
                let orphans = std::mem::take(&mut state.queue);
                drop(state);
                drop(orphans);
            }
        }
    }

    /// Takes a job back that has not begun. False when it has.
    pub(crate) fn withdraw(&self, tag: u64) -> bool {
        let Some(mut state) = self.lock() else { return false };
        let place = state.queue.iter().position(|job| job.tag == tag);
        let job = place.and_then(|place| state.queue.remove(place));
        drop(state);
        job.is_some() // and its closure is dropped here, outside the lock
    }

    /// Drops the jobs that have not begun, lets idle threads end, and refuses new jobs.
    pub(crate) fn close(&self) {
        let Some(mut state) = self.lock() else { return };
        state.closed = true;
        let orphans = std::mem::take(&mut state.queue);
        drop(state);
        self.inner.work.notify_all();
        drop(orphans);
    }

    /// Waits until all jobs of a closed pool have ended, for `timeout` at most; gives how many have not.
    pub(crate) fn wait_closed(&self, timeout: Duration) -> usize {
        let Some(state) = self.lock() else { return 0 };
        // A wait that signals may interrupt without end: sleep(3) begins anew each time, and never returns
        // when they come fast enough.
        let runs = |state: &mut State| state.running > 0;
        let waited = self.inner.ended.wait_timeout_while(state, timeout, runs);
        waited.unwrap_or_else(PoisonError::into_inner).0.running
    }

    /// The state; none in a fork of the process, where the threads are missing and one of them may have left it
    /// locked.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.origin.is_here().then(|| self.inner.lock())
    }
}

fn serve(inner: &Inner, keep_alive: Duration) {
    let mut state = inner.lock();
    loop {
        if let Some(job) = state.queue.pop_front() {
            state.running += 1;
            drop(state);
            // Jobs report panics themselves; this only keeps the thread and its count.
            contain(job.work);
            state = inner.lock();
            state.running -= 1;
            if state.closed && state.running == 0 {
                inner.ended.notify_all();
            }
            continue;
        }
        if state.closed {
            break;
        }
        state.idle += 1;
        let (guard, waited) =
            inner.work.wait_timeout(state, keep_alive).unwrap_or_else(PoisonError::into_inner);
        state = guard;
        state.idle -= 1;
        if state.queue.is_empty() && waited.timed_out() {
            break;
        }
    }
    state.threads -= 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn pool(threads: usize) -> Pool {
        Pool::new(threads, Duration::from_secs(10))
    }

    #[test]
    fn jobs_run_and_threads_are_bounded() {
        let pool = pool(2);
        let (send, receive) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for i in 0..6 {
            let (send, gate) = (send.clone(), gate.clone());
            pool.submit(i, move || {
                send.send(i).unwrap();
                let _ = gate.lock().unwrap().recv();
            });
        }
        receive.recv().unwrap();
        receive.recv().unwrap();
        assert_eq!(pool.inner.lock().threads, 2);
        assert_eq!(pool.inner.lock().running, 2);
        assert!(pool.withdraw(5), "it has not begun");
        assert!(!pool.withdraw(0) && !pool.withdraw(5));
        drop(open);
        assert_eq!(receive.iter().take(3).count(), 3);
    }

    #[test]
    fn closing_drops_what_has_not_begun() {
        let pool = pool(1);
        let (send, receive) = mpsc::channel::<()>();
        let (open, gate) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        pool.submit(0, move || {
            began.send(()).unwrap();
            let _ = gate.recv();
        });
        begun.recv().unwrap();
        pool.submit(1, move || drop(send));
        pool.close();
        assert!(receive.recv().is_err(), "the job was dropped, and what it held with it");
        drop(open);
    }

    #[test]
    fn a_panicking_job_costs_no_thread() {
        let pool = pool(1);
        let (send, receive) = mpsc::channel();
        pool.submit(0, || std::panic::resume_unwind(Box::new("expected")));
        pool.submit(1, move || send.send(()).unwrap());
        receive.recv().unwrap();
    }
}
