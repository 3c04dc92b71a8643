//! Instances as tables.

use super::table::{Look, lines, printable, state, text};
use crate::dataplane::attach::Attach;
use crate::registry::view::{InstanceView, InterfaceView};

/// An interface's status while the kernel enforces on it.
const ENFORCED: &str = "enforced";

/// A line for each instance.
pub(super) fn list(look: Look, instances: &[InstanceView]) -> String {
    let mut table = look.headed(&[
        "Instance",
        "Type",
        "Zone",
        "Private IP",
        "Interfaces",
        "HttpTokens",
        "HopLimit",
        "HttpEndpoint",
        "State",
    ]);
    for instance in instances {
        let options = &instance.metadata_options;
        table.add_row([
            text(&instance.instance_id),
            text(&instance.instance_type),
            text(&instance.availability_zone),
            text(&address(instance)),
            text(&instance.interfaces.iter().map(name_and_lack).collect::<Vec<_>>().join(", ")),
            text(&options.http_tokens),
            text(&options.http_put_response_hop_limit.to_string()),
            text(&options.http_endpoint),
            state(&options.state, super::options::APPLIED),
        ]);
    }
    lines(table)
}

/// The address that an instance goes by.
fn address(instance: &InstanceView) -> String {
    let ipv6 = || instance.ipv6.map(|ip| ip.to_string());
    instance.private_ip.map(|ip| ip.to_string()).or_else(ipv6).unwrap_or_default()
}

fn name_and_lack(interface: &InterfaceView) -> String {
    let InterfaceView { name, status, attachment, .. } = interface;
    match attachment {
        _ if status != ENFORCED => format!("{name} ({status})"),
        Some(attachment) if *attachment != Attach::Tc => format!("{name} ({})", attachment.as_str()),
        _ => name.clone(),
    }
}

/// That an instance is gone, and what became of its interfaces.
pub(super) fn deleted(instance: &InstanceView, released: bool) -> String {
    let interfaces: Vec<_> = instance.interfaces.iter().map(|interface| printable(&interface.name)).collect();
    let interfaces = interfaces.join(", ");
    let outcome = if released { "released" } else { "closed until another instance takes it or it is released" };
    format!("deleted {}\n{outcome}: {interfaces}\n", printable(&instance.instance_id))
}

/// All of one instance.
pub(super) fn one(look: Look, instance: &InstanceView) -> String {
    let mut table = look.bare();
    let mut row = |label: &str, value: &str| {
        table.add_row([text(label), text(value)]);
    };
    row("Instance", &instance.instance_id);
    row("Image", &instance.image_id);
    row("Type", &instance.instance_type);
    row("Zone", &instance.availability_zone);
    row("Account", &instance.account_id);
    row("Private IP", &address(instance));
    row("Hostname", &instance.hostname);
    for interface in &instance.interfaces {
        let InterfaceView { name, ifindex, slot, status, attachment } = interface;
        let attachment = attachment.map_or_else(String::new, |attachment| format!(" by {}", attachment.as_str()));
        let index = ifindex.map_or_else(String::new, |index| format!(", index {index}"));
        row("Interface", &format!("{name}: {status}{attachment}{index}, slot {slot}"));
    }
    if let Some(role) = &instance.iam_role {
        let provider = instance.credentials_provider.as_deref();
        let provider = provider.map_or_else(String::new, |provider| format!(" ({provider})"));
        let expiration = instance.credentials_expiration.as_deref();
        let expiration =
            expiration.map_or_else(|| "no credentials".to_owned(), |at| format!("credentials expire {at}"));
        row("Role", &format!("{role}{provider}, {expiration}"));
    }
    for (key, value) in &instance.tags {
        row("Tag", &format!("{key}={value}"));
    }
    if let Some(bytes) = instance.user_data_bytes {
        row("User data", &format!("{bytes} bytes"));
    }
    let options = &instance.metadata_options;
    row("HttpTokens", &options.http_tokens);
    row("HttpPutResponseHopLimit", &options.http_put_response_hop_limit.to_string());
    row("HttpEndpoint", &options.http_endpoint);
    row("HttpProtocolIpv6", &options.http_protocol_ipv6);
    row("InstanceMetadataTags", &options.instance_metadata_tags);
    for (label, value) in super::limits::rows(&instance.limits) {
        row(label, &value);
    }
    table.add_row([text("State"), state(&options.state, super::options::APPLIED)]);
    lines(table)
}
