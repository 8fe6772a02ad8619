// SPDX-License-Identifier: MIT

use crate::{check, ns_each, print, run};
use std::time::Instant;

pub fn ask(n: u64) {
    print("spawn to joined", run(one_by_one(n)), "ns");
    print("spawn 1000, join 1000", run(batches(n)), "ns");
}

async fn one_by_one(n: u64) -> f64 {
    let mut sum = 0;
    let t0 = Instant::now();
    for _ in 0..n {
        sum += tokio::spawn(async { 1 }).await.expect("a result");
    }
    let ns = ns_each(t0, n);
    check(sum == n, "all were joined");
    ns
}

async fn batches(n: u64) -> f64 {
    const BATCH: u64 = 1000;
    let mut tasks = Vec::with_capacity(BATCH as usize);
    let mut sum = 0;
    let t0 = Instant::now();
    for _ in (0..n).step_by(BATCH as usize) {
        for _ in 0..BATCH {
            tasks.push(tokio::spawn(async { 1 }));
        }
        for task in tasks.drain(..) {
            sum += task.await.expect("a result");
        }
    }
    let ns = ns_each(t0, sum);
    check(sum >= n, "all were joined");
    ns
}
