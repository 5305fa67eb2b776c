//! Files: as the standard library's, without a position of their own.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;

use proactor::fs::{self, File, OpenOptions};
use proactor::{Config, Feature, Runtime};

use crate::kit::*;

tests! {
    contradictory_options_are_refused,
    a_file_that_is_not_there_is_not_found,
    create_keeps_what_is_there,
    create_new_refuses_what_is_there,
    append_writes_at_the_end,
    truncate_empties,
    a_new_file_gets_its_mode,
    a_file_for_reading_refuses_writes,
    a_path_with_a_zero_byte_is_refused,
    reads_at_positions_give_the_file_s_bytes,
    writes_at_positions_change_only_these_bytes,
    read_exact_fills_or_fails_with_unexpected_eof,
    vectored_reads_fill_one_buffer_after_the_other,
    vectored_writes_go_one_behind_the_other,
    many_reads_of_one_file_are_in_flight_at_once,
    a_hole_reads_as_zeros,
    set_len_cuts_and_extends,
    sync_answers,
    metadata_is_that_of_the_standard_library,
    metadata_follows_links,
    five_mebibytes_go_in_one_call,
    fifteen_hundred_buffers_go_in_one_call,
    a_read_past_the_end_is_empty,
    positions_beyond_the_largest_are_refused,
    the_file_s_own_position_never_moves,
    direct_io_works_with_aligned_buffers,
    a_full_device_is_an_error,
    a_folder_is_no_file,
    whole_files_are_read_and_written,
    a_file_of_unknown_length_is_read_to_its_end,
    close_closes,
    close_is_refused_while_a_future_is_there,
    a_dropped_file_is_closed,
    a_file_of_the_standard_library_is_taken_over,
    a_buffer_comes_back_with_an_error,
    set_len_without_the_kernel_s_help_leaves_reads_cancellable,
}

fn contradictory_options_are_refused<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let refused = async |options: &mut OpenOptions| {
            assert_eq!(options.open(&path).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{options:?}");
        };
        refused(&mut OpenOptions::new()).await;
        refused(OpenOptions::new().create(true)).await;
        refused(OpenOptions::new().read(true).truncate(true)).await;
        refused(OpenOptions::new().read(true).create(true)).await;
        refused(OpenOptions::new().read(true).create_new(true)).await;
        refused(OpenOptions::new().append(true).truncate(true)).await;
        assert_eq!(read_file(&path), b"content");
    });
}

fn a_file_that_is_not_there_is_not_found<R: Runtime>() {
    run::<R>(async {
        let path = TempDir::new().path("nothing");
        assert_eq!(File::open(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
        let error = OpenOptions::new().write(true).open(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(File::create(&path).await.unwrap_err().kind(), ErrorKind::NotFound, "its folder is gone");
        assert_eq!(fs::read(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::metadata(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

fn create_keeps_what_is_there<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("file");
        for _ in 0..2 {
            let file = OpenOptions::new().write(true).create(true).open(&path).await.unwrap();
            file.write_all_at("ab", 3).await.unwrap();
        }
        let file = OpenOptions::new().write(true).create(true).open(&path).await.unwrap();
        file.write_all_at("x", 0).await.unwrap();
        assert_eq!(read_file(&path), b"x\0\0ab");
    });
}

fn create_new_refuses_what_is_there<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("file");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        options.open(&path).await.unwrap().write_all_at("first", 0).await.unwrap();
        assert_eq!(options.open(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(read_file(&path), b"first");
    });
}

fn append_writes_at_the_end<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"begin");
        let file = OpenOptions::new().append(true).open(&path).await.unwrap();
        file.write_all_at(" middle", 0).await.unwrap();
        file.write_all_at(" end", 2).await.unwrap();
        assert_eq!(read_file(&path), b"begin middle end");
    });
}

fn truncate_empties<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let file = OpenOptions::new().write(true).truncate(true).open(&path).await.unwrap();
        assert_eq!(read_file(&path), b"");
        file.write_all_at("new", 0).await.unwrap();
        drop(File::create(&path).await.unwrap());
        assert_eq!(read_file(&path), b"");
    });
}

fn a_new_file_gets_its_mode<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("file");
        OpenOptions::new().write(true).create(true).mode(0o600).open(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

fn a_file_for_reading_refuses_writes<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let file = File::open(&path).await.unwrap();
        let error = file.write_at("x", 0).await.unwrap_err();
        assert_eq!(error.error().raw_os_error(), Some(libc::EBADF));
        assert_eq!(read_file(&path), b"content");
    });
}

