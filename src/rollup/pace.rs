//! How large the next step may be, from how long the last one kept the writing thread.

use std::ops::RangeInclusive;

/// The size of a step that fits `target_us`, after one of `size` took `took_us`; within `sizes`.
///
/// At most doubled at a time, so that one lucky step does not make the next one long.
pub(super) fn next_size(
    size: u32,
    took_us: u64,
    target_us: u64,
    sizes: RangeInclusive<u32>,
) -> u32 {
    let size = u64::from(size);
    let fitting = (size.saturating_mul(target_us) / took_us.max(1)).min(size * 2);
    u32::try_from(fitting).unwrap_or(u32::MAX).clamp(*sizes.start(), *sizes.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_shrink_at_once_and_grow_slowly() {
        assert_eq!(next_size(1_000, 100_000, 10_000, 50..=2_000), 100);
        assert_eq!(next_size(1_000, 10, 10_000, 50..=20_000), 2_000);
        assert_eq!(next_size(1_000, 10, 10_000, 50..=1_500), 1_500);
        assert_eq!(next_size(1_000, u64::MAX, 10_000, 50..=2_000), 50);
    }
}
