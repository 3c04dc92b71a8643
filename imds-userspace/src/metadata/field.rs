//! What the fields of an instance may hold: checked once, where they come in.
//!
//! The fields end up in the tree, in JSON documents and in logs, so none takes control characters.

use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use thiserror::Error;
use time::PrimitiveDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::document::Credentials;
use super::names;

/// Raw user data's largest size in bytes (behaviour.md section 5).
pub const USER_DATA_MAX: usize = 16 * 1024;

/// Characters of that in base64, four for three bytes or what is left of three.
#[cfg(test)]
pub(super) const USER_DATA_BASE64_MAX: usize = USER_DATA_MAX.div_ceil(3) * 4;

/// Instance times as EC2 writes them: `YYYY-MM-DDTHH:MM:SSZ`.
pub const TIME: &[FormatItem<'static>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// How the keys of tags begin that AWS gives.
const AWS_TAGS: &str = "aws:";
/// Tags that one instance may have beside AWS's, as on EC2.
const TAGS_MAX: usize = 50;
/// Characters in a tag's key, as on EC2.
pub(super) const TAG_KEY_MAX: usize = 128;
/// Characters in a tag's value, as on EC2.
pub(super) const TAG_VALUE_MAX: usize = 256;
/// Characters in a DNS name (RFC 1035).
pub(super) const HOSTNAME_MAX: usize = 253;
/// Characters in a label of a DNS name (RFC 1035).
const LABEL_MAX: usize = 63;
/// Characters in a role's name, as on EC2.
pub(super) const ROLE_MAX: usize = 64;
/// Characters in an image id, a type or a zone: EC2's are far shorter.
pub(super) const NAME_MAX: usize = 64;
/// Characters in any other name: EC2's ids are far shorter.
pub(super) const NAME_LENGTH_MAX: usize = 128;
/// Characters in a line of text: a public key of 8192 bits in `authorized_keys` fits twice.
pub(super) const LINE_MAX: usize = 4096;
/// Characters in lines of text: a certificate with its chain fits.
pub(super) const LINES_MAX: usize = 16 * 1024;
/// Characters in a key pair's name, as on EC2.
pub(super) const KEY_NAME_MAX: usize = 255;
/// Bytes in an interface's alternative name (`ALTIFNAMSIZ` of Linux, without the end).
const INTERFACE_MAX: usize = 127;

/// Why a field is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// It doesn't look as such a field does.
    #[error("{field} \"{}\" is malformed: it is {form}", .value.escape_debug())]
    Malformed {
        /// The field.
        field: &'static str,
        /// What was given.
        value: String,
        /// How it looks.
        form: &'static str,
    },
    /// The credentials hold something that no client could use; what, isn't said, since they are secret.
    #[error(
        "{member} of the credentials is empty or has other characters than printable ASCII; give it as it was issued"
    )]
    Credentials {
        /// The member of EC2's JSON.
        member: &'static str,
    },
    /// The credentials' expiration is no time; what it is, isn't said: a secret may stand in its place.
    #[error("Expiration of the credentials is not a time in UTC like 2030-01-31T12:00:00Z")]
    Expiration,
    /// The user data isn't base64.
    #[error(
        "user data is not valid base64 (standard alphabet, with padding, in one line); encode it anew (`base64 -w0`), or give it as text"
    )]
    UserDataEncoding,
    /// The user data is too large.
    #[error(
        "user data has {bytes} bytes, at most {USER_DATA_MAX} (16 KiB) are taken; compress it, or have it fetch the rest"
    )]
    UserDataTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// More tags than an instance may have.
    #[error("{count} tags are given, an instance has at most {TAGS_MAX}")]
    TooManyTags {
        /// How many.
        count: usize,
    },
}

impl FieldError {
    /// Its words without the value, which may be a secret that slipped.
    #[must_use]
    pub fn without_value(&self) -> String {
        match self {
            Self::Malformed { field, value: _, form } => format!("{field} is malformed: it is {form}"),
            // These quote none.
            Self::Credentials { .. }
            | Self::Expiration
            | Self::UserDataEncoding
            | Self::UserDataTooLarge { .. }
            | Self::TooManyTags { .. } => self.to_string(),
        }
    }
}

