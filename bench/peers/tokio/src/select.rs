// SPDX-License-Identifier: MIT

use crate::{check, ns_each, print, run};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::yield_now;

const CHANNELS: usize = 4;
const FILL: usize = 1000;

type Receivers = [mpsc::Receiver<i64>; CHANNELS];

pub fn ask(n: u64) {
    print("select, 4 channels ready", run(all_ready(n)), "ns");
    print("select, 4 channels, parked and woken", run(woken(n)), "ns");
}

fn channels(capacity: usize) -> (Vec<mpsc::Sender<i64>>, Receivers) {
    let mut senders = Vec::new();
    let receivers = [(); CHANNELS].map(|_| {
        let (sender, receiver) = mpsc::channel(capacity);
        senders.push(sender);
        receiver
    });
    (senders, receivers)
}

async fn choose([a, b, c, d]: &mut Receivers) -> (i64, usize) {
    tokio::select! {
        Some(value) = a.recv() => (value, 0),
        Some(value) = b.recv() => (value, 1),
        Some(value) = c.recv() => (value, 2),
        Some(value) = d.recv() => (value, 3),
        else => (-1, 0),
    }
}

async fn all_ready(n: u64) -> f64 {
    let (senders, mut receivers) = channels(FILL);
    let (mut next, mut sent, mut received) = (0, 0, 0);
    let mut chosen = [0; CHANNELS];
    let mut time = Duration::ZERO;
    let mut done = 0;
    while done < n {
        for sender in &senders {
            while sender.try_send(next).is_ok() {
                sent += next;
                next += 1;
            }
        }
        let t0 = Instant::now();
        for _ in 0..FILL {
            let (value, index) = choose(&mut receivers).await;
            chosen[index] += 1;
            received += value;
        }
        time += t0.elapsed();
        done += FILL as u64;
    }
    for (receiver, chosen) in receivers.iter_mut().zip(chosen) {
        let fair = chosen * 4 > done / 10 * 8 && chosen * 4 < done / 10 * 12;
        check(fair, "a select is fair");
        while let Ok(value) = receiver.try_recv() {
            received += value;
        }
    }
    check(received == sent, "nothing is lost");
    time.as_nanos() as f64 / done as f64
}

async fn woken(n: u64) -> f64 {
    let (senders, mut receivers) = channels(1);
    let count = Arc::new(AtomicU64::new(0));
    let its_count = count.clone();
    let waiter = tokio::spawn(async move {
        let mut sum = 0;
        loop {
            let (value, _) = choose(&mut receivers).await;
            if value < 0 {
                return sum;
            }
            its_count.fetch_add(1, Relaxed);
            sum += value;
        }
    });
    yield_now().await;
    let mut behind = 0;
    let t0 = Instant::now();
    for i in 0..n {
        let sender = &senders[i as usize % CHANNELS];
        sender.send(i as i64).await.expect("an open channel");
        yield_now().await;
        behind += u64::from(count.load(Relaxed) != i + 1);
    }
    let ns = ns_each(t0, n);
    check(behind <= n / 50, "the select was parked nearly each time");
    senders[0].send(-1).await.expect("an open channel");
    let sum = waiter.await.expect("a sum");
    check(sum == (n * (n - 1) / 2) as i64, "what was sent arrived");
    ns
}
