//! Buffers: each type on a real socket, as source and as target, and back from every end.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;

use proactor::Runtime;
use proactor::buf::{BufError, IoBuf, IoBufMut, Slice};

use crate::kit::*;

tests! {
    a_vec_is_a_source,
    an_array_is_a_source,
    a_box_is_a_source,
    a_string_is_a_source,
    a_static_text_is_a_source,
    static_bytes_are_a_source,
    an_rc_is_a_source_and_stays_shared,
    an_arc_is_a_source_and_stays_shared,
    a_window_is_a_source,
    a_window_of_a_window_is_a_source,
    a_vec_is_a_target,
    an_array_is_a_target,
    a_box_is_a_target,
    a_window_in_the_middle_of_a_vec_is_a_target,
    a_window_with_an_open_end_grows_its_vec,
    a_window_of_a_window_is_a_target,
    an_empty_window_takes_nothing,
    a_vec_with_content_is_overwritten_from_the_start,
    a_buffer_comes_back_from_success_where_it_was,
    a_buffer_comes_back_from_an_error_where_it_was,
    windows_come_back_from_an_error,
    the_parts_of_an_error,
    an_error_turns_into_an_io_error,
    a_user_defined_buffer_is_used_in_place,
    windows_go_into_vectored_calls,
}

/// What a peer gets from this source, by `write`, `write_all` and `write_vectored`, all of which give it back.
async fn sends<B: IoBuf + Clone + Debug + PartialEq>(source: B, bytes: &[u8]) {
    let (stream, mut peer) = half_pair();
    let mut got = vec![0; bytes.len()];
    let (count, back) = stream.write(source.clone()).await.unwrap();
    assert_eq!((count, &back), (bytes.len(), &source));
    peer.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
    let (count, back) = stream.write_all(back).await.unwrap();
    assert_eq!((count, &back), (bytes.len(), &source));
    peer.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
    let (count, back) = stream.write_vectored([back]).await.unwrap();
    assert_eq!((count, &back[0]), (bytes.len(), &source));
    drop(stream);
    assert_eq!(read_to_end(peer), bytes);
}

/// The same for a window, which can't be compared as a whole.
async fn sends_window<B: IoBuf>(source: Slice<B>, bytes: &[u8]) -> Slice<B> {
    let (stream, peer) = half_pair();
    let (count, back) = stream.write_all(source).await.unwrap();
    assert_eq!(count, bytes.len());
    drop(stream);
    assert_eq!(read_to_end(peer), bytes);
    back
}

/// The target after `bytes` have come, and the number of those that were read.
async fn receives<B: IoBufMut>(target: B, bytes: &[u8]) -> (usize, B) {
    let (stream, mut peer) = half_pair();
    peer.write_all(bytes).unwrap();
    stream.read(target).await.unwrap()
}

fn a_vec_is_a_source<R: Runtime>() {
    run::<R>(async {
        let mut source = Vec::with_capacity(100);
        source.extend(b"vec"); // the room behind it is not sent
        sends(source, b"vec").await;
    });
}

fn an_array_is_a_source<R: Runtime>() {
    run::<R>(sends(*b"array", b"array"));
}

fn a_box_is_a_source<R: Runtime>() {
    run::<R>(sends(Box::<[u8]>::from(*b"box"), b"box"));
}

fn a_string_is_a_source<R: Runtime>() {
    run::<R>(sends(String::from("strïng"), "strïng".as_bytes()));
}

fn a_static_text_is_a_source<R: Runtime>() {
    run::<R>(sends("text", b"text"));
}

fn static_bytes_are_a_source<R: Runtime>() {
    run::<R>(sends(&b"static"[..], b"static"));
}

fn an_rc_is_a_source_and_stays_shared<R: Runtime>() {
    run::<R>(async {
        let source = Rc::<[u8]>::from(*b"rc");
        sends(source.clone(), b"rc").await;
        assert_eq!(Rc::strong_count(&source), 1, "no share was left behind");
    });
}

