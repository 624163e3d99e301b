//! Converts the numbers of a record to integers in stored units.

use super::{Field, RecordProblem, Scalar};

/// The number times `scale`, rounded; an error if it is negative or the result exceeds `max`.
pub(super) fn scaled(
    field: Field,
    value: &Scalar<'_>,
    scale: u32,
    max: u64,
) -> Result<Option<u64>, RecordProblem> {
    let scaled = match *value {
        Scalar::Null => return Ok(None),
        Scalar::Int(..0) => return Err(field.problem("must not be negative")),
        Scalar::Int(number) => {
            let scaled = number.unsigned_abs().checked_mul(u64::from(scale));
            scaled.filter(|scaled| *scaled <= max)
        }
        Scalar::Float(number) if number.is_finite() && number < 0.0 => {
            return Err(field.problem("must not be negative"));
        }
        Scalar::Float(number) if number.is_finite() => rounded(number * f64::from(scale), max),
        Scalar::Float(_) | Scalar::Bool(_) | Scalar::Str(_) | Scalar::Complex => {
            return Err(field.problem("must be a number"));
        }
    };
    let limit = max / u64::from(scale);
    scaled.map(Some).ok_or_else(|| field.problem(format!("must be at most {limit}")))
}

/// A whole number from 0 to `max`; `123.0` is whole.
pub(super) fn whole(
    field: Field,
    value: &Scalar<'_>,
    max: u64,
) -> Result<Option<u64>, RecordProblem> {
    if let Scalar::Float(number) = value
        && number.is_finite()
        && number.fract() != 0.0
    {
        return Err(field.problem("must be a whole number"));
    }
    scaled(field, value, 1, max)
}

/// The number as an `i64`, if it is whole.
pub(super) fn as_whole_i64(number: f64) -> Option<i64> {
    /// Maximum magnitude up to which every whole number is exact as `f64`.
    const EXACT: u64 = 1 << 53;
    if number.fract() != 0.0 {
        return None;
    }
    let magnitude = i64::try_from(rounded(number.abs(), EXACT)?).ok()?;
    Some(if number < 0.0 { -magnitude } else { magnitude })
}

/// The nearest integer, if it is from 0 to `max`.
fn rounded(number: f64, max: u64) -> Option<u64> {
    let number = number.round();
    if !(0.0..=max as f64).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let number = number as u64;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled_and_rounded() {
        let ms = |value: Scalar<'_>| scaled(Field::TotalLatency, &value, 1_000, 86_400_000_000);
        assert_eq!(ms(Scalar::Null), Ok(None));
        assert_eq!(ms(Scalar::Int(12)), Ok(Some(12_000)));
        assert_eq!(ms(Scalar::Float(1.2345)), Ok(Some(1_235)));
        assert_eq!(ms(Scalar::Float(-0.0)), Ok(Some(0)));
        assert_eq!(ms(Scalar::Int(86_400_000)), Ok(Some(86_400_000_000)));
        for (value, part) in [
            (Scalar::Int(86_400_001), "at most 86400000"),
            (Scalar::Int(i64::MAX), "at most"),
            (Scalar::Float(1e300), "at most"),
            (Scalar::Float(f64::INFINITY), "number"),
            (Scalar::Float(f64::NAN), "number"),
            (Scalar::Float(-0.5), "negative"),
            (Scalar::Int(i64::MIN), "negative"),
            (Scalar::Bool(true), "number"),
            ("12".into(), "number"),
            (Scalar::Complex, "number"),
        ] {
            let problem = ms(value.clone()).unwrap_err();
            assert!(problem.reason.contains(part), "{value:?}: {problem}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        let tokens = |value| whole(Field::PromptTokens, &value, 1_000);
        assert_eq!(tokens(Scalar::Float(123.0)), Ok(Some(123)));
        assert!(tokens(Scalar::Float(1.5)).unwrap_err().reason.contains("whole"));
        assert!(tokens(Scalar::Float(f64::NAN)).unwrap_err().reason.contains("number"));
        assert_eq!(as_whole_i64(-5.0), Some(-5));
        assert_eq!(as_whole_i64(1e15), Some(1_000_000_000_000_000));
        for number in [0.5, 1e300, f64::NAN, f64::INFINITY] {
            assert_eq!(as_whole_i64(number), None);
        }
    }
}
