//! The blocking pool: bounded sets of threads for calls that would block the loop.
//!
//! No thread is started before the first job, and a thread that was idle for a while ends. A job is a boxed closure; its
//! report goes back to the loop through the inbox. The queues have no limit: a task that submits operations waits for
//! their results, and so limits itself.
//!
//! Each [`Lane`] has a limit of its own, so that jobs of one lane never wait for jobs of another: closures that wait
//! for each other, a name server that does not answer, or peers that acknowledge nothing do not delay file operations.
//!
//! A job that has not begun can be withdrawn. A job that has begun runs to its end, because nothing can stop a thread in a
//! system call; a shutdown may have to leave such jobs behind. An abandoned job, whose result is not needed, no longer
//! counts in its lane, so that the next job can begin while it runs.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use crate::sys::fork::Origin;
use crate::sys::guarded::contain;
use crate::sys::sync::{Arc, Condvar, Mutex, MutexGuard, ThreadBuilder};

/// The kind of a job. Each kind has its own queue and its own limit of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// System calls of operations.
    Call,
    /// Closes of sockets that wait for their peers (SO_LINGER).
    Close,
    /// Look-ups of names.
    Lookup,
    /// Closures of user code.
    Closure,
}

const LANES: [Lane; 4] = [Lane::Call, Lane::Close, Lane::Lookup, Lane::Closure];

/// The number of abandoned jobs that may run beyond the limits of their lanes. Further ones still count in their lanes.
const MOST_ABANDONED: usize = 256;

/// The time for which the end of a pool waits for abandoned jobs. Most end at once; one that does not may never end.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// The circumstances in which a job is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launch {
    /// The job runs on a thread of the pool.
    Run,
    /// No thread could be started, with this `errno`. The job is called on the thread that has submitted it.
    NoThread(i32),
}

/// The closure of a job. It is dropped uncalled if the pool is closed first.
type Work = Box<dyn FnOnce(Launch) + Send>;

struct Job {
    /// Identifies the job for its withdrawal.
    tag: u64,
    work: Work,
}

/// A job that a thread has begun.
struct Running {
    tag: u64,
    lane: Lane,
    abandoned: bool,
    /// Whether it counts for the limit of its lane.
    counted: bool,
}

/// The error of a job for which no thread could be started.
pub(crate) fn no_thread(errno: i32) -> io::Error {
    let cause = io::Error::from_raw_os_error(errno);
    io::Error::new(
        cause.kind(),
        format!(
            "no thread could be started for the blocking pool: {cause}; raise the limit on threads (ulimit -u, or \
             pids.max of the control group), free memory, or start fewer threads"
        ),
    )
}

/// A handle of a blocking pool. Clones are the same pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: Arc<Inner>,
    /// The limit of threads of each lane.
    max_threads: usize,
    keep_alive: Duration,
    /// The process whose threads these are.
    origin: Origin,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Is notified when a job was queued or the pool was closed.
    work: Condvar,
    /// Is notified when a job of a closed pool has ended or was abandoned.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// The queued jobs of each lane.
    queues: [VecDeque<Job>; LANES.len()],
    /// The number of running jobs that count for the limit of each lane.
    busy: [usize; LANES.len()],
    running: Vec<Running>,
    threads: usize,
    idle: usize,
    closed: bool,
    /// The last tag that [`submit_closure`](Pool::submit_closure) has given.
    last_tag: u64,
}

impl State {
    /// The first lane whose next job may begin.
    fn next_lane(&self, max: usize) -> Option<Lane> {
        LANES.into_iter().find(|lane| self.may_begin(*lane, max) > 0)
    }

    /// The number of queued jobs of a lane that may begin now.
    fn may_begin(&self, lane: Lane, max: usize) -> usize {
        self.queues[lane as usize].len().min(max - self.busy[lane as usize])
    }

    /// The number of queued jobs of all lanes that may begin now.
    fn due(&self, max: usize) -> usize {
        LANES.into_iter().map(|lane| self.may_begin(lane, max)).sum()
    }

