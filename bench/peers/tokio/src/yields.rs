// SPDX-License-Identifier: MIT

use crate::{ns_each, print, run};
use std::time::Instant;
use tokio::task::yield_now;

const TASKS: u64 = 100;

/// 100 tasks yield in turn.
pub fn ask(n: u64) {
    print("yield, 100 tasks", run(yields(n)), "ns");
}

async fn yields(n: u64) -> f64 {
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        tasks.push(tokio::spawn(async move {
            for _ in 0..n / TASKS {
                yield_now().await;
            }
        }));
    }
    let t0 = Instant::now();
    for task in tasks {
        task.await.expect("a task that yields");
    }
    ns_each(t0, n)
}
