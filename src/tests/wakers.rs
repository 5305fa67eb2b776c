//! Foreign wakers whose clone panics, on operations of a runtime.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::task::cell::waker::waker_whose_clone_panics;

#[test]
#[cfg_attr(miri, ignore = "needs the blocking pool")]
fn t97_a_waker_that_can_not_be_cloned_takes_no_operation_from_its_task() {
    let waker = waker_whose_clone_panics();
    let runtime = crate::Selector::new().unwrap();
    runtime.block_on(async {
        // Begun by a task that ends meanwhile: it waits for the operation before it does.
        let shared = Rc::new(RefCell::new(None));
        let slot = shared.clone();
        let listener = crate::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = crate::spawn(async move {
            let stream = crate::net::TcpStream::connect(address).await.unwrap();
            let mut read = stream.read(vec![0; 8]);
            let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut read).poll(cx))).await;
            assert!(first.is_pending());
            *slot.borrow_mut() = Some((read, stream));
        });
        let accepted = listener.accept().await.unwrap();
        while shared.borrow().is_none() {
            crate::yield_now().await;
        }
        let (mut read, stream) = shared.take().unwrap();
        let polled =
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut read).poll(&mut Context::from_waker(&waker))));
        assert!(polled.is_err(), "the waker was not cloned");
        drop((read, stream));
        task.await.unwrap();
        drop(accepted);
    });
}
