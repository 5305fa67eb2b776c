//! The conversion of a direct descriptor into an ordinary one.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::quiesce::Quiescing;
use crate::driver::attach;
use crate::driver::operation::submission::Submission;
use crate::io::busy;
use crate::op::catalogue::direct::Install;
use crate::op::object::endpoint_ref::EndpointRef;

/// Quiesces an endpoint, and converts it into one with an ordinary descriptor.
pub(crate) struct Installing<T> {
    /// `None` after the result was returned.
    endpoint: Option<EndpointRef>,
    state: State,
    make: fn(EndpointRef) -> T,
}

enum State {
    Quiescing(Quiescing),
    Installing(Submission<Install<EndpointRef>>),
    Done,
}

impl<T> Installing<T> {
    pub(crate) fn new(endpoint: &EndpointRef, make: fn(EndpointRef) -> T) -> Self {
        let state = State::Quiescing(Quiescing::new(endpoint));
        Installing { endpoint: Some(endpoint.clone()), state, make }
    }

    pub(crate) fn request_cancel(&mut self) {
        match &mut self.state {
            State::Quiescing(quiescing) => quiescing.request_cancel(),
            State::Installing(step) => step.request_cancel(),
            State::Done => {}
        }
    }
}

impl<T> Future for Installing<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let endpoint = this.endpoint.as_ref().expect("an install was polled after its result");
        let fd = loop {
            match &mut this.state {
                State::Quiescing(quiescing) => match ready!(Pin::new(quiescing).poll(cx)) {
                    Ok(()) => {
                        this.state = State::Installing(Submission::new(Install(endpoint.clone())));
                        // One reference is this future's, the other one the operation's.
                        if !endpoint.has_references(2) {
                            break Err(busy());
                        }
                    }
                    Err(error) => break Err(error),
                },
                State::Installing(step) => break ready!(Pin::new(step).poll(cx)),
                State::Done => unreachable!("the endpoint goes with it"),
            }
        };
        let installed = fd.map(|fd| (this.make)(endpoint.continued(attach(fd, "install"))));
        this.state = State::Done; // with its reference to the endpoint
        this.endpoint = None;
        Poll::Ready(installed)
    }
}
