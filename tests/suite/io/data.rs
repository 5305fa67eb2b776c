//! Every byte, once, in its place: whatever the sizes, whoever hangs up.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd};
use std::rc::Rc;

use fastrand::Rng;
use proactor::buf::{IoBuf, IoBufMut};
use proactor::fs::{File, OpenOptions};
use proactor::net::{TcpStream, UdpSocket};
use proactor::{Runtime, spawn};

use crate::kit::*;

tests! {
    t61_bytes_keep_their_order_through_pieces_of_any_size,
    t61_operations_on_no_bytes_answer_at_once,
    t61_a_length_beyond_32_bits_is_cut_to_what_the_kernel_takes,
    t61_a_file_takes_more_than_32_bits_can_count,
    t62_a_long_echo_keeps_its_checksum,
    t63_a_reset_in_the_middle_of_a_send_is_an_error,
    t63_each_direction_ends_alone,
    t66_two_files_are_read_side_by_side,
    t66_appended_records_stay_whole,
}

/// A random cut of `len` into pieces of up to `most`, some of them empty.
fn pieces(random: &mut Rng, len: usize, most: usize) -> Vec<usize> {
    let mut left = len;
    let mut pieces = Vec::new();
    while left > 0 {
        let piece = random.usize(0..=most).min(left);
        left -= piece;
        pieces.push(piece);
    }
    pieces
}

/// Sends the content in pieces, by every method that sends.
async fn send_in_pieces(stream: &TcpStream, content: &[u8], most: usize, random: &mut Rng) {
    let mut at = 0;
    for piece in pieces(random, content.len(), most) {
        let bytes = content[at..at + piece].to_vec();
        let half = bytes.len() / 2;
        let (first, second) = (bytes[..half].to_vec(), bytes[half..].to_vec());
        let sent = match random.u8(0..4) {
            0 => stream.write(bytes).await.unwrap().0,
            1 => stream.write_all(bytes).await.unwrap().0,
            2 => stream.write_vectored([first, second]).await.unwrap().0,
            _ => stream.write_all_vectored([first, second]).await.unwrap().0,
        };
        assert!(sent <= piece);
        at += sent;
    }
    stream.write_all(content[at..].to_vec()).await.unwrap(); // what short writes have left
}

/// Receives `len` bytes in pieces, by every method that receives.
async fn receive_in_pieces(stream: &TcpStream, len: usize, most: usize, random: &mut Rng) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < len {
        let room = random.usize(0..=most).min(len - received.len());
        match random.u8(0..3) {
            0 => {
                let (count, buffer) = stream.read(Vec::with_capacity(room)).await.unwrap();
                assert_eq!(count, buffer.len());
                received.extend(buffer);
            }
            1 => {
                let (count, buffer) = stream.read_exact(vec![0; room]).await.unwrap();
                assert_eq!(count, room);
                received.extend(buffer);
            }
            _ => {
                let bufs = [Vec::with_capacity(room / 3), Vec::new(), Vec::with_capacity(room - room / 3)];
                let (count, bufs) = stream.read_vectored(bufs).await.unwrap();
                assert_eq!(count, bufs.iter().map(Vec::len).sum::<usize>());
                received.extend(bufs.concat());
            }
        }
    }
    received
}

fn t61_bytes_keep_their_order_through_pieces_of_any_size<R: Runtime>() {
    run::<R>(async {
        for seed in 0..rounds(12, 2_000) as u64 {
            let mut random = Rng::with_seed(seed);
            // Every third goes in pieces that the kernel does not take whole.
            let scale = if seed % 3 == 0 { 1_000_000 } else { 20_000 };
            let content = pattern(random.usize(1..scale));
            let (most_out, most_in) = (random.usize(1..scale / 6), random.usize(1..scale / 6));
            let (client, server) = pair().await;
            client.set_send_buffer_size(4_096).unwrap();
            let (sent, mut other) = (content.clone(), random.fork());
            let sending = spawn(async move {
                send_in_pieces(&client, &sent, most_out, &mut other).await;
                client
            });
            let received = receive_in_pieces(&server, content.len(), most_in, &mut random).await;
            assert_bytes(&received, &content);
            drop(sending.await.unwrap());
            assert_eq!(server.read([0; 1]).await.unwrap().0, 0, "seed {seed}");
        }
    });
}

