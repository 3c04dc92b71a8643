//! The bytes of an answer without a body: refusals, and what the token path allows.
//!
//! The kernel sends the same bytes as the daemon. Their order is that of captured answers (behaviour.md sections
//! 1 and 2): length, date, server, connection, type.

use crate::verdict::Refusal;

/// Length of a date as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`, in bytes.
pub const DATE_LENGTH: usize = 29;

/// What stands in a date's place where it isn't known, though the answer's length has been said: an empty value, as
/// whitespace around one is no part of it (RFC 9110, section 5.5).
const NO_DATE: &[u8; DATE_LENGTH] = &[b' '; DATE_LENGTH];

/// The name and separator before a date.
pub const DATE_NAME: &str = "Date: ";

/// The value of `Server` on every answer: clients look for "EC2" in it (behaviour.md section 1).
pub const SERVER: &str = "EC2ws";

/// An answer without a body, in the two parts around its date line.
///
/// With a date: `before`, [`DATE_NAME`], the date, CRLF, `after`. Without: `before`, `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bodyless {
    /// Status line and length.
    pub before: &'static str,
    /// Server, connection and type, and the empty line.
    pub after: &'static str,
    /// Its status, for an answer that has a body in its place.
    pub status: &'static str,
    /// The lines between its status and its length, each with its CRLF.
    pub more: &'static str,
}

macro_rules! bodyless {
    ($status:literal $(, $more:literal)*) => {
        Bodyless {
            before: concat!("HTTP/1.1 ", $status, "\r\n", $($more, "\r\n",)* "Content-Length: 0\r\n"),
            after: "Server: EC2ws\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n",
            status: $status,
            more: concat!($($more, "\r\n",)*),
        }
    };
}

/// 401: no token, or none that is good.
pub const UNAUTHORIZED: Bodyless = bodyless!("401 Unauthorized");
/// 403: the endpoint is disabled, or the request isn't allowed.
pub const FORBIDDEN: Bodyless = bodyless!("403 Forbidden");
const BAD_REQUEST: Bodyless = bodyless!("400 Bad Request");
const TOKEN_PATH_METHOD: Bodyless = bodyless!("405 Not Allowed", "Allow: OPTIONS, PUT");
const TREE_METHOD: Bodyless = bodyless!("405 Not Allowed", "Allow: GET, HEAD");
const HEAD_TOO_LARGE: Bodyless = bodyless!("431 Request Header Fields Too Large");
/// 503: not now.
pub const UNAVAILABLE: Bodyless = bodyless!("503 Service Unavailable", "Retry-After: 1");
/// What OPTIONS on the token path gets.
pub const TOKEN_PATH_OPTIONS: Bodyless = bodyless!("200 OK", "Allow: OPTIONS, PUT");

impl Refusal {
    /// Whether EC2 used to answer it with a page, where refusals have pages: not a 403 or a 405 (behaviour.md section 2).
    #[inline(always)]
    #[must_use]
    pub const fn has_page(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::TtlInvalid
                | Self::TokenMissing
                | Self::TokenInvalid
                | Self::TooManyConnections
                | Self::TooManyRequests
        )
    }

    /// The bytes that answer it.
    #[must_use]
    pub const fn answer(self) -> Bodyless {
        match self {
            Self::Malformed | Self::TtlInvalid => BAD_REQUEST,
            Self::TokenMissing | Self::TokenInvalid => UNAUTHORIZED,
            Self::EndpointDisabled | Self::Forwarded | Self::PutElsewhere => FORBIDDEN,
            Self::TokenPathMethod => TOKEN_PATH_METHOD,
            Self::TreeMethod => TREE_METHOD,
            Self::HeadTooLarge => HEAD_TOO_LARGE,
            Self::TooManyConnections | Self::TooManyRequests => UNAVAILABLE,
        }
    }
}

/// How many seconds' dates stand ready; the kernel looks at the one of the current second. A power of two.
pub const DATES: u32 = 4;

/// The text of one second's date, as a map holds it for the kernel's answers.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Date {
    /// The second on `CLOCK_BOOTTIME` at which `text` is right; it stands at index `second % DATES`.
    pub second: u64,
    /// [`DATE_LENGTH`] bytes, and three of zero.
    pub text: [u8; 32],
}

const _: () = assert!(size_of::<Date>() == 40);
// SAFETY: repr(C) of a u64 and 32 bytes, which leaves no padding.
unsafe impl crate::Shared for Date {}

/// Room for an answer of the kernel's, in bytes.
pub const KERNEL_ANSWER_MAX: usize = 256;

/// An answer of the kernel's, made at compile time. Aligned, so that the kernel copies it by words.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct KernelAnswer {
    /// How many of `bytes` it has.
    pub length: u32,
    /// Where its date goes, where it has one.
    pub date_at: u32,
    /// The bytes: spaces in place of the date, and zeros after the end.
    pub bytes: [u8; KERNEL_ANSWER_MAX],
}

