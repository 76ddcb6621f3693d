//! How long a pipeline of ten thousand lines takes to be read and checked.

use std::fmt::Write as _;
use std::time::Instant;

use pikoci_core::language::{ReadOptions, read};

use crate::measure::{RUNS, median, pair};

fn pipeline(jobs: usize) -> String {
    let mut text = String::from(
        "variable \"image\" { default = \"rust:1\" }\n\
         resource \"git\" \"app\" {\n  params {\n    url = \"https://example.com/app\"\n  }\n}\n",
    );
    for job in 0..jobs {
        let passed =
            if job == 0 { String::new() } else { format!("passed = [\"job-{}\"]", job - 1) };
        let _ = write!(
            text,
            r#"
job "job-{job}" {{
  timeout = "30m"
  tags    = ["linux", "x86"]
  get "git" "app" {{
    trigger = true
    {passed}
  }}
  task "build" {{
    run "docker" {{
      image = var.image
      cmd   = "make ${{join(" ", ["a", "b", upper("c")])}} BUILD=${{BUILD_NUMBER}}"
    }}
    env = {{ LEVEL = "{job}", NAME = format("%s-%03d", "x", {job}) }}
    on_failure "exec" {{
      path = "echo"
      args = ["failed"]
    }}
  }}
  # a comment, as people write them
}}
"#
        );
    }
    text
}

/// Read and check of 10,000 lines, against a plain copy of the text and the
/// parse alone.
pub(crate) fn read_ten_thousand_lines() -> std::io::Result<()> {
    let jobs = 460;
    let text = pipeline(jobs);
    let catalog = pikoci_exec::catalog();
    let options = ReadOptions::new("bench", &catalog);
    let whole = || {
        let outcome = read(vec![("bench.hcl".into(), text.clone())], &options);
        match outcome.pipeline {
            Some(pipeline) if pipeline.jobs.len() == jobs => Ok(()),
            _ => Err(std::io::Error::other(format!("{:?}", outcome.diagnostics.first()))),
        }
    };
    let parse = || {
        let parsed = pikoci_core::language::syntax::parse(Default::default(), &text);
        if parsed.diagnostics.is_empty() { Ok(()) } else { Err(std::io::Error::other("broken")) }
    };
    let (ours, floor, ratio) = pair(RUNS, whole, parse)?;
    let megabytes = text.len() as f64 / 1e6;
    let start = Instant::now();
    whole()?;
    let once = start.elapsed();
    println!(
        "  {} lines, {megabytes:.2} MB, {jobs} jobs: read and checked in {:.1} ms ({:.1} ms/MB, {:.0} µs a job)",
        text.lines().count(),
        median(vec![ours]) * 1e3,
        ours * 1e3 / megabytes,
        ours * 1e6 / jobs as f64,
    );
    println!(
        "  the parse alone takes {:.1} ms: whole/parse = {ratio:.2}; once more: {:.1} ms",
        floor * 1e3,
        once.as_secs_f64() * 1e3
    );
    Ok(())
}
