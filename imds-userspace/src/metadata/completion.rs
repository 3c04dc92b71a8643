//! What an instance's document leaves out, derived from the rest of it and from its launch.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::document::{
    Document, DocumentError, InstanceAction, InstanceMonitoring, Line, Name, NetworkInterface, Time,
};
use super::instance::Instance;
use super::instance_type::architecture_of;
use super::names::{self, partition_of, region_of};

/// The image of an instance that isn't given one.
const DEFAULT_IMAGE_ID: &str = "ami-00000000000000000";
/// The type of an instance that isn't given one.
const DEFAULT_INSTANCE_TYPE: &str = "t3.micro";
/// The address of an instance that isn't given one: nothing on the host's side knows it.
const DEFAULT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// EC2's name for the group that everything is in which isn't given one.
const DEFAULT_SECURITY_GROUP: &str = "default";
/// EC2's name for the root device of a Linux image.
const ROOT_DEVICE: &str = "/dev/xvda";
/// What is left of the retired metrics.
const VHOSTMD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
/// How long before its interruption a Spot Instance is told, in seconds.
const SPOT_NOTICE: u64 = 120;

impl Instance {
    /// Checks what its document can't tell without it: no two interfaces have one MAC address, given or derived.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], at the second of them.
    pub fn check(&self) -> Result<(), DocumentError> {
        let interfaces = self.complete().network.interfaces.unwrap_or_default();
        let mut first = BTreeMap::new();
        for (number, interface) in interfaces.iter().enumerate() {
            let before = *first.entry(&interface.mac).or_insert(number);
            if before < number {
                let reason = format!(
                    "interface {before} has this MAC address already, given or as the host sees it; give each its own"
                );
                return Err(DocumentError::at(format!("network/interfaces/{number}/mac"), reason));
            }
        }
        Ok(())
    }

    /// Its document with everything that can be derived.
    #[must_use]
    pub fn complete(&self) -> Document {
        let mut document = self.document.unpack();
        self.complete_identity(&mut document);
        self.complete_place(&mut document);
        self.complete_addresses(&mut document);
        self.complete_interfaces(&mut document);
        if let Some(time) = document.spot.time {
            let notice = Time::from_unix(time.unix().saturating_sub(SPOT_NOTICE));
            document.spot.notice.get_or_insert(notice);
            document.spot.action.get_or_insert(super::document::SpotAction::Terminate);
        }
        document
    }

    fn complete_identity(&self, document: &mut Document) {
        fill(&mut document.account_id, || Some(self.account_id.clone()));
        fill_text(&mut document.ami_id, DEFAULT_IMAGE_ID);
        fill(&mut document.ami_launch_index, || Some(0));
        fill_text(&mut document.ami_manifest_path, "(unknown)");
        complete_devices(document.block_device_mapping.get_or_insert_default());
        fill(&mut document.instance_action, || Some(InstanceAction::None));
        fill_text(&mut document.instance_life_cycle, "on-demand");
        fill_text(&mut document.instance_type, DEFAULT_INSTANCE_TYPE);
        let architecture = architecture_of(document.instance_type.as_deref().unwrap_or_default());
        fill_text(&mut document.architecture, architecture);
        fill(&mut document.pending_time, || Some(self.pending_time));
        fill_text(&mut document.profile, "default-hvm");
        fill_text(&mut document.reservation_id, &self.reservation_id);
        fill_text(&mut document.system, "nitro");
        fill(&mut document.fws.instance_monitoring, || Some(InstanceMonitoring::Disabled));
        fill(&mut document.hibernation.configured, || Some(false));
        fill_text(&mut document.metrics.vhostmd, VHOSTMD);
        if let (Some(role), Some(account)) = (document.iam.role.clone(), document.account_id.clone()) {
            let partition = partition_of(&self.region_of(document));
            let arn = format!("arn:{partition}:iam::{account}:instance-profile/{role}");
            fill_text(&mut document.iam.instance_profile_arn, &arn);
            fill_text(&mut document.iam.instance_profile_id, &names::profile_id(&account, &role));
            document.iam.last_updated = document.iam.last_updated.or(document.pending_time);
        }
    }

    fn region_of(&self, document: &Document) -> String {
        let zone = document.placement.availability_zone.as_ref().unwrap_or(&self.availability_zone);
        document.placement.region.as_deref().unwrap_or_else(|| region_of(zone)).to_owned()
    }

    fn complete_place(&self, document: &mut Document) {
        let region = self.region_of(document);
        fill(&mut document.placement.availability_zone, || Some(self.availability_zone.clone()));
        fill_text(&mut document.placement.region, &region);
        fill_text(&mut document.services.partition, partition_of(&region));
        let domain = names::domain_of(document.services.partition.as_deref().unwrap_or_default());
        fill_text(&mut document.services.domain, domain);
    }

