//! Names and ids as EC2 makes them of regions, addresses and ids.

use std::net::Ipv4Addr;

/// Partitions but the first by the beginning of their regions' names, with the domains of their services.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
];

/// A zone's region and what stands behind it, for a name that begins as AWS's regions do: words, then a number.
pub(super) fn split_zone(zone: &str) -> Option<(&str, &str)> {
    let start = zone.find(|character: char| character.is_ascii_digit())?;
    let words = zone[..start].strip_suffix('-')?;
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    if !words.contains('-') || !words.split('-').all(is_word) {
        return None;
    }
    let digits = zone[start..].find(|character: char| !character.is_ascii_digit());
    zone.split_at_checked(digits.map_or(zone.len(), |digits| start + digits))
}

/// The region of a zone, also of a Local Zone or a Wavelength Zone: its name up to the first number. Of another name
/// than AWS's it is the name without the letters at its end; a name without a number there is its own region.
#[must_use]
pub fn region_of(zone: &str) -> &str {
    if let Some((region, _)) = split_zone(zone) {
        return region;
    }
    let region = zone.trim_end_matches(|character: char| character.is_ascii_lowercase());
    if region.ends_with(|character: char| character.is_ascii_digit()) { region } else { zone }
}

/// The partition that a region is in.
pub(super) fn partition_of(region: &str) -> &'static str {
    let found = PARTITIONS.iter().find(|(beginning, ..)| region.starts_with(beginning));
    found.map_or("aws", |(_, partition, _)| partition)
}

/// The domain of a partition's services.
pub(super) fn domain_of(partition: &str) -> &'static str {
    PARTITIONS.iter().find(|(_, name, _)| *name == partition).map_or("amazonaws.com", |(.., domain)| domain)
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
    fn a_region_is_its_zone_up_to_the_first_number() {
        for (zone, region) in [
            ("us-east-1a", "us-east-1"),
            ("eu-central-1b", "eu-central-1"),
            ("us-gov-west-1c", "us-gov-west-1"),
            ("ap-south-12ab", "ap-south-12"),
            ("us-east-1", "us-east-1"),
            ("us-west-2-lax-1a", "us-west-2"),
            ("us-east-1-wl1-bos-wlz-1", "us-east-1"),
            ("us-iso-east-1a", "us-iso-east-1"),
            ("lab-1a", "lab-1"),
            ("lab-2-b-1a", "lab-2-b-1"),
            ("lab1a", "lab1"),
            ("-a-1a", "-a-1"),
            ("a--b-1a", "a--b-1"),
            ("lab", "lab"),
            ("lab-b", "lab-b"),
            ("", ""),
        ] {
            assert_eq!(region_of(zone), region, "{zone}");
        }
    }

    #[test]
    fn a_region_tells_its_partition_and_domain() {
        for (region, partition, domain) in [
            ("eu-west-1", "aws", "amazonaws.com"),
            ("lab", "aws", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ] {
            assert_eq!((partition_of(region), domain_of(partition_of(region))), (partition, domain), "{region}");
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
