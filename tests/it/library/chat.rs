//! The resilient chat flow against a fake provider, with failures injected: what is answered, and what is
//! recorded of it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatgauge::chat::{
    Answer, AnswerCache, AssembleContext, Backoff, ChatError, ChatFlow, CircuitBreaker, Message,
    OpenAiClient, Question, Role, Route,
};
use chatgauge::model::{
    Clock, ErrorType, Filter, LatencyKind, Outcome, RequestRecord, Source, TimeRange, Timestamp,
};
use chatgauge::query::RequestsQuery;
use chatgauge::{Chatgauge, Config};

use crate::gateway::upstream::{Act, Message as Http, Upstream, chunk, json, stream, stream_head};

const ANSWER: &str = "\
data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"\"}}]}

data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"SECRET \"}}]}

data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"żółw\"},\"finish_reason\":\"stop\"}]}

";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":45,\"prompt_tokens_details\":{\"cached_tokens\":64}}}\n\n";

fn good() -> Vec<Act> {
    let bytes = [ANSWER, USAGE, "data: [DONE]\n\n"].concat();
    // A cut in the middle of a character.
    let (a, b) = bytes.as_bytes().split_at(bytes.find("żółw").unwrap() + 1);
    stream(&[a, b])
}

fn limited() -> Vec<Act> {
    let body =
        r#"{"error":{"message":"SECRET","type":"rate_limit_error","code":"rate_limit_exceeded"}}"#;
    json(429, body)
}

/// A clock whose monotonic time the test moves.
#[derive(Debug)]
struct TestClock {
    us: AtomicU64,
    wall: chatgauge::SystemClock,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn monotonic_us(&self) -> u64 {
        self.us.load(Ordering::SeqCst)
    }
}

struct Documents {
    clock: Arc<TestClock>,
    fails: bool,
}

impl AssembleContext for Documents {
    fn assemble(&self, question: &Question) -> Result<Vec<Message>, &'static str> {
        self.clock.us.fetch_add(30_000, Ordering::SeqCst);
        if self.fails {
            return Err("documents_unavailable");
        }
        Ok(vec![Message::new(Role::System, "be brief"), Message::new(Role::User, &*question.text)])
    }
}

/// A flow with a primary and a fallback model at one fake provider.
struct Bench {
    service: Chatgauge,
    flow: ChatFlow,
    upstream: Upstream,
    clock: Arc<TestClock>,
    pauses: Arc<Mutex<Vec<Duration>>>,
    directory: tempfile::TempDir,
}

impl Bench {
    /// `answering` gets the number of the request, from 0, and the model.
    fn new(answering: impl Fn(usize, &str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with_context(answering, false)
    }

    fn with_context(
        answering: impl Fn(usize, &str) -> Vec<Act> + Send + Sync + 'static,
        fails: bool,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("test.db");
        let clock =
            Arc::new(TestClock { us: AtomicU64::new(1), wall: chatgauge::SystemClock::new() });
        let clocked: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let service = Chatgauge::open_with_clock(config, Arc::clone(&clocked)).unwrap();
        let count = AtomicUsize::new(0);
        let answer_clock = Arc::clone(&clock);
        let upstream = Upstream::start(move |request: &Http| {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            answer_clock.us.fetch_add(200_000, Ordering::SeqCst);
            answering(count.fetch_add(1, Ordering::SeqCst), body["model"].as_str().unwrap())
        });
        let url = format!("http://{}/v1", upstream.address);
        let client =
            OpenAiClient::new(&url, Some("sk-SECRETKEY".to_owned()), Duration::from_millis(500));
        let client = Arc::new(client);
        let breaker = || CircuitBreaker::new(3, Duration::from_secs(30));
        let routes = vec![
            Route::new("openai", "gpt-5", client.clone(), breaker()),
            Route::new("backup", "small", client, breaker()),
        ];
        let cache = AnswerCache::new(100, Duration::from_secs(60));
        let documents = Documents { clock: Arc::clone(&clock), fails };
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&pauses);
        let flow = ChatFlow::new(service.collector(), clocked, documents, cache, routes)
            .with_backoff(Backoff { retries: 2, ..Backoff::default() })
            .with_pause(move |pause| noted.lock().unwrap().push(pause));
        Self { service, flow, upstream, clock, pauses, directory }
    }

    fn ask(&self, text: &str) -> Result<Answer, ChatError> {
        self.flow.ask(&question(text), &mut |_| ControlFlow::Continue(()))
    }

