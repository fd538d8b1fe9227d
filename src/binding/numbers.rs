//! JavaScript's numbers, and what they stand for: sizes, spans in milliseconds,
//! points on the engine's clock.

use std::time::Duration;

use crate::engine::Instant;

/// `None` if it is no whole number, or none that fits.
#[expect(
    clippy::float_cmp,
    reason = "what is no such number is not what it has become"
)]
#[must_use]
pub fn whole_number(number: f64) -> Option<u32> {
    let whole = saturated(number);
    (f64::from(whole) == number).then_some(whole)
}

/// The same of a length.
#[must_use]
pub fn size(number: f64) -> Option<usize> {
    whole_number(number).map(|number| number as usize)
}

/// The whole number that is nearest below, within bounds; 0 for what is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and makes 0 of what is no number"
)]
#[must_use]
pub fn saturated(number: f64) -> u32 {
    number as u32
}

/// The same, of more than fits into 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and makes 0 of what is no number"
)]
#[must_use]
pub fn saturated_long(number: f64) -> u64 {
    number as u64
}

/// The same, of what may be negative.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and makes 0 of what is no number"
)]
#[must_use]
pub fn saturated_signed(number: f64) -> i64 {
    number as i64
}

/// A span of so many milliseconds; none for what is no span, and the longest that the
/// engine's clock can count for what is longer than that.
#[must_use]
pub fn span(millis: f64) -> Duration {
    let longest = Duration::from_nanos(u64::MAX);
    match Duration::try_from_secs_f64(millis / 1000.0) {
        Ok(span) => span.min(longest),
        Err(_) if millis > 0.0 => longest,
        Err(_) => Duration::ZERO,
    }
}

/// A span in milliseconds, of as many centuries as the engine's clock can count.
#[must_use]
pub fn millis(span: Duration) -> f64 {
    millis_of(span.as_nanos().try_into().unwrap_or(u64::MAX))
}

/// The point so many milliseconds after the origin of the engine's clock.
#[must_use]
pub fn instant(millis: f64) -> Instant {
    Instant::ORIGIN.after(span(millis))
}

/// A point on the engine's clock, in milliseconds.
#[must_use]
pub fn clock_millis(instant: Instant) -> f64 {
    millis_of(instant.nanos())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "below a microsecond for as long as a machine is up"
)]
fn millis_of(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_on_the_clock_is_the_same_in_javascript() {
        for millis in [0.0, 0.25, 1.0, 86_400_000.5] {
            let there_and_back = clock_millis(instant(millis));
            assert!((there_and_back - millis).abs() < 1e-6, "{millis}");
        }
    }

    #[test]
    fn what_is_no_span_is_none() {
        for millis in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(span(millis), Duration::ZERO, "{millis}");
        }
    }

    #[test]
    fn what_is_too_long_is_the_longest_span() {
        for millis in [1e20, 1e30, f64::MAX, f64::INFINITY] {
            assert_eq!(span(millis), Duration::from_nanos(u64::MAX), "{millis}");
        }
    }

    #[test]
    fn only_what_fits_is_a_whole_number() {
        assert_eq!(whole_number(4_294_967_295.0), Some(u32::MAX));
        for number in [-1.0, 0.5, 4_294_967_296.0, f64::NAN, f64::INFINITY] {
            assert_eq!(whole_number(number), None, "{number}");
        }
    }
}
