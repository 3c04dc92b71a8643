//! The versions of the tree, and since which one it has what.

use super::target::spells;

/// The directories below `/` (behaviour.md section 5), oldest first.
pub(super) const VERSIONS: [&str; 30] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-07-09",
    "2022-09-24",
    "2024-04-11",
    "latest",
];

/// What is in every version: either released with the first one, or nobody knows since when.
const FIRST: &str = "1.0";
/// Seen on instances, but in no document that says since when: in every version.
const UNKNOWN: &str = FIRST;

/// The builds that released the categories, by the column "Version when category was released" of EC2's table. Some of
/// them are no directories: what they released is in the next one that is. `*` is any one name.
const RELEASES: [(&str, &str); 74] = [
    ("user-data", FIRST),
    ("dynamic/fws/instance-monitoring", "2009-04-04"),
    ("dynamic/instance-identity/*", "2009-04-04"),
    ("meta-data/ami-id", FIRST),
    ("meta-data/ami-launch-index", FIRST),
    ("meta-data/ami-manifest-path", FIRST),
    ("meta-data/ancestor-ami-ids", "2007-10-10"),
    ("meta-data/autoscaling/target-lifecycle-state", "2021-07-15"),
    ("meta-data/block-device-mapping/*", "2007-12-15"),
    ("meta-data/elastic-gpus/associations/*", "2016-11-30"),
    ("meta-data/elastic-inference/associations/*", "2018-11-29"),
    ("meta-data/events/maintenance/history", "2018-08-17"),
    ("meta-data/events/maintenance/scheduled", "2018-08-17"),
    ("meta-data/events/recommendations/rebalance", "2020-10-27"),
    ("meta-data/hibernation/configured", UNKNOWN),
    ("meta-data/hostname", FIRST),
    ("meta-data/iam/info", "2012-01-12"),
    ("meta-data/iam/security-credentials/*", "2012-01-12"),
    ("meta-data/identity-credentials/ec2/info", "2018-05-23"),
    ("meta-data/identity-credentials/ec2/security-credentials/ec2-instance", "2018-05-23"),
    ("meta-data/instance-action", "2008-09-01"),
    ("meta-data/instance-id", FIRST),
    ("meta-data/instance-life-cycle", "2019-10-01"),
    ("meta-data/instance-type", "2007-08-29"),
    ("meta-data/ipv6", "2021-01-03"),
    ("meta-data/kernel-id", "2008-02-01"),
    ("meta-data/local-hostname", "2007-01-19"),
    ("meta-data/local-ipv4", FIRST),
    ("meta-data/mac", "2011-01-01"),
    ("meta-data/managed-ssh-keys/active-keys/*", UNKNOWN),
    ("meta-data/managed-ssh-keys/signer-cert", UNKNOWN),
    ("meta-data/managed-ssh-keys/signer-ocsp/*", UNKNOWN),
    ("meta-data/metrics/vhostmd", "2011-05-01"),
    ("meta-data/network/interfaces/macs/*/device-number", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/interface-id", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/ipv4-associations/*", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/ipv6s", "2016-06-30"),
    ("meta-data/network/interfaces/macs/*/local-hostname", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/local-ipv4s", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/mac", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/network-card", "2020-11-01"),
    ("meta-data/network/interfaces/macs/*/network-card-index", "2020-11-01"),
    ("meta-data/network/interfaces/macs/*/owner-id", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/public-hostname", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/public-ipv4s", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/security-group-ids", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/security-groups", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/subnet-id", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/subnet-ipv4-cidr-block", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/subnet-ipv6-cidr-blocks", "2016-06-30"),
    ("meta-data/network/interfaces/macs/*/vpc-id", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/vpc-ipv4-cidr-block", "2011-01-01"),
    ("meta-data/network/interfaces/macs/*/vpc-ipv4-cidr-blocks", "2016-06-30"),
    ("meta-data/network/interfaces/macs/*/vpc-ipv6-cidr-blocks", "2016-06-30"),
    ("meta-data/placement/availability-zone", "2008-02-01"),
    ("meta-data/placement/availability-zone-id", "2019-10-01"),
    ("meta-data/placement/group-name", "2020-08-24"),
    ("meta-data/placement/host-id", "2020-08-24"),
    ("meta-data/placement/partition-number", "2020-08-24"),
    ("meta-data/placement/region", "2020-08-24"),
    ("meta-data/product-codes", "2007-03-01"),
    ("meta-data/profile", UNKNOWN),
    ("meta-data/public-hostname", "2007-01-19"),
    ("meta-data/public-ipv4", "2007-01-19"),
    ("meta-data/public-keys/*/openssh-key", FIRST),
    ("meta-data/ramdisk-id", "2007-10-10"),
    ("meta-data/reservation-id", FIRST),
    ("meta-data/security-groups", FIRST),
    ("meta-data/services/domain", "2014-02-25"),
    ("meta-data/services/partition", "2015-10-20"),
    ("meta-data/spot/instance-action", "2016-11-15"),
    ("meta-data/spot/termination-time", "2014-11-05"),
    ("meta-data/system", UNKNOWN),
    ("meta-data/tags/instance/*", "2021-03-23"),
];

/// A version, by its place among [`VERSIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u8);

impl Version {
    /// The one that this piece of a path spells.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let place = VERSIONS.iter().position(|version| spells(name, version.as_bytes()))?;
        u8::try_from(place).ok().map(Self)
    }

    /// The first that has what stands at a path below it; none if nothing is defined to stand there.
    pub(super) fn first_with(path: &[&str]) -> Option<Self> {
        let (_, build) = RELEASES.iter().find(|(category, _)| is_of(path, category))?;
        // Names sort as their dates do, and `latest` comes last.
        let place = VERSIONS.iter().position(|version| version >= build)?;
        u8::try_from(place).ok().map(Self)
    }
}

fn is_of(path: &[&str], category: &str) -> bool {
    let mut names = category.split('/');
    path.iter().all(|given| names.next().is_some_and(|name| name == "*" || name == *given)) && names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order_and_each_release_is_in_the_next_one() {
        assert!(VERSIONS.is_sorted());
        for (path, version) in [
            ("meta-data/ami-id", "1.0"),
            ("meta-data/mac", "2011-01-01"),
            ("meta-data/placement/region", "2020-10-27"),
            ("meta-data/spot/instance-action", "2018-03-28"),
            ("meta-data/network/interfaces/macs/02:00:00:00:00:01/network-card", "2021-01-03"),
            ("meta-data/tags/instance/Name", "2021-03-23"),
            ("dynamic/instance-identity/rsa2048", "2009-04-04"),
        ] {
            let names: Vec<_> = path.split('/').collect();
            assert_eq!(Version::first_with(&names), Version::named(version.as_bytes()), "{path}");
        }
        for path in ["meta-data", "meta-data/none", "meta-data/mac/x", "meta-data/tags/instance", ""] {
            assert_eq!(Version::first_with(&path.split('/').collect::<Vec<_>>()), None, "{path}");
        }
        assert_eq!(Version::named(b"2016-11-15"), None);
    }

    #[test]
    fn no_path_is_of_two_categories() {
        for (number, (category, _)) in RELEASES.iter().enumerate() {
            let path: Vec<_> = category.split('/').collect();
            assert_eq!(RELEASES.iter().position(|(other, _)| is_of(&path, other)), Some(number), "{category}");
        }
    }
}
