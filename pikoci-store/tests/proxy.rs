//! The proxy that other tests stand on.

mod common;

use common::proxy::{Direction, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers each byte with two.
async fn doubling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = socket.read_u8().await {
                    if socket.write_all(&[byte, byte]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn ask(client: &mut TcpStream, byte: u8) -> std::io::Result<[u8; 2]> {
    let mut answer = [0; 2];
    client.write_all(&[byte]).await?;
    client.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn the_proxy_carries_counts_and_cuts() {
    let proxy = Proxy::start(doubling().await).await;
    let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
    for byte in 0..5 {
        assert_eq!(ask(&mut client, byte).await.expect("an answer"), [byte; 2]);
    }
    assert_eq!(proxy.round_trips(), 5);
    assert_eq!((proxy.bytes(Direction::Request), proxy.bytes(Direction::Answer)), (5, 10));

    proxy.cut();
    ask(&mut client, 1).await.expect_err("it was cut");
    let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
    ask(&mut client, 1).await.expect("an answer");
    assert_eq!(proxy.connections(), 2);

    proxy.cut_after(Direction::Answer, 3);
    ask(&mut client, 2).await.expect("two of three bytes");
    client.write_all(&[3]).await.expect("it goes");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert_eq!(rest, [3]);
    assert!(!proxy.cut_is_due());

    proxy.refuse(true);
    let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
    ask(&mut client, 1).await.expect_err("it is refused");
}

#[tokio::test]
async fn the_proxy_holds_bytes_back() {
    let proxy = Proxy::start(doubling().await).await;
    let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
    ask(&mut client, 1).await.expect("an answer");
    proxy.hold(true);
    client.write_all(&[2]).await.expect("it goes");
    drop(client);
    assert_eq!(proxy.bytes(Direction::Request), 1);
    proxy.hold(false);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while proxy.bytes(Direction::Request) < 2 {
        assert!(std::time::Instant::now() < deadline, "what was held never went on");
        tokio::task::yield_now().await;
    }
}
