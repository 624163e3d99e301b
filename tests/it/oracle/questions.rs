//! Random questions: every shape that a query can have.

use chatgauge::model::{
    Aggregation, Dimension, ErrorType, Filter, LatencyKind, MetricType, Name, Outcome,
    RequestRecord, Source, TimeRange, Timestamp, Tz,
};
use chatgauge::query::Query;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};

const ZONES: [&str; 6] = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Warsaw",
    "Australia/Lord_Howe",
];
fn zone(name: &str) -> Tz {
    name.parse().expect("a zone")
}

/// Most buckets of a question: an answer holds every bucket of every series.
const MAX_BUCKETS: i64 = 3_000;
const MAX_GROUPED_BUCKETS: i64 = 300;
const DAY_MS: i64 = 86_400_000;

/// Asks about some records, the same questions for the same seed.
#[derive(Debug)]
pub(crate) struct Questions<'a> {
    rng: StdRng,
    data: TimeRange,
    records: &'a [RequestRecord],
    /// Edges of days only, so that rollups without raw rows can answer.
    whole_days: bool,
}

impl<'a> Questions<'a> {
    pub(crate) fn new(seed: u64, data: TimeRange, records: &'a [RequestRecord]) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), data, records, whole_days: false }
    }

    pub(crate) fn whole_days(self) -> Self {
        Self { whole_days: true, ..self }
    }

    fn instant(&mut self) -> Timestamp {
        let rng = &mut self.rng;
        let (start, end) = (self.data.start.as_unix_ms(), self.data.end.as_unix_ms());
        let any = rng.random_range(start - 3 * DAY_MS..end + 3 * DAY_MS);
        if self.whole_days {
            return Timestamp::from_unix_ms(any - any.rem_euclid(DAY_MS));
        }
        let aligned = |width: i64| any - any.rem_euclid(width);
        let at = match rng.random_range(0..8) {
            0 | 1 => aligned(DAY_MS),
            2 => aligned(3_600_000),
            3 => aligned(900_000),
            4 => aligned(60_000),
            5 => aligned(60_000) + rng.random_range(-1..=1),
            // Just at, before or after a record.
            6 => match self.records.choose(rng) {
                Some(record) => record.started_at.as_unix_ms() + rng.random_range(-1..=1),
                None => any,
            },
            _ => any,
        };
        Timestamp::from_unix_ms(at)
    }

    fn range(&mut self) -> TimeRange {
        let (a, b) = (self.instant(), self.instant());
        match self.rng.random_range(0..16) {
            0 => self.data,
            // Empty, the wrong way round, one millisecond, far away.
            1 => TimeRange::new(a, a),
            2 => TimeRange::new(a.max(b), a.min(b)),
            3 if !self.whole_days => TimeRange::new(a, a.plus_ms(1)),
            4 => TimeRange::new(a.plus_ms(-4_000 * DAY_MS), b.plus_ms(-3_990 * DAY_MS)),
            5 | 6 if !self.whole_days => {
                TimeRange::new(a, a.plus_ms(self.rng.random_range(1..7_200_000)))
            }
            7 | 8 => TimeRange::new(a, a.plus_ms(self.rng.random_range(1..3) * DAY_MS)),
            _ => TimeRange::new(a.min(b), a.max(b)),
        }
    }

    fn filter(&mut self) -> Filter {
        let mut filter = Filter::default();
        if self.rng.random_bool(0.4) {
            return filter;
        }
        let field = |dimension| Filters { dimension, records: self.records };
        let rng = &mut self.rng;
        for (dimension, names) in [
            (Dimension::Space, &mut filter.spaces),
            (Dimension::User, &mut filter.users),
            (Dimension::Model, &mut filter.models),
            (Dimension::Provider, &mut filter.providers),
        ] {
            if rng.random_bool(0.25) {
                *names = field(dimension).choose(rng);
            }
        }
        if rng.random_bool(0.15) {
            let kinds = rng.random_range(1..4);
            filter.error_types = ErrorType::ALL.iter().copied().sample(rng, kinds);
        }
        if rng.random_bool(0.1) {
            let kinds = rng.random_range(1..3);
            filter.outcomes = Outcome::KINDS.into_iter().sample(rng, kinds);
        }
        if rng.random_bool(0.1) {
            filter.streamed = Some(rng.random());
        }
        if rng.random_bool(0.1) {
            let sources = rng.random_range(1..4);
            filter.sources = Source::ALL.iter().copied().sample(rng, sources);
        }
        filter
    }

    /// The coarsest aggregations only, when the range is long.
    fn aggregation(&mut self, range: TimeRange, grouped: bool) -> Option<Aggregation> {
        if self.rng.random_bool(0.3) {
            return None;
        }
        let most = if grouped { MAX_GROUPED_BUCKETS } else { MAX_BUCKETS };
        let fits = |aggregation: &Aggregation| {
            let whole_days = !self.whole_days || *aggregation == Aggregation::Daily;
            whole_days && range.width_ms() / aggregation.min_width_ms() < most
        };
        Aggregation::ALL.into_iter().filter(fits).choose(&mut self.rng)
    }

    pub(crate) fn next(&mut self) -> Query {
        let range = self.range();
        let dimensions = *[0, 0, 1, 1, 2].choose(&mut self.rng).expect("not empty");
        let group_by = Dimension::ALL.into_iter().sample(&mut self.rng, dimensions);
        let filter = self.filter();
        let aggregation = self.aggregation(range, !group_by.is_empty());
        let rng = &mut self.rng;
        let metrics = match rng.random_range(0..10) {
            0..4 => Vec::new(),
            4 => vec![MetricType::ErrorRate],
            5 => vec![MetricType::RequestRate],
            _ => {
                let count = rng.random_range(1..4);
                MetricType::ALL.into_iter().sample(rng, count)
            }
        };
        let kinds = if rng.random_bool(0.35) { rng.random_range(1..5) } else { 0 };
        Query {
            aggregation,
            tz: if self.whole_days { Tz::UTC } else { zone(ZONES.choose(rng).expect("not empty")) },
            group_by,
            filter,
            metrics,
            quantiles: LatencyKind::ALL.into_iter().sample(rng, kinds),
            max_series: *[1, 2, 5, 50, 50, 50].choose(rng).expect("not empty"),
            ..Query::total(range)
        }
    }
}

/// Values of one dimension to filter by.
struct Filters<'a> {
    dimension: Dimension,
    records: &'a [RequestRecord],
}

impl Filters<'_> {
    /// One to three values: of records, missing, unknown, and sometimes one of them twice.
    fn choose(&self, rng: &mut StdRng) -> Vec<Name> {
        let mut names = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let known = self.records.choose(rng);
            let known = known.and_then(|record| super::group_of(record, self.dimension));
            names.push(match rng.random_range(0..12) {
                0 => Name::new("nobody has this name"),
                1 => Name::new(super::NONE),
                2 => names.first().cloned().unwrap_or_else(|| Name::new("(other)")),
                _ => Name::new(known.unwrap_or("nothing there")),
            });
        }
        names
    }
}
