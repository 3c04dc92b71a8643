//! Interfaces that go away: their slots are closed at once, since another interface may get the same index. Whatever
//! else happens to links is counted, so that nobody has to look at all of them again and again.
//!
//! A bridge tells of a port that leaves it by the same kind of message, in a family of its own: that port is still there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{MulticastGroup, new_multicast_connection};

use super::{Dataplane, DataplaneError, host};

/// Watches as long as `dataplane` lives.
///
/// # Errors
///
/// [`DataplaneError::Host`] if the kernel doesn't tell of links.
pub(super) fn watch(dataplane: &Arc<Dataplane>) -> Result<(), DataplaneError> {
    let (connection, _, mut messages) =
        new_multicast_connection(&[MulticastGroup::Link]).map_err(host("listening for links"))?;
    tokio::spawn(connection);
    let dataplane: Weak<Dataplane> = Arc::downgrade(dataplane);
    tokio::spawn(async move {
        while let Some((message, _)) = messages.next().await {
            let Some(dataplane) = dataplane.upgrade() else { return };
            let done = match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))
                    if link.header.interface_family == AddressFamily::Unspec =>
                {
                    dataplane.close_vanished(link.header.index)
                }
                // More happened than there was room to tell of.
                NetlinkPayload::Overrun(_) => dataplane.close_all_vanished(),
                _ => Ok(()),
            };
            if let Err(error) = done {
                tracing::error!(%error, "the slot of a vanished interface isn't closed");
            }
            dataplane.link_changes.fetch_add(1, Ordering::Release);
        }
    });
    Ok(())
}
