//! Where the nodes and edges of a graph stand: columns from left to right, so
//! that edges lead right wherever there is no cycle.
//!
//! Columns are decided here; `rust-sugiyama` orders and spaces what stands in
//! each. An edge over several columns gets a bend in every column between, so
//! that it runs around the nodes there.

use std::collections::BTreeMap;

use rust_sugiyama::configure::{Config, RankingType};
use rust_sugiyama::from_vertices_and_edges;

use super::Graph;

/// Space between neighbours in a column.
const ROW_GAP: f64 = 22.0;

/// Space between columns.
const COLUMN_GAP: f64 = 84.0;

/// How high a bend of an edge counts.
const BEND_HEIGHT: f64 = 14.0;

/// With more bends than this, long edges go straight: layout takes more than linear time.
const MAX_BENDS: usize = 2_000;

/// A point, in pixels from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Where an edge runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// From left to right: the end of the left node, bends, the end of the right node.
    pub(super) points: Vec<Point>,
    /// Whether the edge leads against the order of the points, from right to left.
    pub(super) backward: bool,
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    /// The centre of each node.
    pub(super) nodes: Vec<Point>,
    /// The way of each edge.
    pub(super) edges: Vec<Route>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Lays out `graph`, whose nodes have these `sizes` (width, height).
pub(super) fn layout(graph: &Graph, sizes: &[(f64, f64)]) -> Layout {
    let count = graph.nodes.len();
    let backward = backward_edges(graph);
    let forward: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .zip(&backward)
        .map(|(edge, back)| if *back { (edge.to, edge.from) } else { (edge.from, edge.to) })
        .collect();
    let columns = columns(count, &forward);

    // Every edge becomes a chain of steps from column to column.
    let column = |node: usize| columns.get(node).copied().unwrap_or(0);
    let span = |from, to| column(to).saturating_sub(column(from)).saturating_sub(1);
    let bends: usize = forward.iter().map(|(from, to)| span(*from, *to)).sum();
    let bend = bends <= MAX_BENDS;
    let mut places: Vec<usize> = columns.clone();
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for &(from, to) in &forward {
        let mut chain = vec![from];
        for offset in 0..if bend { span(from, to) } else { 0 } {
            chain.push(places.len());
            places.push(column(from) + offset + 1);
        }
        chain.push(to);
        chains.push(chain);
    }
    let heights = |place: usize| sizes.get(place).map_or(BEND_HEIGHT, |size| size.1);
    let rows = rows(&places, &chains, &heights);

    let mut widths: BTreeMap<usize, f64> = BTreeMap::new();
    for (node, column) in columns.iter().enumerate() {
        let width = widths.entry(*column).or_default();
        *width = width.max(sizes.get(node).map_or(0.0, |size| size.0));
    }
    let mut centers = BTreeMap::new();
    let mut width = 0.0;
    for (column, column_width) in &widths {
        if width > 0.0 {
            width += COLUMN_GAP;
        }
        centers.insert(*column, width + column_width / 2.0);
        width += column_width;
    }
    let point = |place: usize| Point {
        x: places.get(place).and_then(|column| centers.get(column)).copied().unwrap_or(0.0),
        y: rows.get(place).copied().unwrap_or(0.0),
    };
    let nodes: Vec<Point> = (0..count).map(point).collect();
    let half = |node: usize| sizes.get(node).map_or(0.0, |size| size.0 / 2.0);
    let edges = chains
        .iter()
        .zip(&backward)
        .map(|(chain, backward)| {
            let mut points: Vec<Point> = chain.iter().map(|place| point(*place)).collect();
            if let (Some(first), Some(node)) = (points.first_mut(), chain.first()) {
                first.x += half(*node);
            }
            if let (Some(last), Some(node)) = (points.last_mut(), chain.last()) {
                last.x -= half(*node);
            }
            Route { points, backward: *backward }
        })
        .collect();
    let height = places
        .iter()
        .enumerate()
        .map(|(place, _)| point(place).y + heights(place) / 2.0)
        .fold(0.0, f64::max);
    Layout { nodes, edges, width, height }
}