fn t61_operations_on_no_bytes_answer_at_once<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        assert_eq!(stream.read(Vec::<u8>::new()).await.unwrap().0, 0);
        assert_eq!(stream.read_exact([0_u8; 0]).await.unwrap().0, 0);
        assert_eq!(stream.read_vectored([Vec::<u8>::new(), Vec::new()]).await.unwrap().0, 0);
        assert_eq!(stream.write("").await.unwrap().0, 0);
        assert_eq!(stream.write_all("").await.unwrap().0, 0);
        assert_eq!(stream.write_all_vectored(["", ""]).await.unwrap().0, 0);
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.read(Vec::<u8>::new()).await.unwrap().0, 0, "the byte stays");
        assert_eq!(stream.read_exact([0; 1]).await.unwrap().1, *b"x");
        let folder = TempDir::new();
        let file =
            OpenOptions::new().read(true).write(true).open(folder.file("file", b"text")).await.unwrap();
        assert_eq!(file.read_at(Vec::<u8>::new(), 0).await.unwrap().0, 0);
        assert_eq!(file.write_at("", 2).await.unwrap().0, 0);
        assert_eq!(file.metadata().await.unwrap().len(), 4);
    });
}

/// A buffer of more bytes than 32 bits can count: zeros that nobody has touched, and so no memory.
#[derive(Debug)]
struct Huge {
    address: *mut u8,
    init: usize,
}

impl Huge {
    /// Cut to 32 bits it would be nothing.
    const LEN: usize = 4 << 30;

    fn new(init: usize) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, wherever the kernel likes.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), Self::LEN, protection, flags, -1, 0) };
        assert_ne!(address, libc::MAP_FAILED);
        Huge { address: address.cast(), init }
    }

    fn empty() -> Self {
        Huge::new(0)
    }

    fn full() -> Self {
        Huge::new(Self::LEN)
    }
}

impl Drop for Huge {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone.
        unsafe { libc::munmap(self.address.cast(), Self::LEN) };
    }
}

// SAFETY: the mapping stays where it is, is zeroed, and belongs to this value.
unsafe impl IoBuf for Huge {
    fn read_ptr(&self) -> *const u8 {
        self.address
    }

    fn init_len(&self) -> usize {
        self.init
    }
}

// SAFETY: as above; all of it may be written.
unsafe impl IoBufMut for Huge {
    fn write_ptr(&mut self) -> *mut u8 {
        self.address
    }

    fn total_len(&self) -> usize {
        Self::LEN
    }

    unsafe fn set_init(&mut self, len: usize) {
        self.init = len;
    }
}

fn t61_a_length_beyond_32_bits_is_cut_to_what_the_kernel_takes<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"text").unwrap();
        let (count, buffer) = stream.read(Huge::empty()).await.unwrap();
        assert_eq!((count, buffer.init), (4, 4));
        peer.write_all(b"more").unwrap();
        let (count, [first, second]) = stream.read_vectored([Huge::empty(), Huge::empty()]).await.unwrap();
        assert_eq!((count, first.init, second.init), (4, 4, 0));
        // As much as the socket takes at once, which is told.
        let (count, _) = stream.write_vectored([Huge::full(), Huge::full()]).await.unwrap();
        let drained = peer.try_clone().unwrap();
        let drained = thread(move || (&drained).take(count as u64).read_to_end(&mut Vec::new()).unwrap());
        assert_eq!(drained.ended().await, count);
        let (count, _) = stream.write(Huge::full()).await.unwrap();
        assert!((1..Huge::LEN).contains(&count), "{count}");
        drop(stream);
        let mut received = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match peer.read(&mut buffer).unwrap() {
                0 => break,
                part => received += part,
            }
        }
        assert_eq!(received, count);

        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = ours.local_addr().unwrap();
        let error = ours.send_to(Huge::full(), address).await.unwrap_err().into_parts().0;
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        ours.send_to("text", address).await.unwrap();
        let ((count, _), buffer) = ours.recv_from(Huge::empty()).await.unwrap();
        assert_eq!((count, buffer.init), (4, 4));
    });
}

