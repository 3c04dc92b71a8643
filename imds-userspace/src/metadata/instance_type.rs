//! What an instance type's name tells.

/// The processor of a type, as identity documents write it: AWS's own ones are in its first family of them, and in those
/// that have a `g` among the letters behind their generation's number (`c7g`, `im4gn`).
pub(super) fn architecture_of(instance_type: &str) -> &'static str {
    let family = instance_type.split(['.', '-']).next().unwrap_or_default();
    let attributes = family
        .trim_start_matches(|character: char| character.is_ascii_lowercase())
        .trim_start_matches(|character: char| character.is_ascii_digit());
    if family == "a1" || attributes.contains('g') { "arm64" } else { "x86_64" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_told_by_the_family() {
        let arm = [
            "a1.large",
            "c6g.large",
            "c6gd.large",
            "c7g.large",
            "c7gd.large",
            "c7gn.large",
            "c8g.large",
            "g5g.large",
            "hpc7g.large",
            "i4g.large",
            "i8ge.large",
            "im4gn.large",
            "is4gen.large",
            "m6gd.large",
            "m8g.metal-24xl",
            "r6g.large",
            "t4g.micro",
            "x2gd.large",
        ];
        let intel_or_amd = [
            "",
            "c5.large",
            "c7a.large",
            "c7i-flex.large",
            "g4ad.large",
            "g4dn.large",
            "g5.large",
            "g6.large",
            "g6e.large",
            "gr6.large",
            "hpc7a.large",
            "i7ie.large",
            "inf2.large",
            "m5zn.metal",
            "mac1.metal",
            "p4d.large",
            "t3.micro",
            "trn1n.large",
            "u-6tb1.56xlarge",
            "u7in-16tb.224xlarge",
            "vt1.large",
            "x2iedn.large",
        ];
        for (types, architecture) in [(&arm[..], "arm64"), (&intel_or_amd[..], "x86_64")] {
            for instance_type in types {
                assert_eq!(architecture_of(instance_type), architecture, "{instance_type}");
            }
        }
    }
}
