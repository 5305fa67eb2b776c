//! Making an ordinary descriptor of a direct one.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::quiesce::Quieting;
use crate::driver::attach;
use crate::driver::operation::submission::Submission;
use crate::io::busy;
use crate::op::catalogue::direct::Install;
use crate::op::object::endpoint_ref::EndpointRef;

/// Waits until the kernel holds nothing of an endpoint, and makes an ordinary one of it.
pub(crate) struct Installing<T> {
    /// None once the result has been given.
    endpoint: Option<EndpointRef>,
    stage: Stage,
    make: fn(EndpointRef) -> T,
}

enum Stage {
    Quieting(Quieting),
    Installing(Submission<Install<EndpointRef>>),
    Done,
}

impl<T> Installing<T> {
    pub(crate) fn new(endpoint: &EndpointRef, make: fn(EndpointRef) -> T) -> Self {
        let stage = Stage::Quieting(Quieting::new(endpoint));
        Installing { endpoint: Some(endpoint.clone()), stage, make }
    }

    pub(crate) fn request_cancel(&mut self) {
        match &mut self.stage {
            Stage::Quieting(quieting) => quieting.request_cancel(),
            Stage::Installing(step) => step.request_cancel(),
            Stage::Done => {}
        }
    }
}

impl<T> Future for Installing<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let endpoint = this.endpoint.as_ref().expect("an install was polled after its result");
        let fd = loop {
            match &mut this.stage {
                Stage::Quieting(quieting) => match ready!(Pin::new(quieting).poll(cx)) {
                    Ok(()) => {
                        this.stage = Stage::Installing(Submission::new(Install(endpoint.clone())));
                        // It is shared with the step, and with nobody else.
                        if !endpoint.has_references(2) {
                            break Err(busy());
                        }
                    }
                    Err(error) => break Err(error),
                },
                Stage::Installing(step) => break ready!(Pin::new(step).poll(cx)),
                Stage::Done => unreachable!("the endpoint goes with it"),
            }
        };
        let installed = fd.map(|fd| (this.make)(endpoint.continued(attach(fd, "install"))));
        this.stage = Stage::Done; // with its reference to the endpoint
        this.endpoint = None;
        Poll::Ready(installed)
    }
}
