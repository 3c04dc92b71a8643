//! What became of an instance's packets and requests lately, for people: no byte of a token, of an answer or of
//! anything else that may be secret gets this far.
//!
//! | module | what it holds |
//! |---|---|
//! | `decode` | an event of the kernel's, read |
//! | [`head`] | what may be shown of a request's head |
//! | [`recent`] | the last ones of one slot |
//! | [`advice`] | what to change |

pub mod advice;
mod decode;
pub mod head;
pub mod recent;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use imds_common::address::Identity;
use imds_common::counters::Counter;
use imds_common::place::{self, Place};

use self::head::Head;

/// Who gave the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The kernel programs.
    Kernel,
    /// The daemon.
    Daemon,
}

impl By {
    /// Its name in outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Daemon => "daemon",
        }
    }
}

/// A client, as a packet or a connection tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Its address.
    Address(IpAddr),
    /// The address that the kernel programs gave it: its place, and a part of its address.
    Identity(Identity),
}

impl Client {
    /// Its address, which of one with an identity stands in its place behind the slot, as long as it has that; all that
    /// is known otherwise.
    #[must_use]
    pub fn name(self, places: &[Place]) -> String {
        let identity = match self {
            Self::Address(address) => return address.to_string(),
            Self::Identity(identity) => identity,
        };
        let found = places.get(usize::from(identity.place)).and_then(|place| place.client(identity.client));
        let [a, b, c, d] = identity.client;
        let v4 = Ipv4Addr::from(identity.client);
        match found {
            Some(client) if client.family == place::V6 => IpAddr::from(client.address).to_string(),
            Some(_) => v4.to_string(),
            None => format!("{v4} or ...:{a:02x}{b:02x}:{c:02x}{d:02x}"),
        }
    }
}

/// A MAC, as people write it; a group's, too, which no host may have but a forger may send from.
#[must_use]
pub fn written([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// One packet or request, and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Who gave the verdict.
    pub by: By,
    /// The client, as far as it is known: whom a packet says that it is from, or for.
    pub client: Option<Client>,
    /// The client's MAC, or that of the router in front of it: where a packet says that it comes from, or goes to.
    pub mac: Option<[u8; 6]>,
    /// The client's port.
    pub port: Option<u16>,
    /// What kind of packet it was, such as `TCP SYN to port 443`; nothing where the daemon saw a request only.
    pub packet: Option<String>,
    /// What it asked for, as far as that stood in it.
    pub head: Head,
    /// What counted it: the verdict.
    pub counter: Counter,
    /// How many refusals and drops of its slot the kernel hadn't told of until then.
    pub untold: u64,
}

/// The time of day in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Seen {
    /// A request that the daemon refused.
    #[must_use]
    pub fn request(client: Client, port: u16, head: &[u8], counter: Counter) -> Self {
        Self {
            unix_ms: unix_ms(),
            by: By::Daemon,
            client: Some(client),
            mac: None,
            port: Some(port),
            packet: None,
            head: Head::read(head),
            counter,
            untold: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_by_its_place_and_by_what_is_known_without() {
        let client = |family, address: &str| {
            let address = match address.parse().expect("an address") {
                IpAddr::V4(address) => {
                    let [a, b, c, d] = address.octets();
                    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
                }
                IpAddr::V6(address) => address.octets(),
            };
            let client = place::Client { address, mac: [0; 6], gateway: [0; 6], family, vlan: 0 };
            Place { state: place::READY, touched: 0, client }
        };
        let places = [client(place::V4, "10.0.0.1"), client(place::V6, "fd00:1::a00:1"), client(place::V6, "fe80::7")];
        let name =
            |place| Client::Identity(Identity { slot: 1, generation: 1, place, client: [10, 0, 0, 1] }).name(&places);
        assert_eq!(name(0), "10.0.0.1");
        assert_eq!(name(1), "fd00:1::a00:1");
        assert_eq!(name(2), "10.0.0.1 or ...:0a00:0001", "the place has another client");
        assert_eq!(name(3), "10.0.0.1 or ...:0a00:0001", "there is no such place");
        assert_eq!(Client::Address([10, 0, 0, 9].into()).name(&[]), "10.0.0.9");
    }
}
