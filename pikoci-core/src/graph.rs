//! The graph of a pipeline's jobs and resources, as DOT, Mermaid and SVG.
