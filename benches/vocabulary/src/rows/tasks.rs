//! Tasks, and groups of them.

use super::{Row, THOUSAND, row};
use crate::loops::{Loop, Ours, Pool, Tokio, TokioLocal, turn};
use crate::measure::{Cost, here};

/// A thousand are spawned, and then awaited one after the other.
fn spawn<L: Loop>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let mut tasks = Vec::with_capacity(THOUSAND as usize);
        for _ in 0..ops / THOUSAND {
            tasks.extend((0..THOUSAND).map(|number| L::spawn(async move { std::hint::black_box(number) })));
            for task in tasks.drain(..) {
                task.await;
            }
        }
    })
}

/// A hundred tasks let each other go first.
fn turns<L: Loop>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                L::spawn(async move {
                    for _ in 0..ops / 100 {
                        turn().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    })
}

pub fn rows() -> Vec<Row> {
    vec![
        row!("spawn", "a task spawned and awaited, of a thousand at a time";
            "proactor": spawn::<Ours>,
            "tokio": spawn::<Tokio>,
            "tokio LocalSet": spawn::<TokioLocal>,
            "futures LocalPool": spawn::<Pool>,
        ),
        row!("turn", "a task woken by itself and polled, one of a hundred";
            "proactor": turns::<Ours>,
            "tokio": turns::<Tokio>,
            "tokio LocalSet": turns::<TokioLocal>,
            "futures LocalPool": turns::<Pool>,
        ),
    ]
}
