//! The arguments of every command.

mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pikoci_core::duration;

pub(crate) use store::{Check, Copy, Database, Export, Import, Replace, Store};

/// Runs pipelines written in HCL, here or anywhere.
#[derive(Debug, Parser)]
#[command(name = "pikoci", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a job of a pipeline on this machine, with no server
    Run(Run),
    /// Check, draw, print or format pipelines
    #[command(subcommand)]
    Pipeline(Pipeline),
    /// Copy, export, import or check what a store holds
    #[command(subcommand)]
    Store(Store),
}

/// `pikoci run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The pipeline: a file, a directory of *.hcl files, or - for standard input
    #[arg(short, long, alias = "pipeline-config", value_name = "FILE|DIR")]
    pub(crate) pipeline: PathBuf,
    /// The job to run; may be left out when there is only one
    #[arg(short, long, value_name = "JOB", conflicts_with = "all")]
    pub(crate) job: Option<String>,
    /// Run every job, each after those whose versions it needs
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) variables: Variables,
    /// The value of an `input` of the job; one with `multiple` takes several of these
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// Use a directory of yours in place of what a resource would fetch
    #[arg(long = "resource", value_name = "TYPE.NAME=PATH", value_parser = resource)]
    pub(crate) resources: Vec<(String, PathBuf)>,
    /// Keep the working directory and say where it is
    #[arg(long)]
    pub(crate) keep: bool,
    /// Time a process has to end when it is asked to, before it is killed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub(crate) grace: Duration,
    /// What to print: text for people, or every event as a line of JSON
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// What the reading of a pipeline takes from the command line.
#[derive(Debug, Default, Args)]
pub(crate) struct Variables {
    /// The value of a variable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) vars: Vec<(String, String)>,
    /// A file with values of variables, JSON or HCL; later files win
    #[arg(long = "vars", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Let a `source` name addresses of the local network
    #[arg(long)]
    pub(crate) allow_local_sources: bool,
}

/// `pikoci pipeline …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Pipeline {
    /// Say whether pipelines are right, and what is wrong with them
    Validate(Validate),
    /// Print the graph of resources and jobs
    Graph(Graph),
    /// Print a pipeline with everything evaluated, fetched and expanded
    Expand(Expand),
    /// Format pipelines in place; without arguments, every *.hcl file in this directory
    Fmt(Fmt),
}

/// One pipeline, named with or without a flag.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct OnePipeline {
    /// The pipeline: a file, a directory of *.hcl files, or - for standard input
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// The same as a flag
    #[arg(short = 'p', long = "pipeline", alias = "pipeline-config", value_name = "FILE|DIR")]
    flag: Option<PathBuf>,
}

impl OnePipeline {
    /// The one that was named.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone().or_else(|| self.flag.clone()).unwrap_or_default()
    }
}

/// Any number of pipelines, named with or without a flag.
#[derive(Debug, Default, Args)]
pub(crate) struct Pipelines {
    /// Files, directories of *.hcl files, or - for standard input
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The same as a flag
    #[arg(short = 'p', long = "pipeline", alias = "pipeline-config", value_name = "FILE|DIR")]
    flags: Vec<PathBuf>,
}

impl Pipelines {
    /// All that were named.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.flags).cloned().collect()
    }
}

/// `pikoci pipeline validate`.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) pipelines: Pipelines,
    #[command(flatten)]
    pub(crate) variables: Variables,
    /// What to print: text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `pikoci pipeline graph`.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) pipeline: OnePipeline,
    #[command(flatten)]
    pub(crate) variables: Variables,
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "dot")]
    pub(crate) format: GraphFormat,
}

/// `pikoci pipeline expand`.
#[derive(Debug, Args)]
pub(crate) struct Expand {
    #[command(flatten)]
    pub(crate) pipeline: OnePipeline,
    #[command(flatten)]
    pub(crate) variables: Variables,
}

/// `pikoci pipeline fmt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without arguments, every *.hcl file in the current directory is rewritten \
                        where it is not formatted yet; directories inside it are left alone."
)]
pub(crate) struct Fmt {
    #[command(flatten)]
    pub(crate) pipelines: Pipelines,
    /// Change nothing; exit 1 and name the files that are not formatted
    #[arg(long)]
    pub(crate) check: bool,
    /// Format standard input to standard output
    #[arg(long, conflicts_with_all = ["paths", "flags"])]
    pub(crate) stdin: bool,
}

/// How results are printed: for people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// How a graph is printed: for Graphviz, for Mermaid or as a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    Dot,
    Mermaid,
    Svg,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

