//! Futures dropped, forgotten and moved at any time; ends in the middle of things.

use std::cell::RefCell;
use std::future::pending;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proactor::fs::File;
use proactor::time::timeout;
use proactor::{Runtime, spawn};

use crate::kit::*;

tests! {
    a_dropped_read_loses_no_bytes,
    a_dropped_write_keeps_its_buffer_alive,
    a_dropped_file_read_keeps_its_buffer_alive,
    a_panic_in_a_closure_keeps_nothing_behind_it,
    a_task_whose_read_was_moved_away_ends,
}

fn a_dropped_read_loses_no_bytes<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        for number in 0..60_u8 {
            let mut read = stream.read(Tombstone::new(1));
            assert!(poll_once(&mut read).await.is_pending());
            let message = [number; 3];
            match number % 4 {
                0 => drop(read),
                1 => {
                    turns(2).await;
                    drop(read);
                }
                2 => {
                    turns(2).await;
                    drop(read);
                    turns(2).await;
                }
                _ => {
                    // The bytes are there before the drop.
                    turns(2).await;
                    peer.write_all(&message).unwrap();
                    drop(read);
                }
            }
            if number % 4 != 3 {
                peer.write_all(&message).unwrap();
            }
            assert_eq!(stream.read_exact([0; 3]).await.unwrap().1, message);
        }
    });
}

fn a_dropped_write_keeps_its_buffer_alive<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, peer) = half_pair();
        let content = pattern(16 << 20);
        let pages = content.len() / Tombstone::PAGE;
        let mut write = stream.write_all(Tombstone::filled(pages, &content));
        assert!(poll_once(&mut write).await.is_pending());
        turns(2).await;
        drop(write);
        // The peer drains the socket while the operation may still be with the kernel.
        let received = thread(move || read_to_end(peer));
        until(|| runtime.report().live.ops == 0).await;
        drop(stream);
        let received = received.ended().await;
        assert_bytes(&received, &content[..received.len()]);
    });
    end(runtime);
}

fn a_dropped_file_read_keeps_its_buffer_alive<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let folder = TempDir::new();
        let content = pattern(64 * Tombstone::PAGE);
        let file = File::open(folder.file("file", &content)).await.unwrap();
        for number in 0..50 {
            let mut read = file.read_at(Tombstone::new(64), 0);
            assert!(poll_once(&mut read).await.is_pending());
            if number % 2 == 1 {
                turns(1).await;
            }
            drop(read);
        }
        until(|| runtime.report().live.ops == 0).await;
        assert_bytes(&file.read_at(Tombstone::new(64), 0).await.unwrap().1, &content);
    });
    end(runtime);
}

fn a_panic_in_a_closure_keeps_nothing_behind_it<R: Runtime>() {
    let runtime = R::new().unwrap();
    let signal = Signal::default();
    let task = runtime.spawn(signal.clone());
    runtime.block_on(turns(1));
    let ran = Arc::new(AtomicBool::new(false));
    let (handle, runs) = (runtime.handle(), ran.clone());
    thread(move || {
        handle.call_soon(|| panic!("expected: the closure")).unwrap();
        handle.call_soon(move || runs.store(true, Ordering::SeqCst)).unwrap();
        signal.set();
    })
    .join();
    assert_eq!(panic_of(|| runtime.block_on(pending::<()>())), "expected: the closure");
    runtime.block_on(task).unwrap();
    assert!(ran.load(Ordering::SeqCst));
    end(runtime);
}

fn a_task_whose_read_was_moved_away_ends<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        let place = Rc::new(RefCell::new(None));
        let puts = place.clone();
        let first = spawn(async move {
            let mut read = stream.read(vec![0; 3]);
            assert!(poll_once(&mut read).await.is_pending());
            *puts.borrow_mut() = Some((read, stream));
            pending::<()>().await;
        });
        turns(2).await;
        let (read, stream) = place.borrow_mut().take().unwrap();
        let second = spawn(async move { (read.await.unwrap().1, stream) });
        turns(2).await;
        let ended = timeout(Duration::from_secs(30), first.cancel()).await;
        assert!(ended.expect("it waits for nobody else's operation").unwrap_err().is_cancelled());
        peer.write_all(b"abc").unwrap();
        assert_eq!(second.await.unwrap().0, b"abc");
    });
}