/// A check: the value as it came, or why it is refused.
type Checked<'a> = Result<&'a str, FieldError>;

fn check<'a>(field: &'static str, value: &'a str, form: &'static str, good: bool) -> Checked<'a> {
    if good { Ok(value) } else { Err(FieldError::Malformed { field, value: value.to_owned(), form }) }
}

/// `i-` and 8 or 17 hexadecimal digits.
///
/// # Errors
///
/// [`FieldError::Malformed`]; so for the other fields.
pub fn instance_id(value: &str) -> Checked<'_> {
    let digits = value.strip_prefix("i-").unwrap_or("");
    let hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let good = hex && matches!(digits.len(), 8 | 17);
    check("instance id", value, "i- and 8 or 17 lowercase hexadecimal digits", good)
}

/// `ami-…`
pub fn image_id(value: &str) -> Checked<'_> {
    let name = value.strip_prefix("ami-").unwrap_or("");
    let good = !name.is_empty() && is_name(value, b"-");
    check("image id", value, "ami- and lowercase letters, digits or hyphens", good)
}

/// For example `t3.micro`.
pub fn instance_type(value: &str) -> Checked<'_> {
    let parts = value.split_once('.');
    let good = parts.is_some_and(|(family, size)| is_name(family, b"-") && is_name(size, b"-"));
    check("instance type", value, "a family and a size in lowercase, like t3.micro", good)
}

/// For example `us-east-1a`; also `us-west-2-lax-1a` and `us-east-1-wl1-bos-wlz-1`.
pub fn availability_zone(value: &str) -> Checked<'_> {
    let mut end = value.bytes().rev();
    let letter = end.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let digit = end.next().is_some_and(|byte| byte.is_ascii_digit());
    let is_wavelength =
        names::split_zone(value).is_some_and(|(_, rest)| rest.starts_with("-wl") && !rest.ends_with('-'));
    let good = (letter && digit || is_wavelength) && is_name(value, b"-") && value.as_bytes()[0].is_ascii_lowercase();
    check(
        "availability zone",
        value,
        "a region and a letter, like us-east-1a, or a zone of another kind in a region",
        good,
    )
}

/// Twelve digits.
pub fn account_id(value: &str) -> Checked<'_> {
    let good = value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit());
    check("account id", value, "twelve digits", good)
}

/// A DNS name.
pub fn hostname(value: &str) -> Checked<'_> {
    let label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let good = value.len() <= HOSTNAME_MAX && value.split('.').all(label);
    check("hostname", value, "a DNS name: labels of letters, digits and hyphens, with dots between", good)
}

/// A DNS name, or an empty text in the place of one that there shall not be.
pub fn public_hostname(value: &str) -> Checked<'_> {
    if value.is_empty() { Ok(value) } else { hostname(value) }
}

/// A role's name.
pub fn role(value: &str) -> Checked<'_> {
    let good = (1..=ROLE_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
    check("IAM role", value, "1 to 64 letters, digits and _ + = , . @ -", good)
}

/// An interface's name on the host.
pub fn interface(value: &str) -> Checked<'_> {
    let good = (1..=INTERFACE_MAX).contains(&value.len())
        && !matches!(value, "." | "..")
        && !value.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    check("interface", value, "the name of a host-side interface as `ip link` shows it", good)
}

/// A tag's key.
pub fn tag_key(value: &str) -> Checked<'_> {
    let good = (1..=TAG_KEY_MAX).contains(&value.chars().count()) && !value.contains(char::is_control);
    check("tag key", value, "1 to 128 characters, none of them a control character", good)
}

/// A tag's value.
pub fn tag_value(value: &str) -> Checked<'_> {
    let good = value.chars().count() <= TAG_VALUE_MAX && !value.contains(char::is_control);
    check("tag value", value, "up to 256 characters, none of them a control character", good)
}

