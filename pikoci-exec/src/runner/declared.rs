//! stub
/// stub
#[derive(Debug)]
pub struct DeclaredRunner;
