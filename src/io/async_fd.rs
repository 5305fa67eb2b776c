//! `AsyncFd`: waiting for descriptors of other libraries. See poll(2).
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::driver::operation::submission::{Cancel, Cancellable, Submission, sealed};
use crate::driver::{attach, current, release_endpoint};
use crate::op::catalogue::poll::PollReady;
use crate::op::completion::Direction;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_turn::IoTurn;

/// Waits until an object with a descriptor, such as one of another library, is ready for reading or writing.
///
/// It is for libraries that own descriptors (database clients, inotify, timerfd, netlink, terminals). The object does
/// its I/O itself and must not block: set `O_NONBLOCK` on its descriptor. For sockets and files prefer
/// [`net`](crate::net) and [`fs`](crate::fs), whose operations are carried out by the kernel.
///
/// On the proactor, [`read_with`](Self::read_with) and [`write_with`](Self::write_with) use one multishot poll for each
/// direction. Each direction that is waited for uses a duplicate of the descriptor. Dropping the `AsyncFd` drops the
/// object and closes the duplicates.
///
/// # Examples
/// ```
/// use proactor::io::AsyncFd;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// proactor::run(async {
///     let (ours, mut peer) = UnixStream::pair()?;
///     ours.set_nonblocking(true)?;
///     let ours = AsyncFd::new(ours);
///     peer.write_all(b"hello")?;
///     let mut buffer = [0; 16];
///     let count = ours.read_with(|mut stream| stream.read(&mut buffer)).await?;
///     assert_eq!(&buffer[..count], b"hello");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
pub struct AsyncFd<T> {
    sides: Sides, // dropped before the object: no operation waits for a closed descriptor
    inner: T,
}

/// The endpoint of each direction, made by the first wait in it.
#[derive(Default)]
struct Sides {
    read: OnceCell<EndpointRef>,
    write: OnceCell<EndpointRef>,
}

impl Drop for Sides {
    /// Releases the file at once, also if a poll is in flight.
    fn drop(&mut self) {
        self.read.get().into_iter().chain(self.write.get()).for_each(release_endpoint);
    }
}

impl<T: AsFd> AsyncFd<T> {
    /// Wraps the object. Nothing happens before the first wait.
    pub fn new(inner: T) -> Self {
        AsyncFd { sides: Sides::default(), inner }
    }

    /// Returns a reference to the object.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the object. Its descriptor must stay the same.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the object.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Returns the endpoint that waits in this direction, and makes it on first use.
    #[track_caller]
    fn side(&self, direction: Direction) -> io::Result<&EndpointRef> {
        let side = match direction {
            Direction::Read => &self.sides.read,
            Direction::Write => &self.sides.write,
        };
        if let Some(endpoint) = side.get() {
            return Ok(endpoint);
        }
        let twin: OwnedFd = self.inner.as_fd().try_clone_to_owned()?;
        let endpoint = EndpointRef::new(attach(twin, "AsyncFd"));
        Ok(side.get_or_init(|| endpoint))
    }

    /// Waits until a read would not block: because of data, the end or an error.
    ///
    /// # Errors
    /// `EMFILE` when there is no free descriptor for the duplicate, and those of poll(2).
    ///
    /// # Panics
    /// Outside a runtime, and when polled in another runtime than the first time.
    #[track_caller]
    pub fn readable(&self) -> Ready {
        Ready::new(self.side(Direction::Read), Direction::Read)
    }

    /// Waits until a write would not block: because of room or an error.
    ///
    /// # Errors
    /// As for [`readable`](Self::readable).
    ///
    /// # Panics
    /// As for [`readable`](Self::readable).
    #[track_caller]
    pub fn writable(&self) -> Ready {
        Ready::new(self.side(Direction::Write), Direction::Write)
    }

    /// Calls `read` until it returns anything but `WouldBlock`, and waits for readiness in between. Several futures of
    /// this object take turns.
    ///
    /// # Errors
    /// Those of `read`, and as for [`readable`](Self::readable).
    ///
    /// # Cancellation
    /// Dropping the future loses no data that `read` has not taken.
    pub fn read_with<R, F: FnMut(&T) -> io::Result<R>>(&self, read: F) -> With<'_, T, F> {
        With::new(self, Direction::Read, read)
    }

    /// Calls `write` until it returns anything but `WouldBlock`, and waits for readiness in between. Several futures of
    /// this object take turns.
    ///
    /// # Errors
    /// Those of `write`, and as for [`readable`](Self::readable).
    ///
    /// # Cancellation
    /// Dropping the future does not undo what `write` has written.
    pub fn write_with<R, F: FnMut(&T) -> io::Result<R>>(&self, write: F) -> With<'_, T, F> {
        With::new(self, Direction::Write, write)
    }
}

