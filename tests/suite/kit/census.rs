//! Counts: what a process has open, and what a runtime keeps alive.

use std::path::PathBuf;

use proactor::Runtime;

/// Open descriptors of the process, as links, without the one that the count itself opens.
pub(crate) fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let links = paths.iter().filter_map(|path| std::fs::read_link(path).ok());
    let mut links: Vec<String> = links.map(|link| link.display().to_string()).collect();
    links.sort();
    links
}

/// The number of the one descriptor of the process whose link has this in it.
pub(crate) fn only_descriptor(kind: &str) -> i32 {
    let is_it = |fd: &i32| {
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        link.is_ok_and(|link| link.to_string_lossy().contains(kind))
    };
    let found: Vec<i32> = (0..64).filter(is_it).collect();
    let [fd] = found[..] else { panic!("{} descriptors of {kind}", found.len()) };
    fd
}

/// Descriptors that this process may have.
pub(crate) fn descriptor_limit() -> usize {
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    soft as usize
}

/// Threads of the process with this name.
pub(crate) fn threads_named(name: &str) -> usize {
    threads().iter().filter(|other| *other == name).count()
}

/// Whether a thread of the process whose name begins so is running, or waits for the kernel without sleeping.
pub(crate) fn is_busy(name: &str) -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().any(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
        let fields = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") "));
        fields.is_some_and(|(this, state)| this.starts_with(name) && !state.starts_with('S'))
    })
}

/// The names of the process's threads, without the watchdog's.
pub(crate) fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let comm = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    comm.map(|comm| comm.trim_end().to_owned()).filter(|name| name != "watchdog").collect()
}

/// Whether a thread with this name is in this system call.
pub(crate) fn is_in_call(name: &str, call: i64) -> bool {
    let mut threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.any(|thread| {
        let read =
            |file| std::fs::read_to_string(thread.as_ref().unwrap().path().join(file)).unwrap_or_default();
        let in_call = read("syscall").split_whitespace().next() == Some(&call.to_string());
        in_call && read("comm").trim_end() == name
    })
}

/// Whether the process runs under the address sanitizer, as who starts it says.
pub(crate) fn is_sanitized() -> bool {
    std::env::var_os("ASAN_OPTIONS").is_some()
}

/// Bytes of memory that the process has resident.
pub(crate) fn resident_bytes() -> usize {
    // Without pages of files: those of the binary come when its code first runs, and in numbers that depend on the cache.
    // Counted page by page. The counters that statm shows lag behind, before Linux 6.2 by up to 64 pages for each
    // thread and kind of page.
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() << 10
}

/// Live tasks, operations and timers of a runtime.
pub(crate) fn live<R: Runtime>(runtime: &R) -> (usize, usize, usize) {
    let live = runtime.report().live;
    (live.tasks, live.ops, live.timers)
}
