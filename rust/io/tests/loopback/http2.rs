//! HTTP/2, which a server offers in its TLS handshake.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use ferry_io::http::Client;
use ferry_io::{Config, Settings};
use ferry_proto::{ExchangeId, Input};
use futures_util::StreamExt;
use h2::Reason;
use h2::server::SendResponse;
use http::{Response, Version};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{post, request, story};

type Connection = h2::server::Connection<TlsStream<TcpStream>, Bytes>;
type Reply = SendResponse<Bytes>;

/// Listens on a free port, and has `script` deal with each request of the first connection.
async fn serve(
    mut script: impl FnMut(http::Request<h2::RecvStream>, Reply) + Send + 'static,
) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor().accept(stream).await.unwrap();
        let mut connection: Connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, reply))) = connection.accept().await {
            script(request, reply);
        }
    });
    Settings { url, insecure: Some(true), concurrency: Some(STREAMS), ..Settings::default() }
        .check()
        .unwrap()
}

fn acceptor() -> TlsAcceptor {
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// So many that their windows together are more than a connection usually has.
const STREAMS: i64 = 32;

#[tokio::test]
async fn a_server_that_speaks_it_is_spoken_to_in_it() {
    let config = serve(|request, mut reply| {
        assert_eq!(request.version(), Version::HTTP_2);
        reply
            .send_response(Response::new(()), false)
            .unwrap()
            .send_data("{}".into(), true)
            .unwrap();
    })
    .await;
    assert_eq!(story(post(&config, "ping")).await, ["sent", "200", "{}", "end"]);
}

#[tokio::test]
async fn a_request_that_was_refused_unread_counts_as_unsent() {
    let config = serve(|_, mut reply| reply.send_reset(Reason::REFUSED_STREAM)).await;
    assert_eq!(story(post(&config, "ping")).await.last().unwrap(), "unsent");
}

#[tokio::test]
async fn a_stream_that_is_reset_later_is_cut() {
    let config = serve(|_, mut reply| reply.send_reset(Reason::INTERNAL_ERROR)).await;
    assert_eq!(story(post(&config, "ping")).await.last().unwrap(), "cut");
}

#[tokio::test]
async fn dropping_an_exchange_resets_its_stream() {
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let config = serve(move |_, mut reply| {
        let mut stream = reply.send_response(Response::new(()), false).unwrap();
        let tell = tell.take().unwrap();
        tokio::spawn(async move {
            tell.send(poll_fn(|cx| stream.poll_reset(cx)).await.unwrap()).unwrap();
        });
    })
    .await;
    let mut exchange = post(&config, "ping");
    while !matches!(exchange.next().await, Some(Input::Head(..))) {}
    drop(exchange);
    assert_eq!(told.await.unwrap(), Reason::CANCEL);
}

#[tokio::test]
async fn streams_left_unread_do_not_starve_the_one_that_is_read() {
    static BODY: [u8; 1 << 20] = [b'x'; 1 << 20];
    let config = serve(|_, mut reply| {
        let body = Bytes::from_static(&BODY);
        reply.send_response(Response::new(()), false).unwrap().send_data(body, true).unwrap();
    })
    .await;
    let client = Client::new(&config).unwrap();
    let mut exchanges = Vec::new();
    for number in 0..STREAMS.unsigned_abs() {
        let mut exchange = client.open(ExchangeId { number, attempt: 1 }, request(&config, "ping"));
        // Up to the first piece, so that the rest of its body fills its window from here on.
        while !matches!(exchange.next().await, Some(Input::Chunk(..))) {}
        exchanges.push(exchange);
    }
    let last = story(exchanges.pop().unwrap()).await;
    assert_eq!(last.last().unwrap(), "end");
}
