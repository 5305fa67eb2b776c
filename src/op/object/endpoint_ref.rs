//! Counted references to an endpoint.
#![forbid(unsafe_code)]

use super::endpoint::Endpoint;
use std::ops::Deref;
use std::rc::Rc;

use super::endpoint_kind::EndpointKind;
use crate::op::fd::descriptor::Descriptor;

/// A counted reference to an endpoint. Streams, listeners and the operations of futures hold one; multishot operations hold
/// the endpoint itself.
#[derive(Debug)]
pub(crate) struct EndpointRef(Rc<Endpoint>);

impl EndpointRef {
    /// Creates an endpoint on a socket.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Self::of(descriptor, EndpointKind::Socket)
    }

    /// Creates an endpoint on one end of a pipe, or on a descriptor that was passed as one.
    pub(crate) fn of_pipe(descriptor: Descriptor, kind: EndpointKind) -> Self {
        descriptor.note_lent();
        Self::of(descriptor, kind)
    }

    fn of(descriptor: Descriptor, kind: EndpointKind) -> Self {
        if kind != EndpointKind::Socket {
            descriptor.always_copy(); // only sockets send without a copy
        }
        EndpointRef(Rc::new(Endpoint::new(descriptor, kind)))
    }

    /// Returns the endpoint for its multishot operation, which does not count as a user.
    pub(crate) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.0
    }

    pub(crate) fn is_same(&self, other: &EndpointRef) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Returns true if this is the only counted reference.
    pub(crate) fn is_only(&self) -> bool {
        self.references.get() == 1
    }

    /// Creates an endpoint that continues this one with another descriptor of the same file.
    pub(crate) fn continued(&self, descriptor: Descriptor) -> Self {
        let endpoint = Self::of(descriptor, self.kind());
        std::iter::from_fn(|| self.next_received()).for_each(|received| endpoint.push_received(received));
        endpoint.sent.set(self.sent.get());
        endpoint
    }

    /// Returns true if exactly this number of references is left, those of multishot operations included.
    pub(crate) fn has_references(&self, references: usize) -> bool {
        Rc::strong_count(&self.0) == references
    }

    /// Returns true if there are other references, those of multishot operations included.
    pub(crate) fn is_referenced_elsewhere(&self) -> bool {
        !self.has_references(1)
    }

    /// Returns the endpoint if this is the last reference.
    pub(crate) fn into_inner(self) -> Option<Endpoint> {
        if self.is_referenced_elsewhere() {
            return None;
        }
        let mut endpoint = Some(self.0.clone());
        drop(self);
        endpoint.take().and_then(Rc::into_inner)
    }
}

impl Clone for EndpointRef {
    fn clone(&self) -> Self {
        self.references.set(self.references.get() + 1);
        EndpointRef(self.0.clone())
    }
}

impl Deref for EndpointRef {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for EndpointRef {
    fn drop(&mut self) {
        self.references.set(self.references.get() - 1);
        if self.references.get() == 0 && self.is_armed() {
            drop(self.waiter.take());
            self.disarm();
        }
    }
}