impl<T: fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(&self.inner).finish()
    }
}

io_future! {
    /// The future of [`AsyncFd::readable`] and [`AsyncFd::writable`].
    Ready<> = Waiting => io::Result<()>
}

pub(crate) struct Waiting(Result<Submission<PollReady>, Option<io::Error>>);

impl Ready {
    fn new(side: io::Result<&EndpointRef>, direction: Direction) -> Self {
        Ready(Waiting(match side {
            Ok(endpoint) => Ok(Submission::new(PollReady::level(endpoint, direction))),
            Err(error) => Err(Some(error)),
        }))
    }
}

impl Waiting {
    fn request_cancel(&mut self) {
        if let Ok(step) = &mut self.0 {
            step.request_cancel();
        }
    }
}

impl Future for Waiting {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(step) => Pin::new(step).poll(cx).map(|(result, _)| result),
            Err(error) => Poll::Ready(Err(error.take().expect("a Ready was polled after its result"))),
        }
    }
}

/// The future of [`AsyncFd::read_with`] and [`AsyncFd::write_with`].
#[must_use = "futures do nothing unless awaited"]
pub struct With<'a, T, F> {
    fd: &'a AsyncFd<T>,
    direction: Direction,
    attempt: F,
    state: State,
    cancelled: bool,
}

enum State {
    New,
    /// It has its turn, or waits for it.
    Trying(IoTurn),
    Waiting(Submission<PollReady>),
    Done,
}

impl<'a, T, F> With<'a, T, F> {
    fn new(fd: &'a AsyncFd<T>, direction: Direction, attempt: F) -> Self {
        With { fd, direction, attempt, state: State::New, cancelled: false }
    }
}

impl<T, F> Unpin for With<'_, T, F> {}

impl<T: AsFd, R, F: FnMut(&T) -> io::Result<R>> Future for With<'_, T, F> {
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let over = |this: &mut Self, result| {
            this.state = State::Done; // with its turn
            Poll::Ready(result)
        };
        loop {
            match &mut this.state {
                _ if this.cancelled => {
                    return over(this, Err(io::Error::from_raw_os_error(libc::ECANCELED)));
                }
                State::New => {
                    this.state = match this.fd.side(this.direction) {
                        Ok(endpoint) => State::Trying(PollReady::turn(endpoint)),
                        Err(error) => return over(this, Err(error)),
                    };
                }
                State::Trying(turn) => {
                    ready!(turn.poll_acquire(cx));
                    // A loop of attempts that succeed must not keep other tasks from running.
                    ready!(current().map_or(Poll::Ready(()), |driver| driver.poll_attempt(cx)));
                    match (this.attempt)(&this.fd.inner) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            let State::Trying(turn) = std::mem::replace(&mut this.state, State::Done) else {
                                unreachable!("it was so a moment ago")
                            };
                            let step = PollReady::edge(turn, this.direction);
                            this.state = State::Waiting(Submission::new(step));
                        }
                        result => return over(this, result),
                    }
                }
                State::Waiting(step) => {
                    let (result, turn) = ready!(Pin::new(step).poll(cx));
                    match (result, turn) {
                        (Ok(()), Some(turn)) => this.state = State::Trying(turn),
                        (Ok(()), None) => unreachable!("a wait for an edge has a turn"),
                        (Err(error), _) => return over(this, Err(error)),
                    }
                }
                State::Done => panic!("a With was polled after its result"),
            }
        }
    }
}

impl<T, F> sealed::Sealed for With<'_, T, F> {}

impl<T: AsFd, R, F: FnMut(&T) -> io::Result<R>> Cancellable for With<'_, T, F> {
    fn request_cancel(&mut self) {
        self.cancelled = true;
        match &mut self.state {
            State::Trying(turn) => turn.withdraw(),
            State::Waiting(step) => step.request_cancel(),
            State::New | State::Done => {}
        }
    }
}

impl<T: AsFd, R, F: FnMut(&T) -> io::Result<R>> With<'_, T, F> {
    /// Cancels the wait: the future ends with an error of `ECANCELED`.
    pub fn cancel(self) -> Cancel<Self> {
        Cancel::new(self)
    }
}

impl<T, F> fmt::Debug for With<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("With").finish_non_exhaustive()
    }
}
