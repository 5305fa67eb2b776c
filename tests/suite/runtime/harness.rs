//! The tools that catch faults, caught at work: a detector that can't fail proves nothing.

use std::collections::BTreeSet;
use std::future::pending;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use proactor::Runtime;
use proactor::buf::IoBufMut;

use crate::kit::*;

tests! {
    a_tombstone_turns_a_late_write_into_a_fault,
    a_canary_shows_a_late_write,
    the_watchdog_says_where_a_test_hangs,
    the_watchdog_counts_shares_of_processors,
    a_process_of_its_own_is_under_its_limits,
    every_case_has_its_tests,
    every_need_is_that_of_a_test,
    every_name_of_asyncio_has_its_tests,
}

fn a_tombstone_turns_a_late_write_into_a_fault<R: Runtime>() {
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let mut buffer = Tombstone::new(1);
    let address = buffer.write_ptr();
    // SAFETY: the buffer has these bytes; the second call is to fail, since nobody has them any more.
    let read = || unsafe { libc::read(zeros.as_raw_fd(), address.cast(), 16) };
    assert_eq!(read(), 16);
    drop(buffer);
    assert_eq!(read(), -1);
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EFAULT));
}

fn a_canary_shows_a_late_write<R: Runtime>() {
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let (mut buffer, watch) = Canary::new(64);
    let address = buffer.write_ptr();
    assert!(panic_of(|| watch.assert_untouched()).contains("somebody's"));
    drop(buffer);
    watch.assert_untouched();
    // SAFETY: the memory of a canary is never given back.
    assert_eq!(unsafe { libc::read(zeros.as_raw_fd(), address.wrapping_add(40).cast(), 1) }, 1);
    assert!(panic_of(|| watch.assert_untouched()).contains("Some(40)"));
}

fn the_watchdog_says_where_a_test_hangs<R: Runtime>() {
    let child = Alone::new().env(LIMIT_VARIABLE, "1000").killed_by(libc::SIGABRT);
    let said = child.run(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let (stream, _peer) = half_pair();
            let _ = stream.read(vec![0; 1]).await;
            pending::<()>().await;
        });
    });
    if let Some(said) = said {
        for word in ["the_watchdog_says_where_a_test_hangs", "wchan", "block_on", "descriptors"] {
            assert!(said.contains(word), "without {word}: {said}");
        }
        assert_eq!(said.contains("SqTail"), is_proactor::<R>(), "{said}");
    }
}

/// 120 s of a machine with two processors and ten threads that can run are ten minutes.
fn the_watchdog_counts_shares_of_processors<R: Runtime>() {
    let second = Duration::from_secs(1);
    assert_eq!(counted(second, 10, 2), second / 5);
    assert_eq!(counted(second, 4, 2), second / 2);
    for idle in [0, 1, 2] {
        assert_eq!(counted(second, idle, 2), second);
    }
    assert_eq!(counted(second, 1_000_000, 1), second / 20); // a test that hangs is always ended
}

fn a_process_of_its_own_is_under_its_limits<R: Runtime>() {
    let child =
        Alone::new().limit(Resource::RLIMIT_NOFILE, 77).refuse(&[libc::SYS_sync], libc::EXDEV).nobody();
    child.run(|| {
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (77, 77));
        assert!(!nix::unistd::getuid().is_root());
        // SAFETY: sync(2) takes nothing.
        assert_eq!(unsafe { libc::syscall(libc::SYS_sync) }, -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
        assert!(!descriptors().is_empty());
    });
}

fn every_need_is_that_of_a_test<R: Runtime>() {
    let names: BTreeSet<String> =
        listed().iter().map(|test| format!("{}::{}::{}", test.backend, test.file, test.name)).collect();
    for (name, need) in NEEDS.iter().filter(|_| !names.is_empty()) {
        assert!(names.contains(*name), "there is no test {name}, which needs {need:?}");
    }
}

/// The tests of this backend, in all programs of the suite.
fn on_this_backend<R: Runtime>() -> Vec<Listed> {
    listed().into_iter().filter(|test| test.backend == R::NAME).collect()
}

/// `tests/CASES.md` says which backends a case is about; there is a test of the case on each of them, and no
/// test of a case that is not listed.
fn every_case_has_its_tests<R: Runtime>() {
    let rows = include_str!("../../CASES.md").lines().filter(|line| line.starts_with("| t"));
    let listed: BTreeSet<&str> = rows
        .filter_map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            let (case, backends) = (cells.next()?, cells.next()?);
            assert!(["both", "proactor", "selector", "unit"].contains(&backends), "{row}");
            (backends == "both" || backends == R::NAME).then_some(case)
        })
        .collect();
    let is_case = |word: &&str| word.len() >= 3 && word.starts_with('t') && word[1..].parse::<u16>().is_ok();
    let tests = on_this_backend::<R>();
    let tested: BTreeSet<&str> =
        tests.iter().filter_map(|test| test.name.split('_').next().filter(is_case)).collect();
    assert!(tests.is_empty() || tested == listed, "{:?}", tested.symmetric_difference(&listed));
}

/// The tests that `tests/ASYNCIO.md` names are there, on this backend, and each row names one.
fn every_name_of_asyncio_has_its_tests<R: Runtime>() {
    let names: BTreeSet<String> =
        on_this_backend::<R>().iter().map(|test| format!("{}::{}", test.file, test.name)).collect();
    let is_row = |line: &&str| line.starts_with("| ") && !line.ends_with("| tests |");
    let rows = include_str!("../../ASYNCIO.md").lines().filter(is_row);
    for row in rows {
        let named = row.rsplit(" | ").next().unwrap_or_default();
        let named: Vec<_> = named.split('`').filter(|word| word.contains("::")).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for test in named {
            assert!(names.is_empty() || names.contains(test), "there is no test {test}: {row}");
        }
    }
}
