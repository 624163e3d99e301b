//! E-mail against a mail server of a few lines, and TLS against a server with an authority of its own.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chatgauge::Config;
use chatgauge::alert::{ChannelState, NotificationKind};
use chatgauge::model::alert::DeliveryState;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::delivery::alerting;
use super::outbox::{enqueue, notification, outgoing};
use super::receiver::until;
use crate::harness::store::{TestService, at};

/// How a mail server of the tests protects its connections.
#[derive(Clone, Copy, PartialEq)]
enum Protection {
    Plain,
    StartTls,
    Tls,
}

/// What the mail server heard, line by line.
type Heard = Arc<Mutex<Vec<String>>>;

struct MailServer {
    address: SocketAddr,
    heard: Heard,
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notify/tls").join(name)
}

fn tls_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(tls_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

impl MailServer {
    /// A server that answers `MAIL FROM` with `mail_reply`.
    fn start(protection: Protection, mail_reply: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Heard::default());
        let hearing = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, hearing) = (stream.unwrap(), Arc::clone(&hearing));
                std::thread::spawn(move || greet(stream, protection, mail_reply, &hearing));
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn secured(stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(tls_config()).unwrap(), stream)
}

fn greet(mut stream: TcpStream, protection: Protection, mail_reply: &str, heard: &Heard) {
    if protection == Protection::Tls {
        let mut stream = secured(stream);
        if stream.write_all(b"220 ready\r\n").is_ok() {
            talk(stream, false, mail_reply, heard);
        }
        return;
    }
    if stream.write_all(b"220 ready\r\n").is_err() {
        return;
    }
    let clone = stream.try_clone().unwrap();
    if talk(clone, protection == Protection::StartTls, mail_reply, heard) {
        talk(secured(stream), false, mail_reply, heard);
    }
}

/// One conversation; `true` when it is to go on under TLS.
fn talk<S: Read + Write>(stream: S, offers_tls: bool, mail_reply: &str, heard: &Heard) -> bool {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        let reply = match line.split(' ').next().unwrap().to_ascii_uppercase().as_str() {
            _ if in_data && line == "." => {
                in_data = false;
                "250 taken\r\n".to_owned()
            }
            _ if in_data => continue,
            "EHLO" if offers_tls => "250-me\r\n250 STARTTLS\r\n".to_owned(),
            "EHLO" => "250-me\r\n250 AUTH PLAIN\r\n".to_owned(),
            "STARTTLS" => {
                reader.get_mut().write_all(b"220 go\r\n").unwrap();
                return true;
            }
            "AUTH" => "235 welcome\r\n".to_owned(),
            "MAIL" => format!("{mail_reply}\r\n"),
            "DATA" => {
                in_data = true;
                "354 go\r\n".to_owned()
            }
            "QUIT" => "221 bye\r\n".to_owned(),
            _ => "250 ok\r\n".to_owned(),
        };
        if reader.get_mut().write_all(reply.as_bytes()).is_err() {
            return false;
        }
    }
}

fn start(server: &MailServer, more: &str) -> TestService {
    let section = alerting(&format!(
        "[alerting.channels.mail]\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\n\
         from = \"chatgauge <alerts@example.org>\"\nto = [\"a@example.org\", \"b@example.org\"]\n{more}",
        server.address.port()
    ));
    TestService::start_with(at("2026-11-23T02:00:00Z"), |config: &mut Config| {
        config.alerting = section;
    })
}

fn tell(service: &TestService) {
    let notification = notification("i1", NotificationKind::Firing, service.now());
    enqueue(&service.config, vec![outgoing("mail", &notification)]);
}

fn wait_for(service: &TestService, state: DeliveryState, attempts: u32) -> Option<String> {
    until(&format!("mail {}", state.as_str()), || {
        let row = service
            .store()
            .read(|reader| reader.messages_of("i1"))
            .unwrap()
            .into_iter()
            .next()
            .unwrap();
        (row.state == state && row.attempts == attempts).then_some(row.last_error)
    })
}

const PLAINTEXT: &str = "tls = \"none\"\nallow_plaintext = true\n";