    fn records(&self) -> Vec<RequestRecord> {
        assert!(self.service.collector().flush(Duration::from_secs(10)));
        let range = TimeRange::new(Timestamp::from_unix_ms(0), self.service.now().plus_ms(60_000));
        let query = RequestsQuery { range, filter: Filter::default(), limit: 100, cursor: None };
        let mut rows = self.service.requests(&query).unwrap().requests;
        rows.reverse();
        rows.into_iter().map(|row| row.record).collect()
    }

    fn record(&self) -> RequestRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1);
        records.remove(0)
    }
}

fn question(text: &str) -> Question {
    Question {
        text: text.to_owned(),
        user: "alice".to_owned(),
        space: "sales".to_owned(),
        session: "c1".to_owned(),
    }
}

#[test]
fn every_stage_of_an_answer_is_recorded_and_the_next_one_comes_from_the_cache() {
    let bench = Bench::new(|_, _| good());
    let mut heard = String::new();
    let answer = bench.flow.ask(&question("Why?"), &mut |delta| {
        heard.push_str(delta);
        ControlFlow::Continue(())
    });
    assert_eq!(answer.unwrap().text, "SECRET żółw");
    assert_eq!(heard, "SECRET żółw");
    assert_eq!(bench.ask(" WHY? ").unwrap().text, "SECRET żółw");
    assert_eq!(bench.upstream.seen.lock().unwrap().len(), 1);
    let records = bench.records();
    let [asked, cached] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(
        (asked.outcome, asked.cache_hit, asked.source),
        (Outcome::Success, false, Source::Collector)
    );
    assert_eq!((asked.prompt_tokens, asked.completion_tokens), (Some(120), Some(45)));
    assert_eq!(asked.cached_prompt_tokens, Some(64));
    assert_eq!(asked.latency(LatencyKind::Context), Some(30_000));
    assert_eq!(asked.latency(LatencyKind::Llm), Some(200_000));
    assert_eq!(asked.latency(LatencyKind::TimeToFirstToken), Some(200_000));
    assert_eq!(asked.latency(LatencyKind::Total), Some(230_000));
    assert_eq!(
        (asked.provider.as_deref(), asked.model.as_deref()),
        (Some("openai"), Some("gpt-5"))
    );
    assert_eq!(asked.finish_reason.as_deref(), Some("stop"));
    assert_eq!(asked.provider_response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!((asked.space.as_deref(), asked.attempt), (Some("sales"), 0));
    assert_eq!(asked.user, Some(bench.service.pseudonymizer().user("alice")));
    assert_eq!((cached.outcome, cached.cache_hit), (Outcome::Success, true));
    assert_eq!((cached.latency(LatencyKind::Llm), cached.prompt_tokens), (None, None));
}

#[test]
fn a_passing_failure_is_tried_again_and_is_one_request() {
    let bench = Bench::new(|number, _| if number == 0 { limited() } else { good() });
    assert!(bench.ask("Why?").is_ok());
    let record = bench.record();
    assert_eq!((record.outcome, record.attempt), (Outcome::Success, 1));
    assert_eq!(record.latency(LatencyKind::Llm), Some(400_000), "all attempts together");
    assert_eq!(record.latency(LatencyKind::TimeToFirstToken), Some(200_000), "of the last one");
    assert_eq!(bench.pauses.lock().unwrap().len(), 1);
}

#[test]
fn a_model_that_keeps_failing_is_left_alone_and_another_one_answers() {
    let bench = Bench::new(|_, model| if model == "gpt-5" { json(503, "SECRET") } else { good() });
    assert!(bench.ask("one").is_ok());
    assert!(bench.ask("two").is_ok());
    let models = |from: usize| -> Vec<String> {
        let seen = bench.upstream.seen.lock().unwrap();
        let model = |http: &Http| {
            let body: serde_json::Value = serde_json::from_slice(&http.body).unwrap();
            body["model"].as_str().unwrap().to_owned()
        };
        seen.iter().skip(from).map(model).collect()
    };
    assert_eq!(models(0), ["gpt-5", "gpt-5", "gpt-5", "small", "small"], "the circuit is open");
    bench.clock.us.fetch_add(30_000_000, Ordering::SeqCst);
    assert!(bench.ask("three").is_ok());
    assert_eq!(models(5), ["gpt-5", "small"], "after the rest one attempt finds out");
    assert_eq!(bench.pauses.lock().unwrap().len(), 2, "nobody waits for a circuit that is open");
    let records = bench.records();
    assert!(records.iter().all(|record| record.outcome == Outcome::Success));
    assert!(records.iter().all(|record| record.model.as_deref() == Some("small")));
    let attempts: Vec<u32> = records.iter().map(|record| record.attempt).collect();
    assert_eq!(attempts, [3, 0, 1]);
}

#[test]
fn when_no_model_answers_the_last_failure_is_the_requests() {
    let bench = Bench::new(|_, _| json(500, r#"{"error":{"type":"server_error"}}"#));
    let error = bench.ask("Why?").unwrap_err();
    let code = Some("server_error".into());
    assert_eq!(error, ChatError::Unanswered { kind: ErrorType::Server, code });
    assert_eq!(bench.ask("How?").unwrap_err(), ChatError::AllOpen);
    let records = bench.records();
    assert_eq!(records[0].outcome, Outcome::Error(ErrorType::Server));
    assert_eq!((records[0].attempt, records[0].http_status), (5, Some(500)));
    assert_eq!(records[1].error_code.as_deref(), Some("circuits_open"));
    assert_eq!(records[1].latency(LatencyKind::Llm), None);
}

#[test]
fn what_will_not_heal_is_not_tried_again() {
    for (status, body, kind) in [
        (400, r#"{"error":{"code":"context_length_exceeded"}}"#, ErrorType::Validation),
        (401, "{}", ErrorType::Auth),
        (429, r#"{"error":{"code":"insufficient_quota"}}"#, ErrorType::RateLimit),
        (400, r#"{"error":{"code":"content_filter"}}"#, ErrorType::ContentFilter),
    ] {
        let bench = Bench::new(move |_, _| json(status, body));
        assert!(bench.ask("Why?").is_err());
        assert_eq!(bench.upstream.seen.lock().unwrap().len(), 1, "{body}");
        let record = bench.record();
        assert_eq!((record.outcome, record.attempt), (Outcome::Error(kind), 0));
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_begun_again() {
    let bench = Bench::new(|_, _| vec![stream_head(), chunk(ANSWER.as_bytes()), Act::Close]);
    assert!(bench.ask("Why?").is_err());
    assert_eq!(bench.upstream.seen.lock().unwrap().len(), 1);
    let record = bench.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Network));
    assert!(record.latency(LatencyKind::TimeToFirstToken).is_some());
    assert!(bench.ask("Why?").is_err(), "half an answer is not kept");
}

#[test]
fn a_silent_provider_is_a_timeout() {
    let bench =
        Bench::new(|_, model| if model == "gpt-5" { vec![Act::AwaitClose] } else { good() });
    assert!(bench.ask("Why?").is_ok());
    let record = bench.record();
    assert_eq!((record.outcome, record.attempt), (Outcome::Success, 3));
    let unreachable = Bench::new(|_, _| vec![Act::AwaitClose]);
    assert!(matches!(
        unreachable.ask("Why?"),
        Err(ChatError::Unanswered { kind: ErrorType::Timeout, .. })
    ));
    assert_eq!(unreachable.record().outcome, Outcome::Error(ErrorType::Timeout));
}

#[test]
fn nobody_listens_any_more() {
    let bench = Bench::new(|_, _| good());
    let stopped = bench.flow.ask(&question("Why?"), &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped, Err(ChatError::Stopped));
    let record = bench.record();
    assert_eq!((record.outcome, record.error_code), (Outcome::Cancelled, None));
    assert!(record.latency_us[LatencyKind::TimeToFirstToken.index()].is_some());
}

#[test]
fn without_context_no_model_is_asked() {
    let bench = Bench::with_context(|_, _| good(), true);
    assert_eq!(bench.ask("Why?"), Err(ChatError::Context("documents_unavailable")));
    assert!(bench.upstream.seen.lock().unwrap().is_empty());
    let record = bench.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Other));
    assert_eq!(record.error_code.as_deref(), Some("documents_unavailable"));
}

#[test]
fn nothing_that_was_written_is_in_the_files() {
    let bench = Bench::new(|number, _| if number == 0 { limited() } else { good() });
    bench.ask("SECRET question").unwrap();
    assert_eq!(bench.records().len(), 1);
    for entry in std::fs::read_dir(bench.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"SECRET"), "{}", path.display());
    }
}
