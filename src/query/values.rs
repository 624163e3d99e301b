//! The values of a dimension, from the dictionaries, with how busy they are.

use super::engine::Engine;
use super::types::{BreakdownQuery, DimensionValue};
use crate::error::{Error, Result};
use crate::model::{Dimension, ErrorType, Filter, MetricType, Stat, TimeWindow, Timestamp};
use crate::store::NameTable;

/// Values looked at to rank them; a dictionary may be long.
const RANKED: usize = 10_000;

impl Engine {
    /// Values that start with `prefix`, busiest of the last 30 days first, then those without requests.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dimension_values(
        &self,
        dimension: Dimension,
        prefix: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<DimensionValue>> {
        if limit == 0 || limit > super::MAX_PAGE {
            return Err(Error::invalid_query("limit", format!("must be 1 to {}", super::MAX_PAGE)));
        }
        let query = BreakdownQuery {
            by: dimension,
            metric: MetricType::RequestRate,
            stat: Stat::Average,
            range: TimeWindow::Month.ending_at(now),
            filter: Filter::default(),
            limit: RANKED,
        };
        let rows = self.breakdown(&query)?.rows;
        let mut values: Vec<DimensionValue> = rows
            .into_iter()
            .filter(|row| row.name.starts_with(prefix))
            .map(|row| DimensionValue { name: row.name, requests: row.requests })
            .take(limit)
            .collect();
        if values.len() < limit {
            for name in self.known_names(dimension, prefix, limit)? {
                if values.len() < limit && values.iter().all(|value| value.name != name) {
                    values.push(DimensionValue { name, requests: 0 });
                }
            }
        }
        Ok(values)
    }

    /// Names of the dictionary of a dimension that start with `prefix`.
    fn known_names(&self, dimension: Dimension, prefix: &str, limit: usize) -> Result<Vec<String>> {
        let reserved = |name: &String| !name.starts_with('(');
        let table = match dimension {
            Dimension::Space => NameTable::Spaces,
            Dimension::User => NameTable::Users,
            Dimension::ErrorType => {
                let all = ErrorType::ALL.iter().map(|kind| kind.as_str().to_owned());
                return Ok(all.filter(|name| name.starts_with(prefix)).collect());
            }
            Dimension::Model | Dimension::Provider => {
                let models = self.store().read(|reader| reader.models())?;
                let mut names: Vec<String> = models
                    .into_iter()
                    .map(|row| if dimension == Dimension::Model { row.name } else { row.provider })
                    .map(String::from)
                    .filter(|name| reserved(name) && name.starts_with(prefix))
                    .collect();
                names.sort_unstable();
                names.dedup();
                return Ok(names);
            }
        };
        let names =
            self.store().read(|reader| reader.names_with_prefix(table, prefix, limit + 2))?;
        Ok(names.into_iter().map(|(_, name)| name).filter(reserved).collect())
    }
}