fn resource(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if name.contains('.') && !path.is_empty() => {
            Ok((name.to_owned(), path.into()))
        }
        _ => Err("expected TYPE.NAME=PATH, such as git.app=.".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(arguments: &str) -> Result<Run, String> {
        let words = ["pikoci", "run"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Run(run) => Ok(run),
            _ => Err("not a run".into()),
        }
    }

    fn pipeline(arguments: &str) -> Result<Pipeline, String> {
        let words = ["pikoci", "pipeline"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Pipeline(pipeline) => Ok(pipeline),
            _ => Err("not a pipeline command".into()),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_fmt_says_what_it_does_without_arguments() {
        let help = pipeline("fmt --help").map(|_| String::new()).unwrap_err();
        assert!(help.contains("every *.hcl file in the current directory"), "{help}");
    }

    #[test]
    fn every_flag_of_run_is_understood() {
        let parsed = run(
            "-p ci.hcl -j test --var a=1 --var b=x=y --vars v.json --vars v.hcl --input who=me \
             --resource git.app=. --keep --grace 1m --output json",
        )
        .unwrap();
        assert_eq!(parsed.pipeline, PathBuf::from("ci.hcl"));
        assert_eq!(parsed.job.as_deref(), Some("test"));
        assert_eq!(
            parsed.variables.vars,
            [("a".into(), "1".into()), ("b".into(), "x=y".to_owned())]
        );
        assert_eq!(parsed.variables.files, [PathBuf::from("v.json"), "v.hcl".into()]);
        assert_eq!(parsed.inputs, [("who".into(), "me".to_owned())]);
        assert_eq!(parsed.resources, [("git.app".into(), PathBuf::from("."))]);
        assert!(parsed.keep && !parsed.all);
        assert_eq!(parsed.grace, Duration::from_secs(60));
        assert_eq!(parsed.output, Output::Json);
    }

    #[test]
    fn the_long_forms_of_the_articles_are_understood() {
        let parsed = run("--pipeline-config ci.hcl --job test").unwrap();
        assert_eq!(parsed.pipeline, PathBuf::from("ci.hcl"));
        assert_eq!(parsed.job.as_deref(), Some("test"));
        assert!(run("--pipeline - --all").unwrap().all);
    }

    #[test]
    fn mistakes_in_arguments_are_refused() {
        for (arguments, says) in [
            ("", "--pipeline"),
            ("-p x --var novalue", "expected NAME=VALUE"),
            ("-p x --var =v", "expected NAME=VALUE"),
            ("-p x --resource app=.", "expected TYPE.NAME=PATH"),
            ("-p x --resource git.app=", "expected TYPE.NAME=PATH"),
            ("-p x --all -j y", "cannot be used with"),
            ("-p x --output yaml", "possible values: text, json"),
            ("-p x --jobs y", "--job"),
        ] {
            let error = run(arguments).unwrap_err();
            assert!(error.contains(says), "{arguments}: {error}");
        }
        assert!(pipeline("graph").is_err());
        assert!(pipeline("graph a -p b").is_err());
        assert!(pipeline("fmt a --stdin").is_err());
    }

    #[test]
    fn a_pipeline_is_named_with_or_without_a_flag() {
        for arguments in ["a.hcl", "-p a.hcl", "--pipeline a.hcl", "--pipeline-config a.hcl"] {
            let Ok(Pipeline::Graph(graph)) = pipeline(&format!("graph {arguments} --format svg"))
            else {
                panic!("{arguments}");
            };
            assert_eq!(graph.pipeline.path(), PathBuf::from("a.hcl"));
            assert_eq!(graph.format, GraphFormat::Svg);
            let Ok(Pipeline::Expand(expand)) = pipeline(&format!("expand {arguments}")) else {
                panic!("{arguments}");
            };
            assert_eq!(expand.pipeline.path(), PathBuf::from("a.hcl"));
        }
        let Ok(Pipeline::Validate(validate)) =
            pipeline("validate a b -p c --var x=1 --output json")
        else {
            panic!("validate");
        };
        assert_eq!(validate.pipelines.paths().len(), 3);
        assert_eq!(validate.output, Output::Json);
        let Ok(Pipeline::Fmt(fmt)) = pipeline("fmt -p a.hcl --check") else { panic!("fmt") };
        assert!(fmt.check && !fmt.stdin);
        assert_eq!(fmt.pipelines.paths(), [PathBuf::from("a.hcl")]);
    }
}