fn t61_a_file_takes_more_than_32_bits_can_count<R: Runtime>() {
    run::<R>(async {
        let null = OpenOptions::new().write(true).open("/dev/null").await.unwrap();
        assert_eq!(null.write_all_at(Huge::full(), 0).await.unwrap().0, Huge::LEN);
        assert_eq!(null.write_at(Huge::full(), 0).await.unwrap().0, Huge::LEN);
        let folder = TempDir::new();
        let file = File::open(folder.file("file", b"content")).await.unwrap();
        let (count, buffer) = file.read_at(Huge::empty(), 0).await.unwrap();
        assert_eq!((count, buffer.init), (7, 7));
    });
}

/// FNV-1a, and how many bytes went into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checksum(u64, u64);

impl Checksum {
    const NEW: Checksum = Checksum(0xcbf2_9ce4_8422_2325, 0);

    fn add(&mut self, bytes: &[u8]) {
        let hash =
            bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        *self = Checksum(hash, self.1 + bytes.len() as u64);
    }
}

fn t62_a_long_echo_keeps_its_checksum<R: Runtime>() {
    run::<R>(async {
        let total = rounds(16 << 20, 1 << 30);
        let (client, server) = pair().await;
        let echoing = spawn(echo(server));
        let client = Rc::new(client);
        let sender = client.clone();
        let sending = spawn(async move {
            let (mut random, mut checksum, mut left) = (Rng::with_seed(62), Checksum::NEW, total);
            while left > 0 {
                let mut piece = vec![0; random.usize(1..200_000).min(left)];
                random.fill(&mut piece);
                checksum.add(&piece);
                left -= piece.len();
                sender.write_all(piece).await.unwrap();
            }
            sender.shutdown(Shutdown::Write).await.unwrap();
            checksum
        });
        let (mut random, mut checksum) = (Rng::with_seed(26), Checksum::NEW);
        loop {
            let (count, piece) = client.read(Vec::with_capacity(random.usize(1..200_000))).await.unwrap();
            if count == 0 {
                break;
            }
            checksum.add(&piece);
        }
        echoing.await.unwrap();
        assert_eq!(sending.await.unwrap(), checksum);
        assert_eq!(checksum.1, total as u64);
        assert_eq!(client.bytes_sent(), total as u64);
    });
}

