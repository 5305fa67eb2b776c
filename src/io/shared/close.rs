//! `Close`: the future that closes an object and returns the error.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::writer::Writer;
use crate::driver::operation::submission::Submission;
use crate::driver::{descriptor_closed, flush_for, release_endpoint};
use crate::op;
use crate::op::fd::descriptor::Opened;
use crate::op::fd::open_file::OpenFile;
use crate::op::object::endpoint_ref::EndpointRef;

io_future! {
    /// The future of `close()` on a socket, pipe or file. Dropping or cancelling it closes the descriptor as well.
    Close<> = Closing => io::Result<()>
}

impl Close {
    /// Closes the descriptor of an object that is shared with the operations on it.
    pub(crate) fn new(object: impl Closable) -> Self {
        Close(Closing { state: State::Shared(Some(Box::new(object))), failed: None, cancelled: false })
    }
}

/// An object with a descriptor, shared with the operations on it.
pub(crate) trait Closable: 'static {
    /// Waits until the bytes that polled writes have taken are sent, and returns their error.
    fn poll_written(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Submits the cancels of operations whose futures were dropped.
    fn flush(&self);

    /// Waits until the object's multishot operation has completed, if this is the last user of the object.
    fn poll_alone(&self, _: &Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Whether close(2) would wait for the peer.
    fn lingers(&self) -> bool {
        false
    }

    /// Returns the descriptor if this is the last reference to the object.
    fn take(self: Box<Self>) -> Option<Opened>;
}

impl Closable for EndpointRef {
    fn flush(&self) {
        release_endpoint(self);
    }

    fn poll_alone(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_only() {
            self.disarm();
        }
        if self.is_only() && self.is_armed() {
            self.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn lingers(&self) -> bool {
        self.descriptor.lingers()
    }

    fn take(self: Box<Self>) -> Option<Opened> {
        opened(*self)
    }
}

/// Returns the descriptor if this is the last reference.
fn opened(endpoint: EndpointRef) -> Option<Opened> {
    endpoint.into_inner().map(|endpoint| endpoint.descriptor.into_opened())
}

/// An object that polled writes write to as well.
impl Closable for (EndpointRef, Writer) {
    fn poll_written(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1.poll_flush(cx)
    }

    fn flush(&self) {
        self.0.flush();
    }

    fn poll_alone(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.poll_alone(cx)
    }

    fn lingers(&self) -> bool {
        self.0.lingers()
    }

    fn take(self: Box<Self>) -> Option<Opened> {
        opened(self.0)
    }
}

impl Closable for Rc<OpenFile> {
    fn flush(&self) {
        if Rc::strong_count(self) > 1 {
            flush_for(&self.descriptor);
        }
    }

    fn take(self: Box<Self>) -> Option<Opened> {
        Rc::into_inner(*self).map(|file| file.descriptor.into_opened())
    }
}

/// Returns the error of an object that has other users as well, and can't be taken apart.
pub(crate) fn busy() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "other futures or halves, or an operation that can't be cancelled, still share the descriptor; it is closed \
         when the last of them ends",
    )
}

pub(crate) struct Closing {
    state: State,
    /// The error of bytes that polled writes had taken.
    failed: Option<io::Error>,
    cancelled: bool,
}

enum State {
    Shared(Option<Box<dyn Closable>>),
    Alone(Submission<op::catalogue::close::Close<false>>),
    /// The close waits for the peer, on the pool.
    Lingering(Submission<op::catalogue::close::Close<true>>),
}

impl Closing {
    fn request_cancel(&mut self) {
        // The descriptor is closed all the same, by its owner's drop.
        self.cancelled = true;
        match &mut self.state {
            State::Shared(_) => {} // see `poll`
            State::Alone(step) => step.request_cancel(),
            State::Lingering(step) => step.request_cancel(),
        }
    }
}

impl Future for Closing {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let closed = match &mut this.state {
                State::Alone(step) => ready!(Pin::new(step).poll(cx)),
                State::Lingering(step) => ready!(Pin::new(step).poll(cx)),
                State::Shared(object) => {
                    let shared = object.as_ref().expect("a Close was polled after its result");
                    match shared.poll_written(cx) {
                        Poll::Ready(written) => this.failed = written.err().or(this.failed.take()),
                        Poll::Pending if this.cancelled => {
                            *object = None; // it is closed when the bytes have been sent
                            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                    shared.flush();
                    ready!(shared.poll_alone(cx));
                    let lingers = object.as_ref().is_some_and(|object| object.lingers());
                    let Some(fd) = object.take().and_then(Closable::take) else {
                        return Poll::Ready(Err(busy()));
                    };
                    this.state = if lingers {
                        State::Lingering(Submission::new(op::catalogue::close::Close::new(fd)))
                    } else {
                        State::Alone(Submission::new(op::catalogue::close::Close::new(fd)))
                    };
                    continue;
                }
            };
            descriptor_closed();
            return Poll::Ready(this.failed.take().map_or(closed, Err));
        }
    }
}

/// Implements [`AsyncClose`] by the method of the same name.
macro_rules! async_close {
    ($($object:ty),* $(,)?) => {
        $(impl $crate::scope::AsyncClose for $object {
            async fn close(self) -> std::io::Result<()> {
                <$object>::close(self).await
            }
        })*
    };
}
pub(crate) use async_close;
