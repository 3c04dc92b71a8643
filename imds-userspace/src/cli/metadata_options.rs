//! Metadata options from the command line: `--metadata-options` in EC2's shorthand, and the flags of `options set`.

use imds_common::options::{HopLimit, HttpTokens, OptionError, Switch};
use thiserror::Error;

use super::arguments::OptionFlags;
use crate::registry::request::OptionChanges;

/// The names that `--metadata-options` takes.
const NAMES: &str = "HttpTokens, HttpPutResponseHopLimit, HttpEndpoint, HttpProtocolIpv6, InstanceMetadataTags";

/// Why a value of `--metadata-options` isn't one.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum MetadataOptionsError {
    #[error("--metadata-options: '{0}' is not NAME=VALUE; write pairs with commas between them, names are {NAMES}")]
    Pair(String),
    #[error("--metadata-options: no option is named '{0}'; names are {NAMES}")]
    Unknown(String),
    #[error("--metadata-options: {0} is given twice; give it once")]
    Twice(String),
    #[error("--metadata-options: '{value}' is not valid for {name}; {source}")]
    Value { name: String, value: String, source: OptionError },
}

/// Reads `NAME=VALUE,…`.
pub(super) fn parse(text: &str) -> Result<OptionChanges, MetadataOptionsError> {
    let mut changes = OptionChanges::default();
    for pair in text.split(',').map(str::trim) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(MetadataOptionsError::Pair(pair.to_owned()));
        };
        let invalid = |source| MetadataOptionsError::Value { name: name.to_owned(), value: value.to_owned(), source };
        let tokens = || value.parse::<HttpTokens>().map(|tokens| tokens.as_str().to_owned()).map_err(invalid);
        let switch = || value.parse::<Switch>().map(|switch| switch.as_str().to_owned()).map_err(invalid);
        let hop_limit = || value.parse::<HopLimit>().map(|limit| i64::from(limit.get())).map_err(invalid);
        let twice = match name {
            "HttpTokens" => changes.http_tokens.replace(tokens()?).is_some(),
            "HttpPutResponseHopLimit" => changes.http_put_response_hop_limit.replace(hop_limit()?).is_some(),
            "HttpEndpoint" => changes.http_endpoint.replace(switch()?).is_some(),
            "HttpProtocolIpv6" => changes.http_protocol_ipv6.replace(switch()?).is_some(),
            "InstanceMetadataTags" => changes.instance_metadata_tags.replace(switch()?).is_some(),
            _ => return Err(MetadataOptionsError::Unknown(name.to_owned())),
        };
        if twice {
            return Err(MetadataOptionsError::Twice(name.to_owned()));
        }
    }
    Ok(changes)
}

impl From<OptionFlags> for OptionChanges {
    fn from(flags: OptionFlags) -> Self {
        let switch = |switch: Option<Switch>| switch.map(|switch| switch.as_str().to_owned());
        Self {
            http_tokens: flags.http_tokens.map(|tokens| tokens.as_str().to_owned()),
            http_put_response_hop_limit: flags.http_put_response_hop_limit.map(|limit| limit.get().into()),
            http_endpoint: switch(flags.http_endpoint),
            http_protocol_ipv6: switch(flags.http_protocol_ipv6),
            instance_metadata_tags: switch(flags.instance_metadata_tags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_changes() {
        let none = OptionChanges::default();
        let cases = [
            ("HttpTokens=required", OptionChanges { http_tokens: Some("required".into()), ..none.clone() }),
            ("HttpTokens=optional", OptionChanges { http_tokens: Some("optional".into()), ..none.clone() }),
            ("HttpPutResponseHopLimit=1", OptionChanges { http_put_response_hop_limit: Some(1), ..none.clone() }),
            ("HttpPutResponseHopLimit=64", OptionChanges { http_put_response_hop_limit: Some(64), ..none.clone() }),
            ("HttpEndpoint=disabled", OptionChanges { http_endpoint: Some("disabled".into()), ..none.clone() }),
            ("HttpProtocolIpv6=enabled", OptionChanges { http_protocol_ipv6: Some("enabled".into()), ..none.clone() }),
            (
                "InstanceMetadataTags=enabled, HttpTokens=required",
                OptionChanges {
                    http_tokens: Some("required".into()),
                    instance_metadata_tags: Some("enabled".into()),
                    ..none
                },
            ),
        ];
        for (text, changes) in cases {
            assert_eq!(parse(text), Ok(changes), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", "'' is not NAME=VALUE"),
            ("HttpTokens", "'HttpTokens' is not NAME=VALUE"),
            ("HttpTokens=required,", "'' is not NAME=VALUE"),
            ("HttpTokens=required;HttpEndpoint=enabled", "'required;HttpEndpoint=enabled' is not valid for HttpTokens"),
            ("httpTokens=required", "no option is named 'httpTokens'; names are HttpTokens, HttpPut"),
            ("State=applied", "no option is named 'State'"),
            ("=required", "no option is named ''"),
            ("HttpTokens=required,HttpTokens=required", "HttpTokens is given twice"),
            ("HttpEndpoint=enabled,HttpEndpoint=disabled", "HttpEndpoint is given twice"),
            ("HttpTokens=", "'' is not valid for HttpTokens; specify either 'optional' or 'required'"),
            ("HttpTokens=Required", "'Required' is not valid for HttpTokens"),
            ("HttpEndpoint=on", "'on' is not valid for HttpEndpoint; specify either 'enabled' or 'disabled'"),
            ("HttpPutResponseHopLimit=0", "'0' is not valid for HttpPutResponseHopLimit; specify an integer from 1"),
            ("HttpPutResponseHopLimit=65", "'65' is not valid"),
            ("HttpPutResponseHopLimit=-1", "'-1' is not valid"),
            ("HttpPutResponseHopLimit=257", "'257' is not valid"),
            ("HttpPutResponseHopLimit=1.5", "'1.5' is not valid"),
        ];
        for (text, expected) in cases {
            let message = parse(text).expect_err(text).to_string();
            assert!(message.starts_with("--metadata-options: "), "{text}: {message}");
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
