//! Processes of their own, for tests that count descriptors or threads, change the environment, signal, or want
//! a kernel that refuses: none of that may be shared with the tests beside them.
//!
//! The child is this same program; it runs the one test and ends. Limits, user and filter are put on by the
//! child itself, once it runs, so that they hold for the test and not for its start.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, getuid, setgid, setgroups, setuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

use super::{Test, Watchdog};

/// The hidden first argument of a process that runs one test, named by the second, in the case that the third
/// names.
pub(crate) const ALONE: &str = "--alone";

thread_local! {
    pub(super) static NAME: RefCell<String> = const { RefCell::new(String::new()) };
    pub(super) static QUIET: Cell<bool> = const { Cell::new(false) };
    /// The file of the last panic.
    pub(super) static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn message_of(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Makes root run the whole suite as the user with this number.
const USER_VARIABLE: &str = "SUITE_USER";

/// Panics that tests expect are not printed; descriptors are allowed as many as possible; root becomes who it was
/// told to.
pub(crate) fn prepare_process() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(place) = panic.location() {
            PLACE.with_borrow_mut(|last| place.file().clone_into(last));
        }
        let expected = message_of(panic.payload()).is_some_and(|message| message.starts_with("expected"));
        if !expected && !QUIET.get() {
            hook(panic);
        }
    }));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    if let Ok(user) = std::env::var(USER_VARIABLE) {
        become_user(Uid::from_raw(user.parse().expect("SUITE_USER is the number of a user")));
    }
}

/// Gives root's privileges up for good; who is an ordinary user already stays who he is.
fn become_user(user: Uid) {
    if !getuid().is_root() {
        return;
    }
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(user.as_raw())).unwrap();
    setuid(user).unwrap();
    // What a change of the user has reset: /proc/self stays readable.
    nix::sys::prctl::set_dumpable(true).unwrap();
}

/// The number of an ordinary user whom nobody else is: the kernel counts the memory of rings, and more, per user.
fn user_of_its_own() -> Uid {
    Uid::from_raw(20_000 + std::process::id() % 40_000)
}

/// Whether this process has been given a user of its own. It has not if an ordinary user runs the tests.
pub(crate) fn has_user_of_its_own() -> bool {
    getuid() == user_of_its_own()
}

/// A process for one test.
#[derive(Clone, Debug, Default)]
#[must_use = "it starts with `run`"]
pub(crate) struct Alone {
    case: String,
    variables: Vec<(String, String)>,
    limits: Vec<(Resource, u64)>,
    nobody: bool,
    /// System calls that fail, and the `errno` with which.
    refused: Option<(Vec<i64>, i32)>,
    killed_by: Option<i32>,
    /// A program that starts it.
    under: Vec<String>,
}

impl Alone {
    pub(crate) fn new() -> Self {
        Alone::default()
    }

    /// One of several processes of the same test, each with a name of its own.
    pub(crate) fn case(mut self, name: impl ToString) -> Self {
        self.case = name.to_string();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this limit, soft and hard: see setrlimit(2).
    pub(crate) fn limit(mut self, resource: Resource, value: u64) -> Self {
        self.limits.push((resource, value));
        self
    }

    /// As an ordinary user without any privilege, of whom this is the only process. Who is an ordinary user already
    /// stays who he is.
    pub(crate) fn nobody(mut self) -> Self {
        self.nobody = true;
        self
    }

    /// With these system calls refused by a filter: see seccomp(2). It holds for the test's thread and the
    /// threads that it starts.
    pub(crate) fn refuse(mut self, calls: &[i64], errno: i32) -> Self {
        self.refused = Some((calls.to_vec(), errno));
        self
    }

    /// Leaves memory behind on purpose, which a leak detector is not to report.
    pub(crate) fn leaks(self) -> Self {
        self.env("ASAN_OPTIONS", "detect_leaks=0")
    }

    /// The process is to be ended by this signal.
    pub(crate) fn killed_by(mut self, signal: i32) -> Self {
        self.killed_by = Some(signal);
        self
    }

    /// Started by way of this program, which gets the process's own command as further arguments.
    pub(crate) fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Runs the test in the process, or starts that and waits for its end; gives what it wrote to stderr then.
    pub(crate) fn run(self, test: impl FnOnce()) -> Option<String> {
        if is_alone() {
            if std::env::args().nth(3).unwrap_or_default() == self.case {
                self.restrict();
                test();
            }
            return None;
        }
        let output = self.child();
        let ended_well = match self.killed_by {
            None => output.status.success(),
            Some(signal) => output.status.signal() == Some(signal),
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(ended_well, "in a process of its own ({}): {}\n{said}", self.case, output.status);
        Some(said)
    }

    fn child(&self) -> Output {
        let name = NAME.with_borrow(String::clone);
        // By this name it can be executed also by a user who may not enter the folders above it.
        let own = format!("/proc/{}/exe", std::process::id());
        let mut parts = self.under.iter().chain([&own]);
        let mut command = Command::new(parts.next().expect("its own name"));
        command.args(parts).args([ALONE, &name, &self.case]).env_remove("PROACTOR_BACKEND");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    fn restrict(&self) {
        for (resource, value) in &self.limits {
            setrlimit(*resource, *value, *value).unwrap();
        }
        if self.nobody {
            become_user(user_of_its_own());
            end_with_parent(); // a change of the user has reset that as well
        }
        if let Some((calls, errno)) = &self.refused {
            let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.iter().map(|call| (*call, vec![])).collect();
            let refuse = SeccompAction::Errno(*errno as u32);
            let target: TargetArch = std::env::consts::ARCH.try_into().unwrap();
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, target).unwrap();
            let program: BpfProgram = filter.try_into().unwrap();
            seccompiler::apply_filter(&program).unwrap();
        }
    }
}

/// Whether this is a process of one test.
pub(crate) fn is_alone() -> bool {
    std::env::args().nth(1).as_deref() == Some(ALONE)
}

/// Runs a test in a process of its own.
pub(crate) fn alone(test: impl FnOnce()) {
    Alone::new().run(test);
}

/// Ends this process when the one that has made it ends.
pub(crate) fn end_with_parent() {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The child's side of [`Alone`].
pub(crate) fn run_alone(tests: &[Test], name: &str) {
    end_with_parent();
    let found = tests.iter().flat_map(Test::each_backend).find(|(other, ..)| other == name);
    let (name, _, body) = found.unwrap_or_else(|| panic!("there is no test {name}"));
    Watchdog::in_child().watch(&name, body);
}