#[test]
fn a_mail_reaches_its_recipients() {
    let server = MailServer::start(Protection::Plain, "250 ok");
    let service = start(&server, PLAINTEXT);
    tell(&service);
    wait_for(&service, DeliveryState::Sent, 1);
    let heard = server.heard();
    let has = |text: &str| heard.iter().any(|line| line.contains(text));
    assert!(has("MAIL FROM:<alerts@example.org>"), "{heard:#?}");
    assert!(has("RCPT TO:<a@example.org>") && has("RCPT TO:<b@example.org>"), "{heard:#?}");
    assert!(has("Subject: [chatgauge] Firing: High error rate (space space-i1)"), "{heard:#?}");
    assert!(has("Auto-Submitted: auto-generated"), "{heard:#?}");
    assert!(has("Date: Mon, 23 Nov 2026 02:00:00 +0000"), "{heard:#?}");
    let id = &service.store().read(|reader| reader.messages_of("i1")).unwrap()[0].id;
    assert!(has(&format!("Message-ID: <{id}@example.org>")), "{heard:#?}");
    assert!(has("Value: 23.1 %, limit > 10 %, 18 of 78 requests"), "{heard:#?}");
}

#[test]
fn a_busy_mail_server_is_asked_again_and_a_refusal_is_final() {
    let busy = MailServer::start(Protection::Plain, "451 later");
    let service = start(&busy, PLAINTEXT);
    tell(&service);
    let error = wait_for(&service, DeliveryState::Queued, 1).unwrap();
    assert!(error.contains("451"), "{error}");

    let refusing = MailServer::start(Protection::Plain, "550 never");
    let service = start(&refusing, PLAINTEXT);
    tell(&service);
    let error = wait_for(&service, DeliveryState::Dead, 1).unwrap();
    assert!(error.contains("550"), "{error}");
}

#[test]
fn nothing_is_said_in_the_clear_to_a_server_without_tls() {
    let server = MailServer::start(Protection::Plain, "250 ok");
    let service = start(&server, "tls = \"starttls\"\nusername = \"u\"\npassword = \"hunter2\"\n");
    tell(&service);
    wait_for(&service, DeliveryState::Queued, 1);
    let heard = server.heard();
    assert!(heard.iter().any(|line| line.starts_with("EHLO")), "{heard:?}");
    assert!(!heard.iter().any(|line| line.starts_with("MAIL") || line.starts_with("AUTH")));
}

#[test]
fn both_kinds_of_tls_work_with_a_known_authority_and_fail_with_an_unknown_one() {
    for (protection, name) in [(Protection::StartTls, "starttls"), (Protection::Tls, "tls")] {
        let server = MailServer::start(protection, "250 ok");
        let base = format!("tls = \"{name}\"\nusername = \"u\"\npassword = \"hunter2\"\n");
        let service = start(&server, &base);
        tell(&service);
        wait_for(&service, DeliveryState::Queued, 1);
        let channels = service.channels().unwrap();
        let mail = channels.iter().find(|report| report.name == "mail").unwrap();
        assert_eq!(mail.state, ChannelState::Failing);
        assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));

        let authority = tls_file("authority.pem");
        let service = start(&server, &format!("{base}ca_file = \"{}\"\n", authority.display()));
        tell(&service);
        wait_for(&service, DeliveryState::Sent, 1);
        assert!(server.heard().iter().any(|line| line.starts_with("AUTH PLAIN")));
    }
}

/// Answers every HTTPS request with 200.
fn https_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(secured(stream.unwrap()));
            let mut length = 0;
            loop {
                let mut line = String::new();
                // A handshake that fails ends here.
                if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = text.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            drop(reader.read_exact(&mut body));
            drop(reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    address
}

#[test]
fn https_needs_a_known_authority() {
    let address = https_server();
    let of = |more: &str| {
        let section = alerting(&format!(
            "[alerting.channels.mail]\ntype = \"webhook\"\nurl = \"https://{address}/\"\n{more}"
        ));
        let now = at("2026-11-23T02:00:00Z");
        let service = TestService::start_with(now, |config: &mut Config| config.alerting = section);
        tell(&service);
        service
    };
    let error = wait_for(&of(""), DeliveryState::Queued, 1).unwrap();
    assert!(error.contains("TLS"), "{error}");
    let ca_file = format!("ca_file = \"{}\"\n", tls_file("authority.pem").display());
    wait_for(&of(&ca_file), DeliveryState::Sent, 1);
}
