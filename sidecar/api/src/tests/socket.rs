//! The socket itself.

use super::api;
use super::scripted::Scripted;
use crate::bind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn without_a_key_only_loopback_is_bound() {
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:11435"] {
        let error = bind(address.parse().unwrap(), false).await.unwrap_err();
        assert_eq!(error.code(), "not_loopback");
        assert!(error.hint().contains("127.0.0.1") && error.hint().contains("keys create"));
    }
    assert!(bind("0.0.0.0:0".parse().unwrap(), true).await.is_ok(), "with a key it may");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = bind("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    let error = bind(first.address(), false).await.unwrap_err();
    assert_eq!(error.code(), "port_in_use");
    assert!(error.to_string().contains(&first.address().to_string()));
}

#[tokio::test]
async fn it_serves_and_stops() {
    let listener = bind("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    let address = listener.address();
    let stop = CancellationToken::new();
    let server = tokio::spawn(listener.serve(api(&Arc::new(Scripted::new()), None), stop.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_sends_too_much_still_hears_why() {
    let listener = bind("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    let address = listener.address();
    let stop = CancellationToken::new();
    let server = tokio::spawn(listener.serve(api(&Arc::new(Scripted::new()), None), stop.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bytes = crate::BODY_BYTES_MAX + 1;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; bytes]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body_too_large"));
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}
