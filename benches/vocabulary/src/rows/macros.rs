//! A few futures side by side, in place: `select!` and `join!`.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;

use super::{Row, row};
use crate::loops::{Ours, Tokio, turn};
use crate::measure::here;

/// Does it so many times on a loop.
macro_rules! times {
    ($on:ty, $once:expr) => {
        |ops| {
            here::<$on>(ops, async |ops| {
                for _ in 0..ops {
                    black_box($once);
                }
            })
        }
    };
}

/// Waits for ever, or not at all; the compiler does not know which.
struct Opaque {
    ready: bool,
}

impl Future for Opaque {
    type Output = u64;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        if self.ready { Poll::Ready(1) } else { Poll::Pending }
    }
}

fn never() -> Opaque {
    Opaque { ready: black_box(false) }
}

fn now() -> Opaque {
    Opaque { ready: black_box(true) }
}

async fn later() -> u64 {
    turn().await;
    1
}

/// The futures crate wants its futures fused and pinned.
macro_rules! of_futures {
    ($macro:ident: $($name:ident = $future:expr),+) => {{
        $(let $name = $future.fuse();)+
        futures::pin_mut!($($name),+);
        futures::$macro! { $($name = $name => $name),+ }
    }};
}

macro_rules! two {
    ($lib:ident, $last:expr $(, $biased:ident;)?) => {
        $lib::select! { $($biased;)? a = never() => a, b = $last => b }
    };
}

macro_rules! eight {
    ($lib:ident, $last:expr $(, $biased:ident;)?) => {
        $lib::select! {
            $($biased;)?
            a = never() => a, b = never() => b, c = never() => c, d = never() => d,
            e = never() => e, f = never() => f, g = never() => g, h = $last => h,
        }
    };
}

macro_rules! eight_of_futures {
    ($select:ident, $last:expr) => {
        of_futures!($select: a = never(), b = never(), c = never(), d = never(),
            e = never(), f = never(), g = never(), h = $last)
    };
}

macro_rules! eight_joined {
    ($lib:ident) => {
        $lib::join!(later(), later(), later(), later(), later(), later(), later(), later())
    };
}

pub fn rows() -> Vec<Row> {
    vec![
        row!("select-2", "a select! of two, the second of which is ready";
            "proactor": times!(Ours, two!(proactor, now())),
            "proactor biased": times!(Ours, two!(proactor, now(), biased;)),
            "tokio": times!(Tokio, two!(tokio, now())),
            "tokio biased": times!(Tokio, two!(tokio, now(), biased;)),
            "futures": times!(Tokio, of_futures!(select: a = never(), b = now())),
            "futures biased": times!(Tokio, of_futures!(select_biased: a = never(), b = now())),
        ),
        row!("select-8", "a select! of eight, the last of which is ready";
            "proactor": times!(Ours, eight!(proactor, now())),
            "proactor biased": times!(Ours, eight!(proactor, now(), biased;)),
            "tokio": times!(Tokio, eight!(tokio, now())),
            "tokio biased": times!(Tokio, eight!(tokio, now(), biased;)),
            "futures": times!(Tokio, eight_of_futures!(select, now())),
            "futures biased": times!(Tokio, eight_of_futures!(select_biased, now())),
        ),
        row!("select-2-later", "a select! of two, the second of which waits a turn";
            "proactor": times!(Ours, two!(proactor, later())),
            "proactor biased": times!(Ours, two!(proactor, later(), biased;)),
            "tokio": times!(Tokio, two!(tokio, later())),
            "tokio, on proactor": times!(Ours, two!(tokio, later())),
            "futures": times!(Tokio, of_futures!(select: a = never(), b = later())),
            "futures, on proactor": times!(Ours, of_futures!(select: a = never(), b = later())),
        ),
        row!("select-8-later", "a select! of eight, the last of which waits a turn";
            "proactor": times!(Ours, eight!(proactor, later())),
            "proactor biased": times!(Ours, eight!(proactor, later(), biased;)),
            "tokio": times!(Tokio, eight!(tokio, later())),
            "tokio, on proactor": times!(Ours, eight!(tokio, later())),
            "futures": times!(Tokio, eight_of_futures!(select, later())),
            "futures, on proactor": times!(Ours, eight_of_futures!(select, later())),
        ),
        row!("join-2", "a join! of two that wait a turn";
            "proactor": times!(Ours, proactor::join!(later(), later())),
            "tokio": times!(Tokio, tokio::join!(later(), later())),
            "tokio, on proactor": times!(Ours, tokio::join!(later(), later())),
            "futures": times!(Tokio, futures::join!(later(), later())),
            "futures, on proactor": times!(Ours, futures::join!(later(), later())),
        ),
        row!("join-8", "a join! of eight that wait a turn";
            "proactor": times!(Ours, eight_joined!(proactor)),
            "tokio": times!(Tokio, eight_joined!(tokio)),
            "tokio, on proactor": times!(Ours, eight_joined!(tokio)),
            "futures": times!(Tokio, eight_joined!(futures)),
            "futures, on proactor": times!(Ours, eight_joined!(futures)),
        ),
    ]
}
