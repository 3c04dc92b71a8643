//! Which of Debian's kernels are booted.

use clap::ValueEnum;

/// What to ask apt for: the signed cloud kernels of every series, without their debug and unsigned companions.
pub(crate) const PACKAGES: &str = r"^linux-image-6\.(1\.0-[0-9]+|12\.[0-9]+[+]deb12)-cloud-amd64$";

/// A long-term series that Debian 12 has cloud kernels of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Series {
    /// Debian 12's own kernel
    #[value(name = "6.1")]
    V6_1,
    /// The newer kernel that Debian 12 is given security updates of
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// As kernels call themselves.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// What stands before and after the one number that tells a series' packages apart.
    fn around_number(self) -> (&'static str, &'static str) {
        match self {
            Self::V6_1 => ("linux-image-6.1.0-", "-cloud-amd64"),
            Self::V6_12 => ("linux-image-6.12.", "+deb12-cloud-amd64"),
        }
    }

    fn number(self, package: &str) -> Option<u32> {
        let (before, after) = self.around_number();
        package.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
    }
}

/// The series' newest package among those named.
pub(crate) fn newest(series: Series, packages: &[String]) -> Option<&str> {
    packages
        .iter()
        .filter_map(|package| Some((series.number(package)?, package.as_str())))
        .max()
        .map(|(_, package)| package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn newest_is_by_number_not_by_spelling() {
        let packages = names(&[
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12.99+deb12-cloud-amd64",
        ]);
        assert_eq!(newest(Series::V6_1, &packages), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(Series::V6_12, &packages), Some("linux-image-6.12.117+deb12-cloud-amd64"));
    }

    #[test]
    fn companions_metapackages_and_backports_are_no_kernels() {
        let packages = names(&[
            "linux-image-6.1.0-56-cloud-amd64-unsigned",
            "linux-image-6.1.0-56-cloud-amd64-dbg",
            "linux-image-6.1.0-0.deb11.17-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.9+bpo-cloud-amd64",
        ]);
        assert_eq!(newest(Series::V6_1, &packages), None);
        assert_eq!(newest(Series::V6_12, &packages), None);
    }
}