fn a_path_with_a_zero_byte_is_refused<R: Runtime>() {
    run::<R>(async {
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/tmp\0/file"));
        assert_eq!(File::open(path).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(fs::metadata(path).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(fs::read(path).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let error = fs::write(path, "text").await.unwrap_err();
        assert_eq!((error.kind(), error.into_buf()), (ErrorKind::InvalidInput, "text"));
    });
}

fn reads_at_positions_give_the_file_s_bytes<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let content = pattern(100_000);
        let file = File::open(folder.file("file", &content)).await.unwrap();
        for (start, len) in [(0, 1), (1, 4_095), (4_097, 8_192), (99_990, 100), (0, 100_000), (50_000, 0)] {
            let (count, read) = file.read_at(Vec::with_capacity(len), start as u64).await.unwrap();
            let end = (start + read.capacity()).min(content.len());
            assert_eq!(count, end - start);
            assert_bytes(&read, &content[start..end]);
        }
    });
}

fn writes_at_positions_change_only_these_bytes<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let mut content = pattern(10_000);
        let path = folder.file("file", &content);
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        for (number, start) in [(1_u8, 0_usize), (2, 5_000), (3, 9_999), (4, 4_990)] {
            let (count, buffer) = file.write_at(vec![number; 20], start as u64).await.unwrap();
            assert_eq!((count, buffer.len()), (20, 20));
            content.resize(content.len().max(start + 20), 0);
            content[start..start + 20].fill(number);
        }
        assert_bytes(&read_file(&path), &content);
    });
}

fn read_exact_fills_or_fails_with_unexpected_eof<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let file = File::open(folder.file("file", b"0123456789")).await.unwrap();
        assert_eq!(file.read_exact_at([0; 4], 6).await.unwrap(), (4, *b"6789"));
        let error = file.read_exact_at(vec![0; 5], 6).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(error.into_buf(), b"6789", "what had been read is in the buffer");
    });
}

fn vectored_reads_fill_one_buffer_after_the_other<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let file = File::open(folder.file("file", b"0123456789")).await.unwrap();
        let (count, bufs) = file.read_vectored_at([vec![0; 2], vec![], vec![0; 3]], 1).await.unwrap();
        assert_eq!((count, bufs), (5, [b"12".to_vec(), vec![], b"345".to_vec()]));
        let (count, bufs) = file.read_vectored_at(vec![[9; 3], [9; 3]], 6).await.unwrap();
        assert_eq!((count, bufs), (4, vec![*b"678", [b'9', 9, 9]]));
    });
}

fn vectored_writes_go_one_behind_the_other<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"0123456789");
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        assert_eq!(file.write_vectored_at(vec!["ab", "", "c"], 8).await.unwrap().0, 3);
        assert_eq!(read_file(&path), b"01234567abc");
    });
}

fn many_reads_of_one_file_are_in_flight_at_once<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let content = pattern(32 * 1_000);
        let file = Rc::new(File::open(folder.file("file", &content)).await.unwrap());
        let reads = (0..32_u64).map(|number| {
            let file = file.clone();
            async move { file.read_exact_at(vec![0; 1_000], number * 1_000).await.unwrap().1 }
        });
        assert_bytes(&join_all(reads).await.concat(), &content);
    });
}

fn a_hole_reads_as_zeros<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("file");
        let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await.unwrap();
        let far = 5_000_000_000;
        file.write_all_at("end", far).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), far + 3);
        assert_eq!(file.read_exact_at([1; 100], far - 100).await.unwrap().1, [0; 100]);
        assert_eq!(&file.read_exact_at([0; 3], far).await.unwrap().1, b"end");
    });
}

fn set_len_cuts_and_extends<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        file.set_len(3).await.unwrap();
        assert_eq!(read_file(&path), b"con");
        file.set_len(5).await.unwrap();
        assert_eq!(read_file(&path), b"con\0\0");
        file.set_len(0).await.unwrap();
        assert_eq!(read_file(&path), b"");
        assert_eq!(file.set_len(u64::MAX).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let reading = File::open(&path).await.unwrap();
        assert_eq!(reading.set_len(1).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

fn sync_answers<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let file = File::create(folder.path("file")).await.unwrap();
        file.write_all_at("text", 0).await.unwrap();
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        assert_eq!(full.sync_all().await.unwrap_err().kind(), ErrorKind::InvalidInput, "as fsync(2) has it");
        assert_eq!(full.sync_data().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

fn same(ours: &fs::Metadata, theirs: &std::fs::Metadata) {
    assert_eq!(ours.len(), theirs.len());
    assert_eq!((ours.is_file(), ours.is_dir()), (theirs.is_file(), theirs.is_dir()));
    assert_eq!((ours.mode(), ours.uid(), ours.gid()), (theirs.mode(), theirs.uid(), theirs.gid()));
    assert_eq!((ours.ino(), u64::from(ours.nlink())), (theirs.ino(), theirs.nlink()));
    assert_eq!((u64::from(ours.block_size()), ours.blocks()), (theirs.blksize(), theirs.blocks()));
    assert_eq!(ours.modified(), theirs.modified().unwrap());
    assert_eq!(ours.accessed(), theirs.accessed().unwrap());
    assert_eq!(ours.created(), theirs.created().ok());
}

fn metadata_is_that_of_the_standard_library<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", &pattern(12_345));
        std::fs::hard_link(&path, folder.path("other")).unwrap();
        let theirs = std::fs::metadata(&path).unwrap();
        same(&fs::metadata(&path).await.unwrap(), &theirs);
        same(&File::open(&path).await.unwrap().metadata().await.unwrap(), &theirs);
        let parent = path.parent().unwrap();
        same(&fs::metadata(parent).await.unwrap(), &std::fs::metadata(parent).unwrap());
    });
}

