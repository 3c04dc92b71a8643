//! What the service's own network namespace takes, tried in one that has no name and is gone afterwards.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use rustix::thread::UnshareFlags;

use super::{Feature, State, attaching};
use crate::dataplane::attach::Attach;
use crate::dataplane::{namespace, netlink};

/// The ends of the veth link that is made there.
const LINK: [&str; 2] = ["imds0", "imds0p"];

/// The names of what is tried, in this order.
const NAMES: [&str; 6] =
    ["network namespace", "veth link", "IPv6", "IPv6 in a namespace", attaching::NAMES[0], attaching::NAMES[1]];

/// Tries all of it; how programs are attached, as `attach` asks for, only where there is `bpf`.
pub(super) fn probe(bpf: bool, attach: Attach) -> Vec<Feature> {
    // A namespace is a thread's, and ends with it.
    let probed = thread::spawn(move || enter_and_probe(bpf, attach)).join();
    let mut features =
        probed.unwrap_or_else(|_| vec![Feature::tried(NAMES[0], Err(io::Error::other("the thread panicked")), "")]);
    features.extend(NAMES[features.len()..].iter().map(|name| Feature::new(name, State::NotTried)));
    features
}

/// As many as could be tried.
fn enter_and_probe(bpf: bool, attach: Attach) -> Vec<Feature> {
    // SAFETY: only the network namespace of this thread changes, which ends right after.
    let entered = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
    let entered = Feature::tried(NAMES[0], entered.map_err(Into::into), "a kernel with CONFIG_NET_NS is needed");
    if !entered.is_there() {
        return vec![entered];
    }
    let made = make_link();
    let ifindex = made.as_ref().ok().copied();
    let link = Feature::tried(NAMES[1], made.map(drop), "a kernel with CONFIG_VETH is needed");
    let linked = link.is_there();
    let ipv6 = match namespace::require_ipv6() {
        Ok(()) => State::There("yes"),
        Err(error) => State::Lacking(error.to_string()),
    };
    let ipv6 = Feature::new(NAMES[2], ipv6);
    let set_up = if linked && ipv6.is_there() { set_up() } else { State::NotTried };
    let mut features = vec![entered, link, ipv6, Feature::new(NAMES[3], set_up)];
    if bpf && let Some(ifindex) = ifindex {
        features.extend(attaching::probe(LINK[0], ifindex, attach));
    }
    features
}

/// Makes the link with both of its ends here; the index of the first one.
fn make_link() -> io::Result<u32> {
    let here = File::open("/proc/thread-self/ns/net")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(async {
        let netlink = netlink::connect()?;
        netlink::add_veth(&netlink, LINK[0], LINK[1], here.as_fd()).await?;
        let link = netlink::link(&netlink, LINK[0]).await?.ok_or(rtnetlink::Error::RequestFailed)?;
        netlink::up(&netlink, link.index).await.map(|()| link.index)
    });
    made.map_err(|error| match error {
        rtnetlink::Error::NetlinkError(error) => error.to_io(),
        error => io::Error::other(error),
    })
}

/// Does what is done in the service's namespace.
fn set_up() -> State {
    match namespace::try_out(LINK[1]) {
        Ok(()) => State::There("yes"),
        Err((step, error)) => State::Lacking(super::reason(
            &error,
            &format!("{step} failed; /proc/sys must be writable, and the kernel have CONFIG_IPV6"),
        )),
    }
}
