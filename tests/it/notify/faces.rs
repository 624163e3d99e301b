//! Alerts over HTTP and from the command line, with a real server.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use chatgauge::model::alert::NewSilence;
use serde_json::{Value, json};

use super::delivery::alerting;
use super::receiver::{Receiver, until};
use crate::harness::{ADMIN_TOKEN, TestServer};

/// A server with one rule that fires at the first check, and a channel to `receiver`.
fn server(receiver: &Receiver) -> TestServer {
    let section = alerting(&format!(
        "[alerting]\nenabled = false\neval_delay = \"0s\"\ndefault_rules = false\n\
         [alerting.channels.ops]\ntype = \"webhook\"\nurl = \"{}\"\n\
         [[alerting.rule]]\nid = \"errors\"\nname = \"Many errors\"\nmetric = \"error_rate\"\nthreshold = 0.1\n\
         consecutive = 1\nby = [\"space\"]\nconfidence = 0\nchannels = [\"ops\"]\n\
         runbook = \"https://wiki.example/errors\"\n",
        receiver.url("/hook")
    ));
    TestServer::with(|config| config.alerting = section)
}

/// Sends 100 requests of a space, some failed, and evaluates.
fn fire(server: &TestServer, space: &str) {
    let now = server.service.now().as_unix_ms();
    let records: Vec<Value> = (0..100)
        .map(|n| {
            let error = if n < 40 { json!("timeout") } else { Value::Null };
            json!({ "started_at": now - 1_000 - n, "space": space, "error_type": error })
        })
        .collect();
    server.ingest(&Value::from(records));
    let incidents = server.service.check_alerts(server.service.now()).unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
}

fn one_alert(server: &TestServer) -> Value {
    let body = server.get("/api/metrics/alerts").json();
    assert_eq!(body["alerts"].as_array().unwrap().len(), 1, "{body}");
    body["alerts"][0].clone()
}

#[test]
fn what_triggered_is_shown_delivered_and_acknowledged() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    fire(&server, "acme");
    let alert = one_alert(&server);
    assert_eq!(alert["rule"], "errors");
    assert_eq!(alert["state"], "firing");
    assert_eq!(alert["group"], json!({ "space": "acme" }));
    assert_eq!(alert["actual_value"], 0.4);
    assert_eq!(alert["threshold"], 0.1);
    assert_eq!(alert["unit"], "ratio");
    assert_eq!(alert["samples"], 100);
    assert_eq!(alert["events"], 40);
    assert_eq!(alert["runbook"], "https://wiki.example/errors");
    let id = alert["alert_id"].as_str().unwrap();

    let path = format!("/api/alerts/incidents/{id}");
    let detail = until("it is delivered", || {
        let detail = server.get(&path).json();
        let sent = |delivery: &Value| delivery["state"] == "sent";
        detail["deliveries"].as_array().unwrap().iter().all(sent).then_some(detail)
    });
    let channels: Vec<&Value> =
        detail["deliveries"].as_array().unwrap().iter().map(|d| &d["channel"]).collect();
    assert!(channels.contains(&&json!("ops")) && channels.contains(&&json!("log")), "{detail}");
    assert!(detail["history"].as_array().unwrap().iter().any(|event| event["to"] == "firing"));
    let request = receiver.wait_for(1).remove(0);
    assert_eq!(request.json()["incident"]["incident_id"], id);
    assert_eq!(request.json()["incident"]["value"], 0.4);

    let answer = server.post_json(&format!("{path}/ack"), &json!({ "note": "on it" }));
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.json()["acknowledged_by"], "admin");
    let history = server.get(&path).json()["history"].clone();
    assert!(history.as_array().unwrap().iter().any(|event| event["note"] == "on it"), "{history}");
    // The trail is written without waiting for the disk.
    until("the trail says so", || {
        let audit = server.get("/api/audit").json().to_string();
        (audit.contains("acknowledged") && audit.contains(id)).then_some(())
    });
}

