//! Dates as HTTP writes them, and as EC2's documents do.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use imds_common::answer::DATE_LENGTH;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last second whose year has four digits.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// The date of a second, counted from 1970 in UTC, as `Sun, 06 Nov 1994 08:49:37 GMT`. Later ones than the year 9999
/// holds are written as its last second.
#[must_use]
pub fn http_date(unix_seconds: u64) -> [u8; DATE_LENGTH] {
    let seconds = i64::try_from(unix_seconds.min(LAST_SECOND)).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
    let mut text = [b' '; DATE_LENGTH];
    write!(
        &mut text[..],
        "{weekday:.3}, {:02} {month:.3} {:04} {:02}:{:02}:{:02} GMT",
        time.day(),
        time.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
    .expect("a date has 29 characters up to the year 9999");
    text
}

/// The second that it is, counted from 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// [`http_date`], formatted once a second and thread.
pub(crate) fn cached_http_date(unix_seconds: u64) -> [u8; DATE_LENGTH] {
    thread_local! {
        static LAST: Cell<Option<(u64, [u8; DATE_LENGTH])>> = const { Cell::new(None) };
    }
    LAST.with(|last| match last.get() {
        Some((second, text)) if second == unix_seconds => text,
        _ => {
            let text = http_date(unix_seconds);
            last.set(Some((unix_seconds, text)));
            text
        }
    })
}

/// A time as `YYYY-MM-DDTHH:MM:SSZ`, or in another form of RFC 3339, in seconds since 1970.
pub(crate) fn seconds_of(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::document::Time;

    #[test]
    fn times_of_documents_are_normalised() {
        for (text, seconds, written) in [
            ("2100-01-02T03:04:05Z", Some(4_102_542_245), "2100-01-02T03:04:05Z"),
            ("2100-01-02T05:04:05.9+02:00", Some(4_102_542_245), "2100-01-02T03:04:05Z"),
            ("1970-01-01T00:00:00Z", Some(0), "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799), "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(seconds_of(text), seconds, "{text}");
            assert_eq!(seconds.map(|seconds| Time::from_unix(seconds).to_string()).as_deref(), Some(written), "{text}");
        }
        for text in ["", "soon", "2100-01-02", "2100-01-02T03:04:05", "1969-12-31T23:59:59Z", "2100-02-30T00:00:00Z"] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_http_s() {
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_338_487, "Sun, 22 Nov 2026 09:08:07 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&http_date(second)), Ok(text), "{second}");
            assert_eq!(std::str::from_utf8(&cached_http_date(second)), Ok(text), "{second}");
            assert_eq!(std::str::from_utf8(&cached_http_date(second)), Ok(text), "{second} again");
        }
    }

    #[test]
    fn it_is_later_than_this_test() {
        assert!(unix_seconds() > 1_700_000_000);
    }
}
