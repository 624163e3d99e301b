//! Traffic through the gateway, the collector and the importer.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use chatgauge::Chatgauge;
use chatgauge::cli::import::{ImportCommand, RowSink};
use chatgauge::collector::Completion;
use chatgauge::ingest::wire::{FieldCounts, RecordContext, RecordProblem, parse_record};
use chatgauge::model::{ErrorType, Name, RequestRecord, Source};
use chatgauge::service::AppendReport;
use chatgauge::{RequestInfo, Result, Usage};
use clap::{Args as _, FromArgMatches as _};
use serde_json::json;

use super::planted::Values;
use crate::gateway::harness::GatewayListener;
use crate::gateway::upstream::{Act, Upstream, chunk, json as json_answer, post, stream_head};

/// A provider that answers what the case says.
pub(crate) struct Provider {
    pub(crate) upstream: Upstream,
    answer: Arc<Mutex<Vec<Act>>>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let next = Arc::clone(&answer);
        let upstream = Upstream::start(move |_| next.lock().unwrap().clone());
        Self { upstream, answer }
    }

    /// Asks it through the gateway; what comes back is the provider's own answer.
    pub(crate) fn ask(&self, gateway: &GatewayListener, values: &mut Values<'_>) {
        *self.answer.lock().unwrap() = answer(values);
        let headers = headers(values);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = json!({
            "model": values.name("gpt-5"), "stream": values.number.is_multiple_of(3), "user": values.anything(),
            "safety_identifier": values.anything(), "input": values.anything(), "instructions": values.anything(),
            "metadata": { "user_id": values.anything(), "session_id": values.anything(), "space": values.name("sales"),
                values.name("note"): values.anything() },
            "messages": [{ "role": "user", "content": values.anything() }],
        });
        let space: String =
            values.name("sales").bytes().map(|byte| format!("%{byte:02X}")).collect();
        let paths = ["chat/completions", "responses", "embeddings", "messages"];
        let place = usize::try_from(values.number).unwrap();
        let prefix = if place.is_multiple_of(2) { format!("/s/{space}") } else { String::new() };
        let path = format!("{prefix}/v1/{}", paths[place % paths.len()]);
        post(gateway.address, &path, &headers, body.to_string().as_bytes());
    }
}

fn headers(values: &mut Values<'_>) -> Vec<(&'static str, String)> {
    let tags = json!({ values.name("tier"): values.name("pro"), "password": values.anything() });
    let pairs =
        format!("{}={},region={}", values.name("tier"), values.name("pro"), values.name("eu"));
    let metadata = json!({ "user": values.anything(), "team": values.name("t"), values.name("plan"): values.name("pro") });
    let tags = if values.number.is_multiple_of(2) { tags.to_string() } else { pairs };
    let mut headers = vec![
        ("x-chatgauge-tags", tags),
        ("x-chatgauge-user", values.anything()),
        ("x-chatgauge-session", values.anything()),
        ("helicone-property-plan", values.name("free")),
        ("helicone-property-prompt", values.anything()),
        ("cf-aig-metadata", metadata.to_string()),
        ("x-api-key", values.anything()),
        ("cookie", values.anything()),
        ("user-agent", values.anything()),
        ("http-referer", values.name("https://app.example/path")),
    ];
    if values.number.is_multiple_of(3) {
        headers.push(("x-chatgauge-space", values.name("sales")));
    }
    headers
}

fn answer(values: &mut Values<'_>) -> Vec<Act> {
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": 2 });
    let whole = json!({
        "id": values.name("chatcmpl-1"), "model": values.name("gpt-5"), "usage": usage,
        "choices": [{ "finish_reason": values.name("stop"), "message": { "content": values.anything(),
            "tool_calls": [{ "function": { "name": values.anything(), "arguments": values.anything() } }] } }],
    });
    let error = json!({ "error": { "message": values.anything(), "type": values.name("server_error"),
        "code": values.name("overloaded"), "param": values.anything() } });
    match values.number % 4 {
        0 => json_answer(200, &whole.to_string()),
        1 => json_answer(500, &error.to_string()),
        2 => json_answer(502, &values.anything()),
        _ => {
            let event = |value: &serde_json::Value| chunk(format!("data: {value}\n\n").as_bytes());
            vec![stream_head(), event(&whole), event(&error), Act::Close]
        }
    }
}

/// Tells the collector of a request that fails, of one by id that is answered, and of one that is dropped.
pub(crate) fn collect(service: &Chatgauge, values: &mut Values<'_>) {
    let collector = service.collector();
    let info = |values: &mut Values<'_>| {
        RequestInfo::new(values.name("chat"))
            .model(values.name("gpt-5"))
            .space(values.name("sales"))
            .user(values.anything())
            .session(values.anything())
            .provider(values.name("openai"))
            .request_id(values.id())
            .tag(values.name("tier"), values.name("pro"))
            .tag("prompt", values.anything())
            .tag("api_key", values.anything())
    };
    let mut request = collector.start_request(info(values));
    let mut llm = request.llm_call(&values.name("openai"), &values.name("gpt-5"));
    llm.usage(Usage::new(1, 2));
    llm.fail(ErrorType::Server);
    request.answered_by(values.name("gpt-5-mini"));
    request.finish_reason(values.name("stop"));
    request.provider_response_id(values.name("resp"));
    request.record_error_code(ErrorType::Server, values.name("overloaded"));

    values.number += 1;
    let id = collector.start_request_by_id(info(values));
    let completion = Completion {
        provider: Some(Name::from(values.name("openai"))),
        model: Some(Name::from(values.name("gpt-5"))),
        finish_reason: Some(Name::from(values.name("stop"))),
        provider_response_id: Some(Name::from(values.name("resp"))),
        ..Completion::default()
    };
    // Nothing is open under an id that was too long: it has another one.
    collector.complete_request(&id, &completion);
    drop(collector.start_request(info(values)));
}

/// Checks and stores rows as `chatgauge import` does.
struct Sink<'s> {
    service: &'s Chatgauge,
    context: RecordContext,
    fields: FieldCounts,
}

impl RowSink for Sink<'_> {
    fn parse(&mut self, json: &[u8]) -> std::result::Result<RequestRecord, RecordProblem> {
        parse_record(json, &mut self.fields)
            .and_then(|draft| draft.check(&self.context, &mut self.fields))
    }

    fn store(&mut self, records: Vec<RequestRecord>, _rows: u64) -> Result<AppendReport> {
        self.service.record(records)
    }

    fn fields(&self) -> FieldCounts {
        self.fields.clone()
    }
}

/// Imports a file and gives what is printed.
pub(crate) fn import(service: &Chatgauge, file: &Path, args: &[&str]) -> Vec<u8> {
    let args = ["import", file.to_str().unwrap()].into_iter().chain(args.iter().copied());
    let matches = ImportCommand::augment_args(clap::Command::new("import")).get_matches_from(args);
    let command = ImportCommand::from_arg_matches(&matches).unwrap();
    let context =
        RecordContext::new(service.now(), Source::Import, service.pseudonymizer().clone());
    let mut sink = Sink { service, context, fields: FieldCounts::default() };
    let mut printed = Vec::new();
    let ended = command.run(&service.config().store.path, &mut sink, &mut printed);
    let _code: ExitCode = ended.unwrap();
    printed
}