#[test]
fn a_group_is_found_by_the_name_that_was_sent() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    let space = "team@example.com";
    fire(&server, space);
    let stored = one_alert(&server)["group"]["space"].clone();
    assert!(stored.as_str().unwrap().starts_with("h_"), "{stored}");
    let explained =
        server.get(&format!("/api/alerts/explain?rule=errors&group=space:{space}")).json();
    assert_eq!((&explained["state"], &explained["group"]["space"]), (&json!("firing"), &stored));
    let silence = json!({ "group": { "space": space }, "duration_s": 60, "comment": "known" });
    let silence = server.post_json("/api/alerts/silences", &silence);
    assert_eq!(silence.status, 201, "{}", silence.json());
    assert_eq!(silence.json()["group"]["space"], stored);
    assert!(!one_alert(&server)["silenced_until"].is_null());
}

#[test]
fn an_incident_is_closed_once_and_its_receiver_hears_by_whom() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    fire(&server, "acme");
    receiver.wait_for(1);
    let id = one_alert(&server)["alert_id"].as_str().unwrap().to_owned();
    let path = format!("/api/alerts/incidents/{id}/close");
    for wrong in [
        json!({ "comment": "a\u{0}b" }),
        json!({ "comment": "x".repeat(501) }),
        json!({ "note": "x" }),
    ] {
        assert_eq!(server.post_json(&path, &wrong).status, 400, "{wrong}");
    }
    let closed = server.post_json(&path, &json!({ "comment": "model retired" }));
    assert_eq!(closed.status, 200, "{}", closed.json());
    let closed = closed.json();
    assert_eq!((&closed["state"], &closed["reason"]), (&json!("resolved"), &json!("manual")));
    let incident = receiver.wait_for(2).remove(1).json()["incident"].clone();
    assert_eq!((&incident["kind"], &incident["reason"]), (&json!("resolved"), &json!("manual")));
    assert_eq!(
        (&incident["closed_by"], &incident["comment"]),
        (&json!("admin"), &json!("model retired"))
    );
    assert_eq!(server.post_json(&path, &json!({})).status, 409);
    let history = server.get(&format!("/api/alerts/incidents/{id}")).json()["history"].to_string();
    assert!(
        history.contains("\"actor\":\"admin\"") && history.contains("model retired"),
        "{history}"
    );
    assert!(server.get("/api/audit").json().to_string().contains("ended: manual"));
}

#[test]
fn filters_pages_and_refusals() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    fire(&server, "a");
    fire(&server, "b");
    let count = |path: &str, field: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()[field].as_array().unwrap().len()
    };
    for (query, expected) in [
        ("", 2),
        ("?state=open", 2),
        ("?state=firing&state=resolved", 2),
        ("?state=resolved", 0),
        ("?state=flapping", 0),
        ("?rule=errors", 2),
        ("?rule=others", 0),
        ("?since=now-1h", 2),
        ("?since=now%2B1h", 0),
        ("?limit=1", 1),
    ] {
        assert_eq!(count(&format!("/api/metrics/alerts{query}"), "alerts"), expected, "{query}");
    }
    let first = server.get("/api/alerts/incidents?limit=1").json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server.get(&format!("/api/alerts/incidents?limit=1&cursor={cursor}")).json();
    assert_ne!(first["incidents"][0]["alert_id"], second["incidents"][0]["alert_id"]);
    let none = server.get("/api/alerts/incidents?start=now-3h&end=now-2h").json();
    assert_eq!(none["incidents"], json!([]));
    // A date that has begun in the east of the world and not yet in the west.
    let fired_at = first["incidents"][0]["triggered_at"].as_str().unwrap();
    let east =
        chrono::DateTime::parse_from_rfc3339(fired_at).unwrap() + chrono::TimeDelta::hours(14);
    let date = east.to_utc().date_naive();
    for (zone, expected) in [("Pacific/Kiritimati", 0), ("Pacific/Pago_Pago", 2)] {
        let query = format!("/api/alerts/incidents?end={date}&tz={zone}");
        assert_eq!(count(&query, "incidents"), expected, "{query}");
    }

    for path in [
        "/api/metrics/alerts?state=burning",
        "/api/metrics/alerts?sinse=now",
        "/api/metrics/alerts?since=soon",
        "/api/alerts/rules?x=1",
        "/api/alerts/explain",
        "/api/alerts/explain?rule=errors&group=acme",
        // Nothing is known of it, which is not that all is well with it.
        "/api/alerts/explain?rule=errors",
        "/api/alerts/explain?rule=errors&group=model:acme",
        "/api/alerts/explain?rule=self-evaluation&group=space:acme",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    for path in ["/api/alerts/incidents/nope", "/api/alerts/explain?rule=nope"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.post_json("/api/alerts/incidents/nope/ack", &json!({})).status, 404);
    assert_eq!(server.post_json("/api/alerts/incidents/nope/close", &json!({})).status, 404);
    assert_eq!(server.post_json("/api/alerts/channels/nope/test", &json!({})).status, 404);
    assert_eq!(server.get_as("/api/alerts/rules", None).status, 401);
}

