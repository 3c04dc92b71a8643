//! The few things asked of rtnetlink.

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
};
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};
use rustix::io::Errno;

/// What is asked of a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mac: [u8; 6],
    pub(super) ethernet: bool,
    pub(super) loopback: bool,
    pub(super) kind: Option<String>,
    /// The other end of a veth: its index, and the id of its namespace, or none in the same one.
    pub(super) peer: Option<(u32, Option<i32>)>,
    /// Whether it is a port, as of a bridge.
    pub(super) port: bool,
    /// The id of the XDP program on it.
    pub(super) xdp: Option<u32>,
}

/// Opens a connection in the calling thread's namespace.
pub(super) fn connect() -> Result<Handle, rtnetlink::Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|error| rtnetlink::Error::NamespaceError(error.to_string()))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// The link with this name, if there is one.
pub(super) async fn link(handle: &Handle, name: &str) -> Result<Option<Link>, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    match links.try_next().await {
        Ok(message) => Ok(message.as_ref().map(read)),
        Err(rtnetlink::Error::NetlinkError(error)) if is_one_of(error.raw_code(), &[Errno::NODEV, Errno::INVAL]) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_one_of(code: i32, errors: &[Errno]) -> bool {
    errors.iter().any(|errno| errno.raw_os_error() == -code)
}

fn read(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        ..Link::default()
    };
    let mut peer = None;
    let mut peer_namespace = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(address) => {
                if let Ok(mac) = address.as_slice().try_into() {
                    link.mac = mac;
                }
            }
            LinkAttribute::Link(index) => peer = Some(*index),
            LinkAttribute::LinkNetNsId(id) => peer_namespace = Some(*id),
            LinkAttribute::Controller(_) => link.port = true,
            LinkAttribute::Xdp(xdp) => {
                link.xdp = xdp.iter().find_map(|of| match of {
                    LinkXdp::ProgId(id) => Some(*id).filter(|&id| id != 0),
                    _ => None,
                });
            }
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let veth = link.kind.as_deref() == Some(InfoKind::Veth.to_string().as_str());
    link.peer = peer.filter(|_| veth).map(|index| (index, peer_namespace));
    link
}

/// The MAC of a veth's other end in another namespace, where the kernel tells it.
pub(super) async fn peer_mac(handle: &Handle, link: &Link) -> Option<[u8; 6]> {
    let (index, Some(namespace)) = link.peer? else { return None };
    let mut request = handle.link().get().match_index(index);
    request.message_mut().attributes.push(LinkAttribute::IfNetnsId(namespace));
    let message = request.execute().try_next().await.ok().flatten()?;
    Some(read(&message).mac)
}

/// Makes a veth pair, one end of it in the namespace behind `namespace`.
pub(super) async fn add_veth(
    handle: &Handle,
    name: &str,
    peer: &str,
    namespace: std::os::fd::BorrowedFd<'_>,
) -> Result<(), rtnetlink::Error> {
    use std::os::fd::AsRawFd;
    handle.link().add(LinkVeth::new(name, peer).build()).execute().await?;
    let moved = LinkUnspec::new_with_name(peer).setns_by_fd(namespace.as_raw_fd()).build();
    handle.link().set(moved).execute().await
}

/// Sets a link up.
pub(super) async fn up(handle: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await
}

/// Deletes a link; one that isn't there is fine.
pub(super) async fn delete(handle: &Handle, name: &str) -> Result<bool, rtnetlink::Error> {
    let Some(link) = link(handle, name).await? else { return Ok(false) };
    handle.link().del(link.index).execute().await?;
    Ok(true)
}

/// The name of every link.
pub(super) async fn links(handle: &Handle) -> Result<Vec<Link>, rtnetlink::Error> {
    handle.link().get().execute().map_ok(|message| read(&message)).try_collect().await
}

/// Where a clsact filter hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

/// The filters of a link's clsact qdisc in the order in which they see packets: priority and handle of each. None where
/// it has no such qdisc.
pub(super) async fn filters(
    handle: &Handle,
    index: u32,
    direction: Direction,
) -> Result<Vec<(u16, u32)>, rtnetlink::Error> {
    let Ok(signed) = i32::try_from(index) else { return Ok(Vec::new()) };
    let mut filters = handle.traffic_filter(signed);
    let request = match direction {
        Direction::Ingress => filters.get().ingress(),
        Direction::Egress => filters.get().egress(),
    };
    let mut messages = request.execute();
    let mut found = Vec::new();
    while let Some(message) = messages.try_next().await? {
        let (priority, handle) = ((message.header.info >> 16) as u16, u32::from(message.header.handle));
        // A priority announces itself before its filters, without a handle.
        if handle != 0 {
            found.push((priority, handle));
        }
    }
    Ok(found)
}

/// Whether a link has a clsact qdisc.
pub(super) async fn has_clsact(handle: &Handle, index: u32) -> Result<bool, rtnetlink::Error> {
    let Ok(signed) = i32::try_from(index) else { return Ok(false) };
    let mut messages = handle.qdisc().get().index(signed).execute();
    let mut found = false;
    while let Some(message) = messages.try_next().await? {
        let is_clsact = |attribute: &TcAttribute| matches!(attribute, TcAttribute::Kind(kind) if kind == "clsact");
        found |= message.header.index == signed && message.attributes.iter().any(is_clsact);
    }
    Ok(found)
}

/// Deletes the clsact qdisc of a link if nobody's filter hangs on it.
pub(super) async fn delete_idle_clsact(handle: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    let Ok(signed) = i32::try_from(index) else { return Ok(()) };
    for direction in [Direction::Ingress, Direction::Egress] {
        if !filters(handle, index, direction).await?.is_empty() {
            return Ok(());
        }
    }
    let mut request = handle.qdisc().del(signed);
    let message = request.message_mut();
    message.header.parent = TcHandle::CLSACT;
    message.header.handle = TcHandle { major: 0xffff, minor: 0 };
    match request.execute().await {
        // It is gone already.
        Err(rtnetlink::Error::NetlinkError(error)) if is_one_of(error.raw_code(), &[Errno::NOENT, Errno::INVAL]) => {
            Ok(())
        }
        result => result,
    }
}
