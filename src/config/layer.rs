//! The configuration as typed: every key optional, values unchecked, later layers over earlier ones.

use std::collections::BTreeMap;

/// Something that a layer of the configuration may set.
pub(super) trait Layer {
    /// Replaces what `over` sets.
    fn overlay(&mut self, over: Self);
}

impl<T> Layer for Option<T> {
    fn overlay(&mut self, over: Self) {
        if over.is_some() {
            *self = over;
        }
    }
}

/// Named tables are merged key by key.
impl<R: Layer + Default> Layer for BTreeMap<String, R> {
    fn overlay(&mut self, over: Self) {
        for (name, table) in over {
            self.entry(name).or_default().overlay(table);
        }
    }
}

/// A list is replaced as a whole.
impl<T> Layer for Vec<T> {
    fn overlay(&mut self, over: Self) {
        if !over.is_empty() {
            *self = over;
        }
    }
}

/// Whether a layer sets nothing here.
pub(super) fn is_unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Declares a table of the file as typed; each field is a [`Layer`], and its name is the key.
macro_rules! raw_table {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::config::layer::is_unset")]
                pub $field: $type,
            )+
        }

        impl $name {
            /// Replaces every key that `over` sets.
            pub fn overlay(&mut self, over: Self) {
                $($crate::config::layer::Layer::overlay(&mut self.$field, over.$field);)+
            }
        }

        impl $crate::config::layer::Layer for $name {
            fn overlay(&mut self, over: Self) {
                Self::overlay(self, over);
            }
        }
    };
}
pub(super) use raw_table;
