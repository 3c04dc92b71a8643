//! Values that stand in two places, as EC2's tree has them: given in both, they are the same.

use std::fmt::Display;

use super::{Document, DocumentError};

/// Refuses a document of which clients would read one thing in one place and another in the other: one that reads `mac`
/// finds its interface by it.
pub(super) fn check(document: &Document) -> Result<(), DocumentError> {
    for (number, interface) in document.network.interfaces.iter().flatten().enumerate() {
        let path = |key: &str| format!("network/interfaces/{number}/{key}");
        let (block, blocks) = (&interface.vpc_ipv4_cidr_block, &interface.vpc_ipv4_cidr_blocks);
        same(&path("vpc-ipv4-cidr-block"), block.as_ref(), &path("vpc-ipv4-cidr-blocks/0"), first(blocks))?;
    }
    let Some(primary) = document.network.interfaces.iter().flatten().next() else { return Ok(()) };
    let path = |key: &str| format!("network/interfaces/0/{key}");
    same("mac", document.mac.as_ref(), &path("mac"), primary.mac.as_ref().map(Some))?;
    same("ipv6", document.ipv6.as_ref(), &path("ipv6s/0"), first(&primary.ipv6s))?;
    same("local-ipv4", document.local_ipv4.as_ref(), &path("local-ipv4s/0"), first(&primary.local_ipv4s))?;
    same("public-ipv4", document.public_ipv4.as_ref(), &path("public-ipv4s/0"), first(&primary.public_ipv4s))?;
    let (ours, its) = (document.local_hostname.as_ref(), primary.local_hostname.as_ref().map(Some));
    same("local-hostname", ours, &path("local-hostname"), its)?;
    // An empty one is none in its place alone.
    let (ours, its) = (document.public_hostname.as_ref(), primary.public_hostname.as_ref());
    let (ours, its) = (ours.filter(|name| !name.is_empty()), its.filter(|name| !name.is_empty()).map(Some));
    same("public-hostname", ours, &path("public-hostname"), its)
}

/// The first of a list that is given, which may be empty.
fn first<T>(list: &Option<Vec<T>>) -> Option<Option<&T>> {
    list.as_ref().map(|list| list.first())
}

/// Two values that are one: `other` may say that there is none.
fn same<T: PartialEq + Display>(
    path: &str,
    value: Option<&T>,
    other_path: &str,
    other: Option<Option<&T>>,
) -> Result<(), DocumentError> {
    let (Some(value), Some(other)) = (value, other) else { return Ok(()) };
    if other == Some(value) {
        return Ok(());
    }
    let other = other.map_or_else(|| "nothing".to_owned(), T::to_string);
    let reason =
        format!("{path} says {value}, and {other_path} {other}, which is the same in the tree; give one of them");
    Err(DocumentError::at(other_path, reason))
}
