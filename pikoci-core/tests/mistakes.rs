//! What people get wrong, and what they are told: every case of `mistakes.txt`
//! as the terminal shows it, kept as one reviewed snapshot.

mod common;

use pikoci_core::language::render::{RenderStyle, render};

#[test]
fn every_mistake_is_told_with_its_place_and_its_cure() {
    let mut all = String::new();
    for case in include_str!("mistakes.txt").split("=== ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        let outcome = common::read_text(text);
        assert!(!outcome.diagnostics.is_empty(), "{name}: nothing was said");
        let style = RenderStyle { color: false, width: 80 };
        let told = render(&outcome.diagnostics, &outcome.sources, style);
        for line in told.lines() {
            assert!(line.chars().count() <= 120, "{name}: too wide: {line}");
        }
        all.push_str(&format!("=== {name}\n{told}\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn every_mistake_is_there_as_data() {
    for case in include_str!("mistakes.txt").split("=== ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        let outcome = common::read_text(text);
        for diagnostic in &outcome.diagnostics {
            let json = diagnostic.to_json(&outcome.sources);
            assert!(json["place"]["line"].as_u64().unwrap() >= 1, "{name}: {json}");
            assert!(json["place"]["column"].as_u64().unwrap() >= 1, "{name}: {json}");
            assert_eq!(json["place"]["file"], "pipeline.hcl", "{name}: {json}");
            assert!(!json["code"].as_str().unwrap().is_empty(), "{name}: {json}");
        }
    }
}
