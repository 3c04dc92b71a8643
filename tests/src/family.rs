//! By which of its two addresses a client reaches the service, and tests that run over both.

use std::net::IpAddr;

use etherparse::{Ethernet2Header, IpHeaders, PacketBuilderStep};

use crate::{client, namespace, packet};

/// The first bytes of IPv6 addresses of clients: `fd00:1::/64`, a ULA.
const NETWORK: [u8; 8] = [0xfd, 0, 0, 1, 0, 0, 0, 0];

/// A family of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4: 169.254.169.254.
    #[default]
    Ipv4,
    /// IPv6: `fd00:ec2::254`, where `HttpProtocolIpv6` is enabled.
    Ipv6,
}

impl Family {
    /// The service's address and port.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::Ipv4 => namespace::SERVICE,
            Self::Ipv6 => namespace::SERVICE_V6,
        }
    }

    /// The service, as a URL without a path.
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::Ipv4 => client::URL,
            Self::Ipv6 => "http://[fd00:ec2::254]",
        }
    }

    /// A client's address in this family: of IPv6, the one that ends with that of IPv4.
    #[must_use]
    pub fn address(self, client: [u8; 4]) -> IpAddr {
        match self {
            Self::Ipv4 => client.into(),
            Self::Ipv6 => ipv6(client).into(),
        }
    }

    /// Goes on with a frame from a client to the service.
    #[must_use]
    pub fn packet(
        self,
        frame: PacketBuilderStep<Ethernet2Header>,
        client: [u8; 4],
        ttl: u8,
    ) -> PacketBuilderStep<IpHeaders> {
        match self {
            Self::Ipv4 => frame.ipv4(client, packet::SERVICE, ttl),
            Self::Ipv6 => frame.ipv6(ipv6(client), packet::SERVICE_V6, ttl),
        }
    }

    /// The arguments of a new instance, with what lets this family through.
    #[must_use]
    pub fn enabled(self, arguments: &[&str]) -> Vec<String> {
        const NAME: &str = "--metadata-options";
        const IPV6: &str = "HttpProtocolIpv6=enabled";
        let mut arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        if self == Self::Ipv6 {
            match arguments.iter().position(|argument| argument == NAME) {
                Some(at) => arguments[at + 1] += &format!(",{IPV6}"),
                None => arguments.extend([NAME, IPV6].map(str::to_owned)),
            }
        }
        arguments
    }
}

fn ipv6(client: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..8].copy_from_slice(&NETWORK);
    address[12..].copy_from_slice(&client);
    address
}

/// Makes of each of these functions, which take a [`Family`], two tests: `name::ipv4` and `name::ipv6`.
#[macro_export]
macro_rules! over_both_families {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[test]
                fn ipv4() {
                    super::$name($crate::family::Family::Ipv4);
                }

                #[test]
                fn ipv6() {
                    super::$name($crate::family::Family::Ipv6);
                }
            }
        )+
    };
}
