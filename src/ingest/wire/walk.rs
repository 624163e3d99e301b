//! Walks JSON that may hold anything, and passes on the wanted values without building a tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::LooseValue;
use super::scalar::visits;

/// Maximum nesting of values that are looked at; no wanted value lies deeper.
const DEPTH_MAX: usize = 64;

/// Receives the wanted values of a document.
pub(crate) trait WalkTarget {
    /// Where in the document a value is.
    type Place: Copy;

    /// The place of a member of the object at `place`; `None` skips the member unread.
    fn member(place: Self::Place, name: &str) -> Option<Self::Place>;

    /// The place of the elements of the array at `place`; `None` skips them unread.
    fn element(place: Self::Place) -> Option<Self::Place>;

    /// Whether the value at `place` is wanted; otherwise it is skipped unread.
    fn wants(&self, _place: Self::Place) -> bool {
        true
    }

    /// An object begins.
    fn begin(&mut self, _place: Self::Place) {}

    /// An object ends; `false` stops the walk.
    fn end(&mut self, _place: Self::Place) -> bool {
        true
    }

    /// Receives a number or a boolean.
    fn value(&mut self, place: Self::Place, value: LooseValue);

    /// Receives a whole number above [`i64::MAX`].
    fn large(&mut self, place: Self::Place, number: u64) {
        self.value(place, LooseValue::Float(number as f64));
    }

    /// Receives a text inside `depth` objects and arrays.
    fn text(&mut self, place: Self::Place, text: &str, depth: usize);
}

/// Walks the value at a place; a value of an unexpected type counts as absent.
pub(crate) struct Walk<'t, T: WalkTarget> {
    pub(crate) target: &'t mut T,
    pub(crate) place: T::Place,
    /// Objects and arrays around the value.
    pub(crate) depth: usize,
}

impl<T: WalkTarget> Walk<'_, T> {
    /// Walks a value inside this one.
    fn inside(&mut self, place: T::Place) -> Walk<'_, T> {
        Walk { target: self.target, place, depth: self.depth + 1 }
    }
}

impl<'de, T: WalkTarget> DeserializeSeed<'de> for Walk<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth < DEPTH_MAX && self.target.wants(self.place) {
            return deserializer.deserialize_any(self);
        }
        deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
    }
}

impl<'de, T: WalkTarget> Visitor<'de> for Walk<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    visits! { self;
        visit_unit() => (),
        visit_bool(value: bool) => self.target.value(self.place, LooseValue::Bool(value)),
        visit_i64(number: i64) => self.target.value(self.place, LooseValue::Int(number)),
        visit_u64(number: u64) => {
            match i64::try_from(number) {
                Ok(number) => self.target.value(self.place, LooseValue::Int(number)),
                Err(_) => self.target.large(self.place, number),
            }
        },
        visit_f64(number: f64) => self.target.value(self.place, LooseValue::Float(number)),
        visit_str(text: &str) => self.target.text(self.place, text, self.depth),
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<(), S::Error> {
        match T::element(self.place) {
            Some(place) => while seq.next_element_seed(self.inside(place))?.is_some() {},
            None => while seq.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
        self.target.begin(self.place);
        while let Some(member) = map.next_key_seed(MemberOf::<T>(self.place))? {
            match member {
                Some(place) => map.next_value_seed(self.inside(place))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if self.target.end(self.place) { Ok(()) } else { Err(M::Error::custom("stopped")) }
    }
}

/// Reads the name of a member of the object at a place.
struct MemberOf<T: WalkTarget>(T::Place);

impl<'de, T: WalkTarget> DeserializeSeed<'de> for MemberOf<T> {
    type Value = Option<T::Place>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<T: WalkTarget> Visitor<'_> for MemberOf<T> {
    type Value = Option<T::Place>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    visits! { self; visit_str(name: &str) => T::member(self.0, name), }
}