    fn complete_addresses(&self, document: &mut Document) {
        let region = self.region_of(document);
        let primary = document.network.interfaces.iter().flatten().next().cloned().unwrap_or_default();
        let first = |list: &Option<Vec<Ipv4Addr>>| list.as_ref().and_then(|list| list.first().copied());
        fill(&mut document.ipv6, || primary.ipv6s.as_ref()?.first().copied());
        let only_ipv6 = document.ipv6.is_some();
        fill(&mut document.local_ipv4, || first(&primary.local_ipv4s).or((!only_ipv6).then_some(DEFAULT_ADDRESS)));
        fill(&mut document.public_ipv4, || {
            let associated = || primary.ipv4_associations.as_ref()?.keys().next().copied();
            first(&primary.public_ipv4s).or_else(associated)
        });
        fill(&mut document.local_hostname, || primary.local_hostname.clone());
        let by_address = document.local_ipv4.map(|ip| names::private_dns(ip, &region));
        // Without an address the resource's name stands for it.
        let by_id = || format!("{}.{}", self.instance_id, names::private_domain(&region));
        fill_text(&mut document.local_hostname, &by_address.unwrap_or_else(by_id));
        document.hostname = document.hostname.take().or_else(|| document.local_hostname.clone());
        fill(&mut document.public_hostname, || primary.public_hostname.clone());
        if let Some(ip) = document.public_ipv4 {
            fill_text(&mut document.public_hostname, &names::public_dns(ip, &region));
        }
        fill(&mut document.security_groups, || primary.security_groups.clone());
        fill(&mut document.security_groups, || text(DEFAULT_SECURITY_GROUP).map(|name: Line| vec![name]));
        fill(&mut document.mac, || primary.mac.clone());
        fill(&mut document.mac, || self.macs.first().cloned());
    }

    fn complete_interfaces(&self, document: &mut Document) {
        let mut interfaces = document.network.interfaces.take().unwrap_or_default();
        let count = interfaces.len().max(self.macs.len()).max(1);
        interfaces.resize(count, NetworkInterface::default());
        let region = self.region_of(document);
        for (number, interface) in interfaces.iter_mut().enumerate() {
            if number == 0 {
                take_primary(interface, document);
            }
            let index = u32::try_from(number).unwrap_or(u32::MAX);
            fill(&mut interface.device_number, || Some(index));
            fill_text(&mut interface.interface_id, &names::interface_id(&self.instance_id, number));
            fill(&mut interface.mac, || self.macs.get(number).cloned());
            fill_text(&mut interface.mac, &names::made_up_mac(&self.instance_id, number));
            fill(&mut interface.owner_id, || document.account_id.clone());
            fill(&mut interface.security_groups, || document.security_groups.clone());
            let address = interface.local_ipv4s.as_ref().and_then(|list| list.first().copied());
            if let Some(ip) = address {
                fill_text(&mut interface.local_hostname, &names::private_dns(ip, &region));
            }
            fill(&mut interface.ipv4_associations, || {
                let public = interface.public_ipv4s.as_ref()?;
                Some(public.iter().map(|ip| (*ip, address.into_iter().collect())).collect::<BTreeMap<_, _>>())
            });
            fill(&mut interface.vpc_ipv4_cidr_blocks, || {
                interface.vpc_ipv4_cidr_block.clone().map(|block| vec![block])
            });
        }
        document.network.interfaces = Some(interfaces);
    }
}

/// An instance has both names of its root device, whatever other devices it has.
fn complete_devices(devices: &mut BTreeMap<Name, Line>) {
    let names = ["ami", "root"].map(text::<Name>);
    let given = names.iter().flatten().find_map(|name| devices.get(name).cloned());
    let Some(device) = given.or_else(|| text(ROOT_DEVICE)) else { return };
    for name in names.into_iter().flatten() {
        devices.entry(name).or_insert_with(|| device.clone());
    }
}

/// What the primary interface shares with the instance.
fn take_primary(interface: &mut NetworkInterface, document: &Document) {
    fill(&mut interface.ipv6s, || document.ipv6.map(|ip| vec![ip]));
    fill(&mut interface.local_ipv4s, || document.local_ipv4.map(|ip| vec![ip]));
    fill(&mut interface.public_ipv4s, || document.public_ipv4.map(|ip| vec![ip]));
    fill(&mut interface.local_hostname, || document.local_hostname.clone());
    fill(&mut interface.public_hostname, || document.public_hostname.clone());
    fill(&mut interface.mac, || document.mac.clone());
}

fn fill<T>(value: &mut Option<T>, default: impl FnOnce() -> Option<T>) {
    if value.is_none() {
        *value = default();
    }
}

/// Fills in a text; one that hasn't the form stays out.
fn fill_text<T: TryFrom<String>>(value: &mut Option<T>, default: &str) {
    fill(value, || text(default));
}

fn text<T: TryFrom<String>>(text: &str) -> Option<T> {
    T::try_from(text.to_owned()).ok()
}

#[cfg(test)]
mod tests;
