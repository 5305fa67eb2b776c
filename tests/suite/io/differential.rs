//! The same random script, on the backend and on the standard library: every visible result is the same.
//!
//! A script is first *resolved* against a model of what has been sent, so that no step waits for what never
//! comes and no outcome depends on time. Steps that only the backend can take, such as a read that is dropped
//! or cancelled, must be invisible to all that follows. On a difference proptest looks for the shortest script
//! that shows it, and prints that.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proactor::Runtime;
use proactor::buf::BufError;
use proactor::fs::{File, OpenOptions};
use proactor::net::{TcpStream, UdpSocket};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::kit::*;

tests! {
    streams_do_what_those_of_the_standard_library_do,
    datagrams_do_what_those_of_the_standard_library_do,
    files_do_what_those_of_the_standard_library_do,
}

/// What a step shows.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Bytes(Vec<u8>),
    Count(u64),
    Failed(ErrorKind),
}

use Seen::{Bytes, Count, Failed};

fn seen(result: io::Result<Seen>) -> Seen {
    result.unwrap_or_else(|error| Failed(error.kind()))
}

fn kind<B>(error: BufError<B>) -> Seen {
    Failed(error.kind())
}

/// Runs a script in both worlds, many times over.
#[track_caller]
fn compare<S: Debug>(
    script: impl Strategy<Value = Vec<S>>,
    ours: impl Fn(&[S]) -> Vec<Seen>,
    theirs: impl Fn(&[S]) -> Vec<Seen>,
) {
    let config = Config {
        cases: rounds(500, 20_000) as u32,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&script, |steps| {
        let (ours, theirs) = (ours(&steps), theirs(&steps));
        if ours == theirs {
            return Ok(());
        }
        let at = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
        Err(TestCaseError::fail(format!("they differ at {at:?}:\n    ours: {ours:?}\n  theirs: {theirs:?}")))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// Bytes that never repeat for long, so that a lost or doubled one shows.
fn numbered(from: &mut usize, len: usize) -> Vec<u8> {
    let start = *from;
    *from += len;
    (start..*from).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0_usize), 1..20_usize, 1..4_000_usize]
}

// ---------------------------------------------------------------- streams

#[derive(Clone, Debug)]
enum Wish {
    PeerSends(usize),
    PeerReceives,
    PeerEnds,
    Read(usize, Option<usize>),
    ReadExact(usize),
    Write(usize, bool),
    End,
    Abandon { room: usize, turns: usize, cancel: bool },
    AbandonWhileSending { room: usize, sent: usize, turns: usize },
    ReadWhileSending { room: usize, sent: usize, turns: usize },
    ReadWhileEnding { room: usize, turns: usize },
    Reset { under_a_read: bool },
}

/// A wish that has been found to be possible.
#[derive(Clone, Debug)]
enum Deed {
    PeerSends(Vec<u8>),
    PeerReceives(usize),
    PeerEnds,
    /// Reads until so many bytes have come; into two buffers, cut here.
    Read {
        room: usize,
        expected: usize,
        cut: Option<usize>,
    },
    ReadExact(usize),
    Write(Vec<u8>, bool),
    End,
    /// Begins a read for which nothing is there, lets the peer send, and drops or cancels the read.
    Abandon {
        room: usize,
        turns: usize,
        cancel: bool,
        sent: Vec<u8>,
    },
    /// Begins a read for which nothing is there, lets the peer send, or end if there is nothing to send, and awaits
    /// the read.
    ReadWhile {
        room: usize,
        expected: usize,
        turns: usize,
        sent: Vec<u8>,
    },
    /// The peer resets, before a read or under it; that, a write and another read see it.
    Reset {
        under_a_read: bool,
    },
}

fn stream_wishes() -> impl Strategy<Value = Vec<Wish>> {
    let cut = || proptest::option::of(0..100_usize);
    let wish = prop_oneof![
        4 => sizes().prop_map(Wish::PeerSends),
        2 => Just(Wish::PeerReceives),
        1 => Just(Wish::PeerEnds),
        6 => (sizes(), cut()).prop_map(|(room, cut)| Wish::Read(room, cut)),
        2 => sizes().prop_map(Wish::ReadExact),
        4 => (sizes(), any::<bool>()).prop_map(|(len, vectored)| Wish::Write(len, vectored)),
        1 => Just(Wish::End),
        3 => (1..4_000_usize, 0..3_usize, any::<bool>())
            .prop_map(|(room, turns, cancel)| Wish::Abandon { room, turns, cancel }),
        5 => (1..4_000_usize, 1..4_000_usize, 0..3_usize)
            .prop_map(|(room, sent, turns)| Wish::AbandonWhileSending { room, sent, turns }),
        3 => (1..4_000_usize, 1..4_000_usize, 0..3_usize)
            .prop_map(|(room, sent, turns)| Wish::ReadWhileSending { room, sent, turns }),
        1 => (1..4_000_usize, 0..3_usize).prop_map(|(room, turns)| Wish::ReadWhileEnding { room, turns }),
        1 => any::<bool>().prop_map(|under_a_read| Wish::Reset { under_a_read }),
    ];
    vec(wish, 1..30)
}

fn resolve_stream(wishes: &[Wish]) -> Vec<Deed> {
    // Sent by the peer and not yet read; sent by us and not yet received.
    let (mut unread, mut unreceived) = (0, 0);
    let (mut ended, mut peer_ended, mut numbers) = (false, false, 0);
    let mut deeds = Vec::new();
    for wish in wishes.iter().cloned() {
        let quiet = unread == 0 && !peer_ended;
        deeds.push(match wish {
            Wish::PeerSends(len) if !peer_ended && unread + len < 60_000 => {
                unread += len;
                Deed::PeerSends(numbered(&mut numbers, len))
            }
            Wish::PeerReceives => Deed::PeerReceives(std::mem::take(&mut unreceived)),
            Wish::PeerEnds if !peer_ended => {
                peer_ended = true;
                Deed::PeerEnds
            }
            Wish::Read(room, cut) if room == 0 || !quiet => {
                let expected = room.min(unread);
                unread -= expected;
                Deed::Read { room, expected, cut: cut.map(|cut| cut.min(room)) }
            }
            Wish::ReadExact(len) if len <= unread || peer_ended => {
                unread = unread.saturating_sub(len);
                Deed::ReadExact(len)
            }
            Wish::Write(len, vectored) if unreceived + len < 60_000 => {
                unreceived += if ended { 0 } else { len };
                Deed::Write(numbered(&mut numbers, len), vectored)
            }
            Wish::End if !ended => {
                ended = true;
                Deed::End
            }
            Wish::Abandon { room, turns, cancel } if quiet => {
                Deed::Abandon { room, turns, cancel, sent: Vec::new() }
            }
            Wish::AbandonWhileSending { room, sent, turns } if quiet => {
                unread += sent;
                Deed::Abandon { room, turns, cancel: false, sent: numbered(&mut numbers, sent) }
            }
            Wish::ReadWhileSending { room, sent, turns } if quiet => {
                let expected = room.min(sent);
                unread += sent - expected;
                Deed::ReadWhile { room, expected, turns, sent: numbered(&mut numbers, sent) }
            }
            Wish::ReadWhileEnding { room, turns } if quiet => {
                peer_ended = true;
                Deed::ReadWhile { room, expected: 0, turns, sent: Vec::new() }
            }
            Wish::Reset { under_a_read } if quiet && unreceived == 0 => {
                deeds.push(Deed::Reset { under_a_read });
                return deeds; // nothing can follow
            }
            _ => continue,
        });
    }
    deeds
}

/// Waits until the connection's failure is known to the kernel.
fn await_failure(fd: BorrowedFd<'_>) {
    let mut polled = [PollFd::new(fd, PollFlags::empty())];
    poll(&mut polled, PollTimeout::NONE).unwrap();
}

/// What the peer does, which is the same in both worlds.
fn peer_does(peer: &mut std::net::TcpStream, deed: &Deed) -> Option<Seen> {
    match deed {
        Deed::PeerSends(bytes) => {
            peer.write_all(bytes).unwrap();
            Some(Count(bytes.len() as u64))
        }
        Deed::PeerReceives(len) => {
            let mut bytes = vec![0; *len];
            Some(seen(peer.read_exact(&mut bytes).map(|()| Bytes(bytes))))
        }
        Deed::PeerEnds => Some(seen(peer.shutdown(Shutdown::Write).map(|()| Count(0)))),
        _ => None,
    }
}

/// What the peer does while a read is in flight.
fn peer_sends_or_ends(peer: &mut std::net::TcpStream, sent: &[u8]) {
    if sent.is_empty() {
        peer.shutdown(Shutdown::Write).unwrap();
    } else {
        peer.write_all(sent).unwrap();
    }
}

/// Reads until so many bytes have come.
fn read_theirs(stream: &mut std::net::TcpStream, room: usize, expected: usize) -> Seen {
    let mut bytes = vec![0; room];
    let mut count = 0;
    seen(loop {
        match stream.read(&mut bytes[count..]) {
            Ok(part) => count += part,
            Err(error) => break Err(error),
        }
        if count >= expected {
            break Ok(Bytes(bytes[..count].to_vec()));
        }
    })
}

fn streams_of_std(wishes: &[Wish]) -> Vec<Seen> {
    let (mut stream, mut peer) = std_pair();
    let mut all = Vec::new();
    for deed in resolve_stream(wishes) {
        all.push(match &deed {
            // recv(2) of no bytes waits for some; ours answers at once.
            Deed::Read { room: 0, .. } => Bytes(vec![]),
            Deed::Read { room, expected, .. } => read_theirs(&mut stream, *room, *expected),
            Deed::ReadWhile { room, expected, sent, .. } => {
                peer_sends_or_ends(&mut peer, sent);
                read_theirs(&mut stream, *room, *expected)
            }
            Deed::ReadExact(len) => {
                let mut bytes = vec![0; *len];
                seen(stream.read_exact(&mut bytes).map(|()| Bytes(bytes)))
            }
            Deed::Write(bytes, _) if bytes.is_empty() => Count(0),
            Deed::Write(bytes, _) => seen(stream.write(bytes).map(|count| Count(count as u64))),
            Deed::End => seen(stream.shutdown(Shutdown::Write).map(|()| Count(0))),
            Deed::Abandon { sent, .. } => {
                peer.write_all(sent).unwrap();
                Count(0)
            }
            Deed::Reset { .. } => {
                reset(peer);
                await_failure(stream.as_fd());
                all.push(seen(stream.read(&mut [0; 8]).map(|count| Count(count as u64))));
                all.push(seen(stream.write(b"x").map(|count| Count(count as u64))));
                all.push(seen(stream.read(&mut [0; 8]).map(|count| Count(count as u64))));
                return all;
            }
            deed => peer_does(&mut peer, deed).expect("the peer's"),
        });
    }
    drop(stream);
    all
}

/// Bytes that came for a read that had gone are given in the pieces in which they came, so this reads on until
/// it has what was expected.
async fn read_ours(stream: &TcpStream, room: usize, expected: usize, cut: Option<usize>) -> Seen {
    let mut bytes = Vec::new();
    loop {
        let left = room - bytes.len();
        let part = match cut {
            None => stream.read(Vec::with_capacity(left)).await.map_err(kind),
            Some(cut) => {
                let buffers = [Vec::with_capacity(cut.min(left)), Vec::with_capacity(left - cut.min(left))];
                let read = stream.read_vectored(buffers).await.map_err(kind);
                read.map(|(count, buffers)| (count, buffers.concat()))
            }
        };
        match part {
            Ok((count, part)) => {
                assert_eq!(count, part.len());
                bytes.extend(part);
                if bytes.len() >= expected {
                    return Bytes(bytes);
                }
                assert_ne!(count, 0, "the stream has ended too early");
            }
            Err(failed) => return failed,
        }
    }
}

async fn streams_of_ours(wishes: &[Wish]) -> Vec<Seen> {
    let (stream, mut peer) = half_pair();
    let mut all = Vec::new();
    for deed in resolve_stream(wishes) {
        all.push(match deed {
            Deed::Read { room, expected, cut } => read_ours(&stream, room, expected, cut).await,
            Deed::ReadExact(len) => {
                stream.read_exact(vec![0; len]).await.map_or_else(kind, |(_, bytes)| Bytes(bytes))
            }
            Deed::Write(bytes, true) => {
                let half = bytes.len() / 2;
                let buffers = [bytes[..half].to_vec(), bytes[half..].to_vec()];
                stream.write_vectored(buffers).await.map_or_else(kind, |(count, _)| Count(count as u64))
            }
            Deed::Write(bytes, false) => {
                stream.write(bytes).await.map_or_else(kind, |(count, _)| Count(count as u64))
            }
            Deed::End => seen(stream.shutdown(Shutdown::Write).await.map(|()| Count(0))),
            Deed::Abandon { room, turns: count, cancel, sent } => {
                let mut read = stream.read(Vec::with_capacity(room));
                assert!(poll_once(&mut read).await.is_pending());
                turns(count / 2).await;
                peer.write_all(&sent).unwrap();
                turns(count.div_ceil(2)).await;
                if cancel {
                    let error = read.cancel().await.unwrap_err().into_parts().0;
                    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
                }
                Count(0)
            }
            Deed::ReadWhile { room, expected, turns: count, sent } => {
                let mut read = stream.read(Vec::with_capacity(room));
                assert!(poll_once(&mut read).await.is_pending());
                turns(count / 2).await;
                peer_sends_or_ends(&mut peer, &sent);
                turns(count.div_ceil(2)).await;
                match read.await {
                    Ok((_, mut bytes)) if bytes.len() < expected => {
                        let (room, expected) = (room - bytes.len(), expected - bytes.len());
                        match read_ours(&stream, room, expected, None).await {
                            Bytes(rest) => {
                                bytes.extend(rest);
                                Bytes(bytes)
                            }
                            failed => failed,
                        }
                    }
                    Ok((_, bytes)) => Bytes(bytes),
                    Err(error) => kind(error),
                }
            }
            Deed::Reset { under_a_read } => {
                let counted = |result: Result<(usize, [u8; 8]), _>| {
                    result.map_or_else(kind, |(count, _)| Count(count as u64))
                };
                let mut read = stream.read([0; 8]);
                if under_a_read {
                    assert!(poll_once(&mut read).await.is_pending());
                }
                reset(peer);
                await_failure(stream.as_fd());
                all.push(counted(read.await));
                all.push(stream.write("x").await.map_or_else(kind, |(count, _)| Count(count as u64)));
                all.push(counted(stream.read([0; 8]).await));
                return all;
            }
            deed => peer_does(&mut peer, &deed).expect("the peer's"),
        });
    }
    all
}

fn streams_do_what_those_of_the_standard_library_do<R: Runtime>() {
    let runtime = R::new().unwrap();
    compare(stream_wishes(), |wishes| runtime.block_on(streams_of_ours(wishes)), streams_of_std);
    runtime.block_on(until(|| live(&runtime) == (0, 0, 0) || live(&runtime).1 == 0));
    end(runtime);
}

// ---------------------------------------------------------------- datagrams

#[derive(Clone, Debug)]
enum Datagram {
    PeerSends(usize),
    Receive(usize),
    Send(usize),
    Abandon { turns: usize, sent: Option<usize> },
}

fn datagram_steps() -> impl Strategy<Value = Vec<Datagram>> {
    let step = prop_oneof![
        4 => sizes().prop_map(Datagram::PeerSends),
        4 => sizes().prop_map(Datagram::Receive),
        2 => prop_oneof![sizes(), Just(70_000_usize)].prop_map(Datagram::Send),
        4 => (0..3_usize, proptest::option::of(sizes()))
            .prop_map(|(turns, sent)| Datagram::Abandon { turns, sent }),
    ];
    vec(step, 1..25)
}

/// Leaves out receives for which nothing is there, and abandoned ones for which something is.
fn resolve_datagrams(steps: &[Datagram]) -> Vec<Datagram> {
    let mut waiting = 0;
    let possible = |step: &&Datagram| match step {
        Datagram::PeerSends(_) if waiting < 8 => {
            waiting += 1;
            true
        }
        Datagram::Receive(_) if waiting > 0 => {
            waiting -= 1;
            true
        }
        Datagram::Send(_) => true,
        Datagram::Abandon { sent, .. } if waiting == 0 => {
            waiting += usize::from(sent.is_some());
            true
        }
        _ => false,
    };
    steps.iter().filter(possible).cloned().collect()
}

fn datagrams_of_std(steps: &[Datagram]) -> Vec<Seen> {
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (socket, peer) = (bind(), bind());
    let (ours, theirs) = (socket.local_addr().unwrap(), peer.local_addr().unwrap());
    let mut numbers = 0;
    let step = |step| match step {
        Datagram::PeerSends(len) | Datagram::Abandon { sent: Some(len), .. } => {
            peer.send_to(&numbered(&mut numbers, len), ours).unwrap();
            Count(0)
        }
        Datagram::Abandon { sent: None, .. } => Count(0),
        Datagram::Receive(room) => {
            let mut bytes = vec![0; room];
            seen(socket.recv_from(&mut bytes).map(|(count, sender)| {
                assert_eq!(sender, theirs);
                Bytes(bytes[..count].to_vec())
            }))
        }
        Datagram::Send(len) => match socket.send_to(&numbered(&mut numbers, len), theirs) {
            Ok(_) => received_by(&peer, len),
            Err(error) => Failed(error.kind()),
        },
    };
    resolve_datagrams(steps).into_iter().map(step).collect()
}

fn received_by(peer: &std::net::UdpSocket, len: usize) -> Seen {
    let mut bytes = vec![0; len + 1];
    seen(peer.recv(&mut bytes).map(|count| Bytes(bytes[..count].to_vec())))
}

async fn datagrams_of_ours(steps: &[Datagram]) -> Vec<Seen> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (ours, theirs) = (socket.local_addr().unwrap(), peer.local_addr().unwrap());
    let mut numbers = 0;
    let mut all = Vec::new();
    for step in resolve_datagrams(steps) {
        all.push(match step {
            Datagram::PeerSends(len) => {
                peer.send_to(&numbered(&mut numbers, len), ours).unwrap();
                Count(0)
            }
            Datagram::Abandon { turns: count, sent } => {
                // As large as any datagram here: what comes for it is cut to it, on the proactor.
                let mut receive = socket.recv_from(Tombstone::new(1));
                assert!(poll_once(&mut receive).await.is_pending());
                turns(count / 2).await;
                if let Some(len) = sent {
                    peer.send_to(&numbered(&mut numbers, len), ours).unwrap();
                }
                turns(count.div_ceil(2)).await;
                Count(0)
            }
            Datagram::Receive(room) => match socket.recv_from(Vec::with_capacity(room)).await {
                Ok(((count, sender), bytes)) => {
                    assert_eq!((count, sender), (bytes.len(), theirs));
                    Bytes(bytes)
                }
                Err(error) => kind(error),
            },
            Datagram::Send(len) => match socket.send_to(numbered(&mut numbers, len), theirs).await {
                Ok(_) => received_by(&peer, len),
                Err(error) => kind(error),
            },
        });
    }
    all
}

