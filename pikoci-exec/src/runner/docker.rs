//! stub
/// stub
#[derive(Debug)]
pub struct DockerRunner;
