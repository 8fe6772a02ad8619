// SPDX-License-Identifier: MIT

//! The questions of bench/*.c, asked of tokio on one thread: the same counts, the same checks,
//! the same line of output.
//!
//!     peer NAME [N]    NAME: abort, channel, select, sleeps, spawn, token, yield

mod abort;
mod channel;
mod select;
mod sleeps;
mod spawn;
mod token;
mod yields;

use std::future::Future;
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n = args.get(2).and_then(|n| n.parse().ok());
    match args.get(1).map(String::as_str) {
        Some("abort") => abort::ask(n.unwrap_or(500_000)),
        Some("channel") => channel::ask(n.unwrap_or(5_000_000)),
        Some("select") => select::ask(n.unwrap_or(2_000_000)),
        Some("sleeps") => sleeps::ask(n.unwrap_or(100_000)),
        Some("spawn") => spawn::ask(n.unwrap_or(5_000_000)),
        Some("token") => token::ask(n.unwrap_or(1_000_000)),
        Some("yield") => yields::ask(n.unwrap_or(20_000_000)),
        _ => check(false, "usage: peer NAME [N]"),
    }
}

/// A runtime of its own for each question, whose first task is `question`.
fn run<F>(question: F) -> f64
where
    F: Future<Output = f64> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::spawn(question).await.expect("a figure") })
}

fn check(ok: bool, what: &str) {
    if !ok {
        eprintln!("tokio: failed: {what}");
        std::process::exit(1);
    }
}

fn ns_each(since: Instant, n: u64) -> f64 {
    since.elapsed().as_nanos() as f64 / n as f64
}

fn print(question: &str, figure: f64, unit: &str) {
    let rate = match unit {
        "ns" => format!("{:.0} /s", 1e9 / figure),
        _ => String::new(),
    };
    let digits = if figure < 1000.0 { 1 } else { 0 };
    println!("{question}\t{figure:.digits$} {unit}\t{rate}\t\t\t");
}
