//! Tests of the graph and of its three forms.

use super::*;
use crate::name::StepId;
use crate::pipeline::{Get, Hooks, Location, Put, Resource, Step, StepKind, VersionChoice};
use crate::testkit::plan::job;

fn resource(kind: &str, name: &str) -> Resource {
    Resource {
        kind: kind.into(),
        name: name.into(),
        params: BTreeMap::new(),
        check_interval: "@every 1m".into(),
        check_timeout: None,
        tags: Vec::new(),
        cache: false,
        webhook: false,
        icon: None,
        public_versions: false,
        location: Location::default(),
    }
}

fn step(kind: StepKind) -> Step {
    Step {
        id: StepId::root(0),
        kind,
        timeout: None,
        attempts: 1,
        hooks: Hooks::default(),
        location: Location::default(),
    }
}

fn get(kind: &str, name: &str, trigger: bool, passed: &[&str]) -> Step {
    step(StepKind::Get(Get {
        kind: kind.into(),
        name: name.into(),
        trigger,
        passed: passed.iter().map(|it| (*it).to_owned()).collect(),
        version: VersionChoice::Latest,
        params: BTreeMap::new(),
        paths: Vec::new(),
        ignore_paths: Vec::new(),
    }))
}

fn put(kind: &str, name: &str) -> Step {
    step(StepKind::Put(Put { kind: kind.into(), name: name.into(), params: BTreeMap::new() }))
}

/// Tests, builds and deploys; a bump goes back into the repository.
fn sample() -> Pipeline {
    Pipeline {
        name: "app".into(),
        resources: vec![
            resource("git", "app"),
            resource("cron", "nightly"),
            resource("docker-image", "image"),
            resource("git", "config"),
        ],
        jobs: vec![
            job("unit", vec![get("git", "app", true, &[])]),
            job("lint", vec![get("git", "app", true, &[])]),
            job(
                "build",
                vec![get("git", "app", true, &["unit", "lint"]), put("docker-image", "image")],
            ),
            job(
                "deploy",
                vec![
                    get("docker-image", "image", true, &["build"]),
                    get("git", "app", false, &["build"]),
                    get("git", "config", false, &[]),
                ],
            ),
            job(
                "bump",
                vec![
                    get("cron", "nightly", true, &[]),
                    get("git", "app", false, &["deploy"]),
                    put("git", "app"),
                ],
            ),
            job("by-hand", vec![]),
        ],
        ..Pipeline::default()
    }
}

/// Names that try to break out of every format.
fn hostile() -> Pipeline {
    let name = "a\"]; <b>&\n#|`\\";
    Pipeline {
        name: name.into(),
        resources: vec![resource("git", name)],
        jobs: vec![job(name, vec![get("git", name, true, &[name])])],
        ..Pipeline::default()
    }
}

#[test]
fn versions_flow_from_resources_and_through_jobs() {
    let graph = Graph::of(&sample());
    let edges: Vec<String> = graph
        .edges
        .iter()
        .map(|edge| {
            format!(
                "{} -> {} {:?} {}",
                graph.nodes[edge.from].name, graph.nodes[edge.to].name, edge.kind, edge.label
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    insta::assert_snapshot!(edges.join("\n"));
}

#[test]
fn dot_can_be_read_by_graphviz() {
    insta::assert_snapshot!(Graph::of(&sample()).to_dot());
    insta::assert_snapshot!(Graph::of(&hostile()).to_dot());
}

#[test]
fn mermaid_keeps_names_out_of_its_syntax() {
    insta::assert_snapshot!(Graph::of(&sample()).to_mermaid());
    insta::assert_snapshot!(Graph::of(&hostile()).to_mermaid());
}

#[test]
fn the_picture_is_the_same_whatever_the_order_of_the_text() {
    let mut other = sample();
    other.jobs.reverse();
    other.resources.reverse();
    assert_eq!(Graph::of(&sample()), Graph::of(&other));
    let svg = Graph::of(&sample()).to_svg();
    assert_eq!(svg, Graph::of(&other).to_svg());
    insta::assert_snapshot!(svg);
}

#[test]
fn hostile_names_stay_text_in_the_picture() {
    let svg = Graph::of(&hostile()).to_svg();
    assert!(svg.contains("a&quot;]; &lt;b&gt;&amp; #|`\\"), "{svg}");
    assert!(!svg.contains("<b>"));
}

#[test]
fn nodes_of_one_column_do_not_overlap_and_edges_lead_right() {
    let graph = Graph::of(&sample());
    let sizes: Vec<(f64, f64)> = graph.nodes.iter().map(|_| (100.0, 40.0)).collect();
    let layout = layout::layout(&graph, &sizes);
    for (index, a) in layout.nodes.iter().enumerate() {
        assert!(a.y >= 20.0 && a.y + 20.0 <= layout.height + 0.1);
        for b in layout.nodes.iter().skip(index + 1) {
            assert!(a.x != b.x || (a.y - b.y).abs() >= 40.0, "{a:?} {b:?}");
        }
    }
    for route in &layout.edges {
        assert!(route.points.windows(2).all(|pair| pair[0].x < pair[1].x), "{route:?}");
    }
    assert_eq!(layout.edges.iter().filter(|route| route.backward).count(), 1);
}

#[test]
fn an_empty_pipeline_has_an_empty_picture() {
    let graph = Graph::of(&Pipeline::default());
    assert!(graph.to_svg().ends_with("</svg>\n"));
    assert_eq!(graph.to_mermaid(), "flowchart LR\n");
}

#[test]
fn a_thousand_nodes_are_laid_out() {
    let mut pipeline = Pipeline::default();
    for index in 0..500 {
        pipeline.resources.push(resource("git", &format!("r{index}")));
        let mut steps = vec![get("git", &format!("r{index}"), true, &[])];
        if index > 0 {
            let before = format!("j{}", (index - 1) / 2);
            steps.push(get("git", &format!("r{}", (index - 1) / 2), true, &[&before]));
        }
        pipeline.jobs.push(job(&format!("j{index}"), steps));
    }
    let svg = Graph::of(&pipeline).to_svg();
    assert_eq!(svg.matches("<rect").count(), 1_000);
}
