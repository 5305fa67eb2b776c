//! The kind of an open file, its status flags, and the other side of a FIFO: see statx(2), fcntl(2), fifo(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// The way in which an open file is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// At positions. Files of unknown kinds count as these.
    Positioned,
    Fifo,
    /// Other files without positions: a terminal, a socket.
    Stream,
}

impl FileKind {
    /// Asks the kernel for the kind of a file, but no server of a network file system.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Self {
        match file_type(fd) {
            Some(libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK | libc::S_IFLNK) | None => {
                FileKind::Positioned
            }
            Some(libc::S_IFIFO) => FileKind::Fifo,
            Some(_) if has_position(fd) => FileKind::Positioned,
            Some(_) => FileKind::Stream,
        }
    }
}

/// Returns the bits of the file's mode that give its type.
fn file_type(fd: BorrowedFd<'_>) -> Option<u32> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the path is a string that ends; the answer lives until the call has returned, and is plain numbers.
    let answer = unsafe {
        let mut answer: libc::statx = std::mem::zeroed();
        let asked = libc::statx(fd.as_raw_fd(), c"".as_ptr(), flags, libc::STATX_TYPE, &raw mut answer);
        check(asked).ok().map(|_| answer)?
    };
    Some(u32::from(answer.stx_mode) & libc::S_IFMT)
}

fn has_position(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: lseek(2) takes plain numbers.
    unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_CUR) >= 0 }
}

/// The flags with which a file was opened, as far as the kernel keeps them.
pub(crate) fn status_flags(fd: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: this call takes plain numbers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

pub(crate) fn set_status_flags(fd: BorrowedFd<'_>, flags: i32) -> io::Result<()> {
    // SAFETY: this call takes plain numbers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}

/// Whether a FIFO that was opened for reading, with O_NONBLOCK, has or has had a writer since: whether open(2) without
/// that flag would have returned.
///
/// Takes no byte out of it. poll(2) tells of bytes and of a writer that has gone. Of one that has written nothing yet only
/// a read tells, which answers EAGAIN and not zero; should bytes come in between, its buffer, which is nowhere, keeps
/// it from taking them.
pub(crate) fn has_had_writer(fifo: BorrowedFd<'_>) -> bool {
    let mut pollfd = libc::pollfd { fd: fifo.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the structure lives until the call has returned, which it does at once.
    let ready = unsafe { libc::poll(&raw mut pollfd, 1, 0) };
    // SAFETY: the kernel writes nothing to an address at which nothing is mapped; it answers EFAULT.
    ready != 0 || unsafe { libc::read(fifo.as_raw_fd(), std::ptr::null_mut(), 1) } != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    #[cfg_attr(miri, ignore = "files in /proc and FIFOs")]
    fn the_kinds_of_files_are_told_apart() {
        let kind = |path: &str| FileKind::of(std::fs::File::open(path).unwrap().as_fd());
        assert_eq!(kind("/proc/self/exe"), FileKind::Positioned);
        assert_eq!(kind("/"), FileKind::Positioned);
        assert_eq!(kind("/dev/zero"), FileKind::Positioned);
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(FileKind::of(reader.as_fd()), FileKind::Fifo);
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(FileKind::of(one.as_fd()), FileKind::Stream);
    }

    #[test]
    #[cfg_attr(miri, ignore = "files in /proc and FIFOs")]
    fn a_writer_is_seen_and_no_byte_is_taken() {
        let path = std::env::temp_dir().join(format!("proactor-fifo-{}", std::process::id()));
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the path is a string that ends.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let read = || std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut fifo = read();
        assert!(!has_had_writer(fifo.as_fd()));
        let mut writer = std::fs::File::options().write(true).open(&path).unwrap();
        assert!(has_had_writer(fifo.as_fd()), "one that writes nothing");
        writer.write_all(b"ab").unwrap();
        assert!(has_had_writer(fifo.as_fd()));
        let mut bytes = [0; 8];
        assert_eq!(fifo.read(&mut bytes).unwrap(), 2);
        drop(writer);
        assert!(has_had_writer(fifo.as_fd()), "one that has gone");
        let later = read();
        std::fs::remove_file(&path).unwrap();
        assert!(!has_had_writer(later.as_fd()), "nobody since it was opened");
    }
}
