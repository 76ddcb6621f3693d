//! Timing of whole runs: pairs in turn, medians, and the ratio pair by pair.

use std::time::{Duration, Instant};

/// How often each side of a pair is run, after one run that does not count.
pub(crate) const RUNS: usize = 9;

/// The median of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs `ours` and `floor` in turn, so that both see the same machine, and
/// answers the medians (in seconds) and the median of the ratios.
pub(crate) fn pair(
    runs: usize,
    mut ours: impl FnMut() -> std::io::Result<()>,
    mut floor: impl FnMut() -> std::io::Result<()>,
) -> std::io::Result<(f64, f64, f64)> {
    let time = |work: &mut dyn FnMut() -> std::io::Result<()>| -> std::io::Result<Duration> {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed())
    };
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=runs {
        let (mine, other) = (time(&mut ours)?.as_secs_f64(), time(&mut floor)?.as_secs_f64());
        if run > 0 {
            a.push(mine);
            b.push(other);
            ratios.push(mine / other);
        }
    }
    Ok((median(a), median(b), median(ratios)))
}

/// The memory of this process, in bytes.
pub(crate) fn resident_bytes() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    let missing = || std::io::Error::other("the system does not tell how much memory is used");
    kilobytes.map(|count: u64| count * 1024).ok_or_else(missing)
}
