use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn network(text: &str) -> Network {
    text.parse().expect(text)
}

fn address(text: &str) -> Sender {
    Sender::of(text.parse().expect(text))
}

fn of_networks(networks: &[&str]) -> Senders {
    let networks: Vec<_> = networks.iter().map(|text| network(text)).collect();
    Senders::new(Some(&networks), None::<&[Mac]>)
}

#[test]
fn an_address_is_read_as_it_is_written() {
    for text in ["10.0.0.1", "10.0.0.0/24", "0.0.0.0/0", "::/0", "fe80::/10", "fd00::1", "128.0.0.0/1", "10.0.0.2/31"] {
        assert_eq!(network(text).to_string(), text);
    }
    assert_eq!(network("10.0.0.1/32"), network("10.0.0.1"));
    assert_eq!(network("fd00::1/128"), network("fd00::1"));
    assert_eq!(network("FD00:0::1"), network("fd00::1"));
}

#[test]
fn what_is_no_address_or_mac_is_told_apart() {
    use SenderError::{Address, GroupMac, HostBits, Length};
    for (text, error) in [
        ("", Address),
        ("10.0.0", Address),
        ("10.0.0.256", Address),
        ("010.0.0.1", Address),
        ("10.0.0.1/", Address),
        ("10.0.0.0/+8", Address),
        ("10.0.0.0/8/8", Address),
        (" 10.0.0.1", Address),
        ("fe80::1%eth0", Address),
        ("10.0.0.0/33", Length),
        ("10.0.0.0/999", Length),
        ("fd00::/129", Length),
        ("10.0.0.1/24", HostBits),
        ("10.0.0.1/0", HostBits),
        ("fd00::1/64", HostBits),
        ("fd00::1/127", HostBits),
    ] {
        assert_eq!(text.parse::<Network>(), Err(error), "{text:?}");
    }
    for text in
        ["", "02:00:00:00:00", "02:00:00:00:00:0", "02:00:00:00:00:001", "02-00-00-00-00-01", "0g:00:00:00:00:01"]
    {
        assert_eq!(text.parse::<Mac>(), Err(SenderError::Mac), "{text:?}");
    }
    assert_eq!("02:00:00:00:00:01:02".parse::<Mac>(), Err(SenderError::Mac));
    assert_eq!("01:00:5e:00:00:01".parse::<Mac>(), Err(GroupMac));
    assert_eq!("0A:00:00:00:00:fF".parse::<Mac>().expect("a MAC").to_string(), "0a:00:00:00:00:ff");
}

#[test]
fn a_list_lets_through_what_it_names_and_nothing_else() {
    let senders = of_networks(&["10.0.0.5", "10.1.0.0/24", "fd00::5", "fe80::/10"]);
    for text in ["10.0.0.5", "10.1.0.0", "10.1.0.255", "fd00::5", "fe80::1", "febf::1"] {
        assert!(senders.allows_address(&address(text)), "{text}");
    }
    for text in
        ["10.0.0.4", "10.0.0.6", "10.1.1.0", "0.0.0.0", "fd00::4", "fd00::105", "fec0::1", "::", "::ffff:10.0.0.5"]
    {
        assert!(!senders.allows_address(&address(text)), "{text}");
    }
    assert!(senders.allows_mac([2, 0, 0, 0, 0, 9]), "no MAC is listed");
}

#[test]
fn families_are_different_places() {
    let (v4, v6) = (of_networks(&["0.0.0.0/0"]), of_networks(&["::/0"]));
    assert!(v4.allows_address(&address("10.0.0.1")) && !v4.allows_address(&address("fd00::1")));
    assert!(v6.allows_address(&address("fd00::1")) && !v6.allows_address(&address("10.0.0.1")));
    // The same bytes in front.
    assert!(!of_networks(&["10.0.0.1"]).allows_address(&address("a00:1::")));
    assert!(!of_networks(&["a00:1::"]).allows_address(&address("10.0.0.1")));
}

