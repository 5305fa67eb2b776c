//! The two engines of a driver, and the route of an operation.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;

use super::feature::{Feature, FeatureSet};
use super::proactor::kernel::RingConfig;
use super::proactor::open::Granted;
use super::proactor::ring::Ring;
use super::proactor::uring::Uring;
use super::selector::poller::Poller;
use crate::task::threads::inbox::Shared;

/// The engine of a driver: a ring or a poller.
pub(crate) enum Engine {
    Ring(Box<Ring<Uring>>, Granted),
    Poller(Poller),
    /// The runtime has ended, or this process is a fork.
    Closed,
}

impl Engine {
    /// Opens a ring. Returns the kernel's refusal as an error.
    pub(crate) fn ring(config: RingConfig, shared: &Arc<Shared>) -> io::Result<Self> {
        let (uring, granted) = Uring::open(config)?;
        let skip_success = granted.features.has(Feature::CqeSkip);
        Ok(Engine::Ring(Box::new(Ring::new(uring, shared.clone(), skip_success)), granted))
    }

    pub(crate) fn poller(masked: FeatureSet, shared: &Arc<Shared>) -> io::Result<Self> {
        Poller::new(shared.clone(), masked).map(Engine::Poller)
    }
}

/// The mechanism that carries out an operation.
pub(super) enum Route {
    /// The ring.
    Ring,
    /// System calls, made at once, when the descriptor is ready, or on the pool.
    Calls,
    /// No mechanism: the runtime has ended, or this process is a fork.
    None,
}
