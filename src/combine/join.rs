//! `join!` and `try_join!`: a list of futures, in place.
//!
//! The macros number nothing: each step of the recursion that takes a future from the list makes two names, which hygiene
//! keeps apart from those of the other steps.
#![forbid(unsafe_code)]

/// Runs the futures of a list side by side until all have ended, and gives the tuple of their outputs.
///
/// It is an expression in an async block, allocates nothing, and drops each future when it has ended. The futures can be of
/// different types and may borrow. All that have not ended are polled whenever one can go on: for many there is
/// [`gather`](fn@crate::gather).
///
/// # Cancellation
/// The futures are dropped with the block around.
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

/// Runs the futures of a list side by side until all have given a value, and gives `Ok` with the tuple of these; the first
/// error is the answer at once, and the other futures are dropped before it is given.
///
/// The errors are of one type. Otherwise as [`join!`](crate::join).
///
/// # Cancellation
/// The futures are dropped with the block around, or at the first error. What those had begun is cancelled and reaped
/// behind the scenes; where that is to be waited for there is [`task_group`](crate::task::task_group()).
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
