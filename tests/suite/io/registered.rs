//! Registered buffers: the same bytes, whether or not the ring knows their memory.

use nix::sys::resource::Resource;
use proactor::buf::{IoBuf, RegisteredBuf};
use proactor::fs::{File, OpenOptions};
use proactor::{Feature, Runtime};

use crate::kit::*;

tests! {
    files_are_read_and_written_through_registered_buffers,
    a_registered_buffer_is_sent_without_a_copy,
    a_read_that_was_given_up_keeps_its_registered_buffer,
    a_buffer_is_registered_with_its_own_runtime_alone,
    more_buffers_than_places_are_ordinary_ones,
    without_memory_to_lock_buffers_are_ordinary_ones,
}

fn on_machines<R: Runtime>(test: impl AsyncFn(&R)) {
    with_masks(&[&[], &[Feature::RegisteredBuffers], &[Feature::DirectDescriptors]], test);
}

fn files_are_read_and_written_through_registered_buffers<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let folder = TempDir::new();
        let path = folder.path("file");
        for flags in [0, libc::O_DIRECT] {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).custom_flags(flags);
            let Ok(file) = options.open(&path).await else { continue }; // not every file system can
            let direct = proactor::fs::direct::File::open_with(options, &path).await.unwrap();
            let mut buffer = RegisteredBuf::new(16_384);
            assert!(uses(runtime, Feature::RegisteredBuffers) || !buffer.is_registered());
            assert!(buffer.is_registered() || !uses(runtime, Feature::RegisteredBuffers) || !is_root());
            assert_eq!(buffer.as_ptr() as usize % 4_096, 0);
            buffer.copy_from_slice(&pattern(16_384));
            let (count, buffer) = file.write_all_at(buffer, 0).await.unwrap();
            assert_eq!(count, 16_384);
            let (_, half) = direct.write_all_at(buffer.slice(4_096..8_192), 16_384).await.unwrap();
            let mut expected = pattern(16_384);
            expected.extend_from_within(4_096..8_192);
            assert_bytes(&read_file(&path), &expected);
            let mut buffer = half.into_inner();
            buffer.fill(0);
            let (count, window) = file.read_at(buffer.slice(8_192..), 12_288).await.unwrap();
            assert_eq!(count, 8_192);
            assert_bytes(&window, &expected[12_288..]);
            let (count, buffer) = direct.read_at(window.into_inner(), 4_096).await.unwrap();
            assert_eq!(count, 16_384);
            assert_bytes(&buffer, &expected[4_096..]);
        }
    });
}

fn a_registered_buffer_is_sent_without_a_copy<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, peer) = half_pair();
        let receiving = thread(move || read_to_end(peer));
        let mut buffer = RegisteredBuf::new(1 << 20);
        buffer.copy_from_slice(&pattern(1 << 20));
        let (_, buffer) = ours.write_all_zerocopy(buffer).await.unwrap();
        let (_, window) = ours.write_all_zerocopy(buffer.slice(5..1_000)).await.unwrap();
        ours.write_all(window).await.unwrap();
        drop(ours);
        let mut expected = pattern(1 << 20);
        expected.extend_from_within(5..1_000);
        expected.extend_from_within(5..1_000);
        assert_bytes(&receiving.ended().await, &expected);
    });
}

fn a_read_that_was_given_up_keeps_its_registered_buffer<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let folder = TempDir::new();
        let path = folder.file("file", &pattern(1 << 20));
        let file = File::open(&path).await.unwrap();
        for _ in 0..20 {
            let mut read = file.read_at(RegisteredBuf::new(1 << 20), 0);
            assert!(poll_once(&mut read).await.is_pending());
            drop(read);
            reaped(runtime).await;
        }
        file.quiesce().await.unwrap();
        let (_, buffer) = file.read_exact_at(RegisteredBuf::new(1 << 20), 0).await.unwrap();
        assert_bytes(&buffer, &pattern(1 << 20));
    });
}

fn a_buffer_is_registered_with_its_own_runtime_alone<R: Runtime>() {
    let folder = TempDir::new();
    let path = folder.file("file", &pattern(8_192));
    let (one, other) = (R::new().unwrap(), R::new().unwrap());
    let buffer = one.block_on(async { RegisteredBuf::new(8_192) });
    let read = async |buffer: RegisteredBuf| {
        let file = File::open(&path).await.unwrap();
        let (_, mut buffer) = file.read_exact_at(buffer, 0).await.unwrap();
        assert_bytes(&buffer, &pattern(8_192));
        buffer.fill(0);
        buffer
    };
    let buffer = other.block_on(read(buffer));
    let buffer = one.block_on(read(buffer));
    end(one);
    assert!(!buffer.is_registered());
    let buffer = other.block_on(read(buffer));
    end(other);
    drop(buffer);
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn more_buffers_than_places_are_ordinary_ones<R: Runtime>() {
    run::<R>(async {
        let mut buffers: Vec<_> = (0..1_030).map(|_| RegisteredBuf::new(10)).collect();
        let registered = buffers.iter().filter(|buffer| buffer.is_registered()).count();
        if !is_root() && registered < 1_024 {
            return; // so much memory may be locked, and others of this user have some of it
        }
        assert!(matches!(registered, 0 | 1_024), "{registered}");
        buffers.truncate(1_000);
        if is_root() {
            assert_eq!(RegisteredBuf::new(10).is_registered(), registered > 0);
        } // others of this user may have locked meanwhile what these gave up
        assert!(!RegisteredBuf::new(0).is_registered());
        // Places are used again: their number is no limit to how many there were.
        drop(buffers);
        for _ in 0..2_000 {
            let again = RegisteredBuf::new(5_000).is_registered();
            assert!(again == (registered > 0) || !is_root());
        }
    });
}

fn without_memory_to_lock_buffers_are_ordinary_ones<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_MEMLOCK, 512 << 10).nobody().run(|| {
        if !has_user_of_its_own() {
            return; // others of this user may have locked as much already
        }
        let folder = TempDir::new();
        let path = folder.file("file", b"");
        run::<R>(async {
            let buffer = RegisteredBuf::new(4 << 20);
            assert!(!buffer.is_registered());
            let file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
            let (_, buffer) = file.write_all_at(buffer, 0).await.unwrap();
            assert_eq!(file.read_at(buffer, 0).await.unwrap().0, 4 << 20);
        });
    });
}
