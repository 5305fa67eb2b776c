//! `OpenOptions`: see openat(2).
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use super::opening::Opening;
use super::{File, c_path, direct};

/// Options for opening a file.
///
/// # Examples
/// ```
/// use proactor::fs::OpenOptions;
/// proactor::run(async {
///     let path = std::env::temp_dir().join(format!("proactor-options-{}", std::process::id()));
///     let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
///     file.write_all_at("abc", 0).await?;
///     assert_eq!(file.read_exact_at([0; 2], 1).await?.1, *b"bc");
///     std::fs::remove_file(&path)
/// }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: libc::mode_t,
    custom: i32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Makes options that allow nothing yet; new files get mode 0o666, less the umask.
    pub fn new() -> Self {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            custom: 0,
        }
    }

    /// Allows reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Allows writing.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Appends: writes go to the end of the file, and their position is ignored.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Truncates an existing file to zero bytes.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Creates the file if it does not exist.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Creates the file, and fails if it exists.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Sets the permissions of a new file, before the umask.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Sets further flags for openat(2), such as `O_DIRECT`; those of the access mode are ignored.
    ///
    /// With `O_DIRECT` the address, length and position of each transfer have to be multiples of the
    /// device's block size. With `O_NONBLOCK`, opens, reads and writes of FIFOs and terminals fail with `WouldBlock` or
    /// `ENXIO` instead of waiting.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom = flags & !libc::O_ACCMODE;
        self
    }

    /// Opens the file.
    ///
    /// Opening a FIFO for reading waits for a writer, and opening it for writing for a reader, as open(2) does unless
    /// `O_NONBLOCK` is among the [flags](Self::custom_flags). The kernel does not report when the other side is opened,
    /// so the future tries again after 1 to 32 ms.
    ///
    /// # Errors
    /// Those of openat(2); `InvalidInput` for options that contradict each other, or a path with a zero byte.
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// If the future is dropped, a file that was opened for it is closed.
    pub fn open(&self, path: impl AsRef<Path>) -> Open {
        Open(self.opening(path.as_ref(), false))
    }

    /// Opens the file with a descriptor that belongs to the ring: see [`fs::direct`](super::direct). Otherwise as
    /// [`open`](Self::open); where the ring opens it, an open of a FIFO for reading may return before there is a writer.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and `QuotaExceeded` when the ring's table is full.
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// If the future is dropped, a file that was opened for it is closed.
    ///
    /// # Examples
    /// ```
    /// use proactor::fs::OpenOptions;
    /// proactor::run(async {
    ///     let file = OpenOptions::new().read(true).open_direct("/proc/self/cmdline").await?;
    ///     assert!(file.read_at(Vec::with_capacity(4096), 0).await?.0 > 0);
    ///     file.close().await
    /// }).unwrap();
    /// ```
    pub fn open_direct(&self, path: impl AsRef<Path>) -> direct::Open {
        direct::Open::new(self.opening(path.as_ref(), true))
    }

    pub(super) fn opening(&self, path: &Path, direct: bool) -> Opening {
        let prepared = self.flags().and_then(|flags| Ok((flags, c_path(path)?)));
        Opening::new(prepared, self.mode, direct)
    }

    fn flags(&self) -> io::Result<i32> {
        let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let writes = self.write || self.append;
        let access = match (self.read, writes) {
            (true, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (true, true) => libc::O_RDWR,
            (false, false) => return invalid("open a file for reading, writing or appending"),
        };
        if !writes && (self.truncate || self.create || self.create_new) {
            return invalid("creating or truncating a file needs write access");
        }
        if self.append && self.truncate && !self.create_new {
            return invalid("a file that is opened for appending can't be truncated as well");
        }
        let mut flags = access | self.custom;
        if self.append {
            flags |= libc::O_APPEND;
        }
        if self.create_new {
            flags |= libc::O_CREAT | libc::O_EXCL;
        } else {
            flags |= if self.create { libc::O_CREAT } else { 0 };
            flags |= if self.truncate { libc::O_TRUNC } else { 0 };
        }
        Ok(flags)
    }
}

io_future! {
    /// The future of [`OpenOptions::open`], [`File::open`] and [`File::create`].
    Open<> = Opening => io::Result<File>
}
