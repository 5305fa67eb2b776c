//! The selector: waits for readiness with epoll; the only file that calls it. See epoll(7).
//!
//! A descriptor is registered once, for both directions and edge-triggered, when an operation on it has to wait for the first
//! time. From then on the registration stores the directions in which it may be ready, so an operation on a ready descriptor
//! is one system call.
//!
//! Facts that shape this file:
//!
//! - An edge comes only for new events. So readiness is cleared only when a call has answered EAGAIN or has moved less than
//!   requested. Data that arrives after such a call makes a new edge. No edge is missed in between, because only this thread
//!   makes calls.
//! - There are no more edges after the peer has closed, so a short read then proves nothing. It also proves nothing on a
//!   stream with urgent data: recv(2) stops at the mark, with more data behind it. EPOLLPRI reports such data.
//! - A registration outlives its number if the file has duplicates. So it is removed before the close, and tokens have a
//!   generation: a late event matches no other registration.
//! - Timeouts of epoll_wait(2) are whole milliseconds and are rounded up.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::poll_mode::{Deadline, Deferred, PollMode};
use crate::driver::slots::arena::Slots;
use crate::driver::slots::key::Key;
use crate::driver::slots::slot_ref::SlotRef;
use crate::driver::stats::Stats;
use crate::op::completion::Direction;
use crate::op::fd::descriptor::Descriptor;
use crate::sys::check;
use crate::task::threads::inbox::Shared;

/// The token of the event descriptor.
const WAKE: u64 = u64::MAX;
/// The number of events taken in one call.
const BATCH: usize = 256;

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    registrations: Slab<Registration>,
    generation: u32,
    events: Vec<libc::epoll_event>,
    shared: Arc<Shared>,
    pub(crate) features: FeatureSet,
}

#[derive(Debug)]
struct Registration {
    generation: u32,
    readable: bool,
    writable: bool,
    /// Whether a short read does not mean that no data is left: the peer has closed, the socket has failed, or urgent data has
    /// come.
    short_reads: bool,
    readers: Vec<Key>,
    writers: Vec<Key>,
}

impl Registration {
    fn ready(&mut self, direction: Direction) -> &mut bool {
        match direction {
            Direction::Read => &mut self.readable,
            Direction::Write => &mut self.writable,
        }
    }

    fn waiting(&mut self, direction: Direction) -> &mut Vec<Key> {
        match direction {
            Direction::Read => &mut self.readers,
            Direction::Write => &mut self.writers,
        }
    }
}

impl Poller {
    pub(crate) fn new(shared: Arc<Shared>, masked: FeatureSet) -> io::Result<Self> {
        let mut poller = Self::beside_a_ring(shared)?;
        poller.control(libc::EPOLL_CTL_ADD, poller.shared.eventfd.as_raw_fd(), libc::EPOLLIN as u32, WAKE)?;
        if !masked.has(Feature::EpollPwait2) && poller.wait_nanoseconds(Some(Duration::ZERO)).is_ok() {
            poller.features = poller.features.with(Feature::EpollPwait2);
        }
        Ok(poller)
    }

