//! How a part of the document is written down: every member may be left out.

/// Defines a part: `Name { /// comment  key: Type ["keyword" = limit], … } sections { /// comment  key: Part, … }`. A key that is left out is
/// `None`, a part that is left out is empty; both are left out when written. A limit of a list or
/// an object is for the schema alone.
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
                #[serde(skip_serializing_if = "crate::metadata::document::section::is_empty")]
                pub $part: $part_type,
            )*)?
        }
    };
}
pub(super) use section;

/// Whether nothing of a part is given.
pub(super) fn is_empty<T: Default + PartialEq>(part: &T) -> bool {
    *part == T::default()
}
