//! The network namespace that holds nothing but the daemon's listening sockets, and the link into it.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use imds_common::address::{IDENTITY_PREFIX, IDENTITY_PREFIX_BITS, ROUTER_MAC, SERVICE_MAC, SERVICE_PORT, SERVICE_V6};
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMetric};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::names::{NAMESPACES, Names};
use super::netlink;

/// The router of every client inside the namespace: one permanent neighbour instead of one for each client.
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// No path is narrower for IPv6, so no path MTU message is ever needed.
const ROUTE_MTU: u32 = 1280;
/// Connections that wait to be accepted, over all instances.
const BACKLOG: i32 = 4096;

/// Set inside the namespace before its link comes up: `{link}` is its name.
const SYSCTLS: [(&str, &str); 13] = [
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/{link}/disable_ipv6", "0"),
    ("ipv6/conf/{link}/addr_gen_mode", "1"),
    ("ipv6/conf/{link}/accept_dad", "0"),
    ("ipv6/conf/{link}/accept_ra", "0"),
    ("ipv6/conf/{link}/router_solicitations", "0"),
    ("ipv6/conf/{link}/mtu", "1500"),
    ("ipv4/tcp_syncookies", "1"),
    ("ipv4/tcp_max_syn_backlog", "4096"),
    // A half-open connection is gone by the time that the kernel programs forget it, and fills no one's backlog.
    ("ipv4/tcp_synack_retries", "1"),
    ("ipv4/tcp_orphan_retries", "2"),
    ("ipv4/tcp_fin_timeout", "5"),
    ("core/somaxconn", "4096"),
];

/// Why the namespace can't be made.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel has no IPv6 at all.
    #[error(
        "IPv6 is switched off in this kernel (ipv6.disable=1); the service's own namespace needs it: boot without that parameter"
    )]
    NoIpv6,
    /// A system call failed.
    #[error("network namespace \"{namespace}\": {step} failed: {source}")]
    Io {
        /// The namespace's name.
        namespace: String,
        /// What failed.
        step: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// rtnetlink failed.
    #[error("network namespace \"{namespace}\": {step} failed: {source}")]
    Netlink {
        /// The namespace's name.
        namespace: String,
        /// What failed.
        step: &'static str,
        /// The kernel's error.
        source: rtnetlink::Error,
    },
}

/// The namespace, open.
#[derive(Debug)]
pub(super) struct Namespace {
    names: Names,
    file: File,
    /// The index of the host's end of the link.
    pub(super) host_link: u32,
}

impl Namespace {
    /// Makes the namespace and its link, or takes over what is there.
    pub(super) async fn open(names: &Names, netlink: &Handle) -> Result<Self, NamespaceError> {
        let file = open_or_make(names).map_err(|(step, source)| io_error(names, step, source))?;
        let error = |step| move |source| netlink_error(names, step, source);
        let existing = netlink::link(netlink, &names.host_link).await.map_err(error("looking for the link"))?;
        // A link without its other end inside is of no use: a daemon died between two steps.
        let whole = existing.is_some() && inside_has_link(names, &file);
        if !whole {
            netlink::delete(netlink, &names.host_link).await.map_err(error("deleting half a link"))?;
            netlink::add_veth(netlink, &names.host_link, &names.service_link, file.as_fd())
                .await
                .map_err(error("making the link"))?;
        }
        let host = netlink::link(netlink, &names.host_link).await.map_err(error("looking for the link"))?;
        let host = host.ok_or_else(|| io_error(names, "making the link", io::ErrorKind::NotFound.into()))?;
        // The host says nothing on this link by itself.
        let silence = Path::new("/proc/sys/net/ipv6/conf").join(&names.host_link).join("disable_ipv6");
        fs::write(silence, "1").map_err(|source| io_error(names, "silencing the link", source))?;
        netlink::up(netlink, host.index).await.map_err(error("setting the link up"))?;
        let namespace = Self { names: names.clone(), file, host_link: host.index };
        namespace.configure()?;
        Ok(namespace)
    }

    /// A listening socket inside.
    pub(super) fn listener(&self) -> Result<TcpListener, NamespaceError> {
        inside(&self.names, &self.file, "listening", listen)?
            .map_err(|source| io_error(&self.names, "listening", source))
    }

    /// Addresses, routes and settings inside; all of it may be there already.
    fn configure(&self) -> Result<(), NamespaceError> {
        let link = self.names.service_link.clone();
        let set = inside(&self.names, &self.file, "setting up", move || set_up(&link))?;
        set.map_err(|(step, source)| io_error(&self.names, step, source))
    }
}

fn io_error(names: &Names, step: &'static str, source: io::Error) -> NamespaceError {
    NamespaceError::Io { namespace: names.namespace.clone(), step, source }
}

fn netlink_error(names: &Names, step: &'static str, source: rtnetlink::Error) -> NamespaceError {
    NamespaceError::Netlink { namespace: names.namespace.clone(), step, source }
}

/// Fails where the kernel was booted without IPv6.
pub(super) fn require_ipv6() -> Result<(), NamespaceError> {
    let is_there = Path::new("/proc/sys/net/ipv6").exists();
    if is_there { Ok(()) } else { Err(NamespaceError::NoIpv6) }
}

