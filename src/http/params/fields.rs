//! The values of parameters as the types of the model.

use std::collections::BTreeMap;

use super::Params;
use super::time::{parse_instant, parse_zone};
use crate::http::metrics::dashboard::Part;
use crate::http::problem::Problem;
use crate::model::record::limits;
use crate::model::{
    Aggregation, Dimension, ErrorType, Filter, LatencyKind, MetricType, Name, Outcome, Source,
    Stat, TimeRange, TimeWindow, Timestamp, Tz,
};

/// Buckets that an aggregation chosen here gives at most, roughly.
const AUTO_BUCKETS: i64 = 400;
/// Most dimensions to group by.
const GROUP_BY_MAX: usize = 2;

/// The zone that buckets are cut in, and how instants are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// Hours, days, weeks and months are cut in this one.
    pub(crate) tz: Tz,
    /// Instants are shown with the offset of this one: UTC unless a zone was asked for.
    pub(crate) shown: Tz,
}

impl Zone {
    /// An instant as the caller is shown it.
    pub(crate) fn show(&self, at: Timestamp) -> String {
        at.to_rfc3339_in(self.shown)
    }
}

/// What to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Nothing.
    Nothing,
    /// The range of the same calendar length just before.
    Previous,
    /// The same range a week earlier by the calendar.
    Week,
}

impl Compare {
    /// The range to compare `range` with.
    pub(crate) fn range(self, range: TimeRange, tz: Tz) -> Option<TimeRange> {
        match self {
            Self::Nothing => None,
            Self::Previous => Some(range.previous(tz)),
            Self::Week => Some(range.week_before(tz)),
        }
    }
}

type Result<T> = std::result::Result<T, Problem>;

