//! `join!` and `try_join!`: a list of futures, in place.
//!
//! The macros number nothing: each step of the recursion that takes a future from the list makes two names, which hygiene
//! keeps apart from those of the other steps.
#![forbid(unsafe_code)]

/// Runs the futures of a list concurrently until all have completed, and returns the tuple of their outputs.
///
/// It is an expression in an async block, allocates nothing, and drops each future when it completes. The futures can
/// be of different types and may borrow. All unfinished futures are polled whenever one is woken: for many futures use
/// [`gather`](fn@crate::gather).
///
/// # Cancellation
/// The futures are dropped with the enclosing block.
///
/// # Examples
/// ```
/// use proactor::join;
/// proactor::run(async {
///     let word = String::from("word");
///     let (length, doubled, ()) = join!(async { word.len() }, async { word.repeat(2) }, proactor::yield_now());
///     assert_eq!((length, &*doubled), (4, "wordword"));
/// });
/// ```
#[macro_export]
macro_rules! join {
    ($($future:expr),* $(,)?) => { $crate::join!(@name [] $($future,)*) };

    (@name [$($named:tt)*] $future:expr, $($rest:expr,)*) => {
        $crate::join!(@name [$($named)* (future output $future)] $($rest,)*)
    };
    (@name [$(($future:ident $output:ident $expr:expr))*]) => {
        // A match, so that what is temporary in the expressions lives as long as the futures.
        match ($(::core::option::Option::Some(::core::future::IntoFuture::into_future($expr)),)*) {
            ($($future,)*) => {
                $(
                    let mut $future = ::core::pin::pin!($future);
                    let mut $output = ::core::option::Option::None;
                )*
                ::core::future::poll_fn(|_cx| {
                    let mut _all = true;
                    $(
                        if let ::core::option::Option::Some(running) = $future.as_mut().as_pin_mut() {
                            match ::core::future::Future::poll(running, _cx) {
                                ::core::task::Poll::Ready(ready) => {
                                    $output = ::core::option::Option::Some(ready);
                                    $future.set(::core::option::Option::None);
                                }
                                ::core::task::Poll::Pending => _all = false,
                            }
                        }
                    )*
                    if _all { ::core::task::Poll::Ready(()) } else { ::core::task::Poll::Pending }
                })
                .await;
                ($($output.expect("all have ended"),)*)
            }
        }
    };
}

/// Runs the futures of a list concurrently until all have completed with a value, and returns `Ok` with the tuple of
/// the values. At the first error it drops the other futures and returns the error.
///
/// The errors have one type. Otherwise as [`join!`](crate::join).
///
/// # Cancellation
/// The futures are dropped with the enclosing block, or at the first error. Their operations are cancelled and reaped
/// in the background; to wait for that, use [`task_group`](crate::task::task_group()).
///
/// # Examples
/// ```
/// use proactor::try_join;
/// proactor::run(async {
///     let answer = try_join!(async { "6".parse::<i32>() }, async { "7".parse::<i32>() });
///     assert_eq!(answer, Ok((6, 7)));
///     let answer = try_join!(std::future::pending::<Result<(), _>>(), async { "x".parse::<i32>() });
///     assert!(answer.is_err());
/// });
/// ```
#[macro_export]
macro_rules! try_join {
    ($($future:expr),* $(,)?) => { $crate::try_join!(@name [] $($future,)*) };

    (@name [$($named:tt)*] $future:expr, $($rest:expr,)*) => {
        $crate::try_join!(@name [$($named)* (future output $future)] $($rest,)*)
    };
    (@name [$(($future:ident $output:ident $expr:expr))*]) => {
        match ($(::core::option::Option::Some(::core::future::IntoFuture::into_future($expr)),)*) {
            ($($future,)*) => {
                $(
                    let mut $future = ::core::pin::pin!($future);
                    let mut $output = ::core::option::Option::None;
                )*
                let ended = ::core::future::poll_fn(|_cx| {
                    let mut _all = true;
                    $(
                        if let ::core::option::Option::Some(running) = $future.as_mut().as_pin_mut() {
                            match ::core::future::Future::poll(running, _cx) {
                                ::core::task::Poll::Ready(::core::result::Result::Ok(value)) => {
                                    $output = ::core::option::Option::Some(value);
                                    $future.set(::core::option::Option::None);
                                }
                                ::core::task::Poll::Ready(::core::result::Result::Err(error)) => {
                                    return ::core::task::Poll::Ready(::core::result::Result::Err(error));
                                }
                                ::core::task::Poll::Pending => _all = false,
                            }
                        }
                    )*
                    if _all {
                        ::core::task::Poll::Ready(::core::result::Result::Ok(()))
                    } else {
                        ::core::task::Poll::Pending
                    }
                })
                .await;
                match ended {
                    ::core::result::Result::Ok(()) => {
                        ::core::result::Result::Ok(($($output.expect("all have given a value"),)*))
                    }
                    ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
                }
            }
        }
    };
}
