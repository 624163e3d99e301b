//! Keys with a few named values.

/// An enum whose values have a spelling in the configuration; declared by [`choice!`].
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Every value with its spelling and its description.
    const ALL: &'static [(Self, &'static str, &'static str)];
}

/// Declares an enum, the spelling of each value, and its description in the example file.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $(#[doc = $doc:literal] $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = $doc] $variant,)+ }

        impl $crate::config::choice::Choice for $name {
            const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$variant, $text, $doc),)+];
        }
    };
}
pub(super) use choice;
