//! Enums with one spelling for each value.

/// An enum declared by `spelled_enum!`, for code that is generic over such enums.
pub(crate) trait Spelled: Copy + PartialEq + 'static {
    /// Every value with its spelling and its description.
    const VALUES: &'static [(Self, &'static str, &'static str)];
}

/// Declares an enum with `ALL`, `as_str`, `parse`, `Display` and [`Spelled`].
///
/// `Median = "median" | "p50"` adds a spelling that is only parsed. `Server = 4 => "server"` for every variant adds
/// `code` and `from_code`, the number in the database.
macro_rules! spelled_enum {
    ($(#[$($meta:tt)*])* $vis:vis enum $name:ident {
        $($(#[$($attribute:tt)*])* $variant:ident = $code:literal => $text:literal,)+
    }) => {
        $crate::model::spelling::spelled_enum! {
            $(#[$($meta)*])* $vis enum $name { $($(#[$($attribute)*])* $variant = $text,)+ }
        }

        impl $name {
            /// The code in the database.
            $vis const fn code(self) -> i64 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The value with this code in the database.
            $vis const fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
    ($(#[$($meta:tt)*])* $vis:vis enum $name:ident {
        $($(#[$($attribute:tt)*])* $variant:ident = $text:literal $(| $alias:literal)*,)+
    }) => {
        $(#[$($meta)*])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$($attribute)*])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            $vis const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The spelling in the API, the configuration and the database.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value with this spelling.
            $vis fn parse(text: &str) -> Option<Self> {
                match text { $($text $(| $alias)* => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::model::spelling::Spelled for $name {
            const VALUES: &'static [(Self, &'static str, &'static str)] = &[$((
                Self::$variant,
                $text,
                concat!($($crate::model::spelling::description!($($attribute)*)),*),
            ),)+];
        }
    };
}
pub(crate) use spelled_enum;

/// The text of a doc comment; empty for any other attribute.
macro_rules! description {
    (doc = $text:literal) => {
        $text
    };
    ($($other:tt)*) => {
        ""
    };
}
pub(crate) use description;

/// The candidate with the smallest edit distance to the given name, at most a third of its length.
pub(crate) fn closest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let edits_max = typed.len().div_ceil(3).max(1);
    candidates
        .map(|candidate| (strsim::levenshtein(&typed, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}
