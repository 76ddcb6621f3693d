//! What masking costs over copying, in memory.

use bytes::Bytes;
use pikoci_core::mask::Masker;

use crate::measure::{RUNS, pair};

/// 100 MB of short lines in 64 KiB chunks through a masker with ten secrets
/// that do not occur, against a copy of the same chunks.
pub(crate) fn masker_against_copy() -> std::io::Result<()> {
    let mut text = Vec::with_capacity(1 << 16);
    let mut line = 0u32;
    while text.len() < (1 << 16) - 40 {
        text.extend_from_slice(format!("line {line}: compiling module {}\n", line * 7).as_bytes());
        line += 1;
    }
    let chunk = Bytes::from(text);
    let rounds = 100_000_000 / chunk.len();
    let masker = Masker::default();
    for index in 0..10 {
        masker.register(&format!("s3cr3t-value-number-{index}-abcdef"));
    }
    let (ours, floor, ratio) = pair(
        RUNS,
        || {
            let mut stream = masker.stream();
            let mut total = 0usize;
            for _ in 0..rounds {
                total += stream.push(chunk.clone()).len();
            }
            total += stream.finish().len();
            if total == rounds * chunk.len() { Ok(()) } else { Err(std::io::Error::other("lost")) }
        },
        || {
            let mut total = 0usize;
            for _ in 0..rounds {
                total += std::hint::black_box(chunk.to_vec()).len();
            }
            if total > 0 { Ok(()) } else { Err(std::io::Error::other("lost")) }
        },
    )?;
    println!(
        "  100 MB past 10 secrets: {:.0} MB/s; copied: {:.0} MB/s; masked/copied = {ratio:.2}",
        100.0 / ours,
        100.0 / floor
    );
    Ok(())
}