impl Params<'_> {
    /// `tz`.
    pub(crate) fn zone(&self, default: Tz) -> Result<Zone> {
        let Some(text) = self.one("tz") else {
            return Ok(Zone { tz: default, shown: Tz::UTC });
        };
        let tz = parse_zone(text).map_err(|reason| Problem::parameter("tz", reason))?;
        Ok(Zone { tz, shown: tz })
    }

    /// `start` and `end`; without them the 24 hours up to and including `now`.
    pub(crate) fn range(&self, now: Timestamp, tz: Tz) -> Result<TimeRange> {
        let end = self.instant("end", now, tz)?.unwrap_or_else(|| now.plus_ms(1));
        let start = self.instant("start", now, tz)?;
        let start = start.unwrap_or_else(|| end.plus_ms(-TimeWindow::Day.width_ms()));
        not_empty(TimeRange::new(start, end))
    }

    /// `start` and `end`; without them everything, including what came from clocks that are ahead.
    pub(crate) fn range_of_all(&self, now: Timestamp, tz: Tz) -> Result<TimeRange> {
        let end = self.instant("end", now, tz)?;
        let end = end.unwrap_or_else(|| now.plus_ms(limits::FUTURE_MS + 1));
        let start = self.instant("start", now, tz)?;
        not_empty(TimeRange::new(start.unwrap_or(Timestamp::from_unix_ms(0)), end))
    }

    /// `start` and `end`; `None` when neither was given.
    pub(crate) fn range_if_any(&self, now: Timestamp, tz: Tz) -> Result<Option<TimeRange>> {
        if self.one("start").is_none() && self.one("end").is_none() {
            return Ok(None);
        }
        self.range_of_all(now, tz).map(Some)
    }

    /// `since`.
    pub(crate) fn since(&self, now: Timestamp, tz: Tz) -> Result<Option<Timestamp>> {
        self.instant("since", now, tz)
    }

    /// The values of a parameter, of those that `all` names.
    pub(crate) fn words(
        &self,
        parameter: &'static str,
        all: &[&'static str],
    ) -> Result<Vec<&'static str>> {
        let parse = |text: &str| all.iter().copied().find(|word| *word == text);
        self.choices(parameter, parse, all, |word| word)
    }

    /// `group`: pairs such as `space:acme`.
    pub(crate) fn group(&self) -> Result<BTreeMap<String, String>> {
        let mut group = BTreeMap::new();
        for text in self.all("group") {
            let pair = text.split_once(':').filter(|(name, _)| Dimension::parse(name).is_some());
            let Some((name, value)) = pair else {
                let reason = format!("{text:?} is not a dimension and a value such as space:acme");
                return Err(Problem::parameter("group", reason));
            };
            if group.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(Problem::parameter("group", format!("names {name} twice")));
            }
        }
        Ok(group)
    }

    fn instant(&self, name: &'static str, now: Timestamp, tz: Tz) -> Result<Option<Timestamp>> {
        let parse = |text| parse_instant(text, now, tz);
        self.one(name).map(parse).transpose().map_err(|reason| Problem::parameter(name, reason))
    }

    /// The filters; `user_name` turns the id or pseudonym of a user into the stored pseudonym, and
    /// `stored_name` any other name into how it is stored.
    pub(crate) fn filter(
        &self,
        user_name: &dyn Fn(&str) -> Name,
        stored_name: &dyn Fn(&str) -> Name,
    ) -> Result<Filter> {
        Ok(Filter {
            spaces: self.names("space", limits::NAME_BYTES, stored_name)?,
            users: self.names("user", limits::HASHED_INPUT_BYTES, user_name)?,
            models: self.names("model", limits::NAME_BYTES, stored_name)?,
            providers: self.names("provider", limits::NAME_BYTES, stored_name)?,
            error_types: self
                .choices("error_type", ErrorType::parse, ErrorType::ALL, |value| value.as_str())?,
            outcomes: self.choices(
                "outcome",
                |text| Outcome::KINDS.into_iter().find(|kind| *kind == text),
                &Outcome::KINDS,
                |kind| kind,
            )?,
            streamed: self.flag("streamed")?,
            sources: self.choices("source", Source::parse, Source::ALL, |value| value.as_str())?,
            latency: self.latency_bounds()?,
        })
    }

    fn names(
        &self,
        parameter: &'static str,
        bytes_max: usize,
        stored: &dyn Fn(&str) -> Name,
    ) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        // Values of records are trimmed before they are stored or hashed.
        for text in self.all(parameter).map(str::trim) {
            if text.len() > bytes_max {
                let reason = format!("is longer than {bytes_max} bytes, so nothing can match");
                return Err(Problem::parameter(parameter, reason));
            }
            let name = stored(text);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn choices<T: Copy + PartialEq>(
        &self,
        parameter: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        all: &[T],
        spelling: fn(T) -> &'static str,
    ) -> Result<Vec<T>> {
        let mut chosen = Vec::new();
        for text in self.all(parameter) {
            let value = parse(text).ok_or_else(|| not_one_of(parameter, all, spelling))?;
            if !chosen.contains(&value) {
                chosen.push(value);
            }
        }
        Ok(chosen)
    }

    fn choice<T: Copy>(
        &self,
        parameter: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        all: &[T],
        spelling: fn(T) -> &'static str,
    ) -> Result<Option<T>> {
        let Some(text) = self.one(parameter) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| not_one_of(parameter, all, spelling))
    }

    pub(super) fn flag(&self, parameter: &'static str) -> Result<Option<bool>> {
        match self.one(parameter) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Problem::parameter(parameter, "must be true or false")),
        }
    }

    /// `type` or `metric`, by the name of the parameter.
    pub(crate) fn metric(
        &self,
        parameter: &'static str,
        default: MetricType,
    ) -> Result<MetricType> {
        let metric =
            self.choice(parameter, MetricType::parse, &MetricType::ALL, MetricType::as_str)?;
        Ok(metric.unwrap_or(default))
    }

    /// `type` of a route that shows latencies only.
    pub(crate) fn latency_kind(&self) -> Result<LatencyKind> {
        self.latency_named("type")
    }

    /// The latency that a parameter names; the total latency without it.
    pub(crate) fn latency_named(&self, parameter: &'static str) -> Result<LatencyKind> {
        let latencies: Vec<MetricType> =
            MetricType::ALL.into_iter().filter(|metric| metric.latency().is_some()).collect();
        let metric = self.metric(parameter, MetricType::TotalLatency)?;
        let kind = metric.latency();
        kind.ok_or_else(|| not_one_of(parameter, &latencies, MetricType::as_str))
    }

    /// `stat`, which only latencies have.
    pub(crate) fn stat(&self, metric: MetricType) -> Result<Stat> {
        let stat = self.choice("stat", Stat::parse, &Stat::ALL, Stat::as_str)?.unwrap_or_default();
        if metric.latency().is_none() && stat != Stat::Average {
            let reason = format!("is for latencies; {} has none", metric.as_str());
            return Err(Problem::parameter("stat", reason));
        }
        Ok(stat)
    }

    /// `aggregation`; without it the finest that gives a readable number of buckets.
    pub(crate) fn aggregation(&self, range: TimeRange) -> Result<Aggregation> {
        let parse = Aggregation::parse;
        let asked = self.choice("aggregation", parse, &Aggregation::ALL, Aggregation::as_str)?;
        let fits = |aggregation: &Aggregation| aggregation.max_buckets(range) <= AUTO_BUCKETS;
        let finest = || Aggregation::ALL.into_iter().find(fits).unwrap_or(Aggregation::Monthly);
        Ok(asked.unwrap_or_else(finest))
    }

    /// `by`, which its table requires.
    pub(crate) fn dimension(&self) -> Result<Dimension> {
        let by = self.choice("by", Dimension::parse, &Dimension::ALL, Dimension::as_str)?;
        by.ok_or_else(|| not_one_of("by", &Dimension::ALL, Dimension::as_str))
    }

    /// `group_by`: repeated or separated by commas.
    pub(crate) fn group_by(&self) -> Result<Vec<Dimension>> {
        let mut dimensions = Vec::new();
        for text in self.all("group_by").flat_map(|text| text.split(',')) {
            let dimension = Dimension::parse(text.trim())
                .ok_or_else(|| not_one_of("group_by", &Dimension::ALL, Dimension::as_str))?;
            if dimensions.contains(&dimension) {
                let reason = format!("names {text} twice");
                return Err(Problem::parameter("group_by", reason));
            }
            dimensions.push(dimension);
        }
        if dimensions.len() > GROUP_BY_MAX {
            let reason = format!("takes at most {GROUP_BY_MAX} dimensions");
            return Err(Problem::parameter("group_by", reason));
        }
        Ok(dimensions)
    }

    /// `window`.
    pub(crate) fn window(&self) -> Result<TimeWindow> {
        let parse = TimeWindow::parse;
        let window = self.choice("window", parse, &TimeWindow::ALL, TimeWindow::as_str)?;
        Ok(window.unwrap_or(TimeWindow::Hour))
    }

    /// `compare`.
    pub(crate) fn compare(&self) -> Result<Compare> {
        match self.one("compare") {
            None => Ok(Compare::Nothing),
            Some("previous") => Ok(Compare::Previous),
            Some("week") if self.has_week_comparison() => Ok(Compare::Week),
            Some(_) if self.has_week_comparison() => {
                Err(Problem::parameter("compare", "must be previous or week"))
            }
            Some(_) => Err(Problem::parameter("compare", "must be previous")),
        }
    }

    fn has_week_comparison(&self) -> bool {
        let compare = self.pairs.iter().find(|(param, _)| param.name == "compare");
        compare.is_some_and(|(param, _)| param.values.contains("week"))
    }

    /// `part`; without it all parts.
    pub(crate) fn parts(&self) -> Result<Vec<Part>> {
        let parts = self.choices("part", Part::parse, &Part::ALL, Part::as_str)?;
        Ok(if parts.is_empty() { Part::ALL.to_vec() } else { parts })
    }

    /// `top`; without it models.
    pub(crate) fn top(&self) -> Result<Dimension> {
        let top = self.choice("top", Dimension::parse, &Dimension::ALL, Dimension::as_str)?;
        Ok(top.unwrap_or(Dimension::Model))
    }

    /// `started_at`.
    pub(crate) fn started_at(&self, now: Timestamp, tz: Tz) -> Result<Option<Timestamp>> {
        self.instant("started_at", now, tz)
    }

    /// `limit`, at most what its table says.
    pub(crate) fn limit(&self) -> Result<Option<usize>> {
        let Some((param, text)) = self.pairs.iter().find(|(param, _)| param.name == "limit") else {
            return Ok(None);
        };
        let super::table::Values::Count { max } = param.values else { return Ok(None) };
        let limit = text.parse::<u32>().ok().filter(|limit| (1..=max).contains(limit));
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        let refusal = || Problem::parameter("limit", format!("must be a number from 1 to {max}"));
        limit.map(Some).ok_or_else(refusal)
    }
}

