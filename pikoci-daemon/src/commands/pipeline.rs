//! `pikoci pipeline validate`, `graph` and `expand`.

use pikoci_core::Pipeline;
use pikoci_core::graph;
use pikoci_core::language::expand as printer;
use pikoci_core::language::format::format;
use pikoci_core::language::source::FileId;

use super::diagnostics::{Values, read_pipeline, tell, to_json, usable};
use super::load::load;
use super::{Stop, print};
use crate::cli::{Expand, Graph, GraphFormat, OnePipeline, Output, Validate, Variables};
use crate::exit::Exit;

/// Says whether pipelines are right; every one is looked at.
pub(crate) fn validate(arguments: &Validate) -> Result<Exit, Stop> {
    let paths = arguments.pipelines.paths();
    if paths.is_empty() {
        return Err(Stop::usage("no pipeline given; name a file, a directory or `-`"));
    }
    let values = Values::of(&arguments.variables)?;
    let catalog = pikoci_exec::catalog();
    let mut outcomes = Vec::new();
    let mut missing = false;
    for path in &paths {
        match load(path) {
            Ok(files) => outcomes.push((path, read_pipeline(files, &values, &catalog))),
            Err(stop) => {
                stop.tell();
                missing = true;
            }
        }
    }
    match arguments.output {
        Output::Json => {
            let all = outcomes.iter().map(|(_, it)| (it.diagnostics.as_slice(), &it.sources));
            print(&to_json(all))?;
        }
        Output::Text => {
            for (path, outcome) in &outcomes {
                tell(&outcome.diagnostics, &outcome.sources);
                if let Some(pipeline) = &outcome.pipeline {
                    let line = format!("{} is valid: {}\n", path.display(), contents(pipeline));
                    print(&line)?;
                }
            }
        }
    }
    let right = !missing && outcomes.iter().all(|(_, outcome)| outcome.pipeline.is_some());
    Ok(if right { Exit::Success } else { Exit::Usage })
}

/// What a pipeline has, in a few words.
fn contents(pipeline: &Pipeline) -> String {
    let count = |number: usize, word: &str| {
        format!("{number} {word}{}", if number == 1 { "" } else { "s" })
    };
    format!(
        "{}, {}",
        count(pipeline.jobs.len(), "job"),
        count(pipeline.resources.len(), "resource")
    )
}

/// Prints the graph of a pipeline.
pub(crate) fn graph(arguments: &Graph) -> Result<Exit, Stop> {
    let pipeline = read_one(&arguments.pipeline, &arguments.variables)?;
    let graph = graph::Graph::of(&pipeline);
    let text = match arguments.format {
        GraphFormat::Dot => graph.to_dot(),
        GraphFormat::Mermaid => graph.to_mermaid(),
        GraphFormat::Svg => graph.to_svg(),
    };
    print(&text)?;
    Ok(Exit::Success)
}

/// Prints a pipeline with everything evaluated.
pub(crate) fn expand(arguments: &Expand) -> Result<Exit, Stop> {
    let pipeline = read_one(&arguments.pipeline, &arguments.variables)?;
    let text = printer::expand(&pipeline);
    // What cannot be laid out is still right.
    let text = format(FileId::default(), &text).unwrap_or(text);
    print(&text)?;
    Ok(Exit::Success)
}

fn read_one(pipeline: &OnePipeline, variables: &Variables) -> Result<Pipeline, Stop> {
    let values = Values::of(variables)?;
    let files = load(&pipeline.path())?;
    usable(read_pipeline(files, &values, &pikoci_exec::catalog()), Output::Text)
}
