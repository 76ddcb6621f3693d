//! The graph of a pipeline: what flows from which resource and job to which,
//! as DOT, Mermaid and SVG.

mod layout;
mod svg;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::pipeline::Pipeline;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {
    /// A resource.
    Resource,
    /// A job.
    Job,
}

/// A resource or a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it stands for.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// A resource's type; empty for a job.
    pub detail: String,
}

/// How versions take an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeKind {
    /// A `get`; whether a new version starts the job.
    Get {
        /// Whether a new version starts the job.
        trigger: bool,
    },
    /// A `get` of versions that passed the job the edge comes from.
    Passed {
        /// Whether a new version starts the job.
        trigger: bool,
    },
    /// A `put`.
    Put,
}

impl EdgeKind {
    /// Whether something that arrives here starts what the edge leads to.
    fn is_strong(self) -> bool {
        !matches!(self, Self::Get { trigger: false } | Self::Passed { trigger: false })
    }
}

/// What flows from one node to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The index of the node it leaves.
    pub from: usize,
    /// The index of the node it reaches.
    pub to: usize,
    /// How versions take it.
    pub kind: EdgeKind,
    /// The resource whose versions flow, where neither end is that resource; else empty.
    pub label: String,
}

/// The graph of a pipeline. The same pipeline always gives the same graph, whatever
/// the order in which things are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The pipeline's name.
    pub name: String,
    /// Resources, then jobs, each by name.
    pub nodes: Vec<Node>,
    /// Edges in order, none twice.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// The graph of a pipeline. What a pipeline names but does not declare is left out.
    pub fn of(pipeline: &Pipeline) -> Self {
        let mut nodes: Vec<Node> = pipeline
            .resources
            .iter()
            .map(|it| Node {
                kind: NodeKind::Resource,
                name: it.name.clone(),
                detail: it.kind.clone(),
            })
            .chain(pipeline.jobs.iter().map(|job| Node {
                kind: NodeKind::Job,
                name: job.name.clone(),
                detail: String::new(),
            }))
            .collect();
        nodes.sort_by(|a, b| (a.kind, &a.name, &a.detail).cmp(&(b.kind, &b.name, &b.detail)));
        nodes.dedup();
        let mut resources = BTreeMap::new();
        let mut jobs = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            match node.kind {
                NodeKind::Resource => {
                    resources.insert((node.detail.as_str(), node.name.as_str()), index);
                }
                NodeKind::Job => {
                    jobs.insert(node.name.as_str(), index);
                }
            }
        }
        let mut edges = Vec::new();
        for job in &pipeline.jobs {
            let Some(&this) = jobs.get(job.name.as_str()) else { continue };
            for (_, get) in job.gets() {
                let trigger = get.trigger;
                for passed in &get.passed {
                    if let Some(&from) = jobs.get(passed.as_str()) {
                        let kind = EdgeKind::Passed { trigger };
                        edges.push(Edge { from, to: this, kind, label: get.name.clone() });
                    }
                }
                let resource = resources.get(&(get.kind.as_str(), get.name.as_str()));
                if let Some(&from) = resource.filter(|_| get.passed.is_empty()) {
                    let kind = EdgeKind::Get { trigger };
                    edges.push(Edge { from, to: this, kind, label: String::new() });
                }
            }
            for (_, put) in job.puts() {
                if let Some(&to) = resources.get(&(put.kind.as_str(), put.name.as_str())) {
                    edges.push(Edge { from: this, to, kind: EdgeKind::Put, label: String::new() });
                }
            }
        }
        edges.sort();
        edges.dedup();
        Self { name: pipeline.name.clone(), nodes, edges }
    }

    /// The graph for Graphviz.
    pub fn to_dot(&self) -> String {
        let mut out = format!("digraph {} {{\n", dot_string(&self.name));
        out.push_str("  rankdir=LR;\n");
        out.push_str("  node [fontname=\"sans-serif\", fontsize=11, style=\"rounded,filled\"];\n");
        out.push_str("  edge [fontname=\"sans-serif\", fontsize=9];\n");
        for node in &self.nodes {
            let id = dot_string(&id(node));
            let (label, look) = match node.kind {
                NodeKind::Resource => (
                    // `\n` must reach Graphviz as an escape, not as a line feed.
                    dot_string(&node.name).trim_end_matches('"').to_owned()
                        + "\\n"
                        + dot_string(&node.detail).trim_start_matches('"'),
                    "shape=box, fillcolor=\"#e7ecf3\", color=\"#7b8794\"",
                ),
                NodeKind::Job => {
                    (dot_string(&node.name), "shape=box, fillcolor=\"#d6f0dd\", color=\"#2f855a\"")
                }
            };
            let _ = writeln!(out, "  {id} [label={label}, {look}];");
        }
        for edge in &self.edges {
            let (Some(from), Some(to)) = (self.nodes.get(edge.from), self.nodes.get(edge.to))
            else {
                continue;
            };
            let mut look = Vec::new();
            if !edge.label.is_empty() {
                look.push(format!("label={}", dot_string(&edge.label)));
            }
            if !edge.kind.is_strong() {
                look.push("style=dashed".into());
            }
            let look =
                if look.is_empty() { String::new() } else { format!(" [{}]", look.join(", ")) };
            let _ = writeln!(out, "  {} -> {}{look};", dot_string(&id(from)), dot_string(&id(to)));
        }
        out.push_str("}\n");
        out
    }

    /// The graph for Mermaid.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let name = mermaid_text(&node.name);
            let _ = match node.kind {
                NodeKind::Resource => {
                    writeln!(out, "  n{index}([\"{name}<br/>{}\"])", mermaid_text(&node.detail))
                }
                NodeKind::Job => writeln!(out, "  n{index}[\"{name}\"]"),
            };
        }
        for edge in &self.edges {
            let arrow = if edge.kind.is_strong() { "-->" } else { "-.->" };
            let label = if edge.label.is_empty() {
                String::new()
            } else {
                format!("|\"{}\"|", mermaid_text(&edge.label))
            };
            let _ = writeln!(out, "  n{} {arrow}{label} n{}", edge.from, edge.to);
        }
        out
    }

    /// The graph as a picture that stands on its own, for light and dark pages.
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }
}

/// A name that no other node has.
fn id(node: &Node) -> String {
    match node.kind {
        NodeKind::Resource => format!("resource {}.{}", node.detail, node.name),
        NodeKind::Job => format!("job {}", node.name),
    }
}

fn dot_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn mermaid_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            // Mermaid reads entities as `#name;`; everything that could be
            // taken for markup goes that way.
            '"' | '#' | '&' | '<' | '>' | '`' | ';' | '|' | '[' | ']' | '{' | '}' | '(' | ')'
            | '\\' | '*' | '_' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
