//! Task-locals: values that belong to a task and are inherited by the tasks it spawns; asyncio's `contextvars`.
//!
//! A task's values are a small list behind a shared pointer. A spawn copies the pointer; the first task to set a value
//! afterwards copies the list. So inheriting costs next to nothing, and no task sees what another sets later.
#![forbid(unsafe_code)]

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::sys::context::expect_runtime;
use crate::sys::guarded::in_drop;
use crate::task::cell::layout::{TaskRef, Values};
use crate::task::scheduler;

impl Values {
    fn get(&self, key: usize) -> Option<&Rc<dyn Any>> {
        self.0.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// Sets or removes a value, and returns the previous one.
    fn put(&mut self, key: usize, value: Option<Rc<dyn Any>>) -> Option<Rc<dyn Any>> {
        let index = self.0.iter().position(|(other, _)| *other == key);
        match (index, value) {
            (Some(index), Some(value)) => Some(std::mem::replace(&mut self.0[index].1, value)),
            (Some(index), None) => Some(self.0.remove(index).1),
            (None, Some(value)) => {
                self.0.push((key, value));
                None
            }
            (None, None) => None,
        }
    }
}

/// A copy of the current task-locals, for a callback that is called later.
pub(in crate::task) struct Inherited(Option<Rc<Values>>);

impl Inherited {
    /// The task-locals of the code that runs now; none outside of a running loop.
    pub(in crate::task) fn now() -> Self {
        Inherited(scheduler::with(|current| current?.locals()))
    }

    /// Gives them to a task that was not polled yet.
    pub(in crate::task) fn give_to(self, task: &TaskRef) {
        let header = task.header();
        if self.0.is_none() && header.cold().is_none() {
            return;
        }
        let replaced = header.cold_or_new().locals.replace(self.0);
        in_drop(|| drop(replaced)); // user code
    }
}

/// A variable with a separate value for each task; made by [`task_local!`](crate::task_local).
///
/// A task starts with the values that its spawner had at that moment, and a callback with those of the moment when it
/// was added. The futures of [`gather`](fn@crate::gather), [`as_completed`](fn@crate::as_completed) and
/// [`task_group`](crate::task::task_group()) have separate values as well, which siblings and the enclosing task do not see.
/// The body of a group is a part of its task, and so are the futures of [`join!`](crate::join) and
/// [`select!`](crate::select). Values are shared until one of the tasks sets its own; they are never cloned. Values
/// stay on their thread: [`Handle::spawn`](crate::task::Handle::spawn) starts without any.
///
/// # Examples
/// ```
/// proactor::task_local! {
///     static USER: String;
///     static DEPTH: u32 = 0;
/// }
/// proactor::run(async {
///     USER.set("ann".into());
///     let task = proactor::spawn(async {
///         let inherited = USER.get();
///         USER.set("bob".into()); // for this task, and those that it spawns
///         (inherited, DEPTH.get())
///     });
///     assert_eq!(task.await.unwrap(), ("ann".into(), 0));
///     assert_eq!(USER.get(), "ann");
/// });
/// ```
pub struct TaskLocal<T: 'static> {
    default: Option<fn() -> T>,
    /// One byte, so that each task-local has an address of its own, for any `T`.
    _address: u8,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> TaskLocal<T> {
    #[doc(hidden)]
    pub const fn new(default: Option<fn() -> T>) -> Self {
        TaskLocal { default, _address: 0, value: PhantomData }
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Calls a closure with the task's value: the one that it has set or inherited, else the default, else `None`.
    pub fn with<U>(&'static self, f: impl FnOnce(Option<&T>) -> U) -> U {
        let value = scheduler::with(|current| {
            let owner = current?.locals_owner()?;
            let locals = owner.header().cold()?.locals.borrow();
            locals.as_ref()?.get(self.key()).cloned()
        });
        match (value, self.default) {
            (Some(value), _) => f(value.downcast_ref()),
            (None, Some(default)) => f(Some(&default())),
            (None, None) => f(None),
        }
    }

    /// A clone of the value.
    ///
    /// # Panics
    /// When there is no value.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        let value = self.with(|value| value.cloned());
        let Some(value) = value else {
            panic!(
                "this task-local has no value here: set it in this task or in its spawner, or give it a default"
            )
        };
        value
    }

    /// Sets the value for this task and for those that it spawns from now on. Tasks that have inherited the previous
    /// value keep it.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        drop(self.replace(Some(Rc::new(value))));
    }

    /// Removes the value; the default applies again.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn unset(&'static self) {
        drop(self.replace(None));
    }

    /// Calls a closure while another value is set, as asyncio does by `set` and `reset`.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn with_value<U>(&'static self, value: T, f: impl FnOnce() -> U) -> U {
        struct Reset<T: 'static>(&'static TaskLocal<T>, Option<Rc<dyn Any>>);
        impl<T> Drop for Reset<T> {
            fn drop(&mut self) {
                let value = self.0.replace(self.1.take());
                in_drop(|| drop(value)); // user code
            }
        }
        let _reset = Reset(self, self.replace(Some(Rc::new(value))));
        f()
    }

    #[track_caller]
    fn replace(&'static self, value: Option<Rc<dyn Any>>) -> Option<Rc<dyn Any>> {
        let owner = scheduler::with(|current| current?.locals_owner());
        let owner = expect_runtime(owner, "a task-local");
        let locals = &owner.header().cold_or_new().locals;
        // Dropping a value is user code, as is dropping the list: not while it is borrowed.
        let mut values = locals.borrow_mut().take().unwrap_or_default();
        let before = Rc::make_mut(&mut values).put(self.key(), value);
        let other = locals.replace(Some(values));
        drop(other);
        before
    }
}

impl<T> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocal").finish_non_exhaustive()
    }
}

/// Declares [task-locals](crate::task::TaskLocal), with or without a default.
///
/// # Examples
/// ```
/// proactor::task_local! {
///     /// The request that this task works on.
///     pub static REQUEST: u64;
///     static RETRIES: u32 = 3;
/// }
/// proactor::run(async {
///     assert_eq!((REQUEST.with(|request| request.copied()), RETRIES.get()), (None, 3));
/// });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $default:expr; $($rest:tt)*) => {
        $(#[$attribute])*
        $visibility static $name: $crate::task::TaskLocal<$type> = $crate::task::TaskLocal::new(::core::option::Option::Some(|| $default));
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $(#[$attribute])*
        $visibility static $name: $crate::task::TaskLocal<$type> = $crate::task::TaskLocal::new(::core::option::Option::None);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $default:expr) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type = $default;);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type;);
    };
}