    /// Creates a poller for a few descriptors of a proactor, whose ring takes the wake-ups.
    pub(crate) fn beside_a_ring(shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Poller {
            epoll: create()?,
            registrations: Slab::new(),
            generation: 0,
            events: Vec::with_capacity(BATCH),
            shared,
            features: FeatureSet::default(),
        })
    }

    fn control(&self, operation: i32, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        control(self.epoll.as_fd(), operation, fd, events, token)
    }

    fn find(&mut self, descriptor: &Descriptor) -> Option<&mut Registration> {
        let token = descriptor.token()?;
        let registration = self.registrations.get_mut(token as u32 as usize)?;
        (registration.generation == (token >> 32) as u32).then_some(registration)
    }

    /// Returns true if the descriptor may be ready: its last event said so, or it is not watched yet.
    pub(crate) fn may_be_ready(&mut self, descriptor: &Descriptor, direction: Direction) -> bool {
        self.find(descriptor).is_none_or(|registration| *registration.ready(direction))
    }

    /// Notes that a call has moved less than requested, so nothing is left for now.
    pub(crate) fn drained(&mut self, descriptor: &Descriptor, direction: Direction) {
        if let Some(registration) = self.find(descriptor)
            && !registration.short_reads
        {
            *registration.ready(direction) = false;
        }
    }

    /// Watches a descriptor for an operation, which is woken when the descriptor becomes ready.
    pub(crate) fn watch(
        &mut self,
        descriptor: &Descriptor,
        direction: Direction,
        key: Key,
        slots: &Slots,
        stats: &Stats,
    ) -> io::Result<()> {
        if self.find(descriptor).is_none() {
            // Never zero, nor the token of the wake-up.
            self.generation = self.generation % (u32::MAX - 1) + 1;
            let index = self.registrations.insert(Registration {
                generation: self.generation,
                readable: false,
                writable: false,
                short_reads: false,
                readers: Vec::new(),
                writers: Vec::new(),
            });
            let token = u64::from(self.generation) << 32 | index as u64;
            let interest = libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
            stats.calls.add(1);
            if let Err(error) = self.control(libc::EPOLL_CTL_ADD, descriptor.raw(), interest as u32, token) {
                self.registrations.remove(index);
                return Err(error);
            }
            descriptor.set_token(token);
        }
        if let Some(registration) = self.find(descriptor) {
            *registration.ready(direction) = false;
            let waiting = registration.waiting(direction);
            if waiting.len() >= 4 {
                waiting.retain(|other| slots.find(*other).is_some()); // futures that were dropped meanwhile
            }
            if !waiting.contains(&key) {
                waiting.push(key);
            }
        }
        Ok(())
    }

    /// Removes the registration of a descriptor that is about to be closed or given away.
    pub(crate) fn deregister(&mut self, token: u64, fd: RawFd, stats: &Stats) {
        let index = token as u32 as usize;
        if self.registrations.get(index).is_some_and(|r| r.generation == (token >> 32) as u32) {
            self.registrations.remove(index);
            stats.calls.add(1);
            let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
        }
    }

    /// Polls the kernel once: waits if `mode` allows it, and takes the events that have come.
    pub(crate) fn poll_kernel(
        &mut self,
        mode: PollMode,
        slots: &Slots,
        stats: &Stats,
        deferred: &mut Deferred,
    ) -> io::Result<()> {
        stats.kernel_visits.add(1);
        let timeout = match mode {
            PollMode::NoWait | PollMode::Drain | PollMode::Wait(Deadline::Now) => Some(Duration::ZERO),
            PollMode::Wait(Deadline::After(timeout)) => Some(timeout),
            PollMode::Wait(Deadline::At(_)) => unreachable!("the selector takes no deadlines"),
            PollMode::Wait(Deadline::Never) => None,
        };
        let answer = if self.features.has(Feature::EpollPwait2) {
            self.wait_nanoseconds(timeout)
        } else {
            self.wait_milliseconds(timeout)
        };
        match answer {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("epoll failed, so the loop cannot continue: {error}"),
                ));
            }
        }
        self.take_events(slots, stats, deferred);
        Ok(())
    }

    /// Notes the directions in which descriptors have become ready, and takes the waiters of operations to be woken.
    fn take_events(&mut self, slots: &Slots, stats: &Stats, deferred: &mut Deferred) {
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let libc::epoll_event { events: what, u64: token } = *event;
            if token == WAKE {
                self.shared.eventfd.drain();
                stats.calls.add(1);
                continue;
            }
            let Some(registration) = self.registrations.get_mut(token as u32 as usize) else { continue };
            if registration.generation != (token >> 32) as u32 {
                continue;
            }
            stats.completions.add(1);
            let any = |mask: i32| what & mask as u32 != 0;
            let failed = any(libc::EPOLLHUP | libc::EPOLLERR);
            registration.short_reads |= failed || any(libc::EPOLLRDHUP | libc::EPOLLPRI);
            let ready = [
                (Direction::Read, failed || any(libc::EPOLLIN | libc::EPOLLRDHUP)),
                (Direction::Write, failed || any(libc::EPOLLOUT)),
            ];
            for (direction, _) in ready.into_iter().filter(|(_, ready)| *ready) {
                *registration.ready(direction) = true;
                for key in registration.waiting(direction).drain(..) {
                    deferred.wake.extend(slots.find(key).and_then(SlotRef::wake));
                }
            }
        }
        self.events = events; // keeps its memory
    }

    fn wait_nanoseconds(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timespec = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let pointer = timespec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        self.events.clear();
        // SAFETY: the vector has room for `BATCH` events, and the time lives until the call has returned.
        let count = check(unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                BATCH,
                pointer,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            ) as libc::c_int
        })?;
        // SAFETY: the kernel has written that many.
        unsafe { self.events.set_len(count as usize) };
        Ok(())
    }

    fn wait_milliseconds(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let milliseconds = timeout
            .map_or(-1, |timeout| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        self.events.clear();
        // SAFETY: the vector has room for `BATCH` events.
        let count = check(unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), BATCH as i32, milliseconds)
        })?;
        // SAFETY: the kernel has written that many.
        unsafe { self.events.set_len(count as usize) };
        Ok(())
    }
}

