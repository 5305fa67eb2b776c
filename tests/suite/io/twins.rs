//! Programs that are written once, for ordinary descriptors and for direct ones.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;

use proactor::fs::{AnyFile, File, OpenOptions};
use proactor::net::{AnyTcpListener, AnyTcpStream, TcpListener, TcpStream};
use proactor::{Feature, Runtime, fs, net};

use crate::kit::*;

tests! {
    t253_a_program_runs_on_both_kinds_of_stream,
    t310_a_server_runs_on_both_kinds_of_listener,
    t254_a_program_runs_on_both_kinds_of_file,
    t254_options_open_direct_files_as_they_open_others,
}

fn on_machines<R: Runtime>(test: impl AsyncFn(&R)) {
    with_masks(&[&[], &[Feature::DirectDescriptors]], test);
}

async fn use_stream<S: AnyTcpStream>() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = S::connect(listener.local_addr().unwrap()).await.unwrap();
    let (peer, address) = listener.accept().await.unwrap();
    assert_eq!(stream.local_addr().await.unwrap(), address);
    assert_eq!(stream.peer_addr().await.unwrap(), listener.local_addr().unwrap());
    stream.set_nodelay(true).await.unwrap();
    assert_eq!(stream.write("a").await.unwrap().0, 1);
    stream.write_all("bc").await.unwrap();
    stream.write_all_vectored(vec!["d", "e"]).await.unwrap();
    assert_eq!(stream.write_vectored(vec!["f"]).await.unwrap().0, 1);
    stream.write_all_zerocopy("g").await.unwrap();
    assert_eq!(stream.write_zerocopy("h").await.unwrap().0, 1);
    stream.write_all_vectored_zerocopy(vec!["i"]).await.unwrap();
    assert_eq!(poll_fn(|cx| stream.poll_write(cx, b"j")).await.unwrap(), 1);
    poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
    assert_eq!(stream.bytes_sent(), 10);
    poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
    let (_, received) = peer.read_exact(vec![0; 10]).await.unwrap();
    assert_eq!(received, b"abcdefghij");
    assert_eq!(peer.recv().await.unwrap(), None);
    peer.write_all("0123456789").await.unwrap();
    assert_eq!(stream.read_exact([0; 2]).await.unwrap().1, *b"01");
    assert_eq!(stream.read([0; 2]).await.unwrap(), (2, *b"23"));
    let (count, filled) =
        stream.read_vectored(vec![Vec::with_capacity(1), Vec::with_capacity(1)]).await.unwrap();
    assert_eq!((count, filled), (2, vec![b"4".to_vec(), b"5".to_vec()]));
    assert_eq!(stream.recv().await.unwrap().unwrap(), *b"6789");
    peer.write_all("end").await.unwrap();
    assert_eq!(poll_fn(|cx| stream.poll_recv(cx)).await.unwrap().unwrap(), *b"end");
    peer.shutdown(Shutdown::Write).await.unwrap();
    assert!(poll_fn(|cx| stream.poll_recv(cx)).await.unwrap().is_none());
    stream.quiesce().await.unwrap();
    // Both directions have ended: that is an error here, and none for an adapter.
    assert_eq!(stream.shutdown(Shutdown::Write).await.unwrap_err().kind(), ErrorKind::NotConnected);
    poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
    stream.close().await.unwrap();
}

fn t253_a_program_runs_on_both_kinds_of_stream<R: Runtime>() {
    on_machines(async |_: &R| {
        use_stream::<TcpStream>().await;
        use_stream::<net::direct::TcpStream>().await;
    });
}

async fn use_listener<L: AnyTcpListener>(listener: L) {
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let stream = listener.accept().await.unwrap();
    assert_eq!(stream.local_addr().await.unwrap(), address);
    assert_eq!(stream.peer_addr().await.unwrap(), client.local_addr().unwrap());
    stream.write_all("first").await.unwrap();
    assert_eq!(client.read_exact([0; 5]).await.unwrap().1, *b"first");
    let mut polled = poll_fn(|cx| listener.poll_accept(cx));
    assert!(poll_once(&mut polled).await.is_pending());
    let client = TcpStream::connect(address).await.unwrap();
    let stream = polled.await.unwrap();
    client.write_all("second").await.unwrap();
    assert_eq!(stream.read_exact([0; 6]).await.unwrap().1, *b"second");
    listener.close().await.unwrap();
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

fn t310_a_server_runs_on_both_kinds_of_listener<R: Runtime>() {
    async fn of<L: AnyTcpListener>(places: usize, runtime: &impl Runtime) {
        use_listener(L::bind("127.0.0.1:0").await.unwrap()).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        use_listener(L::from_std(listener).unwrap()).await;

        let listener = L::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let _stream = listener.accept().await.unwrap();
        assert_eq!(runtime.report().live.direct, places, "the kind of stream");
    }
    on_machines(async |runtime: &R| {
        of::<TcpListener>(0, runtime).await;
        let places = usize::from(uses(runtime, Feature::DirectDescriptors));
        of::<net::direct::TcpListener>(places, runtime).await;
    });
}

async fn use_file<F: AnyFile>() {
    let folder = TempDir::new();
    let path = folder.path("file");
    let mut options = OpenOptions::new();
    let file = F::open_with(options.read(true).write(true).create_new(true), &path).await.unwrap();
    assert_eq!(file.write_at("ab", 0).await.unwrap().0, 2);
    file.write_all_at("cd", 2).await.unwrap();
    assert_eq!(file.write_vectored_at(vec!["e", "f"], 4).await.unwrap().0, 2);
    file.sync_data().await.unwrap();
    file.sync_all().await.unwrap();
    assert_eq!(file.metadata().await.unwrap().len(), 6);
    file.set_len(5).await.unwrap();
    assert_eq!(file.read_exact_at([0; 5], 0).await.unwrap().1, *b"abcde");
    assert_eq!(file.read_at([0; 9], 3).await.unwrap().0, 2);
    let (count, filled) =
        file.read_vectored_at(vec![Vec::with_capacity(1), Vec::with_capacity(1)], 1).await.unwrap();
    assert_eq!((count, filled), (2, vec![b"b".to_vec(), b"c".to_vec()]));
    file.quiesce().await.unwrap();
    file.close().await.unwrap();
    assert!(F::open_with(options.create_new(true), &path).await.is_err(), "there is one");
}

fn t254_a_program_runs_on_both_kinds_of_file<R: Runtime>() {
    on_machines(async |_: &R| {
        use_file::<File>().await;
        use_file::<fs::direct::File>().await;
    });
}

fn t254_options_open_direct_files_as_they_open_others<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let folder = TempDir::new();
        let path = folder.path("file");
        let file = OpenOptions::new().append(true).create(true).open_direct(&path).await.unwrap();
        let places = usize::from(uses(runtime, Feature::DirectDescriptors));
        assert_eq!(runtime.report().live.direct, places);
        file.write_all_at("ab", 0).await.unwrap();
        file.write_all_at("cd", 0).await.unwrap();
        assert_eq!(read_file(&path), b"abcd");
        file.close().await.unwrap();
        let error = OpenOptions::new().open_direct(&path).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let error = OpenOptions::new().write(true).create_new(true).open_direct(&path).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    });
}
