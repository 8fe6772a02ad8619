// SPDX-License-Identifier: MIT

use crate::{check, print, run};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::{yield_now, JoinHandle};

const BATCH: usize = 500;

pub fn ask(n: u64) {
    let figure = run(abort_and_join(n, sleeper, 1, false));
    print("abort+join, asleep", figure, "ns");
    let figure = run(abort_and_join(n, sleeper, 1, true));
    print("abort 500, join 500, asleep", figure, "ns");
    let (_open, receiver) = async_channel::bounded::<i64>(1);
    let listener = move || listener(receiver.clone());
    let figure = run(abort_and_join(n, listener, 7, false));
    print("abort+join, on a channel", figure, "ns");
}

async fn sleeper() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

/// One channel for all; the channels of tokio itself have one receiver only.
async fn listener(receiver: async_channel::Receiver<i64>) {
    let _ = receiver.recv().await;
}

async fn abort_and_join<V, F>(n: u64, victim: V, stride: usize, together: bool) -> f64
where
    V: Fn() -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut time = Duration::ZERO;
    let mut done = 0;
    while done < n {
        let mut victims: Vec<_> = (0..BATCH).map(|_| tokio::spawn(victim())).collect();
        for _ in 0..4 {
            yield_now().await;
        }
        let t0 = Instant::now();
        if together {
            victims.iter().for_each(JoinHandle::abort);
        }
        for i in 0..BATCH {
            let victim = &mut victims[i * stride % BATCH];
            victim.abort();
            let aborted = matches!(victim.await, Err(end) if end.is_cancelled());
            check(aborted, "a victim was not aborted");
        }
        time += t0.elapsed();
        done += BATCH as u64;
    }
    time.as_nanos() as f64 / done as f64
}
