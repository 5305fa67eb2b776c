//! Random programs: tasks that spawn, cancel, wait, catch, time out, group, lock, open and close, and pass items through
//! queues. Whatever they do, the books must balance: no task is left, no item is lost or doubled, no order is broken,
//! what was opened is closed. And both backends run a program alike, step by step.
//!
//! A program may wait for what never comes. When it has come to rest all tasks are cancelled, again and again, until none
//! is left: that is how its end is reached, and what cancels in the middle of everything.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, pending};
use std::io;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use proactor::scope::{AsyncClose, using};
use proactor::sync::queue::{self, Queue};
use proactor::sync::{self, Semaphore};
use proactor::task::{JoinError, JoinHandle, LocalHandle, TaskGroup, catch_cancel, task_group};
use proactor::time::{timeout, timeout_scope, wait_for};
use proactor::{Runtime, Selector, spawn, task_local, yield_now};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::kit::*;

tests! {
    random_programs_keep_their_books,
    random_programs_run_alike_on_both_backends,
}

const QUEUES: usize = 2;
const CAPACITIES: [usize; QUEUES] = [1, 2];
const PERMITS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Yield,
    /// An operation of the kernel.
    Operation,
    /// One that does not end.
    Read,
    Pending,
    Fail,
    Put(usize),
    Get(usize),
    Lock(Vec<Step>),
    Permit(Vec<Step>),
    Using(Vec<Step>),
    Spawn(Vec<Step>),
    /// Spawned, given so many turns, cancelled and awaited.
    Interrupt(Vec<Step>, usize),
    /// Of the tasks that this one has spawned, the oldest.
    Cancel,
    CancelAndWait,
    Await,
    Forget,
    Limited {
        how: Limit,
        zero: bool,
        steps: Vec<Step>,
    },
    Catch {
        steps: Vec<Step>,
        swallow: bool,
        after: Vec<Step>,
    },
    /// Children that the group's future polls.
    Group(Vec<Vec<Step>>),
    /// Children that are tasks.
    Tasks(Vec<Vec<Step>>),
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Timeout,
    WaitFor,
    Scope,
}

/// Whether a program may do what takes another time on each backend.
fn steps(with_time: bool) -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let operation = match with_time {
        true => prop_oneof![2 => Just(Operation), 1 => Just(Read)].boxed(),
        false => Just(Yield).boxed(),
    };
    let simple = prop_oneof![
        8 => Just(Yield),
        6 => operation,
        1 => Just(Pending),
        1 => Just(Fail),
        6 => (0..QUEUES).prop_map(Put),
        5 => (0..QUEUES).prop_map(Get),
        2 => Just(Cancel),
        2 => Just(CancelAndWait),
        3 => Just(Await),
        1 => Just(Forget),
    ];
    let nested = simple.prop_recursive(4, 40, 5, move |inner| {
        let some = || vec(inner.clone(), 0..5);
        let limit = prop_oneof![Just(Limit::Timeout), Just(Limit::WaitFor), Just(Limit::Scope)];
        let zero = if with_time { any::<bool>().boxed() } else { Just(false).boxed() };
        prop_oneof![
            2 => some().prop_map(Lock),
            1 => some().prop_map(Permit),
            2 => some().prop_map(Using),
            5 => some().prop_map(Spawn),
            3 => (some(), 0..4_usize).prop_map(|(steps, turns)| Interrupt(steps, turns)),
            2 => (limit, zero, some()).prop_map(|(how, zero, steps)| Limited { how, zero, steps }),
            2 => (some(), any::<bool>(), some())
                .prop_map(|(steps, swallow, after)| Catch { steps, swallow, after }),
            2 => vec(some(), 0..4).prop_map(Group),
            2 => vec(some(), 0..4).prop_map(Tasks),
        ]
    });
    vec(nested, 0..10)
}