fn an_arc_is_a_source_and_stays_shared<R: Runtime>() {
    run::<R>(async {
        let source = Arc::<[u8]>::from(*b"arc");
        sends(source.clone(), b"arc").await;
        assert_eq!(Arc::strong_count(&source), 1, "no share was left behind");
    });
}

fn a_window_is_a_source<R: Runtime>() {
    run::<R>(async {
        let back = sends_window(b"0123456789".to_vec().slice(3..7), b"3456").await;
        assert_eq!((back.begin(), back.end()), (3, 7));
        assert_eq!(back.into_inner(), b"0123456789");
        sends_window("text".slice(2..), b"xt").await;
        sends_window(b"array".to_owned().slice(..=1), b"ar").await;
    });
}

fn a_window_of_a_window_is_a_source<R: Runtime>() {
    run::<R>(async {
        let back = sends_window(b"0123456789".to_vec().slice(2..9).slice(1..4), b"345").await;
        assert_eq!(back.into_inner().into_inner(), b"0123456789");
    });
}

fn a_vec_is_a_target<R: Runtime>() {
    run::<R>(async {
        let (count, buffer) = receives(Vec::with_capacity(64), b"bytes").await;
        assert_eq!((count, &buffer[..]), (5, &b"bytes"[..]));
    });
}

fn an_array_is_a_target<R: Runtime>() {
    run::<R>(async {
        assert_eq!(receives([b'.'; 4], b"ab").await, (2, *b"ab.."));
        assert_eq!(receives([b'.'; 4], b"abcdef").await, (4, *b"abcd"));
    });
}

fn a_box_is_a_target<R: Runtime>() {
    run::<R>(async {
        let (count, buffer) = receives(vec![b'.'; 4].into_boxed_slice(), b"ab").await;
        assert_eq!((count, &buffer[..]), (2, &b"ab.."[..]));
    });
}

fn a_window_in_the_middle_of_a_vec_is_a_target<R: Runtime>() {
    run::<R>(async {
        let (count, window) = receives(b"0123456789".to_vec().slice(3..7), b"abcdefgh").await;
        assert_eq!((count, &window[..]), (4, &b"abcd"[..]));
        let buffer = window.into_inner();
        assert_eq!(buffer[..7], b"012abcd"[..], "what lies in front stays");
        // SAFETY: these bytes were there before, and nothing may have been written over them.
        let behind = unsafe { std::slice::from_raw_parts(buffer.as_ptr().add(7), 3) };
        assert_eq!(behind, b"789", "what lies behind stays");
    });
}

fn a_window_with_an_open_end_grows_its_vec<R: Runtime>() {
    run::<R>(async {
        let mut buffer = Vec::with_capacity(64);
        buffer.extend(b"head");
        let (count, window) = receives(buffer.slice(4..), b" and tail").await;
        assert_eq!((count, &window[..]), (9, &b" and tail"[..]));
        assert_eq!(window.into_inner(), b"head and tail");
    });
}

fn a_window_of_a_window_is_a_target<R: Runtime>() {
    run::<R>(async {
        let (count, window) = receives([b'.'; 10].slice(2..9).slice(1..4), b"abcdef").await;
        assert_eq!((count, &window[..]), (3, &b"abc"[..]));
        assert_eq!(window.into_inner().into_inner(), *b"...abc....");
    });
}

fn an_empty_window_takes_nothing<R: Runtime>() {
    run::<R>(async {
        let (count, window) = receives([b'.'; 4].slice(2..2), b"abc").await;
        assert_eq!((count, window.into_inner()), (0, [b'.'; 4]));
    });
}

fn a_vec_with_content_is_overwritten_from_the_start<R: Runtime>() {
    run::<R>(async {
        let (count, buffer) = receives(b"long old content".to_vec(), b"new").await;
        assert_eq!((count, &buffer[..]), (3, &b"new"[..]));
    });
}

