//! Stand-in until the real one lands.
use super::diagnostic::Diagnostic;
use super::source::{FileId, Span};
#[derive(Debug)] #[allow(missing_docs)]
pub struct BrokenBlock { pub kind: String, pub labels: Vec<String>, pub span: Span }
#[derive(Debug)] #[allow(missing_docs)]
pub struct Parsed { pub body: hcl_edit::structure::Body, pub diagnostics: Vec<Diagnostic>, pub broken: Vec<BrokenBlock> }
/// p
pub fn parse(file: FileId, text: &str) -> Parsed {
    match text.parse() { Ok(body) => Parsed { body, diagnostics: vec![], broken: vec![] },
    Err(e) => { let e: hcl_edit::parser::Error = e; Parsed { body: Default::default(), diagnostics: vec![Diagnostic::error("syntax", Span::new(file, e.location().offset()..e.location().offset()), e.message().to_string())], broken: vec![] } } }
}
