//! A chat application that records its own requests: one process, no HTTP, no async runtime.
//!
//! `cargo run --example embedded`

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::thread::sleep;
use std::time::Duration;

use chatgauge::model::{ErrorType, Filter, LatencyKind, MetricType, Stat, TimeWindow};
use chatgauge::query::CurrentMetrics;
use chatgauge::service::Chatgauge;
use chatgauge::{Config, RequestInfo, TelemetryCollector, Usage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let mut config = Config::default();
    config.store.path = directory.path().join("chat.db");
    let service = Chatgauge::open(config)?;

    let telemetry = service.collector();
    for _ in 0..5 {
        completed_by_the_model(&telemetry);
    }
    served_from_the_cache(&telemetry);
    completed_by_the_second_attempt(&telemetry);
    refused_by_the_provider(&telemetry);
    cancelled_by_the_user(&telemetry);

    if !telemetry.flush(Duration::from_secs(5)) {
        println!("some requests are not on disk yet");
    }
    print_table(&service.current(&Filter::default(), TimeWindow::Hour)?);
    println!("collector: {:?}", telemetry.stats());
    service.shutdown()?;
    Ok(())
}

fn chat(user: &str) -> RequestInfo {
    RequestInfo::chat("gpt-5").provider("openai").user(user).space("sales").session("chat-1")
}

/// Simulates the retrieval of documents and history.
fn assemble_context() {
    sleep(Duration::from_millis(5));
}

/// Simulates waiting for the next delta of a streamed response.
fn next_delta() {
    sleep(Duration::from_millis(2));
}

fn completed_by_the_model(telemetry: &TelemetryCollector) {
    let mut request = telemetry.start_request(chat("alice").streamed(true));
    request.cache_lookup(false);
    assemble_context();
    request.context_assembled();

    let mut llm = request.llm_call("openai", "gpt-5");
    for delta in 1..=10 {
        next_delta();
        llm.first_token(); // only the first call counts
        llm.usage(Usage::new(1_200, delta));
    }
    llm.ok();
    request.finish_reason("stop");
    request.cost_usd(0.001_6);
    request.complete();
}

fn served_from_the_cache(telemetry: &TelemetryCollector) {
    let mut request = telemetry.start_request(chat("bob"));
    request.cache_lookup(true);
    request.complete();
}

fn completed_by_the_second_attempt(telemetry: &TelemetryCollector) {
    let mut request = telemetry.start_request(chat("bob"));
    assemble_context();
    request.context_assembled();
    request.llm_call("openai", "gpt-5").fail(ErrorType::RateLimit);

    let mut llm = request.llm_call("anthropic", "claude-sonnet-5");
    next_delta();
    llm.usage(Usage { cached_prompt_tokens: Some(1_024), ..Usage::new(1_300, 45) });
    llm.ok();
    request.complete();
}

fn refused_by_the_provider(telemetry: &TelemetryCollector) {
    let mut request = telemetry.start_request(chat("carol"));
    request.llm_call("openai", "gpt-5").fail(ErrorType::Auth);
    request.http_status(401);
    request.record_error_code(ErrorType::Auth, "invalid_api_key");
}

/// The guard moves into the response stream; when the client disconnects, the stream drops it.
fn cancelled_by_the_user(telemetry: &TelemetryCollector) {
    let mut request = telemetry.start_request(chat("dave").streamed(true));
    request.llm_started("openai", "gpt-5");
    let body = (1..100).map(move |delta| {
        next_delta();
        request.first_token();
        request.usage(Usage::new(800, delta));
    });
    body.take(3).for_each(drop);
}

fn print_table(current: &CurrentMetrics) {
    let window = &current.window;
    println!("last hour, as of {}", current.as_of);
    println!("  {:<22} {:>10}", "requests", window.requests());
    println!("  {:<22} {:>10}", "errors", window.errors());
    println!("  {:<22} {:>10}", "tokens", window.total_tokens());
    let rows = [
        ("errors, percent", MetricType::ErrorRate),
        ("cache hits, percent", MetricType::CacheHitRate),
        ("cost, US dollars", MetricType::Cost),
    ];
    for (title, metric) in rows {
        println!("  {title:<22} {:>10}", shown(window.value(metric, Stat::Average)));
    }
    for kind in LatencyKind::ALL {
        let average_ms = window.latency_ms(kind, Stat::Average);
        println!("  {:<22} {:>10} ms on average", kind.as_str(), shown(average_ms));
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"))
}