/// The kernel's answers, at the index of [`kernel_answer_index`].
pub static KERNEL_ANSWERS: [KernelAnswer; 4] = [
    kernel_answer(UNAUTHORIZED, false),
    kernel_answer(UNAUTHORIZED, true),
    kernel_answer(FORBIDDEN, false),
    kernel_answer(FORBIDDEN, true),
];

/// Which of the two answers that the kernel knows a refusal gets: 0 is 401, 1 is 403.
#[inline(always)]
#[must_use]
pub const fn kernel_status(refusal: Refusal) -> u32 {
    match refusal {
        Refusal::TokenMissing | Refusal::TokenInvalid => 0,
        _ => 1,
    }
}

/// Where an answer stands in [`KERNEL_ANSWERS`].
#[inline(always)]
#[must_use]
pub const fn kernel_answer_index(status: u32, with_date: bool) -> usize {
    (status as usize & 1) << 1 | with_date as usize
}

const fn kernel_answer(answer: Bodyless, with_date: bool) -> KernelAnswer {
    let mut bytes = [0; KERNEL_ANSWER_MAX];
    let mut at = put(&mut bytes, 0, answer.before.as_bytes());
    let mut date_at = 0;
    if with_date {
        at = put(&mut bytes, at, DATE_NAME.as_bytes());
        date_at = at;
        at = put(&mut bytes, at, NO_DATE);
        at = put(&mut bytes, at, b"\r\n");
    }
    at = put(&mut bytes, at, answer.after.as_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "at most KERNEL_ANSWER_MAX")]
    let (length, date_at) = (at as u32, date_at as u32);
    KernelAnswer { length, date_at, bytes }
}

const fn put(bytes: &mut [u8; KERNEL_ANSWER_MAX], at: usize, part: &[u8]) -> usize {
    let mut i = 0;
    while i < part.len() {
        bytes[at + i] = part[i];
        i += 1;
    }
    at + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_the_status_of_the_verdict_table() {
        for (refusal, status) in [
            (Refusal::EndpointDisabled, "403 Forbidden"),
            (Refusal::Malformed, "400 Bad Request"),
            (Refusal::Forwarded, "403 Forbidden"),
            (Refusal::TtlInvalid, "400 Bad Request"),
            (Refusal::TokenPathMethod, "405 Not Allowed"),
            (Refusal::PutElsewhere, "403 Forbidden"),
            (Refusal::TreeMethod, "405 Not Allowed"),
            (Refusal::TokenMissing, "401 Unauthorized"),
            (Refusal::TokenInvalid, "401 Unauthorized"),
            (Refusal::HeadTooLarge, "431 Request Header Fields Too Large"),
            (Refusal::TooManyConnections, "503 Service Unavailable"),
            (Refusal::TooManyRequests, "503 Service Unavailable"),
        ] {
            let answer = refusal.answer();
            assert!(answer.before.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{refusal:?}");
            assert!(answer.before.ends_with("\r\n"));
            assert_eq!(refusal.has_page(), matches!(&status[..3], "400" | "401" | "503"), "{refusal:?}");
            assert!(answer.before.contains("Content-Length: 0\r\n"));
            assert!(answer.after.contains(&format!("Server: {SERVER}\r\n")));
            assert!(answer.after.ends_with("Connection: close\r\nContent-Type: text/plain\r\n\r\n"));
        }
        assert_eq!(Refusal::ALL.len(), 12);
        assert!(Refusal::TokenPathMethod.answer().before.contains("Allow: OPTIONS, PUT\r\n"));
        assert!(Refusal::TreeMethod.answer().before.contains("Allow: GET, HEAD\r\n"));
        for refusal in [Refusal::TooManyConnections, Refusal::TooManyRequests] {
            assert!(refusal.answer().before.contains("Retry-After: 1\r\n"));
        }
        assert!(TOKEN_PATH_OPTIONS.before.contains("200 OK\r\nAllow: OPTIONS, PUT\r\n"));
    }

    #[test]
    fn the_kernels_answers_are_the_same_bytes() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for refusal in [Refusal::TokenMissing, Refusal::TokenInvalid, Refusal::EndpointDisabled, Refusal::Forwarded] {
            let Bodyless { before, after, .. } = refusal.answer();
            for (with_date, expected) in
                [(false, format!("{before}{after}")), (true, format!("{before}Date: {date}\r\n{after}"))]
            {
                let mut answer = KERNEL_ANSWERS[kernel_answer_index(kernel_status(refusal), with_date)];
                let unknown = String::from_utf8_lossy(&answer.bytes[..answer.length as usize]);
                assert_eq!(unknown, expected.replace(date, &" ".repeat(DATE_LENGTH)));
                if with_date {
                    let at = answer.date_at as usize;
                    answer.bytes[at..at + DATE_LENGTH].copy_from_slice(date.as_bytes());
                }
                let (bytes, rest) = answer.bytes.split_at(answer.length as usize);
                assert_eq!(String::from_utf8_lossy(bytes), expected);
                assert!(rest.iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn the_401_is_that_of_the_captures() {
        let Bodyless { before, after, .. } = UNAUTHORIZED;
        assert_eq!(
            format!("{before}{after}"),
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\
             Server: EC2ws\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
        );
    }
}
