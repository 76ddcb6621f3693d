//! Benchmarks of PikoCI: each prints its figure beside a floor measured in the
//! same run, and the ratio of the two. Nothing here passes or fails.
//!
//! ```text
//! cargo build --release && cargo run --release -p pikoci-benches [NAME…]
//! ```
#![expect(clippy::print_stdout, reason = "a benchmark's whole output is what it prints")]

mod database;
mod engine;
mod language;
mod masking;
mod measure;
mod resolution;
mod runs;
mod store;

use std::env;

type Bench = fn() -> std::io::Result<()>;

const BENCHES: [(&str, Bench); 17] = [
    ("language", language::read_ten_thousand_lines),
    ("masker", masking::masker_against_copy),
    ("resolve", resolution::thousand_jobs),
    ("fan-in", resolution::fan_in),
    ("run-1", runs::one_step),
    ("run-20", runs::twenty_steps),
    ("run-200", runs::two_hundred_steps),
    ("output", runs::hundred_megabytes),
    ("commits", store::durable_commits),
    ("scan", store::scan_a_million),
    ("typed", database::typed_against_bare),
    ("log", database::log_of_hundred_megabytes),
    ("overwrites", store::million_overwrites),
    ("first-process", engine::first_process),
    ("builds", engine::no_op_builds),
    ("engine-memory", engine::memory),
    ("checks", engine::many_resources),
];

fn main() -> std::io::Result<()> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|it| BENCHES.iter().all(|(name, _)| name != it)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        return Err(std::io::Error::other(format!(
            "no benchmark `{unknown}`; there is {}",
            names.join(", ")
        )));
    }
    for (name, bench) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            println!("{name}");
            bench()?;
        }
    }
    Ok(())
}