fn t63_a_reset_in_the_middle_of_a_send_is_an_error<R: Runtime>() {
    run::<R>(async {
        for vectored in [false, true] {
            let (stream, mut peer) = half_pair();
            let content = pattern(16 << 20);
            let pages = content.len() / Tombstone::PAGE;
            let taken = Rc::new(Cell::new(0));
            let takes = taken.clone();
            let stream = Rc::new(stream);
            let writer = stream.clone();
            let sent = content.clone();
            let writing = spawn(async move {
                let (error, len) = if vectored {
                    let (error, [buffer]) = writer.write_all_vectored([sent]).await.unwrap_err().into_parts();
                    (error, buffer.len())
                } else {
                    let buffer = Tombstone::filled(pages, &sent);
                    let (error, buffer) = writer.write_all(buffer).await.unwrap_err().into_parts();
                    (error, buffer.len())
                };
                takes.set(len);
                error
            });
            turns(3).await;
            let mut some = vec![0; 100_000];
            peer.read_exact(&mut some).unwrap();
            assert_bytes(&some, &content[..some.len()]);
            reset(peer);
            let error = writing.await.unwrap();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            assert_eq!(taken.get(), content.len(), "the buffer comes back whole");
            let sent = stream.bytes_sent();
            assert!((100_000..content.len() as u64).contains(&sent), "{sent} bytes");
            let error = stream.write("more").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    });
}

fn t63_each_direction_ends_alone<R: Runtime>() {
    run::<R>(async {
        let content = pattern(1 << 20);
        for ours_first in [true, false] {
            let (stream, mut peer) = half_pair();
            if ours_first {
                // Ours ends; theirs goes on.
                stream.write_all("end").await.unwrap();
                stream.shutdown(Shutdown::Write).await.unwrap();
                assert_eq!(stream.write("more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
                let sent = content.clone();
                let theirs = thread(move || {
                    let mut received = [0; 3];
                    peer.read_exact(&mut received).unwrap();
                    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
                    peer.write_all(&sent).unwrap();
                    received
                });
                assert_bytes(&stream.read_exact(vec![0; content.len()]).await.unwrap().1, &content);
                assert_eq!(theirs.ended().await, *b"end");
                assert_eq!(stream.read([0; 1]).await.unwrap().0, 0);
            } else {
                // Theirs ends; ours goes on.
                peer.write_all(b"end").unwrap();
                peer.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read_exact([0; 3]).await.unwrap().1, *b"end");
                assert_eq!(stream.read([0; 1]).await.unwrap().0, 0);
                let theirs = thread(move || read_to_end(peer));
                stream.write_all(content.clone()).await.unwrap();
                assert_eq!(stream.read([0; 1]).await.unwrap().0, 0, "the end stays the end");
                stream.shutdown(Shutdown::Write).await.unwrap();
                assert_bytes(&theirs.ended().await, &content);
            }
        }
    });
}

fn t66_two_files_are_read_side_by_side<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let contents = [pattern(1 << 20), pattern((1 << 20) + 77)[77..].to_vec()];
        let mut files = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            files.push(File::open(folder.file(&number.to_string(), content)).await.unwrap());
        }
        let mut random = Rng::with_seed(66);
        let places: Vec<(usize, usize, usize)> = (0..rounds(400, 100_000))
            .map(|_| {
                let start = random.usize(0..1 << 20);
                (random.usize(0..2), start, random.usize(0..40_000))
            })
            .collect();
        for places in places.chunks(100) {
            let reads =
                places.iter().map(|(file, start, len)| files[*file].read_at(vec![0; *len], *start as u64));
            for (read, (file, start, len)) in join_all(reads).await.into_iter().zip(places) {
                let (count, buffer) = read.unwrap();
                let expected = &contents[*file][*start..][..(*len).min((1 << 20) - *start)];
                assert_eq!(count, expected.len());
                assert_bytes(&buffer[..count], expected);
            }
        }
        files.iter().for_each(|file| assert_eq!(file_position(file), 0));
    });
}

fn t66_appended_records_stay_whole<R: Runtime>() {
    run::<R>(async {
        const WRITERS: usize = 10;
        let records = rounds(40, 4_000);
        let folder = TempDir::new();
        let path = folder.file("log", b"");
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            // Half of them share a descriptor with another one.
            let file = OpenOptions::new().append(true).open(&path).await.unwrap();
            // SAFETY: dup(2) takes a plain number and answers with a descriptor that nobody else owns.
            let shared = unsafe { std::fs::File::from_raw_fd(libc::dup(file.as_raw_fd())) };
            let file = if writer % 2 == 0 { file } else { File::from_std(shared) };
            tasks.push(spawn(async move {
                for number in 0..records {
                    let len = 8 + (number * 97 + writer * 31) % 3_000;
                    let record = format!("{writer:02}{number:04}{len:05}{}\n", "x".repeat(len));
                    let (count, _) = file.write_at(record.clone(), 0).await.unwrap();
                    assert_eq!(count, record.len(), "a record goes in one piece");
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let mut next = [0; WRITERS];
        for line in String::from_utf8(read_file(&path)).unwrap().lines() {
            let (writer, number): (usize, usize) = (line[..2].parse().unwrap(), line[2..6].parse().unwrap());
            assert_eq!(line.len(), 11 + line[6..11].parse::<usize>().unwrap(), "a record was torn");
            assert_eq!(number, next[writer], "a record was lost or overtaken");
            next[writer] += 1;
        }
        assert_eq!(next, [records; WRITERS]);
    });
}
