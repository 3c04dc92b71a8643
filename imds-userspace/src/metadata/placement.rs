//! What an availability zone's name says.

use std::net::Ipv4Addr;

/// The region of a zone: the zone's name without the letters at its end. A name that isn't a region's with letters
/// behind it is its own region.
#[must_use]
pub fn region_of(zone: &str) -> &str {
    let region = zone.trim_end_matches(|character: char| character.is_ascii_lowercase());
    if region.ends_with(|character: char| character.is_ascii_digit()) { region } else { zone }
}

/// The private DNS name that an instance has by its address alone (EC2's "IP name").
#[must_use]
pub fn default_hostname(ip: Ipv4Addr, region: &str) -> String {
    let [a, b, c, d] = ip.octets();
    // The oldest region has a name of its own.
    if region == "us-east-1" {
        format!("ip-{a}-{b}-{c}-{d}.ec2.internal")
    } else {
        format!("ip-{a}-{b}-{c}-{d}.{region}.compute.internal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_its_zone_without_letters() {
        for (zone, region) in [
            ("us-east-1a", "us-east-1"),
            ("eu-central-1b", "eu-central-1"),
            ("us-gov-west-1c", "us-gov-west-1"),
            ("ap-south-12ab", "ap-south-12"),
            ("us-east-1", "us-east-1"),
            ("lab", "lab"),
            ("lab-b", "lab-b"),
            ("", ""),
        ] {
            assert_eq!(region_of(zone), region, "{zone}");
        }
    }

    #[test]
    fn a_hostname_is_ec2s_ip_name() {
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(default_hostname(ip, "us-east-1"), "ip-10-0-0-1.ec2.internal");
        assert_eq!(default_hostname(ip, "eu-west-2"), "ip-10-0-0-1.eu-west-2.compute.internal");
    }
}
