//! Names and ids as EC2 makes them of regions, addresses and ids.

use std::net::Ipv4Addr;

/// The region of a zone: the zone's name without the letters at its end. A name that isn't a region's with letters
/// behind it is its own region.
#[must_use]
pub fn region_of(zone: &str) -> &str {
    let region = zone.trim_end_matches(|character: char| character.is_ascii_lowercase());
    if region.ends_with(|character: char| character.is_ascii_digit()) { region } else { zone }
}

/// The partition that a region is in.
pub(super) fn partition_of(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// The domain of a partition's services.
pub(super) fn domain_of(partition: &str) -> &'static str {
    if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The domain of private DNS names. The oldest region has one of its own.
pub(super) fn private_domain(region: &str) -> String {
    if region == "us-east-1" { "ec2.internal".to_owned() } else { format!("{region}.compute.internal") }
}

/// The private DNS name that an instance has by its address alone (EC2's "IP name").
pub(super) fn private_dns(ip: Ipv4Addr, region: &str) -> String {
    let [a, b, c, d] = ip.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}", private_domain(region))
}

/// The public DNS name of a public address.
pub(super) fn public_dns(ip: Ipv4Addr, region: &str) -> String {
    let [a, b, c, d] = ip.octets();
    let domain = domain_of(partition_of(region));
    if region == "us-east-1" {
        format!("ec2-{a}-{b}-{c}-{d}.compute-1.{domain}")
    } else {
        format!("ec2-{a}-{b}-{c}-{d}.{region}.compute.{domain}")
    }
}

/// An id as IAM's look, `AIPA` and 17 characters, always the same for one role of one account.
pub(super) fn profile_id(account: &str, role: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = hash(&[account, role]);
    let character = |place: u32| char::from(ALPHABET[(hash >> (place * 5) & 31) as usize]);
    "AIPA".chars().chain((0..17).map(character)).collect()
}

/// The id of an instance's interface, always the same.
pub(super) fn interface_id(instance_id: &str, number: usize) -> String {
    format!("eni-{:017x}", hash(&[instance_id, &number.to_string()]) >> (128 - 17 * 4))
}

/// A locally administered MAC for an interface of which nobody knows one, always the same.
pub(super) fn made_up_mac(instance_id: &str, number: usize) -> String {
    let [a, b, c, d, e, ..] = hash(&["mac", instance_id, &number.to_string()]).to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

/// FNV-1a: nothing but the stability of its result matters.
fn hash(parts: &[&str]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let joined = parts.join("/");
    joined.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
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
    fn dns_names_are_ec2s() {
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(private_dns(ip, "us-east-1"), "ip-10-0-0-1.ec2.internal");
        assert_eq!(private_dns(ip, "eu-west-2"), "ip-10-0-0-1.eu-west-2.compute.internal");
        assert_eq!(public_dns(ip, "us-east-1"), "ec2-10-0-0-1.compute-1.amazonaws.com");
        assert_eq!(public_dns(ip, "eu-west-2"), "ec2-10-0-0-1.eu-west-2.compute.amazonaws.com");
        assert_eq!(public_dns(ip, "cn-north-1"), "ec2-10-0-0-1.cn-north-1.compute.amazonaws.com.cn");
    }

    #[test]
    fn made_ids_have_ec2s_form_and_differ() {
        assert_ne!(profile_id("1", "ab"), profile_id("1a", "b"));
        let (first, second) = (interface_id("i-1", 0), interface_id("i-1", 1));
        assert!(first != second && first.len() == 21 && first.starts_with("eni-"), "{first} {second}");
        let (first, second) = (made_up_mac("i-1", 0), made_up_mac("i-2", 0));
        assert!(first != second && crate::metadata::field::mac(&first).is_ok(), "{first} {second}");
    }
}
