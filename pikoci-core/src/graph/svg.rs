//! Draws a graph as SVG.

use std::fmt::Write as _;

use super::layout::{Layout, Point, Route, layout};
use super::{EdgeKind, Graph, Node, NodeKind, id};

/// Space around the picture.
const MARGIN: f64 = 16.0;

const NODE_HEIGHT: f64 = 40.0;

/// A generous width of a letter of the names' font, which nobody here can measure.
const LETTER: f64 = 7.6;

/// Longer names are cut; their title has them whole.
const LONGEST_NAME: usize = 36;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;text-anchor:middle;fill:#1f2933}\
.detail{font-size:11px;fill:#616e7c}\
.label{font-size:11px;fill:#52606d;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}\
rect{stroke-width:1.5}\
.job rect{fill:#e3f9e5;stroke:#2f8132}\
.resource rect{fill:#f0f4f8;stroke:#829ab1}\
path{fill:none;stroke:#829ab1;stroke-width:1.5}\
.weak path{stroke-dasharray:5 4}\
.put path{stroke:#2f8132}\
marker path{fill:#829ab1;stroke:none}\
#put path{fill:#2f8132}\
@media(prefers-color-scheme:dark){\
text{fill:#f0f4f8}.detail{fill:#9fb3c8}.label{fill:#bcccdc;stroke:#102a43}\
.job rect{fill:#1b4332;stroke:#6fcf97}.resource rect{fill:#243b53;stroke:#829ab1}\
.put path{stroke:#6fcf97}#put path{fill:#6fcf97}}";

/// The whole picture.
pub(super) fn draw(graph: &Graph) -> String {
    let sizes: Vec<(f64, f64)> =
        graph.nodes.iter().map(|node| (width(node), NODE_HEIGHT)).collect();
    let layout = layout(graph, &sizes);
    let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width:.0}\" \
         height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escape(&graph.name));
    let _ = writeln!(out, "<style>{STYLE}</style>");
    out.push_str("<defs>\n");
    for name in ["get", "put"] {
        let _ = writeln!(
            out,
            "<marker id=\"{name}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto-start-reverse\"><path d=\"M0 1 9 5 0 9z\"/></marker>"
        );
    }
    out.push_str("</defs>\n");
    let _ = writeln!(out, "<g transform=\"translate({MARGIN} {MARGIN})\">");
    edges(graph, &layout, &mut out);
    for (node, center) in graph.nodes.iter().zip(&layout.nodes) {
        draw_node(node, *center, &mut out);
    }
    labels(graph, &layout, &mut out);
    out.push_str("</g>\n</svg>\n");
    out
}

fn edges(graph: &Graph, layout: &Layout, out: &mut String) {
    for (edge, route) in graph.edges.iter().zip(&layout.edges) {
        let (Some(from), Some(to)) = (graph.nodes.get(edge.from), graph.nodes.get(edge.to)) else {
            continue;
        };
        let (class, marker) = match edge.kind {
            EdgeKind::Put => ("put", "put"),
            kind if kind.is_strong() => ("get", "get"),
            _ => ("get weak", "get"),
        };
        let says = match edge.kind {
            EdgeKind::Get { trigger: true } | EdgeKind::Passed { trigger: true } => "triggers",
            EdgeKind::Get { .. } | EdgeKind::Passed { .. } => "feeds",
            EdgeKind::Put => "puts",
        };
        let with =
            if edge.label.is_empty() { String::new() } else { format!(" with {}", edge.label) };
        let title = format!("{} {says} {}{with}", id(from), id(to));
        let end = if route.backward { "start" } else { "end" };
        let _ = writeln!(
            out,
            "<g class=\"{class}\"><title>{}</title><path d=\"{}\" marker-{end}=\"url(#{marker})\"/></g>",
            escape(&title),
            path(route),
        );
    }
}

/// A curve through the points of a route that leaves and arrives level.
fn path(route: &Route) -> String {
    let mut out = String::new();
    let mut before: Option<Point> = None;
    for point in &route.points {
        let Point { x, y } = *point;
        let _ = match before {
            None => write!(out, "M{x:.1} {y:.1}"),
            Some(before) => {
                let middle = f64::midpoint(before.x, x);
                write!(out, "C{middle:.1} {:.1} {middle:.1} {y:.1} {x:.1} {y:.1}", before.y)
            }
        };
        before = Some(*point);
    }
    out
}

fn draw_node(node: &Node, center: Point, out: &mut String) {
    let (class, detail) = match node.kind {
        NodeKind::Resource => ("resource", Some(&node.detail)),
        NodeKind::Job => ("job", None),
    };
    let width = width(node);
    let radius = if detail.is_some() { NODE_HEIGHT / 2.0 } else { 8.0 };
    let _ = write!(
        out,
        "<g class=\"{class}\"><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" \
         height=\"{NODE_HEIGHT}\" rx=\"{radius}\"/>",
        escape(&id(node)),
        center.x - width / 2.0,
        center.y - NODE_HEIGHT / 2.0,
    );
    let name = escape(&cut(&node.name));
    let (x, y) = (center.x, center.y);
    let _ = match detail {
        None => write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", y + 4.5),
        Some(detail) => write!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\">{name}</text>\
             <text class=\"detail\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y - 2.5,
            y + 12.5,
            escape(&cut(detail)),
        ),
    };
    out.push_str("</g>\n");
}

/// The names of resources that flow from job to job; last, so that no edge crosses them.
fn labels(graph: &Graph, layout: &Layout, out: &mut String) {
    // Several resources between the same two jobs share one way: one label names them all.
    let mut shared: std::collections::BTreeMap<(usize, usize), Vec<&str>> = Default::default();
    for edge in graph.edges.iter().filter(|edge| !edge.label.is_empty()) {
        shared.entry((edge.from, edge.to)).or_default().push(&edge.label);
    }
    for (edge, route) in graph.edges.iter().zip(&layout.edges) {
        let Some(names) = shared.remove(&(edge.from, edge.to)) else { continue };
        // In the gap before the node that the edge leads to, where there is room.
        let ends = match (route.points.as_slice(), route.backward) {
            ([.., before, last], false) => (*before, *last),
            ([first, after, ..], true) => (*first, *after),
            _ => continue,
        };
        let x = f64::midpoint(ends.0.x, ends.1.x);
        let y = f64::midpoint(ends.0.y, ends.1.y);
        let text = escape(&cut(&names.join(", ")));
        let _ =
            writeln!(out, "<text class=\"label\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>", y + 3.5);
    }
}

fn width(node: &Node) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen columns")]
    let columns = |text: &str| columns(&cut(text)) as f64;
    (columns(&node.name) * LETTER + 28.0)
        .max(columns(&node.detail) * LETTER * 0.85 + 32.0)
        .max(72.0)
}

/// How many letters wide `text` is; scripts with wide letters count twice.
fn columns(text: &str) -> usize {
    text.chars().map(|c| if u32::from(c) >= 0x1100 { 2 } else { 1 }).sum()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_NAME {
        return text.to_owned();
    }
    text.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write most of these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