fn metadata_follows_links<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let (path, link) = (folder.file("file", b"text"), folder.path("link"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let metadata = fs::metadata(&link).await.unwrap();
        assert!(metadata.is_file() && !metadata.is_symlink());
        same(&metadata, &std::fs::metadata(&path).unwrap());
    });
}

fn five_mebibytes_go_in_one_call<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let content = pattern((5 << 20) + 77);
        let path = folder.path("file");
        let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await.unwrap();
        let (count, content) = file.write_at(content, 3).await.unwrap();
        assert_eq!(count, content.len());
        assert_bytes(&read_file(&path)[3..], &content);
        let (count, read) = file.read_at(vec![0; content.len() + 100], 3).await.unwrap();
        assert_eq!(count, content.len());
        assert_bytes(&read, &content);
    });
}

fn fifteen_hundred_buffers_go_in_one_call<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let content = pattern(1_500 * 7);
        let path = folder.path("file");
        let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await.unwrap();
        let bufs: Vec<Vec<u8>> = content.chunks(7).map(<[u8]>::to_vec).collect();
        assert_eq!(file.write_vectored_at(bufs, 0).await.unwrap().0, content.len());
        assert_bytes(&read_file(&path), &content);
        let (count, bufs) = file.read_vectored_at(vec![[0; 7]; 1_500], 0).await.unwrap();
        assert_eq!(count, content.len());
        assert_bytes(&bufs.concat(), &content);
    });
}

fn a_read_past_the_end_is_empty<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let file = File::open(folder.file("file", b"text")).await.unwrap();
        for offset in [4, 5, 1 << 40] {
            let (count, buffer) = file.read_at(vec![7; 10], offset).await.unwrap();
            assert_eq!((count, buffer.len()), (0, 0));
            assert_eq!(file.read_vectored_at([[7; 2], [7; 2]], offset).await.unwrap().0, 0);
        }
    });
}

fn positions_beyond_the_largest_are_refused<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        for offset in [1 << 63, u64::MAX - 1, u64::MAX] {
            let error = file.read_at(vec![0; 3], offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
            let error = file.read_exact_at(vec![0; 3], offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
            let error = file.read_vectored_at([[0; 3]; 2], offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
            let error = file.write_at("abc", offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
            let error = file.write_all_at("abc", offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
            let error = file.write_vectored_at(["abc", "d"], offset).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
        }
        assert_eq!((read_file(&path), file_position(&file)), (b"content".to_vec(), 0));
    });
}

fn the_file_s_own_position_never_moves<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        file.read_at(vec![0; 3], 0).await.unwrap();
        file.write_all_at("abc", 0).await.unwrap();
        file.read_vectored_at([[0; 2]; 2], 0).await.unwrap();
        file.write_vectored_at(["a", "b"], 0).await.unwrap();
        file.read_exact_at([0; 2], 1).await.unwrap();
        assert_eq!(file_position(&file), 0);
    });
}

fn direct_io_works_with_aligned_buffers<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let content = pattern(4 * Tombstone::PAGE);
        let path = folder.path("file");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).custom_flags(libc::O_DIRECT | libc::O_WRONLY);
        let file = match options.open(&path).await {
            Ok(file) => file,
            // A file system that does not know O_DIRECT.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return,
            Err(error) => panic!("{error}"),
        };
        file.write_all_at(Tombstone::filled(4, &content), 0).await.unwrap();
        assert_bytes(&read_file(&path), &content);
        let (_, read) = file.read_exact_at(Tombstone::new(2), Tombstone::PAGE as u64).await.unwrap();
        assert_bytes(&read, &content[Tombstone::PAGE..3 * Tombstone::PAGE]);
    });
}

