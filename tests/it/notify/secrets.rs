//! Secrets of channels appear nowhere: not in the database, the log, answers or errors.

use std::fmt::Write as _;

use chatgauge::alert::NotificationKind;
use chatgauge::config::RawConfig;
use chatgauge::model::alert::DeliveryState;
use chatgauge::store::Store;

use super::outbox::{enqueue, notification, outgoing};
use super::receiver::{Receiver, Reply, until};
use crate::harness::TestServer;

/// In every secret of the test; as base64 the signing key holds it too.
const MARK: &str = "hunter2hunter2hunter2hunter2";

#[test]
fn secrets_stay_where_they_are() {
    let receiver = Receiver::scripted(|n| Reply::Status(if n % 2 == 0 { 400 } else { 500 }, None));
    let url = receiver.url(&format!("/{MARK}?key={MARK}"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = format!(
        "[alerting.channels.hook]\ntype = \"webhook\"\nurl = \"{url}\"\nsecret = \"whsec_{MARK}hunter2z\"\n\
         bearer_token = \"{MARK}\"\n\
         [alerting.channels.chat]\ntype = \"slack\"\nurl = \"http://{closed}/{MARK}\"\n\
         [alerting.channels.am]\ntype = \"alertmanager\"\nurls = [\"http://{closed}/{MARK}\"]\nusername = \"u\"\npassword = \"{MARK}\"\n\
         [alerting.channels.mail]\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\nusername = \"u\"\npassword = \"{MARK}\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]\n",
        closed.port()
    );
    let raw: RawConfig = toml::from_str(&toml).unwrap();
    let alerting = raw.check().unwrap().alerting;
    let server = TestServer::with(|config| config.alerting = alerting);
    let names = ["hook", "chat", "am", "mail"];
    let now = server.service.now();
    for name in names {
        let message = notification(&format!("to-{name}"), NotificationKind::Firing, now);
        enqueue(server.service.config(), vec![outgoing(name, &message)]);
    }
    let mut shown = format!("{:?} {}", server.service.config(), server.service.config().to_toml());
    for name in names {
        let rows = until(name, || {
            let rows = server
                .service
                .store()
                .read(|reader| reader.messages_of(&format!("to-{name}")))
                .unwrap();
            (rows[0].attempts > 0 || rows[0].state == DeliveryState::Dead).then_some(rows)
        });
        write!(shown, "{rows:?} {:?}", server.service.test_channel(name)).unwrap();
    }
    write!(shown, "{:?} {:?}", server.service.channels(), server.service).unwrap();
    for path in ["/api/alerts/rules", "/api/status", "/metrics", "/api/audit", "/api/openapi.json"]
    {
        shown += &String::from_utf8(server.get(path).body).unwrap();
    }
    // Each channel did try, with its secret.
    assert!(receiver.received().iter().any(|request| request.path.contains(MARK)));
    let at = shown.find("hunter2");
    assert_eq!(at, None, "{:?}", at.map(|at| shown.get(at.saturating_sub(200)..at + 40)));

    let path = server.service.config().store.path.clone();
    let store = Store::open_read_only(&server.service.config().store).unwrap();
    drop(store);
    for suffix in ["", "-wal"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        let bytes = std::fs::read(&name).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", name.display());
    }
}
