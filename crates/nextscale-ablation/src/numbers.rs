//! Numbers for people.

use crate::stats::Difference;

/// Smaller sizes are rounding: measures are sums of numbers between 1e-6 and 1e6 in f64.
const ROUNDING: f64 = 1e-12;

/// Four significant digits, without an exponent if that is readable, and with a true minus.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < ROUNDING {
        return "0".into();
    }
    if value < 0.0 {
        return format!("−{}", number(-value));
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let digits = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&digits) {
        return format!("{value:.3e}");
    }
    format!("{value:.*}", (3 - digits).max(0) as usize)
}

/// Three significant digits, for sentences.
pub(crate) fn brief(value: f64) -> String {
    if value <= -1e-4 {
        return format!("−{}", brief(-value));
    }
    if value == 0.0 || !(1e-4..1e6).contains(&value.abs()) {
        return number(value);
    }
    let digits = value.abs().log10().floor() as i32;
    format!("{value:.*}", (2 - digits).max(0) as usize)
}

/// [`number`] with its sign; 0 has none.
pub(crate) fn signed(value: f64) -> String {
    let text = number(value);
    if value < ROUNDING { text } else { format!("+{text}") }
}

/// An interval, `[+0.1, +0.3]`.
pub(crate) fn interval(difference: &Difference) -> Option<String> {
    Some(format!("[{}, {}]", signed(difference.low?), signed(difference.high?)))
}

/// Whether zero is excluded, in a word.
pub(crate) fn excluded(difference: &Difference) -> &'static str {
    match difference.excludes_zero() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "no interval",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_count() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1.000"),
            (123.456, "123.5"),
            (98765.4, "98765"),
            (0.012346, "0.01235"),
            (1e-9, "1.000e-9"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!([0.0, 123.4, 98765.4, 0.012346].map(brief), ["0", "123", "98765", "0.0123"]);
        assert_eq!([-0.5, 0.5, 4.441e-17, -4.441e-17].map(signed), ["−0.5000", "+0.5000", "0", "0"]);
        assert_eq!([-0.1079, -4.441e-17].map(number), ["−0.1079", "0"]);
        assert_eq!([-0.1079, -4.441e-17].map(brief), ["−0.108", "0"]);
        let difference = Difference { value: 0.2, low: Some(-0.1), high: Some(0.5) };
        assert_eq!(interval(&difference).unwrap(), "[−0.1000, +0.5000]");
        assert_eq!((excluded(&difference), excluded(&Difference::bare(1.0))), ("no", "no interval"));
    }
}
