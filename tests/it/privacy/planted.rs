//! One case: where which texts stand, and the bodies made of them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::canary::{MARK, text};

/// Texts, and which of the places they stand in.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    texts: Vec<String>,
    places: u64,
}

pub(crate) fn planted() -> impl Strategy<Value = Planted> {
    let places = prop_oneof![
        1 => Just(u64::MAX),
        3 => any::<u64>(),
        2 => (0_u32..64).prop_map(|place| 1 << place),
    ];
    (prop::collection::vec(text(), 1..8), places)
        .prop_map(|(texts, places)| Planted { texts, places })
}

/// Gives a value to one place after the other.
pub(crate) struct Values<'p> {
    planted: &'p Planted,
    place: usize,
    /// Tells records of different cases and routes apart.
    pub(crate) number: u64,
}

impl Planted {
    pub(crate) fn values(&self, number: u64) -> Values<'_> {
        let place = usize::try_from(number).unwrap();
        Values { planted: self, place, number }
    }
}

impl Values<'_> {
    /// A planted text.
    pub(crate) fn text(&mut self) -> String {
        self.place += 1;
        self.planted.texts[self.place % self.planted.texts.len()].clone()
    }

    /// The value of the next place of a name: a planted text, or one that may be kept.
    pub(crate) fn name(&mut self, harmless: &str) -> String {
        let text = self.text();
        let is_planted = self.planted.places >> (self.place % 64) & 1 == 1;
        if is_planted { text } else { harmless.to_owned() }
    }

    /// The value of a place of which nothing is ever kept in readable form.
    pub(crate) fn anything(&mut self) -> String {
        self.name(MARK)
    }

    /// An identity of a record.
    pub(crate) fn id(&mut self) -> String {
        let id = format!("r-{}", self.number);
        self.name(&id)
    }

    fn nested(&mut self) -> Value {
        json!([{ "role": "user", "content": self.anything(), self.anything(): [[self.anything()], 1, null] }])
    }

    /// A record of the contract, with fields that it does not know.
    pub(crate) fn record(&mut self, started_at_ms: i64) -> Value {
        let mut record = json!({
            "request_id": self.id(), "started_at": started_at_ms, "user": self.anything(), "session": self.anything(),
            "space": self.name("sales"), "provider": self.name("openai"), "model": self.name("gpt-5"),
            "operation": self.name("chat"), "error_type": "server", "error_code": self.name("overloaded"),
            "finish_reason": self.name("stop"), "provider_response_id": self.name("resp"),
            "tags": self.tags(), "messages": self.nested(), "prompt": self.anything(), "error_message": self.anything(),
        });
        let fields = record.as_object_mut().unwrap();
        fields.insert(self.name("custom"), self.nested());
        fields.insert("metadata".into(), json!({ self.anything(): self.anything() }));
        fields.insert("file_name".into(), json!(self.anything()));
        record
    }

    fn tags(&mut self) -> Value {
        if self.number.is_multiple_of(3) {
            return json!([self.name("pro"), self.name("eu")]);
        }
        let pairs = [("tier", "pro"), ("region", "eu"), ("prompt", "x"), ("app", "web")];
        let tags: Map<String, Value> = pairs
            .into_iter()
            .map(|(key, value)| (self.name(key), Value::from(self.name(value))))
            .collect();
        let mut tags = Value::from(tags);
        tags["openai_api_key"] = json!(self.anything());
        tags
    }

    /// A record that is rejected because a text stands where none belongs.
    pub(crate) fn unacceptable(&mut self) -> Value {
        let fields = ["prompt_tokens", "started_at", "error_type", "tags", "cost_usd", "cache_hit"];
        let field = fields[self.place % fields.len()];
        json!({ "model": self.name("gpt-5"), field: self.text() })
    }

    /// Fails in LiteLLM's words.
    pub(crate) fn litellm(&mut self, started_at_ms: i64) -> Value {
        let start_s = started_at_ms / 1_000;
        json!({
            "id": self.name("chatcmpl-1"), "litellm_call_id": self.id(), "call_type": self.name("acompletion"),
            "status": if self.number.is_multiple_of(2) { "failure" } else { "success" },
            "startTime": start_s, "endTime": start_s + 1, "prompt_tokens": 1, "completion_tokens": 2,
            "model": self.name("gpt-5"), "model_group": self.name("gpt-5"), "custom_llm_provider": self.name("openai"),
            "end_user": self.anything(), "user": self.anything(), "team_id": self.name("team-1"),
            "organization_id": self.name("acme"), "session_id": self.anything(), "api_key": self.anything(),
            "api_base": self.anything(), "requester_ip_address": self.anything(),
            "request_tags": [self.name("pro"), self.name("eu")], self.name("custom"): self.nested(),
            "metadata": { "user_api_key_user_id": self.anything(), "user_api_key_team_id": self.name("team-2"),
                "user_api_key_alias": self.anything(), "requester_metadata": self.nested(), self.name("x"): self.anything() },
            "error_information": { "error_class": self.name("RateLimitError"), "error_code": self.name("429"),
                "normalized_error": self.name("RateLimitError"), "error_message": self.anything(), "traceback": self.anything() },
            "messages": self.nested(), "response": self.nested(),
        })
    }

    /// Two spans of a trace, which tell of a call in the words of two emitters.
    pub(crate) fn spans(&mut self, started_at_ms: i64) -> Value {
        let trace = format!("{:032x}", self.number + 1);
        let span = |values: &mut Self, id: u8, kind: (&str, &str), parameters: Value| {
            let attributes = values.attributes(kind, &parameters);
            let events = json!([{ "timeUnixNano": "1", "name": "exception", "attributes": [
                attribute("exception.type", &values.name("openai.APIError")),
                attribute("exception.message", &values.anything()),
                attribute("exception.stacktrace", &values.anything()),
            ]}]);
            json!({
                "traceId": trace, "spanId": format!("{id:016x}"), "name": values.anything(), "kind": 1,
                "startTimeUnixNano": format!("{started_at_ms}000000"),
                "endTimeUnixNano": format!("{}000000", started_at_ms + 900),
                "attributes": attributes, "events": events, "status": { "code": 2, "message": values.anything() },
            })
        };
        let parameters = json!({ "model": self.name("gpt-5"), "user": self.anything(), "stop": self.anything() });
        let spans = [
            span(self, 1, ("gen_ai.operation.name", "chat"), Value::Null),
            span(self, 2, ("openinference.span.kind", "LLM"), parameters),
        ];
        json!({ "resourceSpans": [{
            "resource": { "attributes": [
                attribute("service.name", &self.name("chat")), attribute(&self.anything(), &self.anything()),
                attribute("process.command_line", &self.anything()),
            ]},
            "scopeSpans": [{ "scope": { "name": self.anything(), "version": self.anything() }, "spans": spans }],
        }]})
    }

    fn attributes(&mut self, kind: (&str, &str), parameters: &Value) -> Vec<Value> {
        let mut attributes = vec![attribute(kind.0, kind.1)];
        let mut put = |key: &str, value: &str| attributes.push(attribute(key, value));
        if parameters.is_null() {
            put("gen_ai.provider.name", &self.name("openai"));
            put("gen_ai.request.model", &self.name("gpt-5"));
            put("error.type", &self.name("openai.RateLimitError"));
        } else {
            put("llm.invocation_parameters", &parameters.to_string());
        }
        for (key, harmless) in [
            ("gen_ai.response.id", "resp"),
            ("gen_ai.response.model", "gpt-5"),
            ("gen_ai.response.finish_reasons", "stop"),
            ("chatgauge.space", "sales"),
        ] {
            put(key, &self.name(harmless));
        }
        for key in [
            "user.id",
            "session.id",
            "gen_ai.input.messages",
            "gen_ai.prompt.0.content",
            "input.value",
            "url.full",
            "http.request.header.authorization",
            "langfuse.observation.status_message",
            "error.message",
            "gen_ai.usage.input_tokens",
            "llm.headers",
            "db.statement",
        ] {
            put(key, &self.anything());
        }
        put(&self.anything(), &self.anything());
        attributes
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}