fn a_buffer_comes_back_from_success_where_it_was<R: Runtime>() {
    run::<R>(async {
        let buffer = Vec::with_capacity(64);
        let address = buffer.as_ptr();
        let (_, buffer) = receives(buffer, b"bytes").await;
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (address, 64));
        let (stream, _peer) = half_pair();
        let (_, buffer) = stream.write_all(buffer).await.unwrap();
        assert_eq!((buffer.as_ptr(), &buffer[..]), (address, &b"bytes"[..]));
    });
}

fn a_buffer_comes_back_from_an_error_where_it_was<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        stream.shutdown(std::net::Shutdown::Both).await.unwrap();
        let buffer = b"unsent".to_vec();
        let (address, capacity) = (buffer.as_ptr(), buffer.capacity());
        let failed = stream.write(buffer).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::BrokenPipe);
        let failed = stream.write_all(failed.into_buf()).await.unwrap_err();
        let failed = stream.write_all_vectored([failed.into_buf()]).await.unwrap_err();
        let [buffer] = failed.into_buf();
        assert_eq!((buffer.as_ptr(), buffer.capacity(), &buffer[..]), (address, capacity, &b"unsent"[..]));
        let failed = stream.read_exact(buffer).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::UnexpectedEof);
        let buffer = failed.into_buf();
        assert_eq!(buffer.as_ptr(), address);
    });
}

fn windows_come_back_from_an_error<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        let mut read = stream.read(b"0123456789".to_vec().slice(3..7));
        assert!(poll_once(&mut read).await.is_pending());
        turns(2).await;
        let window = read.cancel().await.unwrap_err().into_buf();
        assert_eq!((window.begin(), window.end(), window.into_inner()), (3, 7, b"0123456789".to_vec()));
    });
}

fn the_parts_of_an_error<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        drop(peer);
        let failed = stream.read_exact([7; 3]).await.unwrap_err();
        assert_eq!(failed.kind(), failed.error().kind());
        assert!(failed.to_string().contains("ended before the buffer was full"), "{failed}");
        assert!(format!("{failed:?}").contains("UnexpectedEof"));
        let (error, buffer) = failed.into_parts();
        assert_eq!((error.kind(), buffer), (ErrorKind::UnexpectedEof, [7; 3]));
        let failed = BufError::new(error, buffer);
        assert_eq!((failed.kind(), failed.into_buf()), (ErrorKind::UnexpectedEof, [7; 3]));
    });
}

fn an_error_turns_into_an_io_error<R: Runtime>() {
    async fn header(stream: &proactor::net::TcpStream) -> io::Result<[u8; 8]> {
        let (_, header) = stream.read_exact([0; 8]).await?;
        Ok(header)
    }
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"complete, cut").unwrap();
        drop(peer);
        assert_eq!(header(&stream).await.unwrap(), *b"complete");
        assert_eq!(header(&stream).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let error = io::Error::from(stream.read([0; 8]).cancel().await.unwrap_err());
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    });
}

fn a_user_defined_buffer_is_used_in_place<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"into pages").unwrap();
        let buffer = Tombstone::new(1);
        let address = buffer.read_ptr();
        let (count, buffer) = stream.read(buffer).await.unwrap();
        assert_eq!((count, &buffer[..], buffer.read_ptr()), (10, &b"into pages"[..], address));
        let (_, buffer) = stream.write_all(buffer).await.unwrap();
        drop((stream, buffer));
        assert_eq!(read_to_end(peer), b"into pages");
    });
}

fn windows_go_into_vectored_calls<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        stream.write_all_vectored(["<ab>".slice(1..3), "<cd>".slice(1..3)]).await.unwrap();
        let mut got = [0; 4];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(got, *b"abcd");
        peer.write_all(b"12345").unwrap();
        let (count, windows) =
            stream.read_vectored([[b'.'; 4].slice(1..3), [b'.'; 4].slice(..3)]).await.unwrap();
        assert_eq!((count, windows.map(Slice::into_inner)), (5, [*b".12.", *b"345."]));
    });
}
