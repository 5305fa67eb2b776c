//! What tests talk to: sockets, bytes and files.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::gettid;
use proactor::net::{TcpListener, TcpStream, UdpSocket};

use super::running::{Thread, thread, until};

/// Two connected streams.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

/// A stream of ours, and its peer as a blocking stream of the standard library.
pub(crate) fn half_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, peer) = std_pair();
    (TcpStream::from_std(ours).unwrap(), peer)
}

/// Two connected streams of the standard library.
pub(crate) fn std_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (second, _) = listener.accept().unwrap();
    (first, second)
}

/// Sends back what comes, until the end.
pub(crate) async fn echo(stream: TcpStream) {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let (count, filled) = stream.read(buffer).await.unwrap();
        if count == 0 {
            return;
        }
        buffer = stream.write_all(filled).await.unwrap().1;
    }
}

/// A peer that sends `bytes`, ends its direction, and gives what it received until the end.
pub(crate) fn exchange(peer: std::net::TcpStream, bytes: Vec<u8>) -> Thread<Vec<u8>> {
    thread(move || {
        let mut writer = peer.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let received = read_to_end(peer);
        sending.join().unwrap();
        received
    })
}

pub(crate) fn read_to_end(mut peer: std::net::TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    received
}

/// Closes a connection by a reset.
pub(crate) fn reset(peer: std::net::TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// An address of loopback that no other thread uses, for tests in which a port is given up and then looked at: on
/// 127.0.0.1 another test, of this run or of one beside it, may have it by then.
pub(crate) fn own_host() -> Ipv4Addr {
    let [_, a, b, c] = gettid().as_raw().to_be_bytes();
    Ipv4Addr::new(127, 128 | a, b, c)
}

/// An address on which nobody listens, for as long as the socket is kept.
pub(crate) fn unused_address() -> (socket2::Socket, std::net::SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Bytes without a short period, so that a misplaced piece shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(step).collect()
}

/// `assert_eq!` for many bytes: names the first that differs instead of printing all.
#[track_caller]
pub(crate) fn assert_bytes(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        differs.is_none() && got.len() == expected.len(),
        "{} bytes instead of {}; the first difference is at {differs:?}",
        got.len(),
        expected.len()
    );
}

/// A folder that is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        TempDir(nix::unistd::mkdtemp(&std::env::temp_dir().join("proactor-suite-XXXXXX")).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A FIFO: whoever opens one side waits until somebody opens the other.
    pub(crate) fn fifo(&self) -> PathBuf {
        let path = self.path("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
        path
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where a descriptor stands in its file.
pub(crate) fn file_position(file: &impl AsRawFd) -> i64 {
    // SAFETY: lseek(2) takes plain numbers.
    unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) }
}

pub(crate) fn read_file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// A socket for which nothing comes. It has no port, of which there are not enough for all the tests at once.
pub(crate) fn silent_socket() -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

/// A file that this process has a lease on: whoever opens it for writing waits in open(2) until this is dropped.
pub(crate) struct Leased {
    path: PathBuf,
    _holder: std::fs::File,
}

impl Leased {
    pub(crate) fn new(path: PathBuf) -> Self {
        let holder = std::fs::File::open(&path).unwrap();
        // SAFETY: both calls take plain numbers. The signal tells that somebody wants to open the file, and ends a
        // process that does not ignore it.
        unsafe {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
            let leased = libc::fcntl(holder.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK);
            assert_eq!(leased, 0, "{}", std::io::Error::last_os_error());
        }
        Leased { path, _holder: holder }
    }

    /// Opens the file for writing.
    pub(crate) fn open(&self) -> proactor::fs::Open {
        proactor::fs::OpenOptions::new().write(true).open(&self.path)
    }
}

/// Connections in a listener's backlog: see tcp(7), TCP_INFO, of a socket that listens.
pub(crate) fn backlog(listener: &impl AsRawFd) -> u32 {
    let (mut info, mut len) = ([0u32; 26], 104);
    // SAFETY: the option's bytes are written into memory that has as many.
    let answer = unsafe {
        let place = info.as_mut_ptr().cast();
        libc::getsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut len)
    };
    assert_eq!(answer, 0);
    info[6] // tcpi_unacked, behind eight bytes and four other numbers
}

/// Clients of a listener whose backlog is empty, in the order in which they lie in it. A client may have connected some
/// time before the kernel puts its connection there, and kernels before 6.4 then put a later one in front.
pub(crate) async fn connect_in_order(
    listener: &impl AsRawFd,
    address: SocketAddr,
    count: u32,
) -> Vec<std::net::TcpStream> {
    let mut clients = Vec::new();
    for count in 1..=count {
        clients.push(std::net::TcpStream::connect(address).unwrap());
        until(|| backlog(listener) == count).await;
    }
    clients
}