/// What the tasks of one program share.
struct World {
    queues: [Queue<u32>; QUEUES],
    mutex: sync::Mutex<()>,
    semaphore: Semaphore,
    /// Who is in there now.
    locked: Cell<bool>,
    permitted: Cell<usize>,
    lines: Lines,
    books: Books,
    /// What has happened, in order: who, and what.
    trace: RefCell<Vec<(u32, String)>>,
    actors: Cell<u32>,
}

/// How many wait for what.
#[derive(Default)]
struct Lines {
    putters: [Cell<usize>; QUEUES],
    getters: [Cell<usize>; QUEUES],
    lock: Cell<usize>,
    permits: Cell<usize>,
}

/// Awaits something of which there are so many, and others may wait for it: who could get one only by overtaking waits.
async fn in_line<T>(line: &Cell<usize>, available: usize, wanted: impl Future<Output = T>) -> T {
    let must_wait = line.get() >= available;
    let _waits = Count::new(line);
    let mut wanted = pin!(wanted);
    match poll_once(&mut wanted).await {
        Poll::Ready(_) if must_wait => panic!("somebody has overtaken those who wait"),
        Poll::Ready(output) => output,
        Poll::Pending => wanted.await,
    }
}

#[derive(Default)]
struct Books {
    /// Futures that are alive.
    alive: Cell<usize>,
    /// Operations that will end.
    operations: Cell<usize>,
    opened: Cell<usize>,
    closed: Cell<usize>,
    /// Items that somebody tried to put, those of whom he knows that he did, and those that somebody got.
    offered: RefCell<BTreeSet<u32>>,
    put: RefCell<Vec<u32>>,
    got: RefCell<Vec<(usize, u32)>>,
}

/// Counts one up, and down when it is dropped.
struct Count<'a>(&'a Cell<usize>);