#[test]
fn a_list_of_macs_lets_those_through_alone() {
    let macs = ["02:00:00:00:00:01", "00:00:00:00:00:00"].map(|mac| mac.parse().expect("a MAC"));
    let senders = Senders::new(None::<&[Network]>, Some(&macs));
    assert!(senders.allows_mac([2, 0, 0, 0, 0, 1]) && senders.allows_mac([0; 6]));
    assert!(!senders.allows_mac([2, 0, 0, 0, 0, 2]) && !senders.allows_mac([3, 0, 0, 0, 0, 1]));
    assert!(senders.allows_address(&address("192.0.2.1")), "no address is listed");
    assert!(!Senders::new(None::<&[Network]>, Some(&macs[..1])).allows_mac([0; 6]), "an empty entry is no MAC");
}

#[test]
fn an_empty_list_lets_nothing_through_and_no_list_everything() {
    let nobody = Senders::new(Some(&[]), Some(&[]));
    for text in ["0.0.0.0", "10.0.0.1", "::", "fd00::1"] {
        assert!(!nobody.allows_address(&address(text)) && Senders::ANY.allows_address(&address(text)), "{text}");
    }
    assert!(!nobody.allows_mac([0; 6]) && Senders::ANY.allows_mac([0; 6]));
}

#[test]
fn what_there_is_no_room_for_stays_outside() {
    let many: Vec<_> = (0..=20).map(|last| network(&format!("10.0.0.{last}"))).collect();
    let senders = Senders::new(Some(&many), None::<&[Mac]>);
    let allowed = (0..=20).filter(|last| senders.allows_address(&Sender::v4([10, 0, 0, *last]))).count();
    assert_eq!(allowed, ADDRESSES);
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    // Few different bits, so that addresses share prefixes.
    let v4 = (0_u32..8, 0_u32..4).prop_map(|(high, low)| IpAddr::V4(Ipv4Addr::from_bits(high << 29 | low)));
    let v6 = (0_u128..8, 0_u128..4, 0_u128..4)
        .prop_map(|(high, middle, low)| IpAddr::V6(Ipv6Addr::from_bits(high << 125 | middle << 63 | low)));
    prop_oneof![v4, v6]
}

fn networks() -> impl Strategy<Value = Network> {
    (addresses(), 0_u8..=128).prop_map(|(address, bits)| {
        let (width, all) = match address {
            IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => (128, address.to_bits()),
        };
        let bits = bits.min(width);
        let kept = all & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(kept >> 96).expect("32 bits"))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(kept)),
        };
        Network::new(address, bits).expect("no bits behind the prefix")
    })
}

/// The first bits of an address, written out.
fn prefix(address: IpAddr, bits: u8) -> String {
    let digits = match address {
        IpAddr::V4(address) => format!("{:032b}", address.to_bits()),
        IpAddr::V6(address) => format!("{:0128b}", address.to_bits()),
    };
    digits[..bits.into()].to_owned()
}

proptest! {
    #[test]
    fn the_table_and_the_definition_agree(
        listed in prop::collection::btree_set(networks(), 0..ADDRESSES),
        sender in addresses(),
    ) {
        let expected = listed.iter().any(|network| {
            network.address.is_ipv4() == sender.is_ipv4()
                && prefix(network.address, network.bits) == prefix(sender, network.bits)
        });
        let senders = Senders::new(Some(&listed), None::<&BTreeSet<Mac>>);
        prop_assert_eq!(senders.allows_address(&Sender::of(sender)), expected);
    }

    #[test]
    fn what_is_written_is_read_again(network in networks()) {
        prop_assert_eq!(network.to_string().parse(), Ok(network));
    }

    #[test]
    fn a_network_covers_what_has_no_address_outside(a in networks(), b in networks(), sender in addresses()) {
        let holds = |network: &Network| Words::of(network).holds(&Sender::of(sender));
        prop_assert!(!(a.covers(&b) && holds(&b) && !holds(&a)));
        prop_assert!(a.covers(&a));
        prop_assert!(a == b || !(a.covers(&b) && b.covers(&a)));
    }

    #[test]
    fn no_text_panics(text in ".{0,24}") {
        let _ = (text.parse::<Network>(), text.parse::<Mac>());
    }
}
