//! Random records whose dimensions collide, whose values are often missing and sometimes extreme.

use chatgauge::model::{
    CostSource, ErrorType, LatencyKind, Name, Outcome, RequestId, RequestRecord, Source, TimeRange,
    Timestamp,
};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};

pub(super) const SPACES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
pub(super) const MODELS: [(Option<&str>, Option<&str>); 6] = [
    (Some("openai"), Some("gpt")),
    (Some("azure"), Some("gpt")),
    (Some("anthropic"), Some("claude")),
    (Some("openai"), None),
    (None, Some("local")),
    (None, None),
];

pub(super) fn user_name(number: u32) -> Name {
    Name::from(format!("u_{number:02}"))
}

fn maybe(rng: &mut StdRng, value: u64) -> Option<u64> {
    rng.random_bool(0.8).then_some(value)
}

fn duration(rng: &mut StdRng) -> u64 {
    match rng.random_range(0..10) {
        0 => 0,
        1 => rng.random_range(1..5),
        2 => rng.random_range(0..40_000_000_000),
        _ => rng.random_range(10_000..3_000_000),
    }
}

fn instant(rng: &mut StdRng, range: TimeRange) -> Timestamp {
    let (start, end) = (range.start.as_unix_ms(), range.end.as_unix_ms());
    let at = rng.random_range(start..end);
    // The edges of minutes, quarter hours and days are where counting goes wrong.
    let width = *[1, 60_000, 900_000, 3_600_000, 86_400_000].choose(rng).expect("not empty");
    let near = at - at.rem_euclid(width) + rng.random_range(-1..=1_i64) * i64::from(width > 1);
    Timestamp::from_unix_ms(if rng.random_bool(0.3) { near.clamp(start, end - 1) } else { at })
}

/// A record that starts inside `range`.
pub(crate) fn random_record(rng: &mut StdRng, range: TimeRange) -> RequestRecord {
    let id = if rng.random_bool(0.5) {
        RequestId::Uuid(rng.random())
    } else {
        RequestId::Text(Name::from(format!("req-{:x}", rng.next_u64())))
    };
    let source = *Source::ALL.choose(rng).expect("not empty");
    let mut record = RequestRecord::new(id, instant(rng, range), source);
    record.space = SPACES.choose(rng).filter(|_| rng.random_bool(0.9)).map(|name| Name::new(name));
    record.user = rng.random_bool(0.9).then(|| user_name(rng.random_range(0..12)));
    let (provider, model) = *MODELS.choose(rng).expect("not empty");
    record.provider = provider.map(Name::new);
    record.model = model.map(Name::new);
    let (context, llm, rest) = (duration(rng), duration(rng), rng.random_range(0..5_000));
    record.latency_us[LatencyKind::Context.index()] = maybe(rng, context);
    record.latency_us[LatencyKind::Llm.index()] = maybe(rng, llm);
    record.latency_us[LatencyKind::Total.index()] = maybe(rng, context + llm + rest);
    record.latency_us[LatencyKind::TimeToFirstToken.index()] = maybe(rng, llm / 3);
    let (prompt, completion) = (rng.random_range(0..9_000), rng.random_range(0..2_000));
    record.prompt_tokens = maybe(rng, prompt);
    record.completion_tokens = maybe(rng, completion);
    record.cost_nano_usd = rng.random_bool(0.7).then(|| rng.random_range(0..900_000_000));
    record.cost_source = record.cost_nano_usd.map(|_| CostSource::Client);
    record.cache_hit = rng.random_bool(0.2);
    record.outcome = match rng.random_range(0..10) {
        0..7 => Outcome::Success,
        7 => Outcome::Cancelled,
        _ => Outcome::Error(*ErrorType::ALL.choose(rng).expect("not empty")),
    };
    record.streamed = rng.random_bool(0.7).then(|| rng.random());
    record
}

/// Up to `most` records inside `range`, as a strategy whose cases shrink to fewer records.
pub(crate) fn records_in(
    range: TimeRange,
    most: usize,
) -> impl Strategy<Value = Vec<RequestRecord>> {
    prop::collection::vec(any::<u64>(), 0..most).prop_map(move |seeds| {
        let record = |seed| random_record(&mut StdRng::seed_from_u64(seed), range);
        seeds.into_iter().map(record).collect()
    })
}
