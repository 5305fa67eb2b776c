//! `LocalHandle`: callbacks at a time, watched descriptors, the dump of all tasks.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::driver;
use crate::io::AsyncFd;
use crate::task::cell::loop_core;
use crate::task::handle::call_soon::{self, CallHandle, watch};
use crate::task::scheduler::WatchKey;
use crate::task::{Handle, LocalHandle, RemoteHandle, Task, yield_now};
use crate::time::{now, sleep_until};

impl LocalHandle {
    /// Schedules a callback after a time, which counts from now. Callbacks of the same time are called in the order in
    /// which they were added. A time that is too long for the clock never comes.
    #[track_caller]
    pub fn call_later(&self, time: Duration, callback: impl FnOnce() + 'static) -> CallHandle {
        let far = Duration::from_secs(1 << 32); // 136 years
        let when = now().checked_add(time.min(far)).expect("the clock reaches that far");
        self.call_at(when, callback)
    }

    /// Schedules a callback at a point in time, or, if that has passed, for the next turn, behind what is ready already.
    #[track_caller]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> CallHandle {
        let runs = loop_core::is_running();
        let _entered = self.scheduler().clone().enter();
        call_soon::call_at(when, sleep_until(when), runs, callback)
    }

    /// The time now, on the loop's clock; asyncio's `loop.time()`.
    pub fn now(&self) -> Instant {
        now()
    }

    /// Registers a callback that the loop calls whenever the descriptor is readable: in each turn, until the data was
    /// read or the reader [removed](Self::remove_reader) (*level-triggered*). A descriptor has one reader: another one
    /// replaces it.
    ///
    /// The loop waits with a duplicate of the descriptor. Remove the reader before you close the descriptor: the
    /// duplicate keeps the file open, and if the number is reused it still identifies the old reader.
    ///
    /// It works on both backends; asyncio's `ProactorEventLoop` does not have it.
    ///
    /// # Errors
    /// `EMFILE` when no descriptor is free for the duplicate; `EPERM` (`PermissionDenied`) for a file that is always ready,
    /// such as a regular file, as in asyncio. When waiting fails later, the error goes to
    /// [`Config::on_unhandled`](crate::Config::on_unhandled), and the reader is removed.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::LocalHandle;
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use std::{cell::RefCell, rc::Rc};
    /// proactor::run(async {
    ///     let (mut ours, mut peer) = UnixStream::pair()?;
    ///     let other = Rc::new(ours.try_clone()?);
    ///     let read = Rc::new(RefCell::new(Vec::new()));
    ///     let bytes = read.clone();
    ///     LocalHandle::current().add_reader(&other, move || {
    ///         let mut buffer = [0; 16];
    ///         let count = ours.read(&mut buffer).unwrap();
    ///         bytes.borrow_mut().extend_from_slice(&buffer[..count]);
    ///     })?;
    ///     peer.write_all(b"hello")?;
    ///     while read.borrow().is_empty() {
    ///         proactor::yield_now().await;
    ///     }
    ///     assert_eq!(*read.borrow(), b"hello");
    ///     assert!(LocalHandle::current().remove_reader(&other));
    ///     assert!(!LocalHandle::current().remove_reader(&other));
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn add_reader(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        driver::check_waitable(fd.as_fd())?;
        let (key, twin) = (WatchKey::Read(fd.as_fd().as_raw_fd()), fd.as_fd().try_clone_to_owned()?);
        self.watch(key, AsyncFd::new(twin), async |fd: &AsyncFd<OwnedFd>| fd.readable().await, callback);
        Ok(())
    }

    /// Removes the reader of a descriptor: it is not called any more. Returns false if there was none.
    pub fn remove_reader(&self, fd: impl AsFd) -> bool {
        self.scheduler().unwatch(WatchKey::Read(fd.as_fd().as_raw_fd()))
    }

    /// Registers a callback that the loop calls whenever the descriptor is writable; otherwise as
    /// [`add_reader`](Self::add_reader).
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn add_writer(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        driver::check_waitable(fd.as_fd())?;
        let (key, twin) = (WatchKey::Write(fd.as_fd().as_raw_fd()), fd.as_fd().try_clone_to_owned()?);
        self.watch(key, AsyncFd::new(twin), async |fd: &AsyncFd<OwnedFd>| fd.writable().await, callback);
        Ok(())
    }

    /// Removes the writer of a descriptor. Returns false if there was none.
    pub fn remove_writer(&self, fd: impl AsFd) -> bool {
        self.scheduler().unwatch(WatchKey::Write(fd.as_fd().as_raw_fd()))
    }

    #[track_caller]
    fn watch(
        &self,
        key: WatchKey,
        fd: AsyncFd<OwnedFd>,
        ready: impl AsyncFn(&AsyncFd<OwnedFd>) -> io::Result<()> + 'static,
        mut callback: impl FnMut() + 'static,
    ) {
        let _entered = self.scheduler().clone().enter();
        let watcher = watch(async move {
            loop {
                ready(&fd).await?;
                callback();
                yield_now().await; // one call for each turn; the callback may have removed itself
            }
        });
        self.scheduler().watch(key, watcher.into_task());
    }

    /// Describes the tasks of the loop in readable text: each with its name, state, place, the task that awaits it, and
    /// its operations in flight; asyncio's `python -m asyncio pstree`. A service may print it at a signal
    /// ([`signal::on`](crate::signal::on)).
    ///
    /// # Examples
    /// ```
    /// use proactor::task::LocalHandle;
    /// proactor::run(async {
    ///     let waits = proactor::task::Builder::new().name("waits");
    ///     let _task = waits.spawn(async {
    ///         let socket = proactor::net::UdpSocket::bind("127.0.0.1:0").await?;
    ///         socket.recv_from(vec![0; 100]).await.map(drop).map_err(std::io::Error::from)
    ///     });
    ///     proactor::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     let dump = LocalHandle::current().dump();
    ///     assert!(dump.contains("\"waits\"") && dump.contains("recv"), "{dump}");
    /// });
    /// ```
    pub fn dump(&self) -> String {
        let mut tasks = self.tasks();
        tasks.sort_by_key(Task::id);
        let mut lines = vec![format!("{} tasks", tasks.len())];
        for task in &tasks {
            let name = task.name().map(|name| format!(" {name:?}")).unwrap_or_default();
            let awaited_by =
                task.awaited_by().map(|by| format!(", awaited by {}", by.id())).unwrap_or_default();
            let operations = driver::operations_of(task.reference());
            let operations = if operations.is_empty() {
                String::new()
            } else {
                format!(", in flight: {}", operations.join(", "))
            };
            let (id, state, place) = (task.id(), task.state(), task.spawned_at());
            lines.push(format!("  task {id}{name}: {state:?}, spawned at {place}{awaited_by}{operations}"));
        }
        lines.join("\n")
    }
}

impl Handle {
    /// Describes the tasks of the loop in readable text: see [`LocalHandle::dump`].
    ///
    /// # Examples
    /// ```
    /// let runtime = proactor::Auto::new().unwrap();
    /// let handle = runtime.handle();
    /// let other = std::thread::spawn(move || {
    ///     let dump = handle.dump().join();
    ///     handle.stop();
    ///     dump.unwrap()
    /// });
    /// drop(runtime.spawn(std::future::pending::<()>()));
    /// runtime.run_forever();
    /// assert!(other.join().unwrap().contains("Waiting"));
    /// ```
    pub fn dump(&self) -> RemoteHandle<String> {
        self.spawn(async || LocalHandle::current().dump())
    }
}