impl<'a> Count<'a> {
    fn new(place: &'a Cell<usize>) -> Self {
        place.set(place.get() + 1);
        Count(place)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What is open of all that was opened within something that waits for its end.
type Open = Rc<Cell<usize>>;

/// What is open counts for all that it is within.
struct Resource {
    world: Rc<World>,
    within: Vec<Open>,
}

impl Resource {
    fn open(player: &Player) -> Self {
        let (opened, within) = (&player.world.books.opened, player.within.clone());
        opened.set(opened.get() + 1);
        within.iter().for_each(|open| open.set(open.get() + 1));
        Resource { world: player.world.clone(), within }
    }
}

impl AsyncClose for Resource {
    async fn close(self) -> io::Result<()> {
        yield_now().await;
        let closed = &self.world.books.closed;
        closed.set(closed.get() + 1);
        self.within.iter().for_each(|open| open.set(open.get() - 1));
        Ok(())
    }
}

type Played = Result<(), io::Error>;

task_local! {
    /// The task that one is in.
    static ACTOR: u32;
}

/// One sequence of steps: its world, who plays, and what he has spawned.
struct Player {
    world: Rc<World>,
    actor: u32,
    /// The task that this is part of.
    task: u32,
    within: Vec<Open>,
    items: Cell<u32>,
    spawned: RefCell<VecDeque<(JoinHandle<Played>, Open)>>,
}

impl Player {
    /// Somebody new: a task, or one who plays inside of one.
    fn new(world: &Rc<World>, task: Option<u32>, within: Vec<Open>) -> Self {
        let actor = world.actors.get();
        world.actors.set(actor + 1);
        Player {
            world: world.clone(),
            actor,
            task: task.unwrap_or(actor),
            within,
            items: Cell::new(0),
            spawned: RefCell::default(),
        }
    }

    fn note(&self, what: impl std::fmt::Debug) {
        self.world.trace.borrow_mut().push((self.actor, format!("{what:?}")));
    }

    /// Boxed, since steps contain steps. It keeps its player.
    fn play(self: Rc<Self>, steps: Vec<Step>) -> Pin<Box<dyn Future<Output = Played>>> {
        Box::pin(async move {
            let _alive = Count::new(&self.world.books.alive);
            for step in steps {
                assert_eq!(ACTOR.get(), self.task, "a task-local belongs to its task");
                self.step(step).await?;
            }
            self.note("end");
            Ok(())
        })
    }

    fn inside(&self, steps: Vec<Step>) -> Pin<Box<dyn Future<Output = Played>>> {
        Rc::new(Player::new(&self.world, Some(self.task), self.within.clone())).play(steps)
    }

    /// The same in something that does not wait for what is left of it.
    fn loose(&self, steps: Vec<Step>) -> Pin<Box<dyn Future<Output = Played>>> {
        Rc::new(Player::new(&self.world, Some(self.task), Vec::new())).play(steps)
    }

    /// The same in something that waits for that.
    fn within(&self, steps: Vec<Step>, open: &Open) -> Pin<Box<dyn Future<Output = Played>>> {
        let within = self.within.iter().chain([open]).cloned().collect();
        Rc::new(Player::new(&self.world, Some(self.task), within)).play(steps)
    }

    fn task(&self, steps: Vec<Step>, open: &Open) -> impl Future<Output = Played> + 'static {
        let player = Rc::new(Player::new(&self.world, None, vec![open.clone()]));
        async move {
            ACTOR.set(player.actor);
            player.play(steps).await
        }
    }

    /// A task has ended like this, in which so much is open.
    fn ended(&self, outcome: Result<Played, JoinError>, open: &Open) {
        let outcome = match outcome {
            Ok(played) => played.is_ok(),
            Err(JoinError::Panicked(panic)) => resume_unwind(panic.into_payload()),
            Err(_) => false,
        };
        assert_eq!(open.get(), 0, "a task has ended before what was opened in it");
        self.note(("ended", outcome));
    }

    async fn step(&self, step: Step) -> Played {
        let world = &self.world;
        let open = Open::default();
        match step {
            Step::Yield => yield_now().await,
            Step::Operation => {
                let _runs = Count::new(&world.books.operations);
                proactor::io::nop().await?;
            }
            Step::Read => {
                let (reader, _writer) = proactor::io::pipe()?;
                reader.recv().await?;
            }
            Step::Pending => pending().await,
            Step::Fail => return Err(io::Error::other("a step that fails")),
            Step::Put(queue) => {
                let item = self.actor << 12 | self.items.replace(self.items.get() + 1);
                world.books.offered.borrow_mut().insert(item);
                let (items, line) = (&world.queues[queue], &world.lines.putters[queue]);
                let put = in_line(line, CAPACITIES[queue] - items.len(), items.put(item)).await;
                put.expect("nobody shuts it down");
                world.books.put.borrow_mut().push(item);
                self.note(("put", queue));
            }
            Step::Get(queue) => {
                let (items, line) = (&world.queues[queue], &world.lines.getters[queue]);
                let item = in_line(line, items.len(), items.get()).await.expect("nobody shuts it down");
                world.books.got.borrow_mut().push((queue, item));
                items.task_done().expect("one for each item");
                self.note(("got", queue, item));
            }
            Step::Lock(steps) => {
                let free = usize::from(!world.locked.get());
                let _guard = in_line(&world.lines.lock, free, world.mutex.lock()).await;
                struct Inside<'a>(&'a Cell<bool>);
                impl Drop for Inside<'_> {
                    fn drop(&mut self) {
                        self.0.set(false);
                    }
                }
                assert!(!world.locked.replace(true), "two have the lock");
                let _inside = Inside(&world.locked);
                self.note("locked");
                self.inside(steps).await?;
            }
            Step::Permit(steps) => {
                let free = PERMITS - world.permitted.get();
                let permit = in_line(&world.lines.permits, free, world.semaphore.acquire()).await;
                let _permit = permit.expect("nobody closes it");
                let _inside = Count::new(&world.permitted);
                assert!(world.permitted.get() <= PERMITS, "more have a permit than there are");
                self.note("permitted");
                self.inside(steps).await?;
            }
            Step::Using(steps) => {
                using(Resource::open(self), async |_| self.inside(steps).await).await?;
                self.note("closed");
            }
            Step::Spawn(steps) => {
                self.spawned.borrow_mut().push_back((spawn(self.task(steps, &open)), open));
                return Ok(());
            }
            Step::Interrupt(steps, turns) => {
                let task = spawn(self.task(steps, &open));
                for _ in 0..turns {
                    yield_now().await;
                }
                self.ended(task.cancel().await, &open);
            }
            Step::Cancel | Step::CancelAndWait | Step::Await | Step::Forget => {
                let Some((task, opened)) = self.spawned.borrow_mut().pop_front() else { return Ok(()) };
                match step {
                    Step::Await => self.ended(task.await, &opened),
                    Step::CancelAndWait => self.ended(task.cancel().await, &opened),
                    Step::Cancel => {
                        task.request_cancel();
                        self.spawned.borrow_mut().push_back((task, opened));
                    }
                    _ => drop(task),
                }
            }
            Step::Limited { how, zero, steps } => self.limited(how, zero, steps).await?,
            Step::Catch { steps, swallow, after } => self.catch(steps, swallow, after).await?,
            Step::Group(children) => self.group(children).await?,
            Step::Tasks(children) => self.tasks(children).await?,
        }
        Ok(())
    }

    async fn limited(&self, how: Limit, zero: bool, steps: Vec<Step>) -> Played {
        let open = Open::default();
        let time = if zero { Duration::ZERO } else { Duration::from_secs(3_600) };
        let limited = match how {
            Limit::Timeout => timeout(time, self.loose(steps)).await,
            Limit::WaitFor => wait_for(time, self.within(steps, &open)).await,
            Limit::Scope => {
                let steps = self.within(steps, &open);
                timeout_scope(time, async |_| steps.await).await
            }
        };
        self.note(("limited", limited.is_ok()));
        assert_eq!(open.get(), 0, "a time limit answers before what was opened in it is closed");
        limited.unwrap_or(Ok(()))
    }

    async fn catch(&self, steps: Vec<Step>, swallow: bool, after: Vec<Step>) -> Played {
        let open = Open::default();
        match catch_cancel(self.within(steps, &open)).await {
            Ok(played) => played,
            Err(cancelled) => {
                assert_eq!(open.get(), 0, "a cancellation is caught before what it closes is closed");
                self.note(("caught", swallow));
                if swallow {
                    cancelled.uncancel();
                    self.inside(after).await?;
                } else {
                    self.inside(after).await?;
                    drop(cancelled);
                }
                Ok(())
            }
        }
    }

    async fn group(&self, children: Vec<Vec<Step>>) -> Played {
        let open = Open::default();
        let played = task_group(async |g| {
            for steps in children {
                g.spawn(self.within(steps, &open));
            }
            Ok(())
        });
        let played = played.await;
        self.note(("group", played.as_ref().map_err(|error| error.len())));
        assert_eq!(open.get(), 0, "a group has ended before what was opened in it");
        played.map_err(|error| io::Error::other(error.to_string()))
    }

    async fn tasks(&self, children: Vec<Vec<Step>>) -> Played {
        let open = Open::default();
        let group = TaskGroup::new();
        for steps in children {
            group.spawn(self.task(steps, &open));
        }
        let played = group.join().await;
        self.note(("tasks", played.as_ref().map_err(|error| error.len())));
        assert_eq!(open.get(), 0, "a group has ended before what its tasks had opened");
        played.map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Turns until nothing has happened for a while.
async fn rest(world: &World) {
    let books = &world.books;
    let state =
        || (world.trace.borrow().len(), books.alive.get(), books.closed.get(), books.operations.get());
    let mut quiet = 0;
    while quiet < 20 {
        let before = state();
        turns(1).await;
        let busy = before != state() || books.operations.get() > 0;
        quiet = if busy { 0 } else { quiet + 1 };
    }
}

/// Plays a program to its end, and gives its trace.
fn play<R: Runtime>(program: &[Step]) -> Result<Vec<(u32, String)>, TestCaseError> {
    // The end of a program that is to be shown, with what has gone wrong, is not waited for.
    let panicked = Arc::new(Mutex::new(None));
    let panics = panicked.clone();
    let config =
        proactor::Config::new().shutdown_deadline(Duration::from_millis(10)).on_unhandled(move |unhandled| {
            if unhandled.is_panic() {
                panics.lock().unwrap().get_or_insert(unhandled.message().to_owned());
            } // errors are part of the programs
        });
    let runtime = R::with_config(&config).unwrap();
    let world = Rc::new(World {
        queues: CAPACITIES.map(queue::bounded),
        mutex: sync::Mutex::new(()),
        semaphore: Semaphore::new(PERMITS),
        locked: Cell::new(false),
        permitted: Cell::new(0),
        lines: Lines::default(),
        books: Books::default(),
        trace: RefCell::default(),
        actors: Cell::new(0),
    });
    let player = Rc::new(Player::new(&world, None, Vec::new()));
    let rounds = runtime.block_on(async {
        ACTOR.set(player.actor);
        spawn(player.play(program.to_vec()));
        rest(&world).await;
        for round in 0.. {
            let tasks = LocalHandle::current().tasks();
            if tasks.is_empty() || round == 1_000 {
                return round;
            }
            tasks.iter().for_each(|task| _ = task.request_cancel());
            rest(&world).await;
        }
        unreachable!()
    });
    let World { books, .. } = &*world;
    let panicked = panicked.lock().unwrap().take();
    prop_assert!(panicked.is_none(), "a task has panicked: {}", panicked.unwrap_or_default());
    prop_assert!(rounds < 1_000, "tasks that never end: {}", runtime.local().dump());
    prop_assert_eq!(books.alive.get(), 0, "futures that are left");
    prop_assert_eq!(books.opened.get(), books.closed.get(), "what was opened is closed");
    prop_assert!(!world.locked.get() && world.mutex.try_lock().is_some(), "the lock is left locked");
    prop_assert_eq!((world.permitted.get(), world.semaphore.available_permits()), (0, PERMITS));
    check_items(&world)?;
    let left = runtime.shutdown(Duration::from_secs(30));
    prop_assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (0, 0, 0));
    prop_assert_eq!(Rc::strong_count(&world), 1, "nobody keeps the world");
    Ok(world.trace.take())
}