/// Creates an epoll set that is readable while one of these descriptors is.
pub(in crate::driver) fn set_of<const N: usize>(members: [BorrowedFd<'_>; N]) -> io::Result<OwnedFd> {
    let epoll = create()?;
    for member in members {
        control(epoll.as_fd(), libc::EPOLL_CTL_ADD, member.as_raw_fd(), libc::EPOLLIN as u32, 0)?;
    }
    Ok(epoll)
}

fn create() -> io::Result<OwnedFd> {
    // SAFETY: epoll_create1(2) takes no pointer and answers with a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) })
}

fn control(epoll: BorrowedFd<'_>, operation: i32, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: token };
    // SAFETY: the event lives until the call has returned.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::rc::Weak;

    use super::*;
    use crate::driver::Driver;
    use crate::op::fd::descriptor::ZeroCopy;
    use crate::op::fd::host::Host;

    /// Creates a descriptor without a runtime. It is not removed from the set when it is closed.
    fn descriptor(stream: UnixStream) -> Descriptor {
        let host: Weak<dyn Host> = Weak::<Driver>::new();
        Descriptor::new(OwnedFd::from(stream).into(), host, ZeroCopy::NEVER)
    }

    fn key(number: u64) -> Key {
        Key::unpack(1 << 32 | number)
    }

    #[test]
    #[cfg_attr(miri, ignore = "epoll_pwait2(2)")]
    fn t68_a_late_event_meets_nobody_although_its_place_is_used_again() {
        let mut poller = Poller::new(Shared::new().unwrap(), FeatureSet::default()).unwrap();
        let (slots, stats, mut deferred) = (Slots::new(), Stats::default(), Deferred::default());
        for round in 0..10 {
            let (ours, closed_peer) = UnixStream::pair().unwrap();
            let twin = ours.try_clone().unwrap();
            let closed = descriptor(ours);
            poller.watch(&closed, Direction::Read, key(round), &slots, &stats).unwrap();
            let token = closed.token().unwrap();
            // The kernel is not told, as if other code had closed the number before. The file has a duplicate, so the set
            // still reports it, and only the token shows that the event is late.
            poller.deregister(token, -1, &stats);
            drop(closed);
            let (ours, peer) = UnixStream::pair().unwrap();
            let opened = descriptor(ours);
            poller.watch(&opened, Direction::Read, key(round), &slots, &stats).unwrap();
            let next = opened.token().unwrap();
            assert_eq!(next as u32, token as u32, "the same place");
            assert_ne!(next, token);
            // Only the closed one gets something, and then both do, in one batch.
            io::Write::write_all(&mut &closed_peer, b"late").unwrap();
            let before = stats.completions.get();
            poller.poll_kernel(PollMode::NoWait, &slots, &stats, &mut deferred).unwrap();
            assert!(!poller.may_be_ready(&opened, Direction::Read), "it was taken for another's event");
            // (The new one can be written to, which is its one event.)
            assert_eq!(stats.completions.get() - before, 1);
            io::Write::write_all(&mut &closed_peer, b"late").unwrap();
            io::Write::write_all(&mut &peer, b"now").unwrap();
            poller.poll_kernel(PollMode::NoWait, &slots, &stats, &mut deferred).unwrap();
            assert!(poller.may_be_ready(&opened, Direction::Read));
            assert_eq!(stats.completions.get() - before, 2);
            drop(twin);
            poller.deregister(next, opened.raw(), &stats);
        }
        assert!(poller.registrations.is_empty());
    }
}