#[test]
fn a_reader_reads_and_tends_nothing() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    let key = |spaces: Value| {
        let body = json!({ "name": "reader", "scopes": ["read"], "spaces": spaces });
        server.post_json("/api/keys", &body).json()["token"].as_str().unwrap().to_owned()
    };
    let reader = key(Value::Null);
    for path in ["/api/metrics/alerts", "/api/alerts/rules", "/api/alerts/silences"] {
        assert_eq!(server.get_as(path, Some(&reader)).status, 200, "{path}");
        assert_eq!(server.get_as(path, Some(&key(json!(["acme"])))).status, 403, "{path}");
    }
    let bearer = format!("Bearer {reader}");
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
    for path in
        ["/api/alerts/silences", "/api/alerts/channels/ops/test", "/api/alerts/incidents/x/close"]
    {
        assert_eq!(server.post(path, &headers, b"{}").status, 403, "{path}");
    }
}

#[test]
fn silences_are_made_listed_and_ended() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    let new = json!({ "rule": "err*", "group": { "space": "acme" }, "duration_s": 3600, "comment": "deploy" });
    let made = server.post_json("/api/alerts/silences", &new);
    assert_eq!(made.status, 201, "{}", made.json());
    let made = made.json();
    assert_eq!((&made["state"], &made["created_by"]), (&json!("active"), &json!("admin")));

    fire(&server, "acme");
    assert_eq!(one_alert(&server)["silenced_until"], made["ends_at"]);
    let counts = |server: &TestServer| {
        let body = server.get("/api/metrics/alerts").json();
        (body["open"].as_u64().unwrap(), body["silenced"].as_u64().unwrap())
    };
    assert_eq!(counts(&server), (0, 1), "it asks for nobody's attention, and is shown");
    let explained = server.get("/api/alerts/explain?rule=errors&group=space:acme").json();
    assert_eq!(explained["silenced_until"], made["ends_at"]);
    assert_eq!(explained["evaluations"][0]["decision"], "violation");

    let list = server.get("/api/alerts/silences").json();
    assert_eq!(list["silences"][0]["id"], made["id"]);
    let path = format!("/api/alerts/silences/{}", made["id"].as_str().unwrap());
    assert_eq!(server.delete(&path).status, 204);
    assert_eq!(server.delete(&path).status, 404);
    assert_eq!(counts(&server), (1, 0));
    assert_eq!(server.get("/api/alerts/silences").json()["silences"], json!([]));
    let expired = server.get("/api/alerts/silences?state=expired").json();
    assert_eq!(expired["silences"].as_array().unwrap().len(), 1);

    for wrong in [
        json!({ "duration_s": 60 }),
        json!({ "duration_s": 60, "comment": " " }),
        json!({ "comment": "x" }),
        json!({ "duration_s": 60, "ends_at": "2030-01-01T00:00:00Z", "comment": "x" }),
        json!({ "ends_at": "2020-01-01T00:00:00Z", "comment": "x" }),
        json!({ "duration_s": 0, "comment": "x" }),
        json!({ "starts_at": "2020-01-01T00:00:00Z", "duration_s": 3600, "comment": "x" }),
        json!({ "starts_at": "2040-01-02T00:00:00Z", "ends_at": "2040-01-02T00:00:00Z", "comment": "x" }),
        json!({ "starts_at": "2040-01-02T00:00:00Z", "ends_at": "2040-01-01T00:00:00Z", "comment": "x" }),
        json!({ "duration_s": 60, "comment": "x", "group": { "planet": "mars" } }),
        json!({ "duration_s": 60, "comment": "x", "rules": "x" }),
    ] {
        assert_eq!(server.post_json("/api/alerts/silences", &wrong).status, 400, "{wrong}");
    }
    let good =
        json!({ "rule": "err*", "group": { "space": "a" }, "duration_s": 60, "comment": "x" });
    for (field, value) in [
        ("comment", json!("a\u{0}b")),
        ("comment", json!("two\nlines")),
        ("rule", json!("err*\u{7}")),
        ("group", json!({ "space": "a\u{1b}[2J" })),
    ] {
        let mut wrong = good.clone();
        wrong[field] = value;
        let answer = server.post_json("/api/alerts/silences", &wrong);
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.json()["errors"][0]["parameter"], field, "{wrong}");
    }
    for unknown in ["erors", "latency-*"] {
        let answer = server.post_json(
            "/api/alerts/silences",
            &json!({ "rule": unknown, "duration_s": 60, "comment": "x" }),
        );
        assert_eq!(answer.status, 422, "{unknown}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(unknown) && detail.contains("the rules are errors"), "{detail}");
    }
    // Known dimensions, of which the rule has no alerts.
    for group in [json!({ "model": "gpt" }), json!({ "space": "acme", "user": "bob" })] {
        let wrong = json!({ "rule": "err*", "group": group, "duration_s": 60, "comment": "x" });
        let answer = server.post_json("/api/alerts/silences", &wrong);
        assert_eq!(answer.status, 422, "{wrong}");
        let answer = answer.json();
        assert_eq!(answer["errors"][0]["parameter"], "group", "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("errors has one per space"), "{detail}");
        let made = server.service.create_alert_silence(
            NewSilence {
                rule_glob: "err*".to_owned(),
                group_match: serde_json::from_value(group).unwrap(),
                starts_at: server.service.now(),
                ends_at: server.service.now().plus_ms(60_000),
                comment: "x".to_owned(),
            },
            "admin",
        );
        assert!(made.unwrap_err().to_string().contains("no rule has an alert per"));
    }
    assert_eq!(server.get("/api/alerts/silences").json()["silences"], json!([]));
}

#[test]
fn rules_channels_status_and_scrape_tell_how_alerting_is_doing() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    fire(&server, "acme");
    receiver.wait_for(1);
    let rules = until("the delivery is noted", || {
        let rules = server.get("/api/alerts/rules").json();
        let ops =
            rules["channels"].as_array().unwrap().iter().find(|c| c["name"] == "ops")?.clone();
        (ops["sent_total"] == 1).then_some(rules)
    });
    assert_eq!(rules["rules"][0]["state"], "firing");
    assert_eq!(rules["rules"][0]["states"], json!({ "firing": 1 }));
    assert_eq!(rules["rules"][0]["window_s"], 300.0);
    let ops = rules["channels"].as_array().unwrap().iter().find(|c| c["name"] == "ops").unwrap();
    assert_eq!(ops["target"], receiver.url(""));
    // What was sent is noted a moment after it is counted.
    let status = until("nothing waits", || {
        let status = server.get("/api/status").json();
        (status["alerts"]["outbox_pending"] == 0).then_some(status)
    });
    assert_eq!(status["alerts"]["firing_rules"], 1);
    let scrape = String::from_utf8(server.get("/metrics").body).unwrap();
    for line in [
        "chatgauge_alert_state{rule=\"errors\",state=\"firing\"} 1",
        "chatgauge_alert_notifications_total{channel=\"ops\",result=\"sent\"} 1",
        "chatgauge_alert_outbox_pending{channel=\"ops\"} 0",
    ] {
        assert!(scrape.contains(line), "{line}");
    }
}

