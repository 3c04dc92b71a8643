//! A moment in the document.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::metadata::date::{self, LAST_SECOND};
use crate::metadata::field::{self, FieldError};

/// A second, counted from 1970 in UTC; written as `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The second; later ones than the year 9999 holds are its last one.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        Self(seconds.min(LAST_SECOND))
    }

    /// The second that it is.
    #[must_use]
    pub fn now() -> Self {
        Self::from_unix(date::unix_seconds())
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ`.
    ///
    /// # Errors
    ///
    /// [`FieldError::Malformed`]
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let time = PrimitiveDateTime::parse(text, field::TIME).ok();
        let seconds = time.and_then(|time| u64::try_from(time.assume_utc().unix_timestamp()).ok());
        seconds.map(Self::from_unix).ok_or_else(|| FieldError::Malformed {
            field: "time",
            value: text.to_owned(),
            form: "a time in UTC like 2030-01-31T12:00:00Z",
        })
    }

    /// The second, counted from 1970.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// So many seconds later.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// As maintenance events write it, `1 Jan 2019 09:00:43 GMT`: the day has no zero before it.
    #[must_use]
    pub fn in_words(self) -> String {
        let time = self.date();
        let month = time.month().to_string();
        let (day, year) = (time.day(), time.year());
        let (hour, minute, second) = time.to_hms();
        format!("{day} {month:.3} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    fn date(self) -> OffsetDateTime {
        let seconds = i64::try_from(self.0).unwrap_or_default();
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.date().format(field::TIME).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A second in UTC, `YYYY-MM-DDTHH:MM:SSZ`.",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_of_ec2s_forms() {
        let time = Time::parse("2019-01-21T09:00:43Z").expect("a time");
        assert_eq!((time.to_string().as_str(), time.unix()), ("2019-01-21T09:00:43Z", 1_548_061_243));
        assert_eq!(time.in_words(), "21 Jan 2019 09:00:43 GMT");
        assert_eq!(time.plus(3600 * 24 * 20).in_words(), "10 Feb 2019 09:00:43 GMT");
        assert_eq!(time.plus(3600 * 24 * 11).in_words(), "1 Feb 2019 09:00:43 GMT");
        assert_eq!(Time::from_unix(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "soon", "2019-01-21", "2019-01-21T09:00:43", "2019-01-21T09:00:43+00:00", "1969-12-31T00:00:00Z"]
        {
            assert!(Time::parse(text).is_err(), "{text}");
        }
    }
}
