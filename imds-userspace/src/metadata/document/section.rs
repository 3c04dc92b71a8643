//! How a part of the document is written down: every member may be left out.

use serde::{Deserialize, Deserializer};

/// Defines a part: `Name { /// comment  key: Type ["keyword" = limit], … } sections { /// comment  key: Part, … }`. A
/// key that is left out is `None`, a part that is left out is empty; both are left out when written. The limit of a list
/// or an object is for the schema alone.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty $([$limit:literal = $most:expr])?,)*
        }
        $(sections {
            $($(#[doc = $part_doc:literal])* $part:ident: $part_type:ty,)*
        })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                $(#[cfg_attr(test, schemars(extend($limit = $most)))])?
                pub $key: Option<$type>,
            )*
            $($(
                $(#[doc = $part_doc])*
                #[serde(
                    skip_serializing_if = "crate::metadata::document::section::is_empty",
                    deserialize_with = "crate::metadata::document::section::or_empty"
                )]
                #[cfg_attr(test, schemars(transform = crate::metadata::document::section::or_null))]
                pub $part: $part_type,
            )*)?
        }
    };
}
pub(super) use section;

/// A part, or null, which is an empty one.
pub(super) fn or_empty<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(part: D) -> Result<T, D::Error> {
    Option::deserialize(part).map(Option::unwrap_or_default)
}

/// Whether nothing of a part is given.
pub(super) fn is_empty<T: Default + PartialEq>(part: &T) -> bool {
    *part == T::default()
}

/// Turns the schema of a part into one that takes null as well, as those of keys do.
#[cfg(test)]
pub(super) fn or_null(schema: &mut schemars::Schema) {
    if let Some(part) = schema.remove("$ref") {
        schema.insert("anyOf".to_owned(), serde_json::json!([{ "$ref": part }, { "type": "null" }]));
    }
}