fn not_empty(range: TimeRange) -> Result<TimeRange> {
    if range.is_empty() {
        let reason = format!("{} is not after start, {}", range.end, range.start);
        return Err(Problem::parameter("end", reason));
    }
    Ok(range)
}

fn not_one_of<T: Copy>(
    parameter: &'static str,
    all: &[T],
    spelling: fn(T) -> &'static str,
) -> Problem {
    let list: Vec<&str> = all.iter().map(|value| spelling(*value)).collect();
    Problem::parameter(parameter, format!("must be one of {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::table::{BREAKDOWN, HEATMAP, HISTORICAL, REQUESTS};
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-04-01T10:00:00Z").unwrap()
    }

    fn historical(rest: &str) -> String {
        format!("type=total_latency&{rest}")
    }

    fn with<T>(query: &str, read: impl FnOnce(&Params<'_>) -> Result<T>) -> Result<T> {
        read(&Params::parse(&historical(query), HISTORICAL).unwrap())
    }

    #[test]
    fn ranges_have_defaults_and_are_not_empty() {
        let range = with("", |params| params.range(now(), Tz::UTC)).unwrap();
        assert_eq!((range.end, range.width_ms()), (now().plus_ms(1), 86_400_000));
        let range = with("end=now-1h", |params| params.range(now(), Tz::UTC)).unwrap();
        assert_eq!(range.start, now().plus_ms(-25 * 3_600_000));
        for query in ["start=now", "start=now&end=now-1h", "start=now&end=now", "end=0x"] {
            let answer = with(query, |params| params.range(now(), Tz::UTC));
            assert_eq!(answer.is_err(), query != "start=now", "{query}");
        }
    }

    #[test]
    fn filters_are_alternatives_and_users_are_hashed() {
        let query = "space=a&space=b&space=a&user=alice&error_type=timeout&error_type=auth\
                     &outcome=error&source=rest&streamed=true&provider=p&model=m";
        let hash = |text: &str| Name::new(format!("u_{}", text.len()));
        let filter = with(query, |params| params.filter(&hash, &|text| Name::new(text))).unwrap();
        assert_eq!(filter.spaces, ["a", "b"]);
        assert_eq!(filter.users, ["u_5"]);
        assert_eq!(filter.error_types, [ErrorType::Timeout, ErrorType::Auth]);
        assert_eq!((filter.outcomes, filter.streamed), (vec!["error"], Some(true)));
        assert_eq!(filter.sources, [Source::Rest]);
        for query in ["error_type=oops", "outcome=failed", "source=smoke", "streamed=maybe"] {
            assert!(with(query, |params| params.filter(&hash, &hash)).is_err(), "{query}");
        }
    }

    #[test]
    fn an_error_names_what_would_be_right() {
        let problem = with("stat=p50000", |params| params.stat(MetricType::TotalLatency));
        let expected = "stat: must be one of average, median, p95, p99, min, max";
        assert_eq!(problem.unwrap_err().public_words(), expected);
        let problem = with("stat=p95", |params| params.stat(MetricType::Cost)).unwrap_err();
        assert_eq!(problem.public_words(), "stat: is for latencies; cost has none");
    }

    #[test]
    fn aggregation_fits_the_range_unless_given() {
        let hours = |hours: i64| TimeRange::new(now().plus_ms(-hours * 3_600_000), now());
        let table = [
            (1, Aggregation::Minute),
            (6, Aggregation::Minute),
            (24, Aggregation::QuarterHour),
            (7 * 24, Aggregation::Hourly),
            (30 * 24, Aggregation::Daily),
            (3 * 365 * 24, Aggregation::Weekly),
        ];
        for (width, expected) in table {
            let got = with("", |params| params.aggregation(hours(width))).unwrap();
            assert_eq!(got, expected, "{width} h");
        }
        let got = with("aggregation=monthly", |params| params.aggregation(hours(1))).unwrap();
        assert_eq!(got, Aggregation::Monthly);
    }

    #[test]
    fn groups_come_by_commas_or_repeated() {
        let expected = vec![Dimension::Space, Dimension::User];
        for query in
            ["group_by=space,user", "group_by=space&group_by=user", "group_by=space,%20user"]
        {
            assert_eq!(with(query, |params| params.group_by()).unwrap(), expected, "{query}");
        }
        for query in ["group_by=space,space", "group_by=colour", "group_by=space,user,model"] {
            assert!(with(query, |params| params.group_by()).is_err(), "{query}");
        }
    }

    #[test]
    fn limits_and_cursors_are_checked() {
        for (query, expected) in [("limit=1", Some(1)), ("limit=1000", Some(1000))] {
            assert_eq!(with(query, |params| params.limit()).unwrap(), expected);
        }
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=1.5"] {
            assert!(with(query, |params| params.limit()).is_err(), "{query}");
        }
        let params = Params::parse("cursor=AAAAAAAAAAE", REQUESTS).unwrap();
        assert_eq!(params.cursor::<8>().unwrap(), Some([0, 0, 0, 0, 0, 0, 0, 1]));
        assert!(params.cursor::<16>().is_err());
    }

    #[test]
    fn zones_show_utc_unless_asked_for() {
        let tz = "Asia/Kathmandu".parse::<Tz>().unwrap();
        let zone = with("", |params| params.zone(tz)).unwrap();
        assert_eq!(zone.show(now()), "2026-04-01T10:00:00Z");
        let zone = with("tz=Asia/Kathmandu", |params| params.zone(Tz::UTC)).unwrap();
        assert_eq!((zone.tz, zone.show(now()).as_str()), (tz, "2026-04-01T15:45:00+05:45"));
        assert!(with("tz=Mars", |params| params.zone(Tz::UTC)).is_err());
    }

    #[test]
    fn heatmaps_are_of_latencies_and_breakdowns_need_a_dimension() {
        let params = Params::parse("type=llm_latency", HEATMAP).unwrap();
        assert_eq!(params.latency_kind().unwrap(), LatencyKind::Llm);
        let params = Params::parse("type=cost", HEATMAP).unwrap();
        assert!(params.latency_kind().unwrap_err().public_words().contains("time_to_first_token"));
        let params = Params::parse("by=colour", BREAKDOWN).unwrap();
        assert!(params.dimension().is_err());
    }
}
