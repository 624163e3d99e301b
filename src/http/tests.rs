//! Tests of the HTTP face as a whole.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn document() -> Value {
    let document = OpenApiRouter::with_openapi(openapi::base())
        .merge(open_routes())
        .merge(otlp_routes())
        .merge(ingest_routes())
        .merge(read_routes())
        .merge(metrics_routes())
        .merge(admin_routes())
        .into_openapi();
    serde_json::to_value(document).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

#[test]
fn the_operations_are_stable() {
    let document = document();
    let mut found: Vec<String> = operations(&document)
        .iter()
        .map(|(route, operation)| format!("{route} {}", operation["operationId"].as_str().unwrap()))
        .collect();
    found.sort();
    let expected = [
        "DELETE /api/alerts/silences/{id} alerts_unsilence",
        "DELETE /api/keys/{id} keys_revoke",
        "DELETE /api/session session_delete",
        "GET /api/alerts/explain alerts_explain",
        "GET /api/alerts/incidents alerts_incidents",
        "GET /api/alerts/incidents/{id} alerts_incident",
        "GET /api/alerts/rules alerts_rules",
        "GET /api/alerts/silences alerts_silences",
        "GET /api/audit audit_trail",
        "GET /api/dimensions/{name}/values dimension_values",
        "GET /api/keys keys_list",
        "GET /api/metrics/alerts metrics_alerts",
        "GET /api/metrics/breakdown metrics_breakdown",
        "GET /api/metrics/current metrics_current",
        "GET /api/metrics/dashboard metrics_dashboard",
        "GET /api/metrics/heatmap metrics_heatmap",
        "GET /api/metrics/historical metrics_historical",
        "GET /api/openapi.json openapi",
        "GET /api/requests requests_list",
        "GET /api/requests/{id} requests_get",
        "GET /api/session session_get",
        "GET /api/sql sql_get",
        "GET /api/status status",
        "GET /api/stream stream",
        "GET /api/telemetry/health telemetry_health",
        "GET /healthz healthz",
        "GET /metrics prometheus_metrics",
        "GET /readyz readyz",
        "POST /api/alerts/backtest alerts_backtest",
        "POST /api/alerts/channels/{name}/test alerts_channel_test",
        "POST /api/alerts/incidents/{id}/ack alerts_ack",
        "POST /api/alerts/incidents/{id}/close alerts_close",
        "POST /api/alerts/silences alerts_silence",
        "POST /api/keys keys_create",
        "POST /api/metrics/simulate metrics_simulate",
        "POST /api/requests requests_ingest",
        "POST /api/session session_create",
        "POST /api/sql sql_post",
        "POST /ingest/litellm litellm_ingest",
        "POST /v1/traces traces_ingest",
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_route_is_registered_with_its_description() {
    // `routes!` adds a route to the router and to the document at once; the router's own method would not.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http");
    let bare = concat!(".rou", "te(");
    let mut folders = vec![std::path::PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains(bare), "{}", path.display());
            }
        }
    }
}

#[test]
fn the_document_describes_what_is_accepted_and_answered() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    for (route, operation) in operations(&document) {
        assert!(operation["summary"].is_string(), "{route} has no summary");
        let responses = operation["responses"].as_object().unwrap();
        let is_open = operation["security"] == serde_json::json!([{}]);
        // A login sends its token in the body.
        let logs_in = route.ends_with(" /api/session") && !route.starts_with("GET");
        assert_eq!(responses.contains_key("401"), !is_open || logs_in, "{route}");
    }
}

#[test]
fn no_two_types_share_the_name_of_a_schema() {
    let mut names: Vec<String> = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.extend(schemas_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let count = names.len();
    assert!(count > 50, "the types are somewhere else");
    names.sort();
    let twice: Vec<&String> =
        names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert_eq!(twice, Vec::<&String>::new(), "one overwrites the other in the document");
}

/// Names of the types of a file that have a schema.
fn schemas_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut has_schema = false;
    for line in text.lines() {
        has_schema |= line.starts_with("#[derive(") && line.contains("ToSchema");
        let item = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let name = item.strip_prefix("struct ").or_else(|| item.strip_prefix("enum "));
        if let Some(name) = name.filter(|_| std::mem::take(&mut has_schema)) {
            names.extend(name.split([' ', '<', '(']).next().map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    found.insert(reference.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Problem"));
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn a_panicking_handler_is_answered_with_a_problem_and_its_connection_goes_on() {
    use tower::ServiceExt as _;
    async fn panics() -> &'static str {
        panic!("words of the panic")
    }
    let directory = tempfile::tempdir().unwrap();
    let mut config = crate::Config::default();
    config.store.path = directory.path().join("chat.db");
    let service = Chatgauge::open(config).unwrap();
    let app = AppState::new(service.clone(), Access::open());
    let router = frame::around(Router::new().fallback(panics), &app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = axum::extract::Request::get("/panics").body(axum::body::Body::empty());
        let response = router.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], "urn:chatgauge:problem:internal");
        assert!(problem.to_string().contains(&id), "{problem}");
        assert!(!problem.to_string().contains("words of the panic"), "{problem}");
    });
    service.shutdown().unwrap();
}