fn a_full_device_is_an_error<R: Runtime>() {
    run::<R>(async {
        let file = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        let error = file.write_at("text", 0).await.unwrap_err();
        assert_eq!((error.kind(), error.into_buf()), (ErrorKind::StorageFull, "text"));
        let error = file.write_all_at(vec![1; 3 << 20], 0).await.unwrap_err();
        assert_eq!((error.kind(), error.into_buf().len()), (ErrorKind::StorageFull, 3 << 20));
        assert_eq!(fs::write("/dev/full", "text").await.unwrap_err().kind(), ErrorKind::StorageFull);
    });
}

fn a_folder_is_no_file<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("");
        let error = OpenOptions::new().write(true).open(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let opened = File::open(&path).await.unwrap();
        assert!(opened.metadata().await.unwrap().is_dir());
        assert_eq!(opened.read_at(vec![0; 3], 0).await.unwrap_err().kind(), ErrorKind::IsADirectory);
        let error = File::open(folder.file("file", b"").join("below")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    });
}

fn whole_files_are_read_and_written<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let path = folder.path("file");
        for len in [3_000_001, 0, 1, 4_095, 4_096, 4_097] {
            let (count, content) = fs::write(&path, pattern(len)).await.unwrap();
            assert_eq!(count, len);
            assert_bytes(&read_file(&path), &content);
            assert_bytes(&fs::read(&path).await.unwrap(), &content);
        }
    });
}

fn a_file_of_unknown_length_is_read_to_its_end<R: Runtime>() {
    run::<R>(async {
        // The kernel says that it has zero bytes.
        let path = "/proc/self/limits";
        assert_eq!(fs::metadata(path).await.unwrap().len(), 0);
        assert_eq!(fs::read(path).await.unwrap(), std::fs::read(path).unwrap());
    });
}

fn close_closes<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let before = descriptors();
            let file = File::open("/dev/null").await.unwrap();
            assert_eq!(descriptors().len(), before.len() + 1);
            file.close().await.unwrap();
            assert_eq!(descriptors(), before);
        });
    });
}

fn close_is_refused_while_a_future_is_there<R: Runtime>() {
    run::<R>(async {
        let file = File::open("/dev/zero").await.unwrap();
        let mut read = file.read_at(vec![1; 3], 0);
        assert!(poll_once(&mut read).await.is_pending());
        assert_eq!(file.close().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!(read.await.unwrap().1, [0; 3], "the future keeps it open");
    });
}

fn a_dropped_file_is_closed<R: Runtime>() {
    alone(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let before = descriptors();
            let file = File::open("/dev/zero").await.unwrap();
            let mut read = file.read_at(vec![0; 3], 0);
            assert!(poll_once(&mut read).await.is_pending());
            drop((file, read));
            until(|| runtime.report().live.ops == 0).await;
            assert_eq!(descriptors(), before);
        });
        end(runtime);
    });
}

fn a_file_of_the_standard_library_is_taken_over<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let theirs = std::fs::File::open(folder.file("file", b"content")).unwrap();
        let number = theirs.as_raw_fd();
        let file = File::from_std(theirs);
        assert_eq!(file.as_raw_fd(), number);
        assert_eq!(&file.read_exact_at([0; 4], 3).await.unwrap().1, b"tent");
    });
}

fn a_buffer_comes_back_with_an_error<R: Runtime>() {
    run::<R>(async {
        let folder = TempDir::new();
        let file = File::create(folder.path("file")).await.unwrap();
        let buffer = Vec::<u8>::with_capacity(123);
        let address = buffer.as_ptr();
        let error = file.read_at(buffer, 0).await.unwrap_err();
        assert_eq!(error.error().raw_os_error(), Some(libc::EBADF), "it is open for writing only");
        let buffer = error.into_buf();
        assert_eq!(buffer.as_ptr(), address);
    });
}

fn set_len_without_the_kernel_s_help_leaves_reads_cancellable<R: Runtime>() {
    let runtime = R::with_config(&Config::new().mask(Feature::Ftruncate)).unwrap();
    runtime.block_on(async {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        file.set_len(3).await.unwrap();
        assert_eq!(read_file(&path), b"con");
        // It gets the slot that a job of the pool has had.
        let (stream, _peer) = half_pair();
        let mut read = stream.read(vec![0; 3]);
        assert!(poll_once(&mut read).await.is_pending());
        turns(1).await;
        let error = read.cancel().await.unwrap_err();
        assert_eq!(error.error().raw_os_error(), Some(libc::ECANCELED));
    });
    end(runtime);
}
