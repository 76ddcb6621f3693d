//! stub
/// stub
#[derive(Debug)]
pub struct ShellRunner;
