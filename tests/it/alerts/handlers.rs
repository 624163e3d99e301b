//! A program that embeds the library hears of every transition.

use std::sync::{Arc, Mutex};

use super::stage::Stage;

#[test]
fn handlers_hear_of_transitions_that_are_stored_and_may_ask_and_panic() {
    let stage = Stage::new("2026-03-10T12:00:00Z", |_| {});
    let monitor = stage.gauge().alert_monitor();
    monitor.on_event(|event| panic!("no patience for {}", event.rule_id));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (noted, asked) = (Arc::clone(&heard), stage.gauge().clone());
    monitor.on_event(move |event| {
        // On disk by now, and nothing is locked.
        let id = event.incident_id.clone().unwrap();
        let incident = asked.monitor().incidents(vec![id.clone()]).unwrap().remove(0);
        let history = asked.store().read(|reader| reader.incident_events(&id)).unwrap();
        assert_eq!(history.last(), Some(event));
        let ended = incident.ended_at.is_some();
        assert_eq!(asked.monitor().rules().unwrap().len(), 6);
        noted.lock().unwrap().push(format!("{}>{} {ended}", event.from_state, event.to_state));
    });
    stage.send_errors(30, 100);
    assert_eq!(stage.check_times(3).len(), 1, "a handler that panics costs no evaluation");
    assert_eq!(*heard.lock().unwrap(), ["pending>firing false"]);
    let id = stage.incidents()[0].incident_id.clone();
    stage.gauge().monitor().acknowledge(&id, "me", None).unwrap();
    assert_eq!(heard.lock().unwrap().len(), 1, "nothing moved");
    stage.gauge().monitor().close(&id, "me", None).unwrap();
    assert_eq!(*heard.lock().unwrap(), ["pending>firing false", "firing>ok true"]);
}
