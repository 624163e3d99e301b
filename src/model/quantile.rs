//! Quantiles by nearest rank.

/// The 0-based position of quantile `q` among `count` sorted values by nearest rank, `ceil(q *
/// count) - 1`; `None` without values.
///
/// # Example
/// ```
/// use chatgauge::model::quantile::nearest_rank;
/// assert_eq!(nearest_rank(100, 0.95), Some(94));
/// assert_eq!(nearest_rank(1, 0.5), Some(0));
/// assert_eq!(nearest_rank(0, 0.5), None);
/// ```
pub fn nearest_rank(count: u64, q: f64) -> Option<u64> {
    let last = count.checked_sub(1)?;
    let exact = q * count as f64;
    // In floating point, 0.95 * 100 is 95.00000000000001, but the intended rank is 95.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float-to-int cast saturates, and the result is clamped"
    )]
    let rank = (exact - 1e-9 * exact.max(1.0)).ceil() as u64;
    Some(rank.saturating_sub(1).min(last))
}

/// The value at quantile `q` of unsorted `values` by nearest rank; `None` without values.
pub fn exact_quantile(values: &mut [u64], q: f64) -> Option<u64> {
    let rank = nearest_rank(values.len() as u64, q)?;
    Some(*values.select_nth_unstable(usize::try_from(rank).ok()?).1)
}
