//! The values of a group's dimensions in compact form, because there may be very many groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Dimensions with their values, ordered by name: a small map, also in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct GroupNames(Box<[(Box<str>, Box<str>)]>);

impl GroupNames {
    /// Whether the group contains all requests.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of dimensions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a dimension.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(own, value)| (own == name).then_some(value))
    }

    /// Dimensions and values, ordered by dimension.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl FromIterator<(String, String)> for GroupNames {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let by_name: BTreeMap<String, String> = pairs.into_iter().collect();
        let boxed = |(name, value): (String, String)| (name.into(), value.into());
        Self(by_name.into_iter().map(boxed).collect())
    }
}

impl From<BTreeMap<String, String>> for GroupNames {
    fn from(map: BTreeMap<String, String>) -> Self {
        map.into_iter().collect()
    }
}

impl From<GroupNames> for BTreeMap<String, String> {
    fn from(names: GroupNames) -> Self {
        names.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
