//! The thread-local slots of the loop that is running on a thread.
//!
//! Each layer (tasks, timers, driver) has a slot of its own, so that none needs to know the others. A
//! slot is a plain pointer in thread-local storage without a destructor: reading it costs one load, and it
//! can be read in the destructors of other thread-local values, when it is empty.

use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::rc::Rc;

use super::sync::LocalKey;

/// The slot of a thread's current `T`, if any.
pub(crate) struct Context<T: 'static>(Cell<*const T>);

impl<T> Context<T> {
    pub(crate) const fn new() -> Self {
        Context(Cell::new(ptr::null()))
    }
}

/// Makes `value` the thread's current one until the guard is dropped; nests.
pub(crate) fn enter<T>(key: &'static LocalKey<Context<T>>, value: Rc<T>) -> Entered<T> {
    let previous = key.with(|context| context.0.replace(Rc::as_ptr(&value)));
    Entered { key, previous, value }
}

/// Calls `f` with the thread's current value.
#[inline(always)] // a load; every wake-up comes through here
pub(crate) fn with<T, U>(key: &'static LocalKey<Context<T>>, f: impl FnOnce(Option<&T>) -> U) -> U {
    let current = key.with(|context| context.0.get());
    // SAFETY: the guard that stored the pointer holds an `Rc` of the value, and guards are dropped only by
    // the frame that made them, which is below this one on the stack.
    f(unsafe { current.as_ref() })
}

/// Returns a reference-counted reference to the thread's current value.
pub(crate) fn get<T>(key: &'static LocalKey<Context<T>>) -> Option<Rc<T>> {
    let current = key.with(|context| context.0.get());
    if current.is_null() {
        return None;
    }
    // SAFETY: as in `with`; the pointer came from `Rc::as_ptr`.
    unsafe {
        Rc::increment_strong_count(current);
        Some(Rc::from_raw(current))
    }
}

/// Makes a part of `owner` the thread's current value until the guard is dropped; nests.
pub(crate) fn enter_part<T, O>(
    key: &'static LocalKey<Context<T>>,
    owner: Rc<O>,
    part: fn(&O) -> &T,
) -> EnteredPart<T, O> {
    let value: *const T = part(&owner);
    let previous = key.with(|context| context.0.replace(value));
    EnteredPart { key, previous, _owner: owner }
}

/// Restores the thread's previous value when dropped. It keeps the owner of the current one.
pub(crate) struct EnteredPart<T: 'static, O> {
    key: &'static LocalKey<Context<T>>,
    previous: *const T,
    _owner: Rc<O>,
}

impl<T, O> Drop for EnteredPart<T, O> {
    fn drop(&mut self) {
        self.key.with(|context| context.0.set(self.previous));
    }
}

/// Restores the thread's previous value when dropped.
pub(crate) struct Entered<T: 'static> {
    key: &'static LocalKey<Context<T>>,
    previous: *const T,
    value: Rc<T>,
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        self.key.with(|context| {
            debug_assert!(ptr::eq(context.0.get(), Rc::as_ptr(&self.value)), "guards are dropped in order");
            context.0.set(self.previous);
        });
    }
}

impl<T> fmt::Debug for Entered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

/// Returns the value found in this thread's runtime, or panics as [`no_runtime`]. (In a closure the panic would name a
/// line of the crate.)
#[inline]
#[track_caller]
pub(crate) fn expect_runtime<T>(found: Option<T>, what: &str) -> T {
    match found {
        Some(found) => found,
        None => no_runtime(what),
    }
}

/// Panics for a function that needs a loop and finds none.
#[track_caller]
pub(crate) fn no_runtime(what: &str) -> ! {
    panic!(
        "{what} needs a running proactor runtime on this thread: call it inside `proactor::run(async {{ … }})` \
         or inside a future given to `Runtime::block_on` or `Runtime::spawn`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! { static NUMBER: Context<u32> = const { Context::new() } }

    #[test]
    fn the_current_value_nests_and_is_restored() {
        assert!(get(&NUMBER).is_none());
        let outer = enter(&NUMBER, Rc::new(1));
        {
            let _inner = enter(&NUMBER, Rc::new(2));
            assert_eq!(get(&NUMBER).as_deref(), Some(&2));
        }
        with(&NUMBER, |current| assert_eq!(current, Some(&1)));
        drop(outer);
        assert!(get(&NUMBER).is_none());
    }
}