#[test]
fn a_rule_can_be_tried_on_what_is_stored() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    fire(&server, "acme");
    let of = |body: &Value| server.post_json("/api/alerts/backtest", body);
    let own = of(&json!({ "rule": "errors", "start": "now-10m" }));
    assert_eq!(own.status, 200, "{}", own.json());
    let own = own.json();
    assert_eq!((&own["exact"], &own["rule"]["id"]), (&json!(true), &json!("errors")));
    assert!(own["evaluations"].as_u64().unwrap() >= 19, "{own}");
    let other = json!({ "id": "try", "metric": "error_rate", "threshold": 0.9 });
    let other = of(&json!({ "rule": other, "start": "now-10m" })).json();
    assert_eq!(other["summary"]["incidents"], 0, "{other}");
    for (body, status) in [
        (json!({ "rule": "nope" }), 404),
        (json!({ "rule": "errors", "start": "now-36d" }), 400),
        (json!({ "rule": "errors", "start": "soon" }), 400),
        (json!({ "rule": { "id": "try", "metric": "luck", "threshold": 1 } }), 400),
        (json!({ "rule": { "id": "try", "metrics": "cost" } }), 400),
        (json!({ "rules": "errors" }), 400),
    ] {
        assert_eq!(of(&body).status, status, "{body}");
    }
}

