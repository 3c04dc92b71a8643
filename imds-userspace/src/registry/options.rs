//! Metadata options as requests and replies write them: parsed, checked against each other, shown.
//!
//! Names, values and rules: behaviour.md section 7.

use imds_common::options::{HopLimit, HttpTokens, MetadataOptions, Switch};
use thiserror::Error;

use crate::registry::request::OptionChanges;
use crate::registry::view::OptionsView;

/// Why options can't be what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// A value that the option doesn't take, in EC2's words.
    #[error("A value of '{}' is not valid for {option}. Specify either '{either}' or '{or}' and try again.", .value.escape_debug())]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// One value that it takes.
        either: &'static str,
        /// The other.
        or: &'static str,
    },
    /// A hop limit out of range.
    #[error("HttpPutResponseHopLimit is 1 to 64, got {0}")]
    HopLimit(i64),
    /// An option that needs the endpoint.
    #[error(
        "{option} can't be set while HttpEndpoint is disabled; set HttpEndpoint to enabled too, or leave {option} out"
    )]
    EndpointDisabled {
        /// The option that was set.
        option: &'static str,
    },
    /// A tag that can't be a path.
    #[error(
        "the tag key \"{}\" can't be shown while InstanceMetadataTags is enabled: only letters, digits and + - = . , _ : @ \
         can, and not '.', '..' or '_index' alone; rename the tag, or leave InstanceMetadataTags disabled",
        .key.escape_debug()
    )]
    TagKey {
        /// The key.
        key: String,
    },
}

/// Changes whose values are all valid; what is `None` keeps its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    tokens: Option<HttpTokens>,
    hop_limit: Option<HopLimit>,
    endpoint: Option<Switch>,
    ipv6: Option<Switch>,
    tags: Option<Switch>,
}

/// Whose options a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One instance's.
    One,
    /// Those of all instances, whatever they are: one without its endpoint keeps no other from being changed.
    All,
}

impl Changes {
    /// Reads each value.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Value`] and [`OptionsError::HopLimit`], for the first value that its option doesn't take.
    pub fn parse(changes: &OptionChanges) -> Result<Self, OptionsError> {
        let OptionChanges {
            http_tokens,
            http_put_response_hop_limit,
            http_endpoint,
            http_protocol_ipv6,
            instance_metadata_tags,
        } = changes;
        let tokens = http_tokens.as_deref().map(|value| {
            value.parse().map_err(|_| OptionsError::Value {
                option: "HttpTokens",
                value: value.to_owned(),
                either: HttpTokens::Optional.as_str(),
                or: HttpTokens::Required.as_str(),
            })
        });
        let hop_limit = http_put_response_hop_limit.map(|value| {
            u8::try_from(value).ok().and_then(|limit| HopLimit::new(limit).ok()).ok_or(OptionsError::HopLimit(value))
        });
        Ok(Self {
            tokens: tokens.transpose()?,
            hop_limit: hop_limit.transpose()?,
            endpoint: switch("HttpEndpoint", http_endpoint)?,
            ipv6: switch("HttpProtocolIpv6", http_protocol_ipv6)?,
            tags: switch("InstanceMetadataTags", instance_metadata_tags)?,
        })
    }

    /// The options after the changes.
    ///
    /// # Errors
    ///
    /// [`OptionsError::EndpointDisabled`] when the result has no endpoint but an option that needs one was set, if that
    /// was asked for one instance, or the same changes disable the endpoint; [`OptionsError::TagKey`] when the result
    /// shows tags and one of `tags` can't be shown.
    pub fn apply<'t>(
        &self,
        current: &MetadataOptions,
        tags: impl Iterator<Item = &'t str>,
        scope: Scope,
    ) -> Result<MetadataOptions, OptionsError> {
        let next = self.replace(current);
        if !next.http_endpoint.is_enabled() && (scope == Scope::One || self.endpoint.is_some()) {
            let needy = [
                ("HttpTokens", self.tokens.is_some()),
                ("HttpPutResponseHopLimit", self.hop_limit.is_some()),
                ("HttpProtocolIpv6", self.ipv6.is_some()),
            ];
            if let Some(&(option, _)) = needy.iter().find(|(_, set)| *set) {
                return Err(OptionsError::EndpointDisabled { option });
            }
        }
        check_tags(&next, tags)?;
        Ok(next)
    }

    /// The options after the changes, whatever they are together.
    #[must_use]
    pub fn replace(&self, current: &MetadataOptions) -> MetadataOptions {
        MetadataOptions {
            http_tokens: self.tokens.unwrap_or(current.http_tokens),
            http_put_response_hop_limit: self.hop_limit.unwrap_or(current.http_put_response_hop_limit),
            http_endpoint: self.endpoint.unwrap_or(current.http_endpoint),
            http_protocol_ipv6: self.ipv6.unwrap_or(current.http_protocol_ipv6),
            instance_metadata_tags: self.tags.unwrap_or(current.instance_metadata_tags),
        }
    }
}

