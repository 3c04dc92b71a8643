//! Texts of a checked form: what is read from JSON is good, or refused where it stands. The published schema says the
//! same in its own words, as far as it has such.

use std::fmt;
use std::ops::Deref;

use crate::metadata::field;

/// Defines texts: `/// comment  Name = check, pattern, least to most characters;`.
macro_rules! texts {
    ($($(#[doc = $doc:literal])* $name:ident = $check:path, $pattern:literal, $least:literal to $most:expr;)*) => {
    #[cfg(test)]
    const FORMS: &[Form] = &[$(Form { name: stringify!($name), pattern: $pattern, least: $least, most: $most },)*];
    $(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Box<str>);

        impl TryFrom<String> for $name {
            type Error = field::FieldError;
            fn try_from(text: String) -> Result<Self, field::FieldError> {
                $check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self)
            }
        }

        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let description = concat!($($doc,)*).trim();
                schemars::json_schema!({
                    "type": "string",
                    "description": description,
                    "pattern": $pattern,
                    "minLength": $least,
                    "maxLength": $most
                })
            }
        }
    )* };
}

texts! {
    /// Twelve digits.
    AccountId = field::account_id, r"^[0-9]{12}$", 12 to 12;
    /// `ami-` and lowercase letters, digits or hyphens.
    ImageId = field::image_id, r"^ami-[a-z0-9-]+$", 5 to field::NAME_MAX;
    /// A family and a size in lowercase, like `t3.micro`.
    InstanceType = field::instance_type, r"^[a-z0-9-]{1,64}\.[a-z0-9-]{1,64}$", 3 to 2 * field::NAME_MAX + 1;
    /// A region and a letter, like `us-east-1a`.
    AvailabilityZone = field::availability_zone, r"^([a-z][a-z0-9-]*[0-9][a-z]|[a-z]+(-[a-z]+)+-[0-9]+-wl([a-z0-9-]*[a-z0-9])?)$", 3 to field::NAME_MAX;
    /// A DNS name.
    Hostname = field::hostname, r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$", 1 to field::HOSTNAME_MAX;
    /// A DNS name; empty: there is none.
    PublicHostname = field::public_hostname, r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*)?$", 0 to field::HOSTNAME_MAX;
    /// 1 to 64 letters, digits and `_ + = , . @ -`.
    RoleName = field::role, r"^[A-Za-z0-9_+=,.@-]+$", 1 to field::ROLE_MAX;
    /// 1 to 128 letters, digits and `- . _ : =`: a name that a path can hold.
    Name = field::name, r"^([A-Za-z0-9._:=-]*[A-Za-z0-9_:=-][A-Za-z0-9._:=-]*|\.{3,})$", 1 to field::NAME_LENGTH_MAX;
    /// 1 to 4096 characters, none of them a control character.
    Line = field::line, r"^[^\x00-\x1f\x7f-\x9f]*$", 1 to field::LINE_MAX;
    /// 1 to 16384 characters, none of them a control character but tab, CR and LF.
    Lines = field::lines, r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$", 1 to field::LINES_MAX;
    /// Six pairs of lowercase hexadecimal digits with colons between.
    Mac = field::mac, r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$", 17 to 17;
    /// A network and the length of its prefix, like `10.0.0.0/16` or `fd00::/64`.
    Cidr = field::cidr, r"^([0-9.]+/0*([0-9]|[12][0-9]|3[0-2])|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/0*([0-9]{1,2}|1[01][0-9]|12[0-8]))$", 4 to field::LINE_MAX;
    /// The name of a key pair: 1 to 255 printable ASCII characters, no space at either end.
    KeyName = field::key_name, r"^[!-~]([ -~]*[!-~])?$", 1 to field::KEY_NAME_MAX;
    /// Base64 of the standard alphabet, in lines or in one.
    Base64 = field::base64, r"^\n*(([A-Za-z0-9+/]\n*){4})*(([A-Za-z0-9+/]\n*){4}|([A-Za-z0-9+/]\n*){2}=\n*=\n*|([A-Za-z0-9+/]\n*){3}=\n*)$", 4 to field::LINES_MAX;
    /// 1 to 128 characters, none of them a control character.
    TagKey = field::tag_key, r"^[^\x00-\x1f\x7f-\x9f]{1,128}$", 1 to field::TAG_KEY_MAX;
    /// Up to 256 characters, none of them a control character.
    TagValue = field::tag_value, r"^[^\x00-\x1f\x7f-\x9f]*$", 0 to field::TAG_VALUE_MAX;
}

/// How the schema writes down a text.
#[cfg(test)]
struct Form {
    name: &'static str,
    pattern: &'static str,
    least: usize,
    most: usize,
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    #[test]
    fn the_schema_takes_what_the_fields_take_and_nothing_else() {
        let cases = field::tests::cases();
        for Form { name, pattern, least, most } in FORMS {
            let pattern = Regex::new(pattern).expect(pattern);
            let takes = |value: &str| pattern.is_match(value) && (*least..=*most).contains(&value.chars().count());
            let case = cases.iter().find(|case| case.name == *name).expect(name);
            for value in &case.good {
                assert!(takes(value), "{name}: {value}");
            }
            for value in &case.bad {
                assert!(!takes(value), "{name}: {value}");
            }
        }
    }
}
