// SPDX-License-Identifier: MIT

use crate::{check, print, run};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const WAITERS: u64 = 10_000;

pub fn ask(n: u64) {
    let figure = run(async move {
        let mut time = Duration::ZERO;
        let mut done = 0;
        while done < n {
            time += fire().await;
            done += WAITERS;
        }
        time.as_nanos() as f64 / done as f64
    });
    print("token fired, 10 000 waiters, each", figure, "ns");
}

#[derive(Default)]
struct Crowd {
    token: CancellationToken,
    parked: AtomicU64,
    woken: AtomicU64,
}

/// The last to run says when.
async fn wait(crowd: Arc<Crowd>) -> Option<Instant> {
    crowd.parked.fetch_add(1, Relaxed);
    crowd.token.cancelled().await;
    let others = crowd.woken.fetch_add(1, Relaxed);
    (others == WAITERS - 1).then(Instant::now)
}

async fn fire() -> Duration {
    let crowd = Arc::new(Crowd::default());
    let spawn = |_| tokio::spawn(wait(crowd.clone()));
    let waiters: Vec<_> = (0..WAITERS).map(spawn).collect();
    while crowd.parked.load(Relaxed) < WAITERS {
        tokio::task::yield_now().await;
    }
    check(crowd.woken.load(Relaxed) == 0, "all wait");
    let t0 = Instant::now();
    crowd.token.cancel();
    let mut last = None;
    for waiter in waiters {
        last = last.or(waiter.await.expect("a waiter"));
    }
    last.expect("all have run") - t0
}
