// SPDX-License-Identifier: MIT

use crate::{check, ns_each, print, run};
use std::time::Instant;
use tokio::sync::mpsc;

/// A channel of tokio holds one at least: there is no rendezvous.  It has one receiver; from
/// four to four goes over async-channel.
pub fn ask(n: u64) {
    print("channel round trip, capacity 1", run(round_trip(n)), "ns");
    let rate = 1e3 / run(one_to_one(n));
    print("channel 1 to 1, capacity 64", rate, "M/s");
    let rate = 1e3 / run(four_to_four(n));
    print("channel 4 to 4, capacity 1024", rate, "M/s");
}

async fn round_trip(n: u64) -> f64 {
    let (out, mut at_other) = mpsc::channel(1);
    let (back, mut r#in) = mpsc::channel(1);
    let other = tokio::spawn(async move {
        while let Some(value) = at_other.recv().await {
            back.send(value + 1).await.expect("an open channel");
        }
    });
    let mut value = 0;
    let t0 = Instant::now();
    for _ in 0..n {
        out.send(value).await.expect("an open channel");
        value = r#in.recv().await.expect("an answer");
    }
    let ns = ns_each(t0, n);
    check(value == n, "each trip adds one");
    drop(out);
    other.await.expect("the other's end");
    ns
}

fn check_tally(n: u64, count: u64, sum: u64) {
    check(count == n, "each number arrived once");
    check(sum == n * (n - 1) / 2, "they are those sent");
}

async fn one_to_one(n: u64) -> f64 {
    let (tx, mut rx) = mpsc::channel(64);
    let t0 = Instant::now();
    tokio::spawn(async move {
        for value in 0..n {
            tx.send(value).await.expect("an open channel");
        }
    });
    let receiver = tokio::spawn(async move {
        let (mut count, mut sum) = (0, 0);
        while let Some(value) = rx.recv().await {
            count += 1;
            sum += value;
        }
        (count, sum)
    });
    let (count, sum) = receiver.await.expect("a tally");
    let ns = ns_each(t0, n);
    check_tally(n, count, sum);
    ns
}

async fn four_to_four(n: u64) -> f64 {
    let each = n / 4;
    let (tx, rx) = async_channel::bounded(1024);
    let mut receivers = Vec::new();
    let t0 = Instant::now();
    for i in 0..4 {
        tokio::spawn(send(tx.clone(), i * each, (i + 1) * each));
        receivers.push(tokio::spawn(tally(rx.clone())));
    }
    drop(tx);
    let (mut count, mut sum) = (0, 0);
    for receiver in receivers {
        let (its_count, its_sum) = receiver.await.expect("a tally");
        count += its_count;
        sum += its_sum;
    }
    let ns = ns_each(t0, 4 * each);
    check_tally(4 * each, count, sum);
    ns
}

async fn send(tx: async_channel::Sender<u64>, from: u64, to: u64) {
    for value in from..to {
        tx.send(value).await.expect("an open channel");
    }
}

async fn tally(rx: async_channel::Receiver<u64>) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0);
    while let Ok(value) = rx.recv().await {
        count += 1;
        sum += value;
    }
    (count, sum)
}
