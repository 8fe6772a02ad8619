// SPDX-License-Identifier: MIT

use crate::{check, print, run};
use std::time::{Duration, Instant};

pub fn ask(n: u64) {
    print("100 000 sleeps of 1-50 ms, CPU", run(sleeps(n)), "ms");
}

fn cpu_now() -> Duration {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let r = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    check(r == 0, "clock_gettime");
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

async fn doze(time: Duration) -> bool {
    let began = Instant::now();
    tokio::time::sleep(time).await;
    began.elapsed() >= time
}

async fn sleeps(n: u64) -> f64 {
    let mut state = 88172645463325252;
    let t0 = cpu_now();
    let mut sleepers = Vec::with_capacity(n as usize);
    for _ in 0..n {
        let time = Duration::from_nanos(1_000_000 + random(&mut state) % 49_000_000);
        sleepers.push(tokio::spawn(doze(time)));
    }
    let mut rested = 0;
    for sleeper in sleepers {
        rested += u64::from(sleeper.await.expect("a sleeper"));
    }
    let cpu = cpu_now() - t0;
    check(rested == n, "each slept as long as it was to");
    cpu.as_nanos() as f64 / 1e6
}
