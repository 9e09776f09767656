//! Exact decimal amounts: money is never rounded through binary fractions.

use std::fmt;

use serde::{Serialize, Serializer};

/// A decimal number `mantissa / 10^scale`, kept without trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

/// More digits than this are no amount of money; they would overflow the mantissa.
const MAX_DIGITS: usize = 28;

impl Decimal {
    /// Nought.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };

    /// A whole number.
    #[must_use]
    pub const fn whole(value: i64) -> Self {
        Self { mantissa: value as i128, scale: 0 }
    }

    /// `mantissa / 10^scale`; nothing when that is outside what an amount can be.
    #[must_use]
    pub fn new(mantissa: i128, scale: u32) -> Option<Self> {
        (scale <= MAX_DIGITS as u32).then(|| Self { mantissa, scale: scale as u8 }.trimmed())
    }

    /// Reads ASCII digits before and after the decimal point. Nothing else may be in them.
    #[must_use]
    pub fn from_digits(whole: &str, fraction: &str) -> Option<Self> {
        if whole.len() + fraction.len() > MAX_DIGITS {
            return None;
        }
        let mut mantissa: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return None;
            }
            mantissa = mantissa * 10 + i128::from(byte - b'0');
        }
        Self::new(mantissa, fraction.len() as u32)
    }

    /// The sum, unless it overflows.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let sum = self.at_scale(scale)?.checked_add(other.at_scale(scale)?)?;
        Self::new(sum, u32::from(scale))
    }

    /// The product, unless it overflows.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let product = self.mantissa.checked_mul(other.mantissa)?;
        let scale = u32::from(self.scale) + u32::from(other.scale);
        Self { mantissa: product, scale: u8::try_from(scale).ok()? }.trimmed().checked()
    }

    /// Divided by a power of ten.
    #[must_use]
    pub fn shifted_right(self, digits: u32) -> Option<Self> {
        Self::new(self.mantissa, u32::from(self.scale) + digits)
    }

    /// The same amount with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }

    /// This number read as the digits after a decimal point, as in "one point *twenty eight*".
    #[must_use]
    pub fn as_fraction(self) -> Option<Self> {
        let digits = self.mantissa.checked_abs()?.to_string().len() as u32;
        (self.scale == 0).then(|| Self::new(self.mantissa, digits))?
    }

    /// Whether the number has no fraction.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.scale == 0
    }

    /// The nearest binary number, for JSON and for arithmetic that may be inexact.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::MAX)
    }

    fn at_scale(self, scale: u8) -> Option<i128> {
        self.mantissa.checked_mul(10i128.checked_pow(u32::from(scale.checked_sub(self.scale)?))?)
    }

    fn checked(self) -> Option<Self> {
        (usize::from(self.scale) <= MAX_DIGITS).then_some(self)
    }

    fn trimmed(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let scale = self.scale.max(other.scale);
        match (self.at_scale(scale), other.at_scale(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl Serialize for Decimal {
    /// A JSON number with the digits a reader expects: `19.99`, not `19.990000000000002`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.mantissa) {
            Ok(whole) if self.scale == 0 => serializer.serialize_i64(whole),
            _ => serializer.serialize_f64(self.to_f64()),
        }
    }
}

impl schemars::JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Decimal {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Decimal::from_digits(whole, fraction).expect("digits")
    }

    #[test]
    fn amounts_print_as_they_are_written_without_trailing_zeros() {
        for (from, to) in [("19.90", "19.9"), ("0.05", "0.05"), ("1200", "1200"), ("7.00", "7")] {
            assert_eq!(dec(from).to_string(), to);
        }
        assert_eq!(dec("0.75").negated().to_string(), "-0.75");
    }

    #[test]
    fn arithmetic_is_exact_and_refuses_to_overflow() {
        assert_eq!(dec("0.1").plus(dec("0.2")).map(|d| d.to_string()), Some("0.3".into()));
        assert_eq!(dec("4.7").times(Decimal::whole(1_000_000_000)), Some(dec("4700000000")));
        assert_eq!(dec("43").shifted_right(2), Some(dec("0.43")));
        assert_eq!(dec("28").as_fraction(), Some(dec("0.28")));
        let huge = dec("9999999999999999999999999999");
        assert_eq!(huge.times(huge), None);
        assert_eq!(Decimal::from_digits(&"9".repeat(40), ""), None);
    }

    #[test]
    fn order_ignores_the_scale() {
        assert!(dec("2.5") > dec("2.49") && dec("10") > dec("9.99"));
        assert_eq!(serde_json::to_string(&dec("19.99")).expect("json"), "19.99");
        assert_eq!(serde_json::to_string(&dec("100")).expect("json"), "100");
    }
}
