//! `select!`: the first of a list of futures, in place.
//!
//! How the macro works: `@branch` and `@handler` take one branch after the other from the list and give each a name and a
//! number. `@build` makes an enum of them, with one variant for each branch. The enum carries the output of the first
//! branch from the closure that polls the futures to the handlers, which are outside of any closure.
#![forbid(unsafe_code)]

/// The index of the branch that a `select!` polls first.
#[doc(hidden)]
#[inline]
pub fn start(branches: usize) -> usize {
    let random = crate::sys::rng::try_random().unwrap_or(0);
    ((u128::from(random) * branches as u128) >> 64) as usize
}

/// Runs the futures of a list concurrently until the first completes, drops the others, and runs the handler of the
/// first.
///
/// ```text
/// select! {
///     biased;                                  // optional
///     pattern = future => expression,
///     pattern = future, if condition => expression,
///     else => expression,                      // optional
/// }
/// ```
///
/// It is an expression in an async block, and allocates nothing.
///
/// - The branch that is polled first is chosen at *random*, by the runtime's [`random`](fn@crate::random), so that a
///   branch that is always ready does not starve the others. With `biased;` branches are polled in their order.
/// - The losing futures are dropped before the handler runs, so the handler may borrow what they had borrowed. A
///   handler is part of the surrounding code: `?`, `return`, `break` and `.await` work in it as outside.
/// - A branch whose *condition* is false is disabled, and its future's expression is not evaluated. All conditions are
///   evaluated first.
/// - A branch whose output does not match its *pattern* is disabled, and the others continue.
/// - `else` runs when all branches are disabled. Without an `else` that is a panic.
///
/// A handler that is a block needs no comma. There are up to 32 branches. A future may borrow from a temporary value,
/// but not in a branch with a condition: bind the value to a name before the `select!`.
///
/// # Panics
/// When all branches are disabled, and there is no `else`.
///
/// # Cancellation
/// Dropping a receiving future of this crate loses no data, so a `select!` in a loop may start the same read again and
/// again. The progress of your own future is lost when the future is dropped: keep it outside of the loop, and pass
/// `&mut future` to the branch.
///
/// # Examples
/// ```
/// use proactor::{select, time::sleep, yield_now};
/// use std::time::Duration;
/// proactor::run(async {
///     let mut turns = 0;
///     let mut work = std::pin::pin!(sleep(Duration::from_millis(5)));
///     loop {
///         select! {
///             () = &mut work => break,
///             () = yield_now(), if turns < 10 => turns += 1,
///         }
///     }
///     assert!(turns <= 10);
/// });
/// ```
#[macro_export]
macro_rules! select {
    // The next branch: its pattern, its future, and perhaps its condition. It gets a name and a number. Two steps a branch: a
    // `select!` in a handler counts from there, and the compiler's limit is 128.
    (@branch $order:tt $names:tt $done:tt) => { $crate::select!(@build $order $done ()) };
    (@branch $order:tt $names:tt $done:tt else => $otherwise:expr $(,)?) => {
        $crate::select!(@build $order $done ($otherwise))
    };
    (@branch $order:tt [] $($rest:tt)*) => {
        ::core::compile_error!("select! takes up to 32 branches: put some of the futures into an async block of their own")
    };
    (@branch $order:tt [$name:ident $number:tt $($names:tt)*] $done:tt
        $pattern:pat = $future:expr, if $condition:expr => $($rest:tt)+) => {
        $crate::select!(@handler $order [$($names)*] $done ($name $number ($pattern) ($future) ($condition)) $($rest)+)
    };
    (@branch $order:tt [$name:ident $number:tt $($names:tt)*] $done:tt $pattern:pat = $future:expr => $($rest:tt)+) => {
        $crate::select!(@handler $order [$($names)*] $done ($name $number ($pattern) ($future) ()) $($rest)+)
    };

    // The handler completes the branch. A block is matched by its braces: a `block` fragment would also match the expression
    // that another macro puts here.
    (@handler $order:tt $names:tt [$($done:tt)*] ($($branch:tt)+) { $($block:tt)* }, $($rest:tt)*) => {
        $crate::select!(@branch $order $names [$($done)* ($($branch)+ ({ $($block)* }))] $($rest)*)
    };
    (@handler $order:tt $names:tt [$($done:tt)*] ($($branch:tt)+) { $($block:tt)* } $($rest:tt)*) => {
        $crate::select!(@branch $order $names [$($done)* ($($branch)+ ({ $($block)* }))] $($rest)*)
    };
    (@handler $order:tt $names:tt [$($done:tt)*] ($($branch:tt)+) $handler:expr, $($rest:tt)*) => {
        $crate::select!(@branch $order $names [$($done)* ($($branch)+ ($handler))] $($rest)*)
    };
    (@handler $order:tt $names:tt [$($done:tt)*] ($($branch:tt)+) $handler:expr) => {
        $crate::select!(@branch $order $names [$($done)* ($($branch)+ ($handler))])
    };

    (@build $order:tt
        [$(($name:ident $number:tt ($pattern:pat) ($future:expr) ($($condition:expr)?) ($handler:expr)))+]
        ($($otherwise:expr)?)) => {{
        #[allow(non_camel_case_types, clippy::enum_variant_names, clippy::large_enum_variant)]
        enum __Selected<$($name),+> {
            $($name($name),)+
            None,
        }
        let _enabled = [$($crate::select!(@condition $($condition)?)),+];
        // A match, so that what is temporary in the expressions lives as long as the futures. Mutable, for patterns with `ref mut`.
        #[allow(unused_mut)]
        let mut selected = match ($($crate::select!(@future _enabled $number ($future) $($condition)?),)+) {
            ($($name,)+) => {
                $(let mut $name = ::core::pin::pin!($name);)+
                let first: usize = $crate::select!(@first $order _enabled);
                ::core::future::poll_fn(|cx| {
                    let mut pending = false;
                    // The branches from `first` on, then those before. The code of the branches is in one line: the processor could
                    // not predict a jump to the branch that is next.
                    for begun in [true, false] {
                        $(
                            let running = if ($number >= first) == begun {
                                $name.as_mut().as_pin_mut()
                            } else {
                                ::core::option::Option::None
                            };
                            if let ::core::option::Option::Some(running) = running {
                                match ::core::future::Future::poll(running, cx) {
                                    #[allow(unused_mut)]
                                    ::core::task::Poll::Ready(mut output) => {
                                        let mut fits = false;
                                        // The guard sees the bindings and takes nothing out of the output.
                                        #[allow(unused_variables, unused_mut, unreachable_code, clippy::all)]
                                        match output {
                                            $pattern if { fits = true; false } => ::core::unreachable!(),
                                            _ => {}
                                        }
                                        if fits {
                                            return ::core::task::Poll::Ready(__Selected::$name(output));
                                        }
                                        $name.set(::core::option::Option::None);
                                    }
                                    ::core::task::Poll::Pending => pending = true,
                                }
                            }
                        )+
                    }
                    if pending { ::core::task::Poll::Pending } else { ::core::task::Poll::Ready(__Selected::None) }
                })
                .await
            }
        };
        match selected {
            $(__Selected::$name($pattern) => $handler,)+
            #[allow(unreachable_patterns)]
            _ => $crate::select!(@otherwise $($otherwise)?),
        }
    }};

    (@condition) => { true };
    (@condition $condition:expr) => { $condition };
    (@future $enabled:ident $number:tt ($future:expr)) => {
        ::core::option::Option::Some(::core::future::IntoFuture::into_future($future))
    };
    (@future $enabled:ident $number:tt ($future:expr) $condition:expr) => {
        if $enabled[$number] {
            ::core::option::Option::Some(::core::future::IntoFuture::into_future($future))
        } else {
            ::core::option::Option::None
        }
    };
    (@first [biased] $enabled:ident) => { 0 };
    (@first [] $enabled:ident) => { $crate::combine::start($enabled.len()) };
    (@otherwise) => { ::core::panic!("all branches of a select! are disabled, and it has no `else`") };
    (@otherwise $otherwise:expr) => { $otherwise };

    (@names $order:tt $($branches:tt)+) => {
        $crate::select!(@branch $order [
            b0 0 b1 1 b2 2 b3 3 b4 4 b5 5 b6 6 b7 7 b8 8 b9 9 b10 10 b11 11 b12 12 b13 13 b14 14 b15 15
            b16 16 b17 17 b18 18 b19 19 b20 20 b21 21 b22 22 b23 23 b24 24 b25 25 b26 26 b27 27 b28 28 b29 29
            b30 30 b31 31
        ] [] $($branches)+)
    };

    (biased; $($branches:tt)+) => { $crate::select!(@names [biased] $($branches)+) };
    ($($branches:tt)+) => { $crate::select!(@names [] $($branches)+) };
}
