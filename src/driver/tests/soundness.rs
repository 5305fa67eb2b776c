//! Keys that are used up, futures whose operation panics, memory that the kernel leaves as it was.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use io_uring::types::BufRingEntry;
use proptest::prelude::*;

use crate::driver::memory::buffer_ring::BufferRing;
use crate::driver::memory::buffers::Memory;
use crate::driver::memory::table::{Filler, Full, Table};
use crate::driver::operation::submission::Submission;
use crate::driver::slots::arena::Slots;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::Event;
use crate::op::completion::Completion;
use crate::op::object::datagram::Datagram;
use crate::op::object::source::Buffers;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// Implements the methods of an operation that moves nothing: an empty round trip, or a call on the pool without
/// arguments.
macro_rules! empty_operation {
    () => {
        const OPCODE: u8 = io_uring::opcode::Nop::CODE;

        fn entry(&mut self) -> Entry {
            io_uring::opcode::Nop::new().build()
        }

        fn readiness(&self) -> Readiness<'_> {
            Readiness::OnPool
        }

        fn call(&mut self) -> Call {
            // SAFETY: getppid(2) takes no argument.
            unsafe { Call::new(libc::SYS_getppid, []) }
        }
    };
}

struct Plain(u64);

impl Op for Plain {
    type Output = u64;
    const NAME: &'static str = "plain";
    empty_operation!();

    fn complete(self, _: Completion) -> u64 {
        self.0
    }
}

/// Places an operation and has it taken.
fn there_and_back(slots: &Slots, value: u64) -> Key {
    let inserted = slots.insert(Plain(value), None, None);
    let key = inserted.key();
    inserted.apply(Event::Push);
    inserted.apply(Event::Last);
    // SAFETY: inserted with this type.
    let (op, completion, _) = unsafe { inserted.take::<Plain>() }.unwrap();
    assert_eq!(op.complete(completion), value);
    key
}

const ROUNDS: u64 = if cfg!(miri) { 100 } else { 5_000 };

#[test]
fn t100_a_slot_is_retired_when_its_keys_are_used_up() {
    let slots = Slots::with_generations(7); // three bits
    let mut keys = HashSet::new();
    for round in 0..ROUNDS {
        let key = there_and_back(&slots, round);
        assert!(keys.insert(key.pack()), "a key was given twice");
        assert!(slots.find(key).is_none());
    }
    // One that waits all the time is found by its own key alone.
    let waits = slots.insert(Plain(1), None, None);
    let key = waits.key();
    for round in 0..ROUNDS {
        assert_ne!(there_and_back(&slots, round), key);
    }
    assert!(keys.iter().all(|old| slots.find(Key::unpack(*old)).is_none()));
    let found = slots.find(key).unwrap();
    found.apply(Event::Push);
    found.apply(Event::Last);
    // SAFETY: inserted with this type.
    drop(unsafe { found.take::<Plain>() });
    assert_eq!(slots.live(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Take(bool),
    Leave(usize),
    GiveBack(usize),
    AllTaken,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Take),
        2 => any::<prop::sample::Index>().prop_map(|index| Step::Leave(index.index(8))),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::GiveBack(index.index(8))),
        1 => Just(Step::AllTaken),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A reserved place is free, and a call gets no place that the kernel may still have to empty.
    #[test]
    #[cfg_attr(miri, ignore = "minutes, and there is nothing unsafe in it")]
    fn t100_a_place_of_the_table_has_one_owner(steps in steps()) {
        let table = Table::new(8);
        table.register(|_| Ok(()));
        let (mut taken, mut leaving) = (Vec::new(), HashSet::new());
        for step in steps {
            match step {
                Step::Take(by_call) => {
                    let by = if by_call { Filler::Call } else { Filler::Entry };
                    match table.take(by) {
                        Ok(place) => {
                            let place = place.unwrap();
                            prop_assert!(place < 8 && !taken.contains(&place));
                            prop_assert!(!by_call || !leaving.contains(&place));
                            leaving.remove(&place);
                            taken.push(place);
                        }
                        Err(Full { places }) => {
                            let free = 8 - taken.len() - if by_call { leaving.len() } else { 0 };
                            prop_assert_eq!((places, free), (8, 0));
                        }
                    }
                }
                Step::Leave(index) if index < taken.len() => {
                    let place = taken.swap_remove(index);
                    leaving.insert(place);
                    table.leave(place);
                }
                Step::GiveBack(index) if index < taken.len() => table.give_back(taken.swap_remove(index)),
                Step::Leave(_) | Step::GiveBack(_) => {}
                Step::AllTaken => {
                    leaving.clear();
                    table.all_taken();
                }
            }
            prop_assert_eq!(table.taken(), taken.len());
        }
    }
}

