//! Compiles the etcd client from `proto/etcd.proto`, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "etcd")]
    etcd()?;
    Ok(())
}

#[cfg(feature = "etcd")]
fn etcd() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/etcd.proto");
    let descriptors = protox::compile(["etcd.proto"], ["proto"])?;
    let builder = tonic_prost_build::configure().build_server(false);
    // What is sent is shared with the caller's values. What is received is
    // copied out: a small value must not keep the whole answer in memory.
    let sent =
        ["RangeRequest", "PutRequest", "DeleteRangeRequest", "Compare", "WatchCreateRequest"];
    sent.iter()
        .fold(builder, |builder, message| builder.bytes(format!(".etcdserverpb.{message}")))
        .compile_fds(descriptors)?;
    Ok(())
}
