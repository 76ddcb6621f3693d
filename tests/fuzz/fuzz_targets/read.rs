//! Reads any bytes as a pipeline, formats them, and shows what is wrong.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pikoci_core::catalog::Catalog;
use pikoci_core::language::render::{RenderStyle, render};
use pikoci_core::language::source::FileId;
use pikoci_core::language::{ReadOptions, format, read};

static CATALOG: LazyLock<Catalog> = LazyLock::new(pikoci_exec::catalog);

fuzz_target!(|text: &str| {
    let options = ReadOptions::new("fuzz", &CATALOG);
    let outcome = read(vec![("fuzz.hcl".into(), text.into())], &options);
    render(&outcome.diagnostics, &outcome.sources, RenderStyle { color: true, width: 80 });
    let file = FileId::default();
    if let Ok(once) = format::format(file, text) {
        assert_eq!(format::format(file, &once), Ok(once.clone()), "formatting twice changes it");
    }
});
