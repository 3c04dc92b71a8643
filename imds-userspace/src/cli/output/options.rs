//! Metadata options as a table, under EC2's names.

use super::table::{Look, lines, state, text};
use crate::registry::view::InstanceView;

/// The state of options that every interface has.
pub(super) const APPLIED: &str = "applied";

/// The options of each instance, a line each.
pub(super) fn list(look: Look, instances: &[InstanceView]) -> String {
    let mut table = look.headed(&[
        "Instance",
        "State",
        "HttpTokens",
        "HttpPutResponseHopLimit",
        "HttpEndpoint",
        "HttpProtocolIpv6",
        "InstanceMetadataTags",
    ]);
    for InstanceView { instance_id, metadata_options: options, .. } in instances {
        table.add_row([
            text(instance_id),
            state(&options.state, APPLIED),
            text(&options.http_tokens),
            text(&options.http_put_response_hop_limit.to_string()),
            text(&options.http_endpoint),
            text(&options.http_protocol_ipv6),
            text(&options.instance_metadata_tags),
        ]);
    }
    lines(table)
}
