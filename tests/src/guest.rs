//! Guests: how a namespace hangs on the host.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use crate::family::Family;
use crate::namespace::Namespace;
use crate::{names, process};

/// The guest's own end of its link.
const GUEST_LINK: &str = "eth0";
/// Its link to a client behind it.
pub const BEHIND_LINK: &str = "eth1";

/// The router that a guest sends to: an address that stands nowhere, as the host's side needs none.
const GATEWAY: &str = "169.254.1.1";

/// What a guest's IPv6 address that the host sends to begins with; a pair's IPv4 address follows.
const OF_THE_LINK: &str = "fd00:2::";

/// An instance: a namespace at the end of a link of the host's. Removed with this value.
#[derive(Debug)]
pub struct Guest {
    // First, so that it goes first: the link's end in it goes with it.
    link: Link,
    namespace: Namespace,
    address: [u8; 4],
}

impl Guest {
    /// A guest at a veth of its own, with an address such as `10.0.0.1`.
    #[must_use]
    pub fn on_veth(address: &str) -> Self {
        Self::new(names::link(), address, None)
    }

    /// A guest at a veth of that name, for example of one that is gone.
    #[must_use]
    pub fn on_veth_named(name: &str, address: &str) -> Self {
        Self::new(name.to_owned(), address, None)
    }

    /// A guest at a veth that is a port of `bridge`.
    #[must_use]
    pub fn on_bridge(bridge: &Bridge, address: &str) -> Self {
        Self::new(names::link(), address, Some(bridge))
    }

    fn new(name: String, address: &str, bridge: Option<&Bridge>) -> Self {
        let namespace = Namespace::new();
        let link = Link { name };
        let (host, inside) = (link.name.as_str(), namespace.name());
        process::ip(["link", "add", host, "type", "veth", "peer", "name", GUEST_LINK, "netns", inside]);
        if let Some(bridge) = bridge {
            process::ip(["link", "set", host, "master", bridge.name()]);
        }
        process::ip(["link", "set", host, "up"]);
        let gateway = bridge.map_or_else(|| mac_of(host), |bridge| mac_of(bridge.name()));
        add_address(&namespace, address, GUEST_LINK);
        namespace.ip(["link", "set", GUEST_LINK, "up"]);
        namespace.ip(["neighbour", "add", GATEWAY, "lladdr", &gateway, "dev", GUEST_LINK, "nud", "permanent"]);
        namespace.ip(["route", "add", "default", "via", GATEWAY, "dev", GUEST_LINK, "onlink"]);
        let address: Ipv4Addr = address.parse().expect("an IPv4 address");
        Self { link, namespace, address: address.octets() }
    }

    /// The same, whose clients reach the service over that family.
    #[must_use]
    pub fn over(mut self, family: Family) -> Self {
        self.namespace.family = family;
        if family == Family::Ipv6 {
            self.add_ipv6(&family.address(self.address).to_string());
        }
        self
    }

    /// Moves its interface on the host into a namespace that is another host's network.
    pub fn move_to(&self, network: &Namespace) {
        process::ip(["link", "set", self.interface(), "netns", network.name()]);
        network.ip(["link", "set", self.interface(), "up"]);
    }

