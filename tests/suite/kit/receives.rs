//! Receives of every kind, on sockets of ours with a peer of the standard library.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;

use proactor::buf::IoBufMut;
use proactor::io::nop;
use proactor::net::{TcpStream, UdpSocket};
use proactor::testing::Fault;
use proactor::{Config, Feature, Runtime};

use super::peers::half_pair;
use super::running::{is_proactor, poll_once, until};

/// An operation's future, whatever its output.
pub(crate) type Pending = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) fn boxed<F: Future + 'static>(future: F) -> Pending {
    Box::pin(async move { drop(future.await) })
}

/// The ways in which the proactor's completions are made: when the loop asks; at the next system call,
/// whichever it is; and at any time. For the selector there is but one.
pub(crate) fn deliveries<R: Runtime>(config: &Config) -> Vec<Config> {
    let masks: &[&[Feature]] =
        &[&[], &[Feature::DeferTaskrun], &[Feature::DeferTaskrun, Feature::CoopTaskrun]];
    let count = if is_proactor::<R>() { masks.len() } else { 1 };
    masks[..count].iter().map(|mask| config.clone().mask_all(mask.iter().copied())).collect()
}

/// Turns until all operations have been reaped.
pub(crate) async fn reaped<R: Runtime>(runtime: &R) {
    until(|| runtime.report().live.ops == 0).await;
}

/// A socket of ours and its peer.
pub(crate) enum Ends {
    Stream(TcpStream, std::net::TcpStream),
    Datagrams(UdpSocket, std::net::UdpSocket),
}

impl Ends {
    pub(crate) fn stream() -> Self {
        let (ours, peer) = half_pair();
        peer.set_nodelay(true).unwrap();
        Ends::Stream(ours, peer)
    }

    pub(crate) fn datagrams() -> Self {
        let ours = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.connect(ours.local_addr().unwrap()).unwrap();
        Ends::Datagrams(UdpSocket::from_std(ours).unwrap(), peer)
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        match self {
            Ends::Stream(_, peer) => (&mut &*peer).write_all(bytes).unwrap(),
            Ends::Datagrams(_, peer) => assert_eq!(peer.send(bytes).unwrap(), bytes.len()),
        }
    }

    /// The next bytes, as many as these, are these; a datagram has its sender as well.
    pub(crate) async fn expect(&self, bytes: &[u8]) {
        match self {
            Ends::Stream(ours, _) => {
                let (_, received) = ours.read_exact(vec![0; bytes.len()]).await.unwrap();
                assert_eq!(received, bytes);
            }
            Ends::Datagrams(ours, peer) => {
                let ((_, sender), received) = ours.recv_from(Vec::with_capacity(100)).await.unwrap();
                assert_eq!((&received[..], sender), (bytes, peer.local_addr().unwrap()));
            }
        }
    }

    /// There is nothing more to receive.
    pub(crate) async fn expect_nothing(self) {
        match self {
            Ends::Stream(ours, peer) => {
                drop(peer);
                assert_eq!(ours.read([0; 1]).await.unwrap().0, 0);
            }
            Ends::Datagrams(..) => {
                self.send(b"last");
                self.expect(b"last").await;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    Read,
    ReadExact,
    ReadVectored,
    Chunk,
    Recv,
    RecvFrom,
    RecvChunk,
}

pub(crate) const RECEIVES: [Receive; 7] = [
    Receive::Read,
    Receive::ReadExact,
    Receive::ReadVectored,
    Receive::Chunk,
    Receive::Recv,
    Receive::RecvFrom,
    Receive::RecvChunk,
];

/// Those that receive into the caller's buffer, and not into the runtime's.
pub(crate) const INTO_BUFFERS: [Receive; 5] =
    [Receive::Read, Receive::ReadExact, Receive::ReadVectored, Receive::Recv, Receive::RecvFrom];

impl Receive {
    pub(crate) fn ends(self) -> Ends {
        match self {
            Receive::Recv | Receive::RecvFrom | Receive::RecvChunk => Ends::datagrams(),
            _ => Ends::stream(),
        }
    }

    pub(crate) fn begin<B: IoBufMut>(self, ends: &Ends, mut buf: impl FnMut() -> B) -> Pending {
        match (self, ends) {
            (Receive::Read, Ends::Stream(ours, _)) => boxed(ours.read(buf())),
            (Receive::ReadExact, Ends::Stream(ours, _)) => boxed(ours.read_exact(buf())),
            (Receive::ReadVectored, Ends::Stream(ours, _)) => boxed(ours.read_vectored([buf(), buf()])),
            (Receive::Chunk, Ends::Stream(ours, _)) => boxed(ours.recv()),
            (Receive::RecvChunk, Ends::Datagrams(ours, _)) => boxed(ours.recv_chunk()),
            (Receive::Recv, Ends::Datagrams(ours, _)) => boxed(ours.recv(buf())),
            (Receive::RecvFrom, Ends::Datagrams(ours, _)) => boxed(ours.recv_from(buf())),
            _ => unreachable!(),
        }
    }
}

/// A kernel that refuses every second enter for now: with a small queue, entries wait in the backlog.
pub(crate) const REFUSING: Fault = Fault::Enter { every: 2, errno: libc::EAGAIN, after_submission: false };

/// Operations in front of the next, so that this lies in the backlog if the kernel refuses enters.
pub(crate) async fn in_front() -> Vec<Pending> {
    let mut crowd: Vec<_> = (0..32).map(|_| boxed(nop())).collect();
    for nop in &mut crowd {
        let _ = poll_once(nop).await;
    }
    crowd
}
