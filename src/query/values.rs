//! The values of a dimension, from the dictionaries, ordered by their requests.

use super::engine::Engine;
use super::requests::check_limit;
use super::types::{BreakdownQuery, DimensionValue};
use crate::error::Result;
use crate::model::{Dimension, ErrorType, Filter, MetricType, Stat, TimeWindow, Timestamp};
use crate::store::NameTable;

/// Maximum number of values that are ranked; a dictionary may be long.
const MAX_RANKED: usize = 10_000;

impl Engine {
    /// Values that start with `prefix`, busiest of the last 30 days first, then those without requests.
    ///
    /// # Errors
    /// If the limit is invalid or the file cannot be read.
    pub(crate) fn dimension_values(
        &self,
        dimension: Dimension,
        prefix: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<DimensionValue>> {
        check_limit(limit)?;
        let query = BreakdownQuery {
            by: dimension,
            metric: MetricType::RequestRate,
            stat: Stat::Average,
            range: TimeWindow::Month.ending_at(now),
            filter: Filter::default(),
            limit: MAX_RANKED,
        };
        let breakdown = self.breakdown(&query)?;
        let unranked = (breakdown.other.requests == 0).then_some(0);
        let mut values: Vec<DimensionValue> = breakdown
            .rows
            .into_iter()
            .filter(|row| row.name.starts_with(prefix))
            .map(|row| DimensionValue { name: row.name, requests: Some(row.requests) })
            .take(limit)
            .collect();
        if values.len() < limit {
            for name in self.known_names(dimension, prefix, limit)? {
                if values.len() < limit && values.iter().all(|value| value.name != name) {
                    values.push(DimensionValue { name, requests: unranked });
                }
            }
        }
        Ok(values)
    }

    /// Names in the dictionary of a dimension that start with `prefix`, without `(none)` and `(other)`.
    fn known_names(&self, dimension: Dimension, prefix: &str, limit: usize) -> Result<Vec<String>> {
        let with_prefix = |table: NameTable| -> Result<Vec<String>> {
            let names =
                self.store.read(|reader| reader.names_with_prefix(table, prefix, limit + 2))?;
            Ok(names.into_iter().map(|(_, name)| name).collect())
        };
        let mut names: Vec<String> = match dimension {
            Dimension::Space => with_prefix(NameTable::Spaces)?,
            Dimension::User => with_prefix(NameTable::Users)?,
            Dimension::ErrorType => ErrorType::ALL.iter().map(ToString::to_string).collect(),
            Dimension::Model | Dimension::Provider => {
                let rows = self.store.read(|reader| reader.models())?.into_iter();
                let is_model = dimension == Dimension::Model;
                let names = rows.map(|row| if is_model { row.name } else { row.provider });
                let mut names: Vec<String> = names.map(String::from).collect();
                names.sort_unstable();
                names.dedup();
                names
            }
        };
        names.retain(|name| name.starts_with(prefix) && !name.starts_with('('));
        Ok(names)
    }
}