    /// The name of its interface on the host.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.link.name
    }

    /// Leaves the guest no way but to the service: what looks up a name fails at once, instead of waiting for an answer.
    pub fn reach_nothing_else(&self) {
        // That of IPv6 is on its own link already.
        if self.family == Family::Ipv4 {
            self.ip(["route", "add", "169.254.169.254/32", "via", GATEWAY, "dev", GUEST_LINK, "onlink"]);
        }
        self.ip(["route", "replace", "unreachable", "default"]);
    }

    /// A further client behind this guest, which forwards for it to the service: one hop more.
    #[must_use]
    pub fn client_behind(&self) -> Namespace {
        let mut client = Namespace::new();
        client.family = self.family;
        self.ip(["link", "add", BEHIND_LINK, "type", "veth", "peer", "name", GUEST_LINK, "netns", client.name()]);
        let (forwarding, [inner, outer], service) = match self.family {
            Family::Ipv4 => ("/proc/sys/net/ipv4/ip_forward", ["10.99.0.1", "10.99.0.2"], "169.254.169.254"),
            Family::Ipv6 => ("/proc/sys/net/ipv6/conf/all/forwarding", ["fd00:99::1", "fd00:99::2"], "fd00:ec2::254"),
        };
        self.inside(|| fs::write(forwarding, "1")).unwrap_or_else(|error| panic!("the guest doesn't forward: {error}"));
        for (namespace, link, address) in [(&self.namespace, BEHIND_LINK, inner), (&client, GUEST_LINK, outer)] {
            namespace.ip(["link", "set", link, "up"]);
            add_address(namespace, address, link);
        }
        client.ip(["route", "add", service, "via", inner]);
        client
    }

    /// Gives the guest an IPv6 address besides, and the service on its own link: it asks for its MAC.
    pub fn add_ipv6(&self, address: &str) {
        add_address(self, address, GUEST_LINK);
        self.ip(["route", "replace", "fd00:ec2::254/128", "dev", GUEST_LINK]);
    }

    /// Gives the host's end an address, and the guest one beside it. Returns the host's.
    #[must_use]
    pub fn address_on_host(&self) -> String {
        self.addresses_of_link().0
    }

    /// Gives the host's end an address, and the guest one beside it. Returns both, the host's first.
    #[must_use]
    pub fn addresses_of_link(&self) -> (String, String) {
        let (host, guest) = names::pair_of_addresses();
        let text = |[a, b, c, d]: [u8; 4]| format!("{a}.{b}.{c}.{d}");
        process::ip(["address", "add", &format!("{}/30", text(host)), "dev", self.interface()]);
        self.ip(["address", "add", &format!("{}/30", text(guest)), "dev", GUEST_LINK]);
        (text(host), text(guest))
    }

    /// Gives the guest an address of its family that the host can send to, and the service's address the host's MAC;
    /// the guest's.
    #[must_use]
    pub fn address_for_the_host(&self) -> String {
        let (_, inside) = self.addresses_of_link();
        if self.family == Family::Ipv4 {
            return inside;
        }
        let address = format!("{OF_THE_LINK}{inside}").parse::<Ipv6Addr>().expect("an address").to_string();
        add_address(self, &address, GUEST_LINK);
        process::ip(["route", "add", &format!("{address}/128"), "dev", self.interface()]);
        let mac = mac_of(self.interface());
        self.ip(["neighbour", "replace", "fd00:ec2::254", "lladdr", &mac, "dev", GUEST_LINK, "nud", "permanent"]);
        address
    }
}

impl Deref for Guest {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

/// A bridge of the host's. Removed with this value.
#[derive(Debug)]
pub struct Bridge {
    link: Link,
}

impl Bridge {
    /// Makes a bridge.
    #[must_use]
    pub fn new() -> Self {
        let link = Link::add(&["type", "bridge"]);
        Self { link }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.link.name
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self::new()
    }
}

/// A link of the host's. Removed with this value.
#[derive(Debug)]
pub struct Link {
    name: String,
}

impl Link {
    /// Makes a link of what `ip link add NAME` takes after the name, and sets it up.
    #[must_use]
    pub fn add(kind: &[&str]) -> Self {
        Self::try_add(kind).unwrap_or_else(|error| panic!("a link {kind:?} can't be made: {error}"))
    }

    /// The same, where the kernel may not know that kind.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn try_add(kind: &[&str]) -> Result<Self, String> {
        let name = names::link();
        let mut command = std::process::Command::new("ip");
        let output = process::run(command.args(["link", "add", "name", &name]).args(kind));
        if !output.success() {
            return Err(output.stderr);
        }
        process::ip(["link", "set", &name, "up"]);
        Ok(Self { name })
    }

    /// A link that is there already, to be removed with this value.
    #[must_use]
    pub fn adopt(name: String) -> Self {
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        process::ip_remove(&["link", "delete", &self.name]);
    }
}

/// Adds an address that can be used at once.
fn add_address(namespace: &Namespace, address: &str, link: &str) {
    if address.contains(':') {
        namespace.ip(["address", "add", &format!("{address}/64"), "dev", link, "nodad"]);
    } else {
        namespace.ip(["address", "add", &format!("{address}/24"), "dev", link]);
    }
}

/// The MAC of a link of the host's, as text.
#[must_use]
pub fn mac_of(link: &str) -> String {
    attribute(link, "address")
}

/// The index of a link of the host's.
#[must_use]
pub fn ifindex_of(link: &str) -> u32 {
    attribute(link, "ifindex").parse().expect("a number")
}

fn attribute(link: &str, name: &str) -> String {
    let path = format!("/sys/class/net/{link}/{name}");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path} can't be read: {error}"));
    text.trim().to_owned()
}
