//! Texts of a checked form: what is read from JSON is good, or refused where it stands.

use std::fmt;
use std::ops::Deref;

use crate::metadata::field;

/// Defines texts: `/// comment  Name = check,`.
macro_rules! texts {
    ($($(#[doc = $doc:literal])* $name:ident = $check:path,)*) => { $(
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
                schemars::json_schema!({ "type": "string", "description": description })
            }
        }
    )* };
}

texts! {
    /// Twelve digits.
    AccountId = field::account_id,
    /// `ami-` and lowercase letters, digits or hyphens.
    ImageId = field::image_id,
    /// A family and a size in lowercase, like `t3.micro`.
    InstanceType = field::instance_type,
    /// A region and a letter, like `us-east-1a`.
    AvailabilityZone = field::availability_zone,
    /// A DNS name.
    Hostname = field::hostname,
    /// 1 to 64 letters, digits and `_ + = , . @ -`.
    RoleName = field::role,
    /// 1 to 128 letters, digits and `- . _ : =`: a name that a path can hold.
    Name = field::name,
    /// 1 to 4096 characters, none of them a control character.
    Line = field::line,
    /// 1 to 16384 characters, none of them a control character but tab, CR and LF.
    Lines = field::lines,
    /// Six pairs of lowercase hexadecimal digits with colons between.
    Mac = field::mac,
    /// A network and the length of its prefix, like `10.0.0.0/16` or `fd00::/64`.
    Cidr = field::cidr,
    /// The name of a key pair: 1 to 255 visible ASCII characters without `/ ? # %`.
    KeyName = field::key_name,
    /// 1 to 128 characters, none of them a control character.
    TagKey = field::tag_key,
    /// Up to 256 characters, none of them a control character.
    TagValue = field::tag_value,
}
