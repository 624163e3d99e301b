//! The parameters that restrict a latency.

use super::Params;
use crate::http::problem::Problem;
use crate::model::LatencyBounds;

impl Params<'_> {
    /// `min_ms` and `max_ms` of `latency`, where the route has them.
    pub(crate) fn latency_bounds(&self) -> Result<Option<LatencyBounds>, Problem> {
        let (min_ms, max_ms) = (self.amount("min_ms")?, self.amount("max_ms")?);
        if min_ms.is_none() && max_ms.is_none() {
            return Ok(None);
        }
        let kind = self.latency_named("latency")?;
        let last = if max_ms.is_some() { "max_ms" } else { "min_ms" };
        LatencyBounds::from_ms(kind, min_ms, max_ms)
            .map_err(|reason| Problem::parameter(last, reason))
    }

    fn amount(&self, name: &'static str) -> Result<Option<f64>, Problem> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let refusal = || Problem::parameter(name, "must be a number from 0 up");
        text.parse().map(Some).map_err(|_| refusal())
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::REQUESTS;
    use super::*;
    use crate::model::LatencyKind;

    #[test]
    fn bounds_are_of_one_latency_and_enclose_something() {
        let bounds = |query| Params::parse(query, REQUESTS).unwrap().latency_bounds();
        assert_eq!(bounds("").unwrap(), None);
        assert_eq!(bounds("latency=llm_latency").unwrap(), None);
        let of = |kind, min_us, max_us| Some(LatencyBounds { kind, min_us, max_us });
        assert_eq!(bounds("min_ms=5000").unwrap(), of(LatencyKind::Total, 5_000_000, None));
        assert_eq!(
            bounds("latency=llm_latency&min_ms=0.5&max_ms=1").unwrap(),
            of(LatencyKind::Llm, 500, Some(1_000))
        );
        for query in ["min_ms=fast", "max_ms=-1", "min_ms=2&max_ms=2", "max_ms=1&latency=cost"] {
            assert!(bounds(query).is_err(), "{query}");
        }
    }
}
