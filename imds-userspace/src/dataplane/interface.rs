//! Host-side interfaces: which ones can carry an instance.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::names::Names;
use super::netlink::{self, Link};

/// The index that a name means now: `None` only where there surely is no such interface.
///
/// # Errors
///
/// The kernel's, for example a lack of file descriptors, which says nothing about the interface.
pub fn index_of(name: &str) -> io::Result<Option<u32>> {
    known(name_to_index(questions()?, name))
}

/// The name of an index: `None` only where there surely is no such interface.
pub(super) fn name_of(index: u32) -> io::Result<Option<String>> {
    known(index_to_name(questions()?, index))
}

/// The socket that takes questions about names, open as long as the process lives so that none ever lacks it. They are
/// about the namespace of the thread that first asks: in the one that is tried out, nobody does.
fn questions() -> io::Result<&'static OwnedFd> {
    static SOCKET: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(socket) = SOCKET.get() {
        return Ok(socket);
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(SOCKET.get_or_init(|| socket))
}

fn known<T>(answer: Result<T, Errno>) -> io::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        // No such name; no such index; a name that no interface can have.
        Err(Errno::NODEV | Errno::NXIO | Errno::INVAL | Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Kinds of interfaces, as far as they differ in what XDP costs on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A container's.
    Veth,
    /// A container's, on a bridge.
    BridgedVeth,
    /// A virtual machine's.
    Tap,
    /// Anything else.
    Other,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Veth, Self::BridgedVeth, Self::Tap, Self::Other];

    pub(super) fn of(link: &Link) -> Self {
        match (link.kind.as_deref(), link.port) {
            (Some("veth"), false) => Self::Veth,
            (Some("veth"), true) => Self::BridgedVeth,
            (Some("tun"), _) => Self::Tap,
            _ => Self::Other,
        }
    }
}

/// A host-side interface that can carry an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// What kind it is.
    pub kind: Kind,
    /// The guest's MAC where the kernel tells it, as of a veth's other end; else its own, of the host's side.
    pub mac: [u8; 6],
}

/// Why an interface can't carry an instance.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// It isn't there.
    #[error("interface \"{name}\" does not exist; imdsctl instance create needs a host-side interface (see `ip link`)")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is there, but what it receives isn't what a guest sends.
    #[error("interface \"{name}\" is {what}; give the host-side veth or tap of the instance")]
    Unsuitable {
        /// Its name.
        name: String,
        /// What it is, for example `the loopback interface`.
        what: &'static str,
    },
    /// The kernel didn't say.
    #[error("interface \"{name}\": rtnetlink failed: {source}")]
    Netlink {
        /// Its name.
        name: String,
        /// The kernel's error.
        source: rtnetlink::Error,
    },
}

impl Interface {
    /// Looks an interface up and checks that its ingress carries a guest's packets.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] says what is wrong with it.
    pub async fn find(name: &str) -> Result<Self, InterfaceError> {
        let failed = |source| InterfaceError::Netlink { name: name.to_owned(), source };
        let handle = netlink::connect().map_err(failed)?;
        let link = netlink::link(&handle, name).await.map_err(failed)?;
        let link = link.ok_or_else(|| InterfaceError::Missing { name: name.to_owned() })?;
        match unsuitable(&link) {
            Some(what) => Err(InterfaceError::Unsuitable { name: name.to_owned(), what }),
            None => {
                let mac = netlink::peer_mac(&handle, &link).await.unwrap_or(link.mac);
                Ok(Self { kind: Kind::of(&link), name: link.name, index: link.index, mac })
            }
        }
    }
}

/// What a link is, if no guest's packets come in by it.
fn unsuitable(link: &Link) -> Option<&'static str> {
    if link.loopback {
        return Some("the loopback interface");
    }
    if !link.ethernet {
        return Some("not an Ethernet interface");
    }
    // By its name: of a daemon that is still starting, no program is on it yet.
    if Names::is_host_link(&link.name) {
        return Some("an imdsd's own link");
    }
    if matches!(link.peer, Some((_, None))) {
        return Some("a veth whose other end is on this host too (move the container's end into its namespace first)");
    }
    let Some(kind) = link.kind.as_deref() else {
        return Some("a network card of this host");
    };
    match kind {
        "vlan" | "vxlan" | "bond" | "team" | "vrf" | "geneve" => Some("a link of this host to others"),
        "bridge" => Some("a bridge, whose ports tell the instances apart"),
        "macvtap" | "macvlan" | "ipvlan" | "ipvtap" => {
            Some("a macvtap, macvlan or ipvlan: its guest's packets never enter the host through it")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(kind: &str) -> Link {
        Link { index: 7, name: "x".to_owned(), ethernet: true, kind: Some(kind.to_owned()), ..Link::default() }
    }

    #[test]
    fn names_and_indices_are_known_or_surely_absent() {
        let index = index_of("lo").expect("the kernel answers").expect("every namespace has it");
        assert_eq!(name_of(index).expect("the kernel answers").as_deref(), Some("lo"));
        assert_eq!(index_of("no-such-link").expect("the kernel answers"), None);
        assert_eq!(index_of("a-name-longer-than-any-link-has").expect("the kernel answers"), None);
        assert_eq!(name_of(u32::MAX >> 1).expect("the kernel answers"), None);
    }

    #[test]
    fn only_what_carries_a_guest_will_do() {
        assert_eq!(unsuitable(&ethernet("veth")), None);
        assert_eq!(unsuitable(&Link { peer: Some((3, Some(0))), ..ethernet("veth") }), None);
        assert_eq!(unsuitable(&ethernet("tun")), None);
        assert!(unsuitable(&Link { kind: None, ..ethernet("") }).is_some(), "a card has no kind");
        for kind in
            ["vlan", "vxlan", "bond", "team", "vrf", "geneve", "bridge", "macvtap", "macvlan", "ipvlan", "ipvtap"]
        {
            assert!(unsuitable(&ethernet(kind)).is_some(), "{kind}");
        }
        assert!(unsuitable(&Link { peer: Some((3, None)), ..ethernet("veth") }).is_some());
        assert!(unsuitable(&Link { ethernet: false, ..ethernet("tun") }).is_some());
        assert!(unsuitable(&Link { loopback: true, ..Link::default() }).is_some());
        assert!(unsuitable(&Link { name: "imds0".to_owned(), ..ethernet("veth") }).is_some());
    }
}
