//! Text to quantity, with upstream's tolerance: `.5`, `5.`, `+5` and even a bare suffix (zero) are quantities.

use std::borrow::Cow;

use super::{Format, ONE, Quantity};

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not of the form number and suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The suffix means nothing.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// A quantity and whether upstream keeps its text as written.
pub(super) struct Parsed {
    pub quantity: Quantity,
    /// Upstream takes some texts for canonical although they are not (`1.500`, `+5`), and answers them unchanged.
    verbatim: bool,
    /// How many decimal places the text has, counting the suffix.
    places: i32,
}

/// The most decimal places a quantity keeps.
const MAX_PLACES: i32 = 9;
/// Longest text upstream handles as 64-bit integers; only there does it keep the text as written.
const MAX_FAST_DIGITS: i32 = 18;
/// 2^63-1, the cap of binary quantities.
const MAX_BINARY: i128 = i64::MAX as i128 * ONE;

/// The text as the API server answers it. `resource_list` is true for the values of resource lists, which upstream
/// rounds up to thousandths.
///
/// # Errors
/// When the text is no quantity.
pub fn canonicalize(text: &str, resource_list: bool) -> Result<Cow<'_, str>, ParseError> {
    let parsed = parse(text)?;
    if parsed.verbatim && !(resource_list && parsed.places > 3) {
        return Ok(Cow::Borrowed(text));
    }
    let quantity = if resource_list { parsed.quantity.round_up_to_milli() } else { parsed.quantity };
    let canonical = quantity.to_string();
    Ok(if canonical == text { Cow::Borrowed(text) } else { Cow::Owned(canonical) })
}

pub(super) fn parse(text: &str) -> Result<Parsed, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Form);
    }
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, rest) = split_digits(unsigned.trim_start_matches('0'));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    check_suffix_form(suffix)?;
    let (exponent, format) = interpret(suffix)?;
    let number = Number { whole, fraction, exponent, format };
    let mut nanos = number.nanos();
    let mut format = format;
    if format == Format::BinarySi {
        nanos = nanos.min(MAX_BINARY);
        if nanos > 0 && nanos < ONE {
            format = Format::DecimalSi;
        }
    }
    let nanos = if negative { -nanos } else { nanos };
    Ok(Parsed { quantity: Quantity { nanos, format }, verbatim: number.is_kept_verbatim(), places: number.places() })
}

/// The digits at the start, and what follows them.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// `[eEinumkKMGTP]*[-+]?[0-9]*`
fn check_suffix_form(suffix: &str) -> Result<(), ParseError> {
    let rest = suffix.trim_start_matches(|letter| "eEinumkKMGTP".contains(letter));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if rest.bytes().all(|byte| byte.is_ascii_digit()) { Ok(()) } else { Err(ParseError::Form) }
}

/// The power a suffix stands for: of two for binary suffixes, else of ten.
fn interpret(suffix: &str) -> Result<(i32, Format), ParseError> {
    let (exponent, format) = match suffix {
        "" => (0, Format::DecimalSi),
        "n" => (-9, Format::DecimalSi),
        "u" => (-6, Format::DecimalSi),
        "m" => (-3, Format::DecimalSi),
        "k" => (3, Format::DecimalSi),
        "M" => (6, Format::DecimalSi),
        "G" => (9, Format::DecimalSi),
        "T" => (12, Format::DecimalSi),
        "P" => (15, Format::DecimalSi),
        "E" => (18, Format::DecimalSi),
        "Ki" => (10, Format::BinarySi),
        "Mi" => (20, Format::BinarySi),
        "Gi" => (30, Format::BinarySi),
        "Ti" => (40, Format::BinarySi),
        "Pi" => (50, Format::BinarySi),
        "Ei" => (60, Format::BinarySi),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E']).ok_or(ParseError::Suffix)?;
            (digits.parse().map_err(|_| ParseError::Suffix)?, Format::DecimalExponent)
        }
    };
    Ok((exponent, format))
}

/// The parts of an unsigned quantity.
struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
    exponent: i32,
    format: Format,
}

impl Number<'_> {
    /// The value, rounded up, saturating.
    fn nanos(&self) -> i128 {
        let (power_of_two, power_of_ten) = match self.format {
            Format::BinarySi => (1_i128 << self.exponent, 0),
            Format::DecimalSi | Format::DecimalExponent => (1, self.exponent),
        };
        let (mut digits, mut inexact) = (0_i128, false);
        let mut shift = power_of_ten.saturating_add(MAX_PLACES);
        for byte in self.whole.bytes() {
            digits = digits.saturating_mul(10).saturating_add(i128::from(byte - b'0'));
        }
        for byte in self.fraction.bytes() {
            // Eighteen places are more than nine with 2^60 need; what follows only decides rounding.
            if shift > -MAX_PLACES {
                digits = digits.saturating_mul(10).saturating_add(i128::from(byte - b'0'));
                shift -= 1;
            } else {
                inexact |= byte != b'0';
            }
        }
        let scaled = digits.saturating_mul(power_of_two);
        scale_up(scaled, shift, inexact)
    }

    /// Decimal places of the text, negative when the suffix leaves trailing zeros.
    fn places(&self) -> i32 {
        let exponent = if self.format == Format::BinarySi { 0 } else { self.exponent };
        (self.fraction.len() as i32).saturating_sub(exponent)
    }

    /// Upstream's shortcut: a text that looks canonical is not rewritten.
    fn is_kept_verbatim(&self) -> bool {
        let first = self.whole.bytes().next();
        let digits = (self.whole.len().max(1) + self.fraction.len()) as i32;
        if self.format == Format::BinarySi {
            let precision = 15 - digits - self.exponent * 3 / 10 - 1;
            let odd_enough = self.whole.bytes().last().is_some() && low_bits(self.whole) != 0;
            return self.fraction.is_empty() && precision >= 0 && odd_enough;
        }
        let places = self.places();
        let round = ends_with_three_zeros(self.whole, self.fraction);
        first.is_some() && digits <= MAX_FAST_DIGITS && places <= MAX_PLACES && places % 3 == 0 && !round
    }
}

/// The last three bits of a decimal number: its last three digits modulo eight.
fn low_bits(digits: &str) -> u32 {
    let tail = &digits.as_bytes()[digits.len().saturating_sub(3)..];
    tail.iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0')) % 8
}

fn ends_with_three_zeros(whole: &str, fraction: &str) -> bool {
    let mut backwards = fraction.bytes().rev().chain(whole.bytes().rev());
    (0..3).all(|_| backwards.next() == Some(b'0'))
}

/// `number * 10^shift`, rounded up; also up when digits were already dropped.
fn scale_up(number: i128, shift: i32, inexact: bool) -> i128 {
    if number == 0 {
        return i128::from(inexact);
    }
    if shift >= 0 {
        let factor = 10_i128.checked_pow(shift.unsigned_abs()).unwrap_or(i128::MAX);
        return number.saturating_mul(factor).saturating_add(i128::from(inexact));
    }
    let Some(divisor) = 10_i128.checked_pow(shift.unsigned_abs()) else { return 1 };
    number / divisor + i128::from(inexact || number % divisor != 0)
}