#[test]
fn the_command_line_does_the_same() {
    let receiver = Receiver::willing();
    let server = server(&receiver);
    fire(&server, "acme");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("chatgauge.toml");
    let database = server.service.config().store.path.display().to_string();
    std::fs::write(
        &config,
        format!(
            "[store]\npath = \"{database}\"\n[alerting.channels.ops]\ntype = \"webhook\"\nurl = \"{}\"\n\
             [[alerting.rule]]\nid = \"errors\"\nmetric = \"error_rate\"\nthreshold = 0.1\nchannels = [\"ops\"]\n",
            receiver.url("/hook")
        ),
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_chatgauge"))
            .arg("alert")
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .env("CHATGAUGE_ADMIN_TOKEN", ADMIN_TOKEN)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap() + &errors)
    };
    let json = |arguments: &[&str]| -> Value {
        let (code, text) = run(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let (code, text) = run(&["check"]);
    assert!(code == 0 && text.contains("errors") && text.contains("acceptable"), "{text}");
    let shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("tokens > 1.2 x its limit in day, 2 in a row"), "{text}");
    assert!(shown.contains("request_rate > 1.5 x its capacity in 1m, 3 in a row"), "{text}");
    assert!(shown.contains("consecutive_failures >= 5, 1 in a row"), "{text}");
    let rules = json(&["check"])["rules"].take();
    assert!(rules.as_array().unwrap().len() > 4);
    // Only the running server knows these.
    let of_the_server = ["state", "states", "is_truncated", "last_value", "last_samples"];
    let has_none = |rule: &Value| of_the_server.iter().all(|field| rule.get(field).is_none());
    assert!(rules.as_array().unwrap().iter().all(has_none), "{rules}");

    let list = json(&["list"]);
    let id = list[0]["alert_id"].as_str().unwrap();
    assert_eq!(list[0]["group"], json!({ "space": "acme" }));
    let unknown = ["actual_value", "samples", "events"];
    assert!(unknown.iter().all(|figure| list[0].get(figure).is_some_and(Value::is_null)), "{list}");
    assert_eq!((&list[0]["state"], &list[0]["triggered_value"]), (&json!("firing"), &json!(0.4)));
    assert!(run(&["list"]).1.contains(id));
    assert_eq!(json(&["history", "day"])[0]["alert_id"], id);
    assert_eq!(json(&["history", "day", "--rule", "others"]), json!([]));
    let shown = json(&["show", id]);
    let incident = &shown["incident"];
    assert_eq!((&incident["alert_id"], &incident["undeliverable_to"]), (&json!(id), &json!([])));
    assert!(shown["deliveries"].as_array().unwrap().iter().any(|sent| sent["channel"] == "ops"));
    assert!(shown["history"].as_array().unwrap().iter().any(|event| event["to"] == "firing"));
    let detail = server.get(&format!("/api/alerts/incidents/{id}")).json();
    let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shown), names(&detail), "{shown}");
    for list in ["history", "deliveries"] {
        assert_eq!(names(&shown[list][0]), names(&detail[list][0]), "{list}");
    }
    let mut of_the_api = detail["incident"].clone();
    of_the_api["undeliverable_to"] = json!([]);
    assert_eq!(names(incident), names(&of_the_api), "{shown}");
    let (code, text) = run(&["show", id]);
    assert!(code == 0 && text.contains("violation") && text.contains("ops"), "{text}");
    let (code, text) = run(&["show", "nope"]);
    assert!(code != 0 && text.contains("alert list --all"), "{code} {text}");

    let tried = json(&["backtest", "errors", "hour", "--threshold", "0.99"]);
    assert_eq!((&tried["exact"], &tried["summary"]["incidents"]), (&json!(true), &json!(0)));
    assert!(has_none(&tried["rule"]), "{tried}");
    assert!(run(&["backtest", "errors", "hour"]).1.contains("would have fired"));
    assert!(run(&["backtest", "nope"]).1.contains("there are"));

    let url = server.url("");
    fn with_url<'a>(arguments: &[&'a str], url: &'a str) -> Vec<&'a str> {
        [arguments, &["--url", url]].concat()
    }
    let explained = json(&with_url(&["explain", "errors", "--group", "space:acme"], &url));
    assert_eq!(explained["state"], "firing");
    assert!(
        run(&with_url(&["explain", "errors", "--group", "space:acme"], &url))
            .1
            .contains("violation")
    );
    assert_eq!(json(&with_url(&["ack", id, "--note", "on it"], &url))["acknowledged_by"], "admin");
    let closed = json(&with_url(&["close", id, "--comment", "known"], &url));
    assert_eq!((&closed["state"], &closed["reason"]), (&json!("resolved"), &json!("manual")));
    assert_eq!(
        json(&["show", id])["incident"]["actual_value"],
        0.4,
        "an incident that is over has its own"
    );
    let (code, text) = run(&with_url(&["close", id], &url));
    assert!(code == 1 && text.contains("409"), "{code} {text}");
    let add = ["silence", "add", "--rule", "err*", "--for", "2h", "--comment", "deploy"];
    let silence = json(&with_url(&add, &url));
    for (wrong, expected) in [
        (["--rule", "erors", "--for", "2h"], "no rule matches"),
        (["--group", "model:gpt", "--for", "2h"], "no rule has an alert per model"),
        (["--group", "planet:mars", "--for", "2h"], "is no dimension"),
        (["--rule", "errors", "--for", "0s"], "is no length of time"),
        (["--rule", "errors", "--for", "500ms"], "is no length of time"),
        (["--rule", "errors", "--for", "500d"], "at most 400 days"),
    ] {
        let add = [&["silence", "add", "--comment", "x"][..], &wrong[..]].concat();
        let (code, text) = run(&with_url(&add, &url));
        assert!(code != 0 && text.contains(expected), "{code} {text}");
    }
    assert!(run(&with_url(&["silence", "list"], &url)).1.contains("deploy"));
    assert_eq!(
        json(&with_url(&["silence", "end", silence["id"].as_str().unwrap()], &url))["ended"],
        true
    );

    assert_eq!(json(&["test-channel", "ops"])["delivered"], true);
    let (code, text) = run(&["test-channel", "nope"]);
    assert!(code == 2 && text.contains("the channels are ops"), "{code} {text}");
    let (code, text) = run(&["explain", "errors", "--url", "http://127.0.0.1:9"]);
    assert!(code == 1 && text.contains("no server answers"), "{code} {text}");
}
