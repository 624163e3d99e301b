//! Declares a section of the configuration once: its keys, their types, limits, defaults and descriptions.

use super::kinds::Kind;
use crate::error::{Error, Result};

/// Declares a section as typed (`$raw`) and checked (`$config`), and how one becomes the other.
///
/// Each key is one entry: its description, its name (with the spelling in the file, if that has a unit), the type of the
/// checked value, the [kind](super::kinds) with its limits, and the default. The parts that may follow the keys:
///
/// - `sections`: sections inside this one;
/// - `tables`: tables whose names the user chooses, with a function from the checked section to the tables as typed, and
///   one that writes them to the example file;
/// - `derived`: fields without a key, with their first value;
/// - `check`: a function that checks keys against each other and completes the derived fields.
macro_rules! settings {
    (
        $(#[doc = $title:literal])+
        $config:ident, $raw:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $($key:literal)?: $type:ty as $kind:ident($($limit:expr),*) = $default:expr;
            )+
        }
        $(sections { $($section:ident: $section_config:ident, $section_raw:ident;)+ })?
        $(tables {
            $(
                $(#[doc = $table_doc:literal])+
                $table:ident: $table_raw:ty = $to_raw:expr, $write_example:expr;
            )+
        })?
        $(derived {
            $($(#[doc = $derived_doc:literal])+ $derived:ident: $derived_type:ty = $first:expr;)+
        })?
        $(check = $check:path;)?
    ) => {
        $(#[doc = $title])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $config {
            $($(#[doc = $doc])+ pub $field: $type,)+
            $($(
                #[doc = concat!("The section `[", stringify!($section), "]`.")]
                pub $section: $section_config,
            )+)?
            $($($(#[doc = $derived_doc])+ pub $derived: $derived_type,)+)?
        }

        $crate::config::layer::raw_table! {
            #[doc = concat!("[`", stringify!($config), "`] as typed: every key optional, values unchecked.")]
            $raw {
                $(
                    $(#[doc = $doc])+
                    $(#[serde(rename = $key)])?
                    $field: Option<$crate::config::settings::raw_type!($kind)>,
                )+
                $($(
                    #[doc = concat!("The section `[", stringify!($section), "]`.")]
                    $section: $section_raw,
                )+)?
                $($($(#[doc = $table_doc])+ $table: $table_raw,)+)?
            }
        }

        impl $config {
            /// Sets and checks every key that `raw` has; `section` is where it stands, for error messages.
            pub(in crate::config) fn set(
                &mut self,
                section: &str,
                raw: &$raw,
            ) -> $crate::error::Result<()> {
                $(
                    let key = [$($key,)? stringify!($field)][0];
                    let kind = $kind($($limit),*);
                    $crate::config::settings::set(&mut self.$field, section, key, &raw.$field, &kind)?;
                )+
                $($(self.$section.set(stringify!($section), &raw.$section)?;)+)?
                $($check(self, raw)?;)?
                Ok(())
            }

            /// Writes the section with its descriptions to the example file.
            #[cfg(test)]
            pub(in crate::config) fn write_example(
                &self,
                section: &str,
                example: &mut $crate::config::example::Example,
            ) {
                example.section(section, &[$($title),+]);
                $({
                    let key = [$($key,)? stringify!($field)][0];
                    let kind: $crate::config::kinds::Kind<$type, _> = $kind($($limit),*);
                    example.key(&[$($doc),+], &kind.allowed, key, kind.write(&self.$field));
                })+
                $($(self.$section.write_example(stringify!($section), example);)+)?
                $($(($write_example)(self, example);)+)?
            }
        }

        impl Default for $config {
            fn default() -> Self {
                let config = Self {
                    $($field: $default,)+
                    $($($section: $section_config::default(),)+)?
                    $($($derived: $first,)+)?
                };
                $(
                    let mut config = config;
                    // Completes the derived fields. A test checks that the defaults are accepted.
                    $check(&mut config, &$raw::default()).ok();
                )?
                config
            }
        }

        /// Every key with its value.
        impl From<&$config> for $raw {
            fn from(config: &$config) -> Self {
                Self {
                    $($field: Some($kind($($limit),*).write(&config.$field)),)+
                    $($($section: $section_raw::from(&config.$section),)+)?
                    $($($table: ($to_raw)(config),)+)?
                }
            }
        }
    };
}
pub(super) use settings;

/// The type in the file of a kind.
macro_rules! raw_type {
    (flag) => {
        bool
    };
    (token) => {
        $crate::config::Secret
    };
    (count) => {
        i64
    };
    (limit) => {
        i64
    };
    (planned) => {
        i64
    };
    (seconds) => {
        i64
    };
    (millis) => {
        i64
    };
    ($text:ident) => {
        String
    };
}
pub(super) use raw_type;

/// Refuses a key unless a condition holds.
pub(super) fn ensure(holds: bool, key: impl Into<String>, reason: impl Into<String>) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid_config(key, reason)) }
}

/// Sets a key that was typed and has an allowed value.
pub(super) fn set<V: 'static, R: 'static>(
    target: &mut V,
    section: &str,
    key: &str,
    typed: &Option<R>,
    kind: &Kind<V, R>,
) -> Result<()> {
    let Some(raw) = typed else { return Ok(()) };
    *target = kind.read(raw).map_err(|reason| {
        let dot = if section.is_empty() { "" } else { "." };
        Error::invalid_config(format!("{section}{dot}{key}"), reason)
    })?;
    Ok(())
}
