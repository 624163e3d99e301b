//! A real Alertmanager takes our alerts, and takes their end.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chatgauge::alert::NotificationKind;
use chatgauge::model::Clock as _;
use chatgauge::model::alert::DeliveryState;
use chatgauge::{Config, SystemClock};
use serde_json::Value;

use super::delivery::alerting;
use super::outbox::{enqueue, notification, outgoing};
use super::receiver::{Receiver, until};
use crate::harness::store::TestService;

/// What Debian and the project itself call the program.
const PROGRAMS: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];

/// Set to anything, it says that there is no Alertmanager here and that the test is to be left out.
const WITHOUT: &str = "TEST_WITHOUT_ALERTMANAGER";

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = PROGRAMS.iter().flat_map(|name| directories.iter().map(move |d| d.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start_alertmanager(program: &Path, directory: &Path, webhook: &str) -> (Running, String) {
    let config = directory.join("alertmanager.yml");
    let text = format!(
        "route:\n  receiver: us\n  group_wait: 0s\n  group_interval: 1s\nreceivers:\n- name: us\n  \
         webhook_configs:\n  - url: {webhook}\n"
    );
    std::fs::write(&config, text).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let child = Command::new(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Running(child), format!("http://{address}"))
}

fn get(url: &str) -> Option<Value> {
    let body = ureq::get(url).call().ok()?.body_mut().read_to_vec().ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn a_real_alertmanager_shows_our_alert_and_its_end() {
    if std::env::var_os(WITHOUT).is_some() {
        println!("skipped: {WITHOUT} is set");
        return;
    }
    let program = program().unwrap_or_else(|| {
        panic!(
            "Alertmanager is not installed: run `apt-get install prometheus-alertmanager`, put `alertmanager` on the \
             path, or set {WITHOUT}=1 to skip this test"
        )
    });
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::willing();
    let (_running, url) = start_alertmanager(&program, directory.path(), &receiver.url("/from-am"));
    until("Alertmanager answers", || get(&format!("{url}/api/v2/status")));

    let section =
        alerting(&format!("[alerting.channels.am]\ntype = \"alertmanager\"\nurls = [\"{url}\"]\n"));
    // Alertmanager has the real clock, and takes an end in its future for a promise only.
    let now = SystemClock::new().now().plus_ms(-10_000);
    let service = TestService::start_with(now, |config: &mut Config| config.alerting = section);
    let tell = |kind| {
        let mut notification = notification("i1", kind, service.now());
        notification.labels = [("on-call team".to_owned(), "a \"b\"".to_owned())].into();
        enqueue(&service.config, vec![outgoing("am", &notification)]);
        until("it was delivered", || {
            let rows = service.store().read(|reader| reader.messages_of("i1")).unwrap();
            let row = rows.into_iter().find(|row| row.kind == kind.as_str())?;
            assert_ne!(row.state, DeliveryState::Dead, "{row:?}");
            (row.state == DeliveryState::Sent).then_some(())
        });
    };
    tell(NotificationKind::Firing);
    let shown = until("the alert is shown", || {
        get(&format!("{url}/api/v2/alerts")).filter(|alerts| alerts.get(0).is_some())
    });
    assert_eq!(shown[0]["labels"]["alertname"], "High error rate");
    assert_eq!(shown[0]["labels"]["on_call_team"], "a \"b\"");
    assert_eq!(shown[0]["status"]["state"], "active");
    let fingerprint = shown[0]["fingerprint"].as_str().unwrap().to_owned();
    let firing = receiver.wait_for(1).remove(0).json();
    assert_eq!(firing["status"], "firing");

    service.clock.advance_ms(1_000);
    tell(NotificationKind::Resolved);
    until("the alert is gone", || {
        get(&format!("{url}/api/v2/alerts")).filter(|alerts| alerts.get(0).is_none())
    });
    let told = until("the end is told", || {
        let told = receiver.received().into_iter().map(|request| request.json());
        told.into_iter().find(|payload| payload["status"] == "resolved")
    });
    assert_eq!(told["alerts"][0]["fingerprint"], Value::from(fingerprint));
}
