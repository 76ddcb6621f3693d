//! An encrypted connection.

use std::process::Command;

use pikoci_core::store::Outcome;
use pikoci_store::{OpenErrorKind, open_store};

use crate::server::{Member, available, chain, key, open, txn};

/// A self-signed certificate for loopback and its key, in this folder.
fn certificate(dir: &std::path::Path, name: &str) -> (String, String) {
    let [cert, key] = ["cert", "key"].map(|what| dir.join(format!("{name}-{what}.pem")));
    let output = Command::new("openssl")
        .args(
            "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1".split(' '),
        )
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (cert.display().to_string(), key.display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_prove_both_sides() {
    if !available("an encrypted connection") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (server_cert, server_key) = certificate(dir.path(), "server");
    let (client_cert, client_key) = certificate(dir.path(), "client");
    let member = Member::single(
        "https",
        &[
            "--cert-file",
            &server_cert,
            "--key-file",
            &server_key,
            "--client-cert-auth",
            "--trusted-ca-file",
            &client_cert,
        ],
    );
    let plain = member.fresh_url();
    let url = plain.replace("etcd:", "etcds:");
    let proven = format!("{url}?ca={server_cert}&cert={client_cert}&key={client_key}");
    let store = open(&proven).await;
    let done = store.commit(&txn().put(key("it"), "1")).await.expect("done");
    assert!(matches!(done, Outcome::Committed(_)));

    let known = format!("ca={server_cert}&cert={client_cert}&key={client_key}");
    let refused = [
        (format!("{url}?{}", known.replace("server-cert", "client-cert")), "peer certificate"),
        // By the usual authorities.
        (format!("{url}?cert={client_cert}&key={client_key}"), "peer certificate"),
        // The server ends what was begun, when it sees no certificate.
        (format!("{url}?ca={server_cert}"), "no member of etcd"),
        (plain, "no member of etcd"),
    ];
    let refused = refused.map(|(url, told)| async move {
        let error = open_store(&url).await.expect_err("refused");
        assert_eq!(error.kind, OpenErrorKind::Unavailable, "{url}: {error:?}");
        let said = chain(&error);
        assert!(said.contains(told), "{said}");
    });
    futures_util::future::join_all(refused).await;
}