    /// The number of threads without a job: idle ones, and those that were just started.
    fn free_threads(&self) -> usize {
        self.threads - self.running.len()
    }

    fn begin(&mut self, lane: Lane) -> Option<Job> {
        let job = self.queues[lane as usize].pop_front()?;
        self.busy[lane as usize] += 1;
        self.running.push(Running { tag: job.tag, lane, abandoned: false, counted: true });
        Some(job)
    }

    fn end(&mut self, tag: u64) {
        let Some(place) = self.running.iter().position(|running| running.tag == tag) else { return };
        let Running { lane, counted, .. } = self.running.swap_remove(place);
        if counted {
            self.busy[lane as usize] -= 1;
        }
    }

    /// The number of running jobs, without abandoned ones.
    fn wanted(&self) -> usize {
        self.running.iter().filter(|running| !running.abandoned).count()
    }

    fn take_queued(&mut self) -> [VecDeque<Job>; LANES.len()] {
        std::mem::take(&mut self.queues)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queued", &self.queues.iter().map(VecDeque::len).sum::<usize>())
            .field("threads", &self.threads)
            .field("running", &self.running.len())
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
    /// Makes a pool of at most `max_threads` threads for each lane.
    pub(crate) fn new(max_threads: usize, keep_alive: Duration) -> Self {
        let inner = Arc::new(Inner { state: Mutex::default(), work: Condvar::new(), ended: Condvar::new() });
        Pool { inner, max_threads, keep_alive, origin: Origin::here() }
    }

    /// Queues `work` under a new tag, and returns the tag. See [`submit`](Self::submit).
    pub(crate) fn submit_closure(&self, lane: Lane, work: impl FnOnce(Launch) + Send + 'static) -> u64 {
        /// Tags of closures have the top bit; those of operations have not.
        const CLOSURE: u64 = 1 << 63;
        let Some(mut state) = self.lock() else { return CLOSURE };
        state.last_tag += 1;
        let tag = state.last_tag | CLOSURE;
        drop(state);
        self.submit(lane, tag, work);
        tag
    }

    /// Queues `work`. It is dropped uncalled if the pool is closed, and called here if it needs a thread and none can be
    /// started.
    pub(crate) fn submit(&self, lane: Lane, tag: u64, work: impl FnOnce(Launch) + Send + 'static) {
        let Some(mut state) = self.lock().filter(|state| !state.closed) else { return };
        state.queues[lane as usize].push_back(Job { tag, work: Box::new(work) });
        let Err(error) = self.ensure_threads(state) else { return };
        let mut state = self.inner.lock();
        // No error if another thread will take the job: a free one, or one that ends another job of the lane.
        if state.busy[lane as usize] > 0 || state.free_threads() >= state.due(self.max_threads) {
            return;
        }
        let queue = &mut state.queues[lane as usize];
        let job = queue.iter().position(|job| job.tag == tag).and_then(|place| queue.remove(place));
        drop(state);
        if let Some(job) = job {
            (job.work)(Launch::NoThread(error.raw_os_error().unwrap_or(libc::EAGAIN)));
        }
    }

    /// Wakes a thread for the jobs that may begin, or starts one if too few are free.
    fn ensure_threads(&self, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        if state.free_threads() >= state.due(self.max_threads) {
            drop(state);
            self.inner.work.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let (inner, keep_alive, max) = (self.inner.clone(), self.keep_alive, self.max_threads);
        let thread = ThreadBuilder::new().name("proactor-pool".into());
        thread.spawn(move || serve(&inner, keep_alive, max)).map(drop).inspect_err(|_| {
            self.inner.lock().threads -= 1;
        })
    }

    /// Withdraws a job that has not begun. Returns false if it has.
    pub(crate) fn withdraw(&self, tag: u64) -> bool {
        let Some(mut state) = self.lock() else { return false };
        let job = state.queues.iter_mut().find_map(|queue| {
            queue.iter().position(|job| job.tag == tag).and_then(|place| queue.remove(place))
        });
        drop(state);
        job.is_some() // the closure is dropped here, outside the lock
    }

    /// Abandons a job whose result is not needed: withdraws it, or stops counting it in its lane if it runs.
    pub(crate) fn abandon(&self, tag: u64) {
        if self.withdraw(tag) {
            return;
        }
        let Some(mut state) = self.lock() else { return };
        let uncounted = state.running.iter().filter(|running| !running.counted).count();
        let Some(running) = state.running.iter_mut().find(|running| running.tag == tag) else { return };
        running.abandoned = true;
        let lane = running.lane;
        self.inner.ended.notify_all();
        if uncounted >= MOST_ABANDONED || !std::mem::replace(&mut running.counted, false) {
            return;
        }
        state.busy[lane as usize] -= 1;
        if state.may_begin(lane, self.max_threads) > 0 {
            let _ = self.ensure_threads(state); // if no thread can be started, one that ends another job takes it
        }
    }

    /// Drops the jobs that have not begun, lets idle threads end, and refuses new jobs.
    pub(crate) fn close(&self) {
        let Some(mut state) = self.lock() else { return };
        state.closed = true;
        let orphans = state.take_queued();
        drop(state);
        self.inner.work.notify_all();
        drop(orphans);
    }

    /// Waits until all jobs of a closed pool have ended, up to `timeout`, and for abandoned ones only up to [`GRACE`]. Returns
    /// the number of jobs that have not ended.
    pub(crate) fn wait_closed(&self, timeout: Duration) -> usize {
        let Some(state) = self.lock() else { return 0 };
        // A wait that signals may interrupt without end. sleep(3) begins anew each time, and never returns
        // when they come fast enough.
        let ended = &self.inner.ended;
        let waited = ended.wait_timeout_while(state, timeout, |state: &mut State| state.wanted() > 0);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.wanted() > 0 {
            return state.running.len();
        }
        let runs = |state: &mut State| !state.running.is_empty();
        let waited = ended.wait_timeout_while(state, timeout.min(GRACE), runs);
        waited.unwrap_or_else(PoisonError::into_inner).0.running.len()
    }

    /// Locks the state. Returns `None` in a fork of the process: the threads are missing there, and one of them may have held
    /// the lock.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.origin.is_here().then(|| self.inner.lock())
    }
}

/// Runs jobs on a thread of the pool, until the pool is closed or the thread was idle for `keep_alive`.
fn serve(inner: &Inner, keep_alive: Duration, max: usize) {
    let mut state = inner.lock();
    loop {
        let lane = state.next_lane(max);
        if let Some(job) = lane.and_then(|lane| state.begin(lane)) {
            drop(state);
            // Jobs report panics themselves; this only protects the thread and the count of threads.
            contain(|| (job.work)(Launch::Run));
            state = inner.lock();
            state.end(job.tag);
            if state.closed {
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
        if waited.timed_out() && state.due(max) == 0 {
            break;
        }
    }
    state.threads -= 1;
}

/// A pool of threads for blocking work, separate from those of the runtimes; asyncio's executors.
///
/// Several runtimes may use it. Clones are the same pool. No thread is started before the first job, and a thread that
/// has been idle for ten seconds ends. After the last clone is dropped, all jobs still run, whether they have begun or
/// not.
///
/// # Examples
/// See [`spawn_blocking_on`](crate::task::spawn_blocking_on).
#[derive(Clone, Debug)]
pub struct BlockingPool {
    pub(in crate::task) pool: Pool,
}

impl BlockingPool {
    /// Makes a pool of at most `max_threads` threads.
    ///
    /// # Panics
    /// When `max_threads` is zero.
    pub fn new(max_threads: usize) -> Self {
        assert!(max_threads > 0, "a pool without threads would never run a job: choose 1 or more");
        BlockingPool { pool: Pool::new(max_threads, Duration::from_secs(10)) }
    }

    /// Ends the pool: drops the jobs that have not begun, refuses new ones, and waits up to `timeout` for those that
    /// have begun. Returns the number of jobs that have not ended. It blocks the thread; asyncio's
    /// `shutdown_default_executor`.
    pub fn shutdown(&self, timeout: Duration) -> usize {
        self.pool.close();
        self.pool.wait_closed(timeout)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
