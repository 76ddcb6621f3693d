//! Numbers as decimal digits, for formats that show them with an exponent or a
//! set number of digits.

use crate::value::Number;

/// A number as `0.d1d2d3… × 10^point`: its shortest digits, without leading or trailing zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    /// Whether it is below zero.
    pub(super) negative: bool,
    digits: Vec<u8>,
    point: i32,
}

impl Decimal {
    pub(super) fn new(number: Number) -> Self {
        match number {
            Number::Int(value) => {
                let text = value.unsigned_abs().to_string();
                let point = if value == 0 { 0 } else { small(text.len()) };
                Self::from_parts(value < 0, text.bytes(), point)
            }
            Number::Float(value) => {
                // "1.25e-3" is 0.125 × 10^-2.
                let text = format!("{:e}", value.abs());
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or(0);
                let digits = mantissa.bytes().filter(u8::is_ascii_digit);
                Self::from_parts(value < 0.0, digits, exponent + 1)
            }
        }
    }

    fn from_parts(negative: bool, digits: impl Iterator<Item = u8>, point: i32) -> Self {
        let mut digits: Vec<u8> = digits.map(|digit| digit - b'0').collect();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { point };
        Self { negative, digits, point }
    }

    /// Rounds to `count` digits, halves to the even neighbour.
    fn round(&mut self, count: i32) {
        let Ok(count) = usize::try_from(count) else {
            self.digits.clear();
            self.point = 0;
            return;
        };
        let Some(&next) = self.digits.get(count) else { return };
        let more = self.digits.len() > count + 1;
        let odd = count > 0 && self.digits.get(count - 1).is_some_and(|digit| digit % 2 == 1);
        self.digits.truncate(count);
        if next > 5 || (next == 5 && (more || odd)) {
            let mut carried = true;
            while carried {
                match self.digits.pop() {
                    Some(9) => {}
                    Some(digit) => {
                        self.digits.push(digit + 1);
                        carried = false;
                    }
                    None => {
                        self.digits.push(1);
                        self.point += 1;
                        carried = false;
                    }
                }
            }
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
    }

    fn digit(&self, index: i32) -> char {
        let digit = usize::try_from(index).ok().and_then(|index| self.digits.get(index));
        char::from(b'0' + digit.copied().unwrap_or(0))
    }

    /// As `12.50`: `precision` digits behind the point, or as many as there are. No sign.
    pub(super) fn fixed(mut self, precision: Option<usize>) -> String {
        let places = match precision {
            Some(places) => {
                self.round(self.point.saturating_add(small(places)));
                small(places)
            }
            None => (small(self.digits.len()) - self.point).max(0),
        };
        let mut out = String::new();
        for index in 0..self.point {
            out.push(self.digit(index));
        }
        if self.point <= 0 {
            out.push('0');
        }
        if places > 0 {
            out.push('.');
            for place in 0..places {
                out.push(self.digit(self.point.saturating_add(place)));
            }
        }
        out
    }

    /// As `1.25e+06`: `precision` digits behind the point, or as many as there are. No sign.
    pub(super) fn scientific(mut self, precision: Option<usize>, exponent_sign: char) -> String {
        let places = match precision {
            Some(places) => {
                self.round(small(places).saturating_add(1));
                small(places)
            }
            None => (small(self.digits.len()) - 1).max(0),
        };
        let mut out = String::new();
        out.push(self.digit(0));
        if places > 0 {
            out.push('.');
            for place in 0..places {
                out.push(self.digit(place.saturating_add(1)));
            }
        }
        let exponent = if self.digits.is_empty() { 0 } else { self.point - 1 };
        out.push(exponent_sign);
        out.push(if exponent < 0 { '-' } else { '+' });
        out.push_str(&format!("{:02}", exponent.abs()));
        out
    }

    /// The shorter of the two, for `precision` significant digits. No sign.
    pub(super) fn general(mut self, precision: Option<usize>, exponent_sign: char) -> String {
        let mut threshold = match precision {
            Some(precision) => {
                let precision = small(precision.max(1));
                self.round(precision);
                precision
            }
            None => 6,
        };
        let length = small(self.digits.len());
        if precision.is_some() && threshold > length && length >= self.point {
            threshold = length;
        }
        let exponent = self.point - 1;
        if exponent < -4 || exponent >= threshold {
            self.scientific(None, exponent_sign)
        } else {
            self.fixed(None)
        }
    }
}

fn small(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