fn datagrams_do_what_those_of_the_standard_library_do<R: Runtime>() {
    let runtime = R::new().unwrap();
    compare(datagram_steps(), |steps| runtime.block_on(datagrams_of_ours(steps)), datagrams_of_std);
    runtime.block_on(until(|| live(&runtime).1 == 0));
    end(runtime);
}

// ---------------------------------------------------------------- files

/// How a file is opened, bit by bit: read, write, append, truncate, create, create_new.
#[derive(Clone, Copy, Debug)]
struct How(u8);

impl How {
    fn bit(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }
}

#[derive(Clone, Debug)]
enum FileStep {
    Open(How, &'static str),
    Read(usize, u64),
    ReadExact(usize, u64),
    ReadVectored(usize, usize, u64),
    Write(usize, u64),
    WriteVectored(usize, usize, u64),
    SetLen(u64),
    Len,
    Sync,
    Abandon { room: usize, turns: usize, cancel: bool },
}

fn file_steps() -> impl Strategy<Value = Vec<FileStep>> {
    use FileStep as F;
    let place = || {
        let far = [1 << 40, i64::MAX as u64 - 5, i64::MAX as u64, 1 << 63, u64::MAX - 3];
        prop_oneof![10 => 0..5_000_u64, 1 => proptest::sample::select(far.to_vec())]
    };
    // A read of no bytes from a folder is one that the kernel answers in two ways: pread(2) with EISDIR, the
    // ring with zero.
    let some = || 1..4_000_usize;
    // The name with a zero byte is none that any system takes.
    let names =
        vec!["file", "file", "file", "other", "missing", "folder", "folder/new", "file/below", "ze\0ro", ""];
    // Half of them as programs open files, the others in any way that there is.
    let usual = vec![0b1, 0b10, 0b11, 0b101, 0b1010, 0b1011, 0b1_0011, 0b1_1010, 0b1_0101, 0b10_0010];
    let how = prop_oneof![proptest::sample::select(usual), 0..64_u8];
    let open = (how, proptest::sample::select(names)).prop_map(|(how, name)| F::Open(How(how), name));
    let step = prop_oneof![
        5 => open,
        4 => (some(), place()).prop_map(|(len, at)| F::Read(len, at)),
        2 => (sizes(), place()).prop_map(|(len, at)| F::ReadExact(len, at)),
        2 => (some(), sizes(), place()).prop_map(|(a, b, at)| F::ReadVectored(a, b, at)),
        4 => (sizes(), place()).prop_map(|(len, at)| F::Write(len, at)),
        2 => (sizes(), sizes(), place()).prop_map(|(a, b, at)| F::WriteVectored(a, b, at)),
        1 => prop_oneof![0..6_000_u64, Just(u64::MAX)].prop_map(F::SetLen),
        2 => Just(F::Len),
        1 => Just(F::Sync),
        2 => (1..4_000_usize, 0..3_usize, any::<bool>())
            .prop_map(|(room, turns, cancel)| F::Abandon { room, turns, cancel }),
    ];
    vec(step, 1..30)
}

/// The folder that every script begins with.
fn folder() -> TempDir {
    let folder = TempDir::new();
    folder.file("file", &pattern(3_000));
    folder.file("other", b"a few bytes");
    std::fs::create_dir(folder.path("folder")).unwrap();
    folder
}

fn files_of_std(steps: &[FileStep]) -> Vec<Seen> {
    let folder = folder();
    let (mut file, mut numbers) = (None::<std::fs::File>, 0);
    let step = |step: &FileStep| {
        if let FileStep::Open(how, name) = step {
            let mut options = std::fs::File::options();
            options.read(how.bit(0)).write(how.bit(1)).append(how.bit(2));
            options.truncate(how.bit(3)).create(how.bit(4)).create_new(how.bit(5));
            return seen(options.open(folder.path(name)).map(|opened| {
                file = Some(opened);
                Count(0)
            }));
        }
        let Some(file) = &file else { return Count(u64::MAX) };
        let read = |len: usize, at| {
            let mut bytes = vec![0; len];
            seen(file.read_at(&mut bytes, at).map(|count| Bytes(bytes[..count].to_vec())))
        };
        match *step {
            FileStep::Read(len, at) => read(len, at),
            FileStep::ReadVectored(a, b, at) => read(a + b, at),
            FileStep::ReadExact(len, at) => {
                let mut bytes = vec![0; len];
                seen(file.read_exact_at(&mut bytes, at).map(|()| Bytes(bytes)))
            }
            FileStep::Write(len, at) => {
                seen(file.write_at(&numbered(&mut numbers, len), at).map(|count| Count(count as u64)))
            }
            FileStep::WriteVectored(a, b, at) => {
                seen(file.write_at(&numbered(&mut numbers, a + b), at).map(|count| Count(count as u64)))
            }
            FileStep::SetLen(len) => seen(file.set_len(len).map(|()| Count(0))),
            FileStep::Len => seen(file.metadata().map(|metadata| Count(metadata.len()))),
            FileStep::Sync => seen(file.sync_data().map(|()| Count(0))),
            FileStep::Abandon { .. } | FileStep::Open(..) => Count(0),
        }
    };
    steps.iter().map(step).collect()
}

async fn files_of_ours(steps: &[FileStep]) -> Vec<Seen> {
    let folder = folder();
    let (mut file, mut numbers) = (None::<File>, 0);
    let mut all = Vec::new();
    for step in steps {
        if let FileStep::Open(how, name) = step {
            let mut options = OpenOptions::new();
            options.read(how.bit(0)).write(how.bit(1)).append(how.bit(2));
            options.truncate(how.bit(3)).create(how.bit(4)).create_new(how.bit(5));
            all.push(seen(options.open(folder.path(name)).await.map(|opened| {
                file = Some(opened);
                Count(0)
            })));
            continue;
        }
        let Some(file) = &file else {
            all.push(Count(u64::MAX));
            continue;
        };
        let count =
            |result: Result<usize, Seen>| result.map_or_else(|failed| failed, |count| Count(count as u64));
        all.push(match *step {
            FileStep::Read(len, at) => {
                file.read_at(Vec::with_capacity(len), at).await.map_or_else(kind, |(_, bytes)| Bytes(bytes))
            }
            FileStep::ReadVectored(a, b, at) => {
                let buffers = [Vec::with_capacity(a), Vec::with_capacity(b)];
                let read = file.read_vectored_at(buffers, at).await;
                read.map_or_else(kind, |(_, buffers)| Bytes(buffers.concat()))
            }
            FileStep::ReadExact(len, at) => {
                file.read_exact_at(vec![0; len], at).await.map_or_else(kind, |(_, bytes)| Bytes(bytes))
            }
            FileStep::Write(len, at) => {
                let bytes = numbered(&mut numbers, len);
                count(file.write_at(bytes, at).await.map(|(count, _)| count).map_err(kind))
            }
            FileStep::WriteVectored(a, b, at) => {
                let buffers = [numbered(&mut numbers, a), numbered(&mut numbers, b)];
                count(file.write_vectored_at(buffers, at).await.map(|(count, _)| count).map_err(kind))
            }
            FileStep::SetLen(len) => seen(file.set_len(len).await.map(|()| Count(0))),
            FileStep::Len => seen(file.metadata().await.map(|metadata| Count(metadata.len()))),
            FileStep::Sync => seen(file.sync_data().await.map(|()| Count(0))),
            FileStep::Abandon { room, turns: count, cancel } => {
                let mut read = file.read_at(Vec::with_capacity(room), 0);
                assert!(poll_once(&mut read).await.is_pending());
                turns(count).await;
                if cancel {
                    drop(read.cancel().await); // whatever became of it
                }
                Count(0)
            }
            FileStep::Open(..) => unreachable!("above"),
        });
    }
    all
}

fn files_do_what_those_of_the_standard_library_do<R: Runtime>() {
    let runtime = R::new().unwrap();
    compare(file_steps(), |steps| runtime.block_on(files_of_ours(steps)), files_of_std);
    runtime.block_on(until(|| live(&runtime).1 == 0));
    end(runtime);
}
