//! Kubernetes quantities (`500m`, `1Gi`, `12e6`): parsing, arithmetic and the canonical text form.
//!
//! A quantity is a fixed-point number with nine decimal places. More precise values round away from zero, as
//! upstream's do. Numbers beyond 10^29 saturate.

use std::cmp::Ordering;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

mod parse;
#[cfg(test)]
mod tests;

pub use parse::{ParseError, canonicalize};

/// Nanos in one.
const ONE: i128 = 1_000_000_000;
/// Nanos in one thousandth.
const MILLI: i128 = ONE / 1000;

/// The family of suffixes a quantity is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    #[default]
    DecimalSi,
}

/// A parsed quantity. Equality and order compare values, not formats.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Zero, which takes the format of whatever is added to it.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// Parses a quantity.
    ///
    /// # Errors
    /// With upstream's wording when the text is no quantity.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(|parsed| parsed.quantity)
    }

    /// The value of a quantity that stands in an API object. Decoding refuses objects with malformed ones, so the zero
    /// that a malformed one counts for is never seen in a stored object.
    pub fn of(stored: &ApiQuantity) -> Self {
        Self::parse(&stored.0).unwrap_or_default()
    }

    /// A whole number such as `3`.
    pub const fn from_value(value: i64) -> Self {
        Self { nanos: value as i128 * ONE, format: Format::DecimalSi }
    }

    /// A number of thousandths, such as CPU in `500m`.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * MILLI, format: Format::DecimalSi }
    }

    /// A number of billionths, such as CPU in `123456n`.
    pub const fn from_nano(nano: i64) -> Self {
        Self { nanos: nano as i128, format: Format::DecimalSi }
    }

    /// A number of bytes, written with binary suffixes such as `512Mi`.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * ONE, format: Format::BinarySi }
    }

    /// The family of suffixes it is written with.
    pub const fn format(self) -> Format {
        self.format
    }

    /// The nearest whole number away from zero; saturates at the ends of `i64`.
    pub fn value(self) -> i64 {
        saturate(ceil_away(self.nanos, ONE))
    }

    /// The nearest number of thousandths away from zero; saturates at the ends of `i64`.
    pub fn milli_value(self) -> i64 {
        saturate(ceil_away(self.nanos, MILLI))
    }

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it has no fraction.
    pub const fn is_integer(self) -> bool {
        self.nanos % ONE == 0
    }

    /// Rounded away from zero to thousandths, the finest step of resource lists.
    #[must_use]
    pub fn round_up_to_milli(self) -> Self {
        Self { nanos: ceil_away(self.nanos, MILLI).saturating_mul(MILLI), ..self }
    }
}

/// A sum takes the format of its first operand, unless that is zero.
impl std::ops::Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_sub(other.nanos), format }
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::str::FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl From<Quantity> for ApiQuantity {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.to_string())
    }
}

/// The canonical form: no fraction, the largest suffix that loses nothing.
impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return formatter.write_str("0");
        }
        let binary = self.format == Format::BinarySi && self.is_integer() && self.nanos.abs() >= 1024 * ONE;
        if binary { self.fmt_binary(formatter) } else { self.fmt_decimal(formatter) }
    }
}

impl Quantity {
    fn fmt_binary(self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let (number, steps) = strip(self.nanos / ONE, 1024, suffixes.len() - 1);
        write!(formatter, "{number}{}", suffixes[steps])
    }

    fn fmt_decimal(self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        let (number, steps) = strip(self.nanos, 1000, suffixes.len() - 1);
        if self.format == Format::DecimalExponent {
            let exponent = steps as i32 * 3 - 9;
            return if exponent == 0 {
                write!(formatter, "{number}")
            } else {
                write!(formatter, "{number}e{exponent}")
            };
        }
        write!(formatter, "{number}{}", suffixes[steps])
    }
}

/// Divides by `factor` while nothing is lost, at most `max_steps` times; the number of times comes back too.
fn strip(mut number: i128, factor: i128, max_steps: usize) -> (i128, usize) {
    let mut steps = 0;
    while steps < max_steps && number % factor == 0 {
        number /= factor;
        steps += 1;
    }
    (number, steps)
}

/// `number / divisor`, rounded away from zero.
fn ceil_away(number: i128, divisor: i128) -> i128 {
    let quotient = number / divisor;
    if number % divisor == 0 { quotient } else { quotient + number.signum() }
}

fn saturate(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}