/// A name that a path can hold.
pub fn name(value: &str) -> Checked<'_> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:=".contains(&byte);
    let good = (1..=NAME_LENGTH_MAX).contains(&value.len()) && value.bytes().all(plain) && !matches!(value, "." | "..");
    check("name", value, "1 to 128 letters, digits and - . _ : =", good)
}

/// A line of text.
pub fn line(value: &str) -> Checked<'_> {
    let good = (1..=LINE_MAX).contains(&value.chars().count()) && !value.contains(char::is_control);
    check("text", value, "1 to 4096 characters, none of them a control character", good)
}

/// Lines of text.
pub fn lines(value: &str) -> Checked<'_> {
    let hidden = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n');
    let good = (1..=LINES_MAX).contains(&value.chars().count()) && !value.contains(hidden);
    check("text", value, "1 to 16384 characters, none of them a control character but tab, CR and LF", good)
}

/// A MAC address as EC2 writes it.
pub fn mac(value: &str) -> Checked<'_> {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let good = value.split(':').count() == 6 && value.split(':').all(pair);
    check("MAC address", value, "six pairs of lowercase hexadecimal digits with colons between", good)
}

/// A network.
pub fn cidr(value: &str) -> Checked<'_> {
    let good = value.split_once('/').is_some_and(|(address, length)| {
        let most = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u8>().is_ok_and(|length| length <= most)
    });
    check("network", value, "an address and the length of its prefix, like 10.0.0.0/16", good)
}

/// The name of a key pair, as EC2 takes it. It is only listed: a target has the key's number.
pub fn key_name(value: &str) -> Checked<'_> {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let good = (1..=KEY_NAME_MAX).contains(&value.len()) && value.bytes().all(plain) && value.trim() == value;
    check("key name", value, "1 to 255 printable ASCII characters, no space at either end", good)
}

/// Base64 in the standard alphabet, in lines or in one.
pub fn base64(value: &str) -> Checked<'_> {
    let digits: Vec<u8> = value.bytes().filter(|&byte| byte != b'\n').collect();
    let good = (1..=LINES_MAX).contains(&value.len()) && !digits.is_empty() && BASE64_STANDARD.decode(digits).is_ok();
    check("text", value, "base64 of the standard alphabet, with padding, 16384 characters at most", good)
}

/// How many tags there are, of those with these keys: AWS's own don't count.
///
/// # Errors
///
/// [`FieldError::TooManyTags`]
pub fn tag_count<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), FieldError> {
    let count = keys.filter(|key| !key.starts_with(AWS_TAGS)).count();
    if count <= TAGS_MAX { Ok(()) } else { Err(FieldError::TooManyTags { count }) }
}

/// A role's credentials.
///
/// # Errors
///
/// [`FieldError::Credentials`] for a member that isn't printable, [`FieldError::Expiration`].
pub fn credentials(credentials: &Credentials) -> Result<(), FieldError> {
    let Credentials { access_key_id, secret_access_key, token, expiration } = credentials;
    for (member, value) in [("AccessKeyId", access_key_id), ("SecretAccessKey", secret_access_key), ("Token", token)] {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FieldError::Credentials { member });
        }
    }
    PrimitiveDateTime::parse(expiration, TIME).map_err(|_| FieldError::Expiration)?;
    Ok(())
}

/// User data from its base64.
///
/// # Errors
///
/// [`FieldError::UserDataEncoding`], [`FieldError::UserDataTooLarge`]
pub fn user_data(base64: &str) -> Result<Vec<u8>, FieldError> {
    user_data_bytes(BASE64_STANDARD.decode(base64).map_err(|_| FieldError::UserDataEncoding)?)
}

/// User data.
///
/// # Errors
///
/// [`FieldError::UserDataTooLarge`]
pub fn user_data_bytes(bytes: Vec<u8>) -> Result<Vec<u8>, FieldError> {
    if bytes.len() > USER_DATA_MAX { Err(FieldError::UserDataTooLarge { bytes: bytes.len() }) } else { Ok(bytes) }
}

fn is_name(value: &str, also: &[u8]) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also.contains(&byte);
    (1..=NAME_MAX).contains(&value.len()) && value.bytes().all(good)
}

#[cfg(test)]
pub(super) mod tests;