fn check_items(world: &World) -> Result<(), TestCaseError> {
    let books = &world.books;
    let mut seen = books.got.borrow().clone();
    for (number, queue) in world.queues.iter().enumerate() {
        seen.extend(std::iter::from_fn(|| queue.try_get().ok()).map(|item| (number, item)));
        prop_assert!((0..CAPACITIES[number]).all(|_| queue.try_put(0).is_ok()), "a place is lost");
    }
    let once: BTreeSet<u32> = seen.iter().map(|(_, item)| *item).collect();
    prop_assert_eq!(once.len(), seen.len(), "an item came twice");
    prop_assert!(once.is_subset(&books.offered.borrow()), "an item came from nowhere");
    prop_assert!(books.put.borrow().iter().all(|item| once.contains(item)), "an item is lost");
    for queue in 0..QUEUES {
        for actor in 0..world.actors.get() {
            let of = |(place, item): &&(usize, u32)| *place == queue && item >> 12 == actor;
            let items: Vec<u32> = seen.iter().filter(of).map(|(_, item)| *item).collect();
            prop_assert!(items.is_sorted(), "the items of one player came out of order: {:?}", items);
        }
    }
    Ok(())
}

fn for_all(cases: u32, with_time: bool, test: impl Fn(&[Step]) -> Result<(), TestCaseError>) {
    let cases = rounds(cases as usize, 50 * cases as usize) as u32;
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 10_000, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(&steps(with_time), |steps| test(&steps)) {
        panic!("{error}");
    }
}

fn random_programs_keep_their_books<R: Runtime>() {
    for_all(150, true, |steps| play::<R>(steps).map(drop));
}

/// Once, for the two of them.
fn random_programs_run_alike_on_both_backends<R: Runtime>() {
    for_all(75, false, |steps| {
        let (here, there) = (play::<R>(steps)?, play::<Selector>(steps)?);
        prop_assert_eq!(here, there);
        Ok(())
    });
}