/// Which edges must be turned around so that no cycle is left.
fn backward_edges(graph: &Graph) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (index, edge) in graph.edges.iter().enumerate() {
        if let Some(list) = outgoing.get_mut(edge.from) {
            list.push(index);
        }
    }
    let mut backward = vec![false; graph.edges.len()];
    let mut seen = vec![Seen::No; graph.nodes.len()];
    for root in 0..graph.nodes.len() {
        // A stack of its own: pipelines can be deeper than the thread's.
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            match seen.get_mut(node) {
                Some(state @ Seen::No) => *state = Seen::Open,
                Some(Seen::Open) if *next > 0 => {}
                _ => {
                    stack.pop();
                    continue;
                }
            }
            *next = (*next).max(1);
            let edge = outgoing.get(node).and_then(|list| list.get(*next - 1)).copied();
            let Some(edge) = edge else {
                if let Some(state) = seen.get_mut(node) {
                    *state = Seen::Done;
                }
                stack.pop();
                continue;
            };
            *next += 1;
            let Some(target) = graph.edges.get(edge).map(|edge| edge.to) else { continue };
            match seen.get(target) {
                Some(Seen::Open) => {
                    if let Some(flag) = backward.get_mut(edge) {
                        *flag = true;
                    }
                }
                Some(Seen::No) => stack.push((target, 0)),
                _ => {}
            }
        }
    }
    backward
}

/// The column of each node: right of everything that leads to it; what nothing
/// leads to stands just left of what it leads to.
fn columns(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut incoming = vec![0usize; count];
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); count];
    for &(from, to) in edges {
        if let (Some(list), Some(degree)) = (outgoing.get_mut(from), incoming.get_mut(to)) {
            list.push(to);
            *degree += 1;
        }
    }
    let sources: Vec<usize> =
        (0..count).filter(|node| incoming.get(*node).is_some_and(|degree| *degree == 0)).collect();
    let mut columns = vec![0usize; count];
    let mut ready = sources.clone();
    while let Some(node) = ready.pop() {
        let next = columns.get(node).copied().unwrap_or(0) + 1;
        for &to in outgoing.get(node).into_iter().flatten() {
            if let (Some(column), Some(degree)) = (columns.get_mut(to), incoming.get_mut(to)) {
                *column = (*column).max(next);
                *degree -= 1;
                if *degree == 0 {
                    ready.push(to);
                }
            }
        }
    }
    for source in sources {
        let nearest =
            outgoing.get(source).into_iter().flatten().filter_map(|to| columns.get(*to)).min();
        if let Some(column) = nearest.map(|column| column.saturating_sub(1))
            && let Some(mine) = columns.get_mut(source)
        {
            *mine = column;
        }
    }
    columns
}

/// The vertical centre of each place.
fn rows(places: &[usize], chains: &[Vec<usize>], heights: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let small = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let mut links: Vec<(u32, u32)> = chains
        .iter()
        .flat_map(|chain| chain.windows(2))
        .filter_map(|pair| match pair {
            [from, to] if from != to => Some((small(*from), small(*to))),
            _ => None,
        })
        .collect();
    links.sort_unstable();
    links.dedup();
    // The library places sources on top and works downwards; here the flow is
    // to the right, so its horizontal axis is the vertical one of the picture.
    let vertices: Vec<(u32, (f64, f64))> =
        (0..places.len()).map(|place| (small(place), (heights(place), 1.0))).collect();
    let config = Config {
        vertex_spacing: ROW_GAP,
        // Every link leads one column on, so this finds just our columns.
        ranking_type: RankingType::MinimizeEdgeLength,
        dummy_vertices: false,
        transpose: places.len() <= 300,
        ..Config::default()
    };
    let mut rows = vec![0.0; places.len()];
    let mut parts: Vec<Vec<(usize, f64)>> = from_vertices_and_edges(&vertices, &links, &config)
        .into_iter()
        .map(|(mut part, _, _)| {
            part.sort_by_key(|(place, _)| *place);
            part.into_iter().map(|(place, (across, _))| (place, across)).collect()
        })
        .collect();
    parts.sort_by_key(|part| part.first().map(|(place, _)| *place));
    let mut top = 0.0;
    for part in parts {
        let edge = |sign: f64| {
            part.iter()
                .map(|(place, across)| sign * across + heights(*place) / 2.0)
                .fold(f64::NEG_INFINITY, f64::max)
        };
        let (above, below) = (edge(-1.0), edge(1.0));
        for (place, across) in &part {
            if let Some(row) = rows.get_mut(*place) {
                *row = top + across + above;
            }
        }
        top += above + below + ROW_GAP;
    }
    rows
}