/// Panics in `complete`, as user code in there may.
struct PanicsAtItsEnd;

impl Op for PanicsAtItsEnd {
    type Output = ();
    const NAME: &'static str = "panics";
    empty_operation!();

    fn complete(self, completion: Completion) {
        assert_eq!(completion.result, -1, "expected: at its end");
    }
}

type Polled = std::thread::Result<Poll<()>>;

fn poll_catching<O: Op<Output = ()>>(future: &mut Submission<O>, cx: &mut Context<'_>) -> Polled {
    catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(cx)))
}

#[test]
#[cfg_attr(miri, ignore = "needs the blocking pool")]
fn t95_a_future_whose_operation_panicked_has_no_key_any_more() {
    let runtime = crate::Selector::new().unwrap();
    runtime.block_on(async {
        let mut future = Submission::new(PanicsAtItsEnd);
        std::future::poll_fn(|cx| match poll_catching(&mut future, cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => panic!("it gave a result"),
            Err(_) => Poll::Ready(()),
        })
        .await;
        let again = poll_catching(&mut future, &mut Context::from_waker(Waker::noop()));
        let panic = again.expect_err("it looked for its operation again");
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains("polled after its result"), "{message}");
    });
}

/// Takes a datagram as the kernel writes it for an IPv4 socket: its numbers, an address that is shorter than its room,
/// and the bytes behind the room.
#[test]
fn t98_a_datagram_is_initialised_although_its_address_is_short() {
    let ring = BufferRing::new(1, false);
    let entries = ring.address();
    let memory = Memory::new(4_096, 16, false, Some(ring));
    assert!(memory.refill());
    // SAFETY: the ring is alive, and its first entry is filled.
    let entry = unsafe { &*ptr::with_exposed_provenance::<BufRingEntry>(entries as usize) };
    let sender: SocketAddr = "127.0.0.1:4711".parse().unwrap();
    let sender = socket2::SockAddr::from(sender);
    let len = sender.len() as usize;
    let room = size_of::<libc::sockaddr_in6>();
    let target = ptr::with_exposed_provenance_mut::<u8>(entry.addr() as usize);
    // The test writes in the place of the kernel, which the address sanitizer does not watch.
    crate::sys::lent::take_back(target, 16 + room + 8);
    // SAFETY: the buffer has this room, and nobody else looks at it.
    unsafe {
        target.cast::<[u32; 4]>().write([len as u32, 0, 3, 0]);
        target.add(16).copy_from_nonoverlapping(sender.as_ptr().cast(), len);
        target.add(16 + room).copy_from_nonoverlapping(b"abc".as_ptr(), 3);
    }
    let flags = 1 | u32::from(entry.bid()) << 16;
    let completion = Completion { result: (16 + room + 3) as i32, flags };
    let mut came = Vec::new();
    memory.received(completion, &mut |chunk| came.push(chunk));
    let [chunk] = &came[..] else { panic!("{} chunks", came.len()) };
    assert_eq!(chunk.len(), 16 + room + 3);
    // Every byte is read: Miri finds uninitialised ones.
    assert!(chunk.iter().map(|byte| u64::from(*byte)).sum::<u64>() > 0);
    let datagram = Datagram::of_chunk(chunk.clone());
    assert_eq!((datagram.bytes(), datagram.sender()), (&b"abc"[..], sender.as_socket()));
    drop((came, datagram));
    memory.withdraw();
}
