//! A build's place among the builds of its job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A build's place in its job, written `3`, or `3.1` for the first rerun of 3.
///
/// A rerun stands right behind the build it repeats and before the next one,
/// whenever it was made: it mends the history in place and is not the newest
/// because it ran last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The number of the build, or of the one that it is a rerun of.
    pub number: u64,
    /// Which rerun it is, from 1; 0 when it is none.
    pub rerun: u32,
}

impl Position {
    /// The place of the build `number`, which is no rerun.
    pub fn original(number: u64) -> Self {
        Self { number, rerun: 0 }
    }

    /// The last place a rerun of this build could have.
    pub(super) fn last_rerun(self) -> Self {
        Self { number: self.number, rerun: u32::MAX }
    }
}

/// A text that is not the number of a build.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not the number of a build, such as `3`, or `3.1` for its first rerun")]
pub struct ParsePositionError {
    /// The text.
    pub text: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        if self.rerun > 0 {
            write!(f, ".{}", self.rerun)?;
        }
        Ok(())
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParsePositionError { text: text.into() };
        let (number, rerun) = text.split_once('.').unwrap_or((text, "0"));
        let position = Self {
            number: number.parse().map_err(|_| wrong())?,
            rerun: rerun.parse().map_err(|_| wrong())?,
        };
        // One text for each place, so that texts can be compared: no `+3`, `03` or `3.0`.
        if position.to_string() == text { Ok(position) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rerun_stands_between_its_original_and_the_next_build() {
        let places: Vec<Position> =
            ["2", "2.1", "2.10", "3", "10"].iter().map(|text| text.parse().unwrap()).collect();
        assert!(places.is_sorted());
        assert_eq!(places[1], Position { number: 2, rerun: 1 });
    }

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is() {
        for text in ["0", "3", "3.1", "18446744073709551615.4294967295"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for wrong in ["", "3.", ".1", "3.0", "03", "+3", "3.01", "3.1.1", "-1", "x", "3 "] {
            let error = wrong.parse::<Position>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{wrong}` is not the number")));
        }
    }
}
