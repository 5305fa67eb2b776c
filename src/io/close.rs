//! `Close`: closing an object and hearing of the error.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::driver::submission::Submission;
use crate::op;

io_future! {
    /// The future of `close()` on a socket or file. Dropping it closes the descriptor as well.
    Close<> = Closing => io::Result<()>
}

impl Close {
    /// `None` while somebody else still shares the descriptor.
    pub(crate) fn new(fd: Option<OwnedFd>) -> Self {
        Close(Closing(match fd {
            Some(fd) => Ok(Submission::new(op::close::Close::new(fd))),
            None => Err(Some(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "other futures or halves still share the descriptor; it is closed when the last of them is dropped",
            ))),
        }))
    }
}

pub(crate) struct Closing(Result<Submission<op::close::Close>, Option<io::Error>>);

impl Closing {
    fn request_cancel(&mut self) {
        if let Ok(step) = &mut self.0 {
            step.request_cancel(); // the descriptor is closed all the same, by its owner's drop
        }
    }
}

impl Future for Closing {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(step) => Pin::new(step).poll(cx),
            Err(error) => Poll::Ready(Err(error.take().expect("a Close was polled after its result"))),
        }
    }
}
