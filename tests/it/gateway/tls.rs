//! Upstreams behind TLS, with an authority of their own, over HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chatgauge::Config;
use chatgauge::model::{ErrorType, Outcome};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answers::{ASK_STREAM, DONE, STREAM};
use super::harness::TestGateway;

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notify/tls").join(name)
}

fn acceptor(protocol: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(tls_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A provider that speaks only `protocol`, on a runtime that ends with the test.
struct Provider {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Provider {
    fn start(protocol: &'static str) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let acceptor = acceptor(protocol);
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not trust the certificate hangs up.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
                    if protocol == "h2" { answer_h2(stream).await } else { answer_h1(stream).await }
                });
            }
        });
        Self { address, _runtime: runtime }
    }
}

async fn answer_h1(mut stream: TlsStream<TcpStream>) {
    let mut asked = Vec::new();
    while !asked.ends_with(ASK_STREAM.as_bytes()) {
        if stream.read_buf(&mut asked).await.unwrap() == 0 {
            return;
        }
    }
    let body = [STREAM, DONE].concat();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head, body].concat().into_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

async fn answer_h2(stream: TlsStream<TcpStream>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert_eq!(request.method(), "POST");
        let many = (0..300).map(|number| format!("x-header-{number}"));
        let mut head = axum::http::Response::builder().header("content-type", "text/event-stream");
        for name in many {
            head = head.header(name, "v");
        }
        let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
        body.send_data(STREAM.into(), false).unwrap();
        body.send_data(DONE.into(), true).unwrap();
    }
}

fn secured(provider: &Provider, ca_file: Option<PathBuf>) -> impl FnOnce(&mut Config) {
    let url = format!("https://{}", provider.address);
    move |config| {
        for upstream in config.gateway.upstreams.values_mut() {
            upstream.url.clone_from(&url);
            upstream.ca_file.clone_from(&ca_file);
        }
    }
}

#[test]
fn an_authority_of_its_own_vouches_for_an_upstream_over_both_versions_of_http() {
    for protocol in ["http/1.1", "h2"] {
        let provider = Provider::start(protocol);
        let trusted = secured(&provider, Some(tls_file("authority.pem")));
        let gateway = TestGateway::with(provider.address, trusted);
        for _ in 0..2 {
            let answer = gateway.chat(ASK_STREAM);
            assert_eq!((answer.status(), answer.text()), (200, [STREAM, DONE].concat()));
            let many = answer.headers.iter().filter(|(name, _)| name.starts_with("x-header-"));
            assert_eq!(many.count(), if protocol == "h2" { 300 } else { 0 });
        }
        for record in gateway.records(2) {
            assert_eq!(record.outcome, Outcome::Success, "{protocol}");
        }
    }
}

#[test]
fn an_upstream_that_nobody_vouches_for_is_not_spoken_to() {
    let provider = Provider::start("http/1.1");
    let gateway = TestGateway::with(provider.address, secured(&provider, None));
    assert_eq!(gateway.chat(ASK_STREAM).status(), 502);
    let record = gateway.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Network));
    assert_eq!(record.error_code.as_deref(), Some("connect_failed"));
}

#[test]
fn authorities_that_cannot_be_read_are_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.path = directory.path().join("test.db");
    let openai = config.gateway.upstreams.get_mut("openai").unwrap();
    openai.ca_file = Some(tls_file("server.key"));
    let service = chatgauge::Chatgauge::open(config).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = chatgauge::gateway::serve(listener, service, std::future::pending()).await;
        served.unwrap_err().to_string()
    });
    assert!(error.contains("gateway.upstreams.openai.ca_file"), "{error}");
    assert!(error.contains("no certificate"), "{error}");
}