/// Does in the calling thread's namespace what is done in the service's, with a link of this name that is there.
pub(super) fn try_out(link: &str) -> Result<(), (&'static str, io::Error)> {
    set_up(link)?;
    listen().map(drop).map_err(|error| ("listening", error))
}

/// Opens the namespace's file, which a thread that leaves for a new namespace makes if need be.
fn open_or_make(names: &Names) -> Result<File, (&'static str, io::Error)> {
    let path = names.namespace_file();
    if let Ok(file) = File::open(&path)
        && is_namespace(file.as_fd())
    {
        return Ok(file);
    }
    share_namespaces().map_err(|error| ("preparing /run/netns", error))?;
    File::create(&path).map_err(|error| ("making its file", error))?;
    let target = path.clone();
    let made = std::thread::spawn(move || {
        // SAFETY: only the network namespace of this thread changes, which ends right after.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        mount_bind("/proc/thread-self/ns/net", &target)
    });
    match made.join() {
        Ok(Ok(())) => File::open(&path).map_err(|error| ("opening it", error)),
        Ok(Err(error)) => {
            let _ = fs::remove_file(&path);
            Err(("making it", error.into()))
        }
        Err(_) => Err(("making it", io::Error::other("the thread panicked"))),
    }
}

/// Whether an open file is a namespace and not the empty file of one that was never mounted.
fn is_namespace(file: BorrowedFd<'_>) -> bool {
    /// `NSFS_MAGIC` (include/uapi/linux/magic.h).
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == NSFS_MAGIC)
}

/// What `ip netns add` does to the directory, so that namespaces are seen everywhere.
fn share_namespaces() -> io::Result<()> {
    fs::create_dir_all(NAMESPACES)?;
    if mount_change(NAMESPACES, MountPropagationFlags::SHARED | MountPropagationFlags::REC).is_err() {
        mount_bind(NAMESPACES, NAMESPACES)?;
        mount_change(NAMESPACES, MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    }
    Ok(())
}

/// Runs `work` on a thread of its own inside the namespace: a namespace is a thread's, and no worker may change its.
fn inside<T: Send + 'static>(
    names: &Names,
    file: &File,
    step: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NamespaceError> {
    let file = file.try_clone().map_err(|source| io_error(names, step, source))?;
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok::<T, rustix::io::Errno>(work())
    });
    match thread.join() {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(errno)) => Err(io_error(names, "entering it", errno.into())),
        Err(_) => Err(io_error(names, step, io::Error::other("the thread panicked"))),
    }
}

fn inside_has_link(names: &Names, file: &File) -> bool {
    let link = names.service_link.clone();
    inside(names, file, "looking for the link", move || Path::new("/proc/sys/net/ipv6/conf").join(link).exists())
        .unwrap_or(false)
}

fn set_up(link: &str) -> Result<(), (&'static str, io::Error)> {
    for (path, value) in SYSCTLS {
        let path = Path::new("/proc/sys/net").join(path.replace("{link}", link));
        fs::write(path, value).map_err(|error| ("setting a sysctl", error))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ("starting a runtime", error))?;
    runtime.block_on(configure(link)).map_err(|error| ("configuring its link", io::Error::other(error.to_string())))
}

async fn configure(name: &str) -> Result<(), rtnetlink::Error> {
    let handle = netlink::connect()?;
    let link = netlink::link(&handle, name).await?.ok_or(rtnetlink::Error::RequestFailed)?;
    handle
        .link()
        .set(LinkUnspec::new_with_index(link.index).address(SERVICE_MAC.to_vec()).up().build())
        .execute()
        .await?;
    let address = Ipv6Addr::from(SERVICE_V6).into();
    let mut address = handle.address().add(link.index, address, 128).replace();
    // Nobody else is there to have it, and until it is settled nothing could listen on it.
    address.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    address.execute().await?;
    handle
        .neighbours()
        .add(link.index, ROUTER.into())
        .link_layer_address(&ROUTER_MAC)
        .state(NeighbourState::Permanent)
        .replace()
        .execute()
        .await?;
    let mut prefix = [0; 16];
    prefix[..IDENTITY_PREFIX.len()].copy_from_slice(&IDENTITY_PREFIX);
    let mut route = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(prefix.into(), IDENTITY_PREFIX_BITS)
        .gateway(ROUTER)
        .output_interface(link.index)
        .build();
    route.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(ROUTE_MTU)]));
    handle.route().add(route).replace().execute().await
}

fn listen() -> io::Result<TcpListener> {
    let socket = rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    let address = std::net::SocketAddrV6::new(SERVICE_V6.into(), SERVICE_PORT, 0, 0);
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes the namespace; says whether it was there.
pub(super) fn remove(names: &Names) -> io::Result<bool> {
    let path = names.namespace_file();
    if !path.exists() {
        return Ok(false);
    }
    // An empty file that never became a mount point is only removed.
    let _ = unmount(&path, UnmountFlags::DETACH);
    fs::remove_file(&path)?;
    Ok(true)
}
