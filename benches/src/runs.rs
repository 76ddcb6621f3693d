//! Whole runs of the real binary against plain loops that do the same work.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::measure::{RUNS, pair};

/// The binary that was built beside this one.
fn pikoci() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("pikoci");
    if path.exists() {
        Ok(path)
    } else {
        Err(io::Error::other(format!(
            "{} is not there: build it first, with `cargo build --release`",
            path.display()
        )))
    }
}

fn quiet(program: impl AsRef<Path>, args: &[&str]) -> io::Result<()> {
    let status = Command::new(program.as_ref())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} ended with {status}", program.as_ref().display())))
    }
}

fn true_steps(steps: usize) -> io::Result<tempfile::NamedTempFile> {
    let mut text = String::from("job \"bench\" {\n");
    for step in 0..steps {
        text.push_str(&format!(
            "  task \"t{step}\" {{\n    run \"exec\" {{ path = \"/bin/true\" }}\n  }}\n"
        ));
    }
    text.push_str("}\n");
    let file = tempfile::Builder::new().suffix(".hcl").tempfile()?;
    fs::write(file.path(), text)?;
    Ok(file)
}

fn run_pipeline(path: &Path) -> io::Result<()> {
    quiet(pikoci()?, &["run", "-p", &path.to_string_lossy()])
}

/// The most memory the binary used while running a pipeline, in MB.
fn peak_memory(path: &Path) -> io::Result<f64> {
    let mut child = Command::new(pikoci()?)
        .args(["run", "-p", &path.to_string_lossy()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    while child.try_wait()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0.0) / 1e3);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(peak)
}

/// One step, from the start of the process to its end.
pub(crate) fn one_step() -> io::Result<()> {
    let file = true_steps(1)?;
    let (ours, floor, _) = pair(31, || run_pipeline(file.path()), || quiet("/bin/true", &[]))?;
    println!(
        "  `pikoci run` of one step: {:.2} ms; the step alone: {:.2} ms; {:.2} ms over it",
        ours * 1e3,
        floor * 1e3,
        (ours - floor) * 1e3
    );
    Ok(())
}

/// Twenty steps against a shell that runs the same programs.
pub(crate) fn twenty_steps() -> io::Result<()> {
    let file = true_steps(20)?;
    let script = "/bin/true;".repeat(20);
    let (ours, floor, _) =
        pair(21, || run_pipeline(file.path()), || quiet("/bin/sh", &["-c", &script]))?;
    println!(
        "  20 steps: {:.2} ms; `sh`: {:.2} ms; (pikoci - 5 ms)/sh = {:.2}",
        ours * 1e3,
        floor * 1e3,
        (ours - 0.005) / floor
    );
    Ok(())
}

/// Two hundred steps against a bare loop of fork and exec.
pub(crate) fn two_hundred_steps() -> io::Result<()> {
    let file = true_steps(200)?;
    let floor = || {
        for _ in 0..200 {
            quiet("/bin/true", &[])?;
        }
        Ok(())
    };
    let (ours, floor, ratio) = pair(RUNS, || run_pipeline(file.path()), floor)?;
    println!(
        "  200 steps: {:.1} ms; bare fork/exec loop: {:.1} ms; ratio {ratio:.2}; peak memory {:.1} MB",
        ours * 1e3,
        floor * 1e3,
        peak_memory(file.path())?
    );
    Ok(())
}

/// 100 MB of short lines through a run with a secret in it, against `cat`.
pub(crate) fn hundred_megabytes() -> io::Result<()> {
    let data = tempfile::NamedTempFile::new()?;
    let mut text = String::with_capacity(101_000_000);
    let mut line = 0u32;
    while text.len() < 100_000_000 {
        text.push_str(&format!("line {line}: compiling module {}\n", line % 977));
        line += 1;
    }
    fs::write(data.path(), text)?;
    let pipeline = tempfile::Builder::new().suffix(".hcl").tempfile()?;
    fs::write(
        pipeline.path(),
        format!(
            "variable \"token\" {{\n  secret \"env\" {{ key = \"HOME\" }}\n}}\n\
             job \"flood\" {{\n  task \"cat\" {{\n    run \"exec\" {{\n      path = \"cat\"\n      \
             args = [\"{}\"]\n    }}\n    env = {{ TOKEN = var.token }}\n  }}\n}}\n",
            data.path().display()
        ),
    )?;
    // Both write to a pipe that someone reads, as in real life.
    let through = |program: &Path, args: &[&str]| -> io::Result<()> {
        let mut child = Command::new(program)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let copied = match child.stdout.take() {
            Some(mut out) => io::copy(&mut out, &mut io::sink())?,
            None => 0,
        };
        if child.wait()?.success() && copied >= 100_000_000 {
            Ok(())
        } else {
            Err(io::Error::other(format!("{} gave {copied} bytes", program.display())))
        }
    };
    let pikoci = pikoci()?;
    let pipeline_path = pipeline.path().to_string_lossy().into_owned();
    let data_path = data.path().to_string_lossy().into_owned();
    let (ours, floor, ratio) = pair(
        RUNS,
        || through(&pikoci, &["run", "-p", &pipeline_path]),
        || through(Path::new("cat"), &[&data_path]),
    )?;
    println!(
        "  100 MB of short lines with a secret to mask: {:.0} MB/s; `cat`: {:.0} MB/s; cat/pikoci time = {:.2} of its speed ({ratio:.2} times its time)",
        100.0 / ours,
        100.0 / floor,
        floor / ours
    );
    Ok(())
}