/// Checks the keys of tags against options that may show them.
///
/// # Errors
///
/// [`OptionsError::TagKey`]
pub fn check_tags<'t>(options: &MetadataOptions, mut tags: impl Iterator<Item = &'t str>) -> Result<(), OptionsError> {
    match tags.find(|key| !is_path_segment(key)) {
        Some(key) if options.instance_metadata_tags.is_enabled() => Err(OptionsError::TagKey { key: key.to_owned() }),
        _ => Ok(()),
    }
}

fn switch(option: &'static str, value: &Option<String>) -> Result<Option<Switch>, OptionsError> {
    let parse = |value: &String| {
        value.parse().map_err(|_| OptionsError::Value {
            option,
            value: value.clone(),
            either: Switch::Enabled.as_str(),
            or: Switch::Disabled.as_str(),
        })
    };
    value.as_ref().map(parse).transpose()
}

/// Whether a tag's key can be a segment of a path (behaviour.md section 6).
fn is_path_segment(key: &str) -> bool {
    !matches!(key, "" | "." | ".." | "_index")
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "+-=.,_:@".contains(c))
}

/// The strictest options of which each is `a`'s or `b`'s: what may be in force between the two.
#[must_use]
pub fn strictest(a: &MetadataOptions, b: &MetadataOptions) -> MetadataOptions {
    let both = |a: Switch, b: Switch| if a.is_enabled() { b } else { a };
    MetadataOptions {
        http_tokens: if a.http_tokens == HttpTokens::Required { a.http_tokens } else { b.http_tokens },
        http_put_response_hop_limit: if a.http_put_response_hop_limit.get() < b.http_put_response_hop_limit.get() {
            a.http_put_response_hop_limit
        } else {
            b.http_put_response_hop_limit
        },
        http_endpoint: both(a.http_endpoint, b.http_endpoint),
        http_protocol_ipv6: both(a.http_protocol_ipv6, b.http_protocol_ipv6),
        instance_metadata_tags: both(a.instance_metadata_tags, b.instance_metadata_tags),
    }
}

/// Options as replies show them; `applied` says whether every interface that is there has them.
#[must_use]
pub fn view(options: &MetadataOptions, applied: bool) -> OptionsView {
    OptionsView {
        state: if applied { "applied" } else { "pending" }.to_owned(),
        http_tokens: options.http_tokens.as_str().to_owned(),
        http_put_response_hop_limit: options.http_put_response_hop_limit.get(),
        http_endpoint: options.http_endpoint.as_str().to_owned(),
        http_protocol_ipv6: options.http_protocol_ipv6.as_str().to_owned(),
        instance_metadata_tags: options.instance_metadata_tags.as_str().to_owned(),
    }
}

/// Options in the store: under EC2's names, all of them.
pub(super) mod stored {
    use imds_common::options::MetadataOptions;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::Changes;
    use crate::registry::request::OptionChanges;

    pub(in crate::registry) fn serialize<S: Serializer>(
        options: &MetadataOptions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |value: &str| Some(value.to_owned());
        OptionChanges {
            http_tokens: text(options.http_tokens.as_str()),
            http_put_response_hop_limit: Some(options.http_put_response_hop_limit.get().into()),
            http_endpoint: text(options.http_endpoint.as_str()),
            http_protocol_ipv6: text(options.http_protocol_ipv6.as_str()),
            instance_metadata_tags: text(options.instance_metadata_tags.as_str()),
        }
        .serialize(serializer)
    }

    pub(in crate::registry) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MetadataOptions, D::Error> {
        let changes = Changes::parse(&OptionChanges::deserialize(deserializer)?).map_err(Error::custom)?;
        match changes {
            Changes {
                tokens: Some(http_tokens),
                hop_limit: Some(http_put_response_hop_limit),
                endpoint: Some(http_endpoint),
                ipv6: Some(http_protocol_ipv6),
                tags: Some(instance_metadata_tags),
            } => Ok(MetadataOptions {
                http_tokens,
                http_put_response_hop_limit,
                http_endpoint,
                http_protocol_ipv6,
                instance_metadata_tags,
            }),
            _ => Err(Error::custom("an option is missing")),
        }
    }
}

#[cfg(test)]
mod tests;
