//! Any record that can come in.

use chatgauge::model::{
    CostSource, ErrorType, Name, Outcome, RequestId, RequestRecord, Source, Timestamp,
};
use chatgauge::privacy::is_sensitive;
use proptest::prelude::*;

/// What is stored as it was sent: a text that reads like a sentence or a secret is not.
fn stored(pattern: &'static str) -> impl Strategy<Value = Name> {
    pattern
        .prop_filter("reads like a sentence or a secret", |text| !is_sensitive(text))
        .prop_map(Name::from)
}

fn identifier() -> impl Strategy<Value = Name> {
    stored("[a-zA-Z][a-zA-Z0-9_.:/-]{0,30}")
}

fn any_text() -> impl Strategy<Value = Name> {
    stored("[a-zA-Zé][a-zA-Z0-9é\"\\\\ _./-]{0,20}[a-zA-Z]")
}

prop_compose! {
    fn latencies()(total in 0_u64..=86_400_000_000)(
        parts in (0..=total).prop_flat_map(|llm| (0..=llm, Just(llm))),
        total in Just(total),
        known in any::<[bool; 4]>(),
    ) -> [Option<u64>; 4] {
        let (first, llm) = parts;
        let all = [total, total - llm, llm, first];
        std::array::from_fn(|kind| known[kind].then_some(all[kind]))
    }
}

prop_compose! {
    fn usage()(
        prompt in proptest::option::of(0_u64..=1_000_000_000),
        completion in proptest::option::of(0_u64..=1_000_000_000),
        parts in any::<[Option<u64>; 4]>(),
        cost in proptest::option::of(0_i64..=1_000_000_000_000_000),
    ) -> ([Option<u64>; 6], Option<i64>) {
        let part = |part: Option<u64>, all: Option<u64>| part.map(|part| part % (all.unwrap_or(1_000) + 1));
        let cache_write = part(parts[2], prompt);
        let parts =
            [part(parts[0], prompt), part(parts[1], completion), cache_write, part(parts[3], cache_write)];
        ([prompt, completion, parts[0], parts[1], parts[2], parts[3]], cost)
    }
}

prop_compose! {
    /// Any record that a sender could have made through the REST interface.
    pub(super) fn record()(
        id in prop_oneof![
            any::<[u8; 16]>().prop_map(RequestId::Uuid),
            any_text().prop_map(|text| RequestId::parse(&text)),
        ],
        ms in 946_684_800_000..=super::NOW_MS + 300_000,
        names in proptest::array::uniform4(proptest::option::of(any_text())),
        labels in proptest::array::uniform4(proptest::option::of(identifier())),
        user in proptest::option::of(".{1,20}"),
        session in any::<Option<i64>>(),
        latency_us in latencies(),
        (tokens, cost) in usage(),
        outcome in prop_oneof![
            Just(Outcome::Success), Just(Outcome::Cancelled),
            proptest::sample::select(ErrorType::ALL.to_vec()).prop_map(Outcome::Error),
        ],
        (cache_hit, streamed, status, attempt) in
            any::<(bool, Option<bool>)>().prop_flat_map(|(hit, streamed)| {
                (Just(hit), Just(streamed), proptest::option::of(100_u16..600), 0_u32..=1_000)
            }),
        tags in proptest::option::of(Just(r#"{"a":1,"b":"x","c":true,"d":1.5}"#.to_owned())),
    ) -> RequestRecord {
        let mut record = RequestRecord::new(id, Timestamp::from_unix_ms(ms), Source::Rest);
        let [space, provider, model, response_id] = names;
        (record.space, record.provider, record.model) = (space, provider, model);
        record.provider_response_id = response_id;
        [record.operation, record.error_code, record.finish_reason, record.service_tier] = labels;
        record.user = user.map(|user| super::context().pseudonymizer.user(&user));
        (record.session, record.latency_us, record.tags) = (session, latency_us, tags);
        let [.., written, written_1h] = tokens;
        [
            record.prompt_tokens, record.completion_tokens, record.cached_prompt_tokens,
            record.reasoning_tokens, _, _,
        ] = tokens;
        record.cache_write_prompt_tokens = written.map(|count| count.try_into().unwrap());
        record.cache_write_1h_prompt_tokens = written_1h.map(|count| count.try_into().unwrap());
        record.cost_nano_usd = cost;
        record.cost_source = cost.map(|_| CostSource::Client);
        (record.cache_hit, record.streamed, record.http_status) = (cache_hit, streamed, status);
        (record.attempt, record.outcome) = (attempt, outcome);
        record
    }
}
