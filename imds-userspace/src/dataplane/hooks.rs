//! Whether programs still hang where they were attached: somebody else may have taken one off, or put another in front.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aya::programs::{SchedClassifier, TcAttachType};
use imds_common::slot::GONE;
use rtnetlink::Handle;

use super::interface::name_of;
use super::netlink::{self, Direction};
use super::{Dataplane, DataplaneError, host, links, object};

/// Interfaces that are looked at in one round, of which there is one a second: at some 10 µs each nobody notices, and
/// of 1,000 interfaces each one's turn comes every 16 s.
const INTERFACES_PER_ROUND: usize = 64;

/// How a program hangs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hanging {
    /// It sees each packet first.
    First,
    /// Another one sees packets before it.
    Behind,
    /// It isn't there.
    Missing,
}

/// How the program with this id hangs on an interface; a clsact filter of ours has no other.
pub(super) async fn look(netlink: &Handle, name: &str, ifindex: u32, id: u32) -> Result<Hanging, rtnetlink::Error> {
    // A kernel without tcx doesn't know the question.
    if let Ok((_, programs)) = SchedClassifier::query_tcx(name, TcAttachType::Ingress)
        && let Some(place) = programs.iter().position(|program| program.id() == id)
    {
        return Ok(hanging(Some(place)));
    }
    let filters = netlink::filters(netlink, ifindex, Direction::Ingress).await?;
    Ok(hanging(filters.iter().position(|&(priority, handle)| links::is_our_filter(priority, handle))))
}

/// How long the kernel may take to run a program no more whose link was unpinned: it is some milliseconds.
const PARTING: Duration = Duration::from_secs(2);
/// How often that is looked at.
const STEP: Duration = Duration::from_millis(2);

/// Waits until a program that was taken off an interface sees no packet of it any more.
pub(super) async fn wait_until_missing(
    netlink: &Handle,
    name: &str,
    ifindex: u32,
    id: u32,
) -> Result<(), DataplaneError> {
    let deadline = Instant::now() + PARTING;
    while look(netlink, name, ifindex, id).await? != Hanging::Missing {
        if Instant::now() > deadline {
            return Err(links::LinkFailure::Stays(name.to_owned()).into());
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

fn hanging(place: Option<usize>) -> Hanging {
    match place {
        Some(0) => Hanging::First,
        Some(_) => Hanging::Behind,
        None => Hanging::Missing,
    }
}

/// The next `count` of `all` after `last`, which come round: each one's turn comes, whatever joins or leaves.
fn next_turn(mut all: Vec<u32>, last: u32, count: usize) -> Vec<u32> {
    all.sort_unstable();
    let after = all.partition_point(|&index| index <= last);
    all.rotate_left(after);
    all.truncate(count);
    all
}

impl Dataplane {
    /// Looks at the next few interfaces that are on record, owned or closed, and attaches the program again where it is
    /// missing or not the first.
    ///
    /// # Errors
    ///
    /// [`DataplaneError`] of the first interface that can't be mended; the others are all the same.
    pub async fn mend_hooks(&self) -> Result<(), DataplaneError> {
        let netlink = netlink::connect()?;
        let all = self.kernel().tables.interfaces()?;
        let all = all.into_iter().filter(|(_, value)| value & GONE == 0).map(|(ifindex, _)| ifindex).collect();
        let mut failure = None;
        for ifindex in next_turn(all, self.looked_at.load(Ordering::Relaxed), INTERFACES_PER_ROUND) {
            self.looked_at.store(ifindex, Ordering::Relaxed);
            failure = failure.or(self.mend_hook(&netlink, ifindex).await.err());
        }
        failure.map_or(Ok(()), Err)
    }

    async fn mend_hook(&self, netlink: &Handle, ifindex: u32) -> Result<(), DataplaneError> {
        let name = name_of(ifindex).map_err(host(format!("asking for interface {ifindex}")))?;
        // One that is gone is the reconciler's.
        let Some(interface) = name else { return Ok(()) };
        match look(netlink, &interface, ifindex, self.ingress_id).await? {
            Hanging::First => {}
            Hanging::Missing => {
                tracing::error!(interface, "imdsd's program is not attached any more; attaching it again");
                self.hang(&interface, ifindex)?;
            }
            Hanging::Behind => {
                tracing::warn!(interface, "another program sees packets first; going to the front");
                let mut copy = object::load(
                    &self.names.layout(),
                    self.slots.into(),
                    self.namespace.host_link,
                    &[object::INGRESS],
                )?;
                let copy = object::classifier(&mut copy, object::INGRESS).ok_or(object::ObjectError::Missing)?;
                self.with_programs(|programs| {
                    let program = object::classifier(programs, object::INGRESS).ok_or(object::ObjectError::Missing)?;
                    Ok::<_, DataplaneError>(links::put_first(program, copy, &self.names.layout(), &interface, ifindex)?)
                })?;
            }
        }
        self.mend_early(netlink, &interface, ifindex).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_its_turn() {
        assert_eq!(next_turn(vec![9, 3, 7, 5], 0, 2), [3, 5]);
        assert_eq!(next_turn(vec![9, 3, 7, 5], 5, 2), [7, 9]);
        assert_eq!(next_turn(vec![9, 3, 7, 5], 7, 3), [9, 3, 5]);
        assert_eq!(next_turn(vec![9, 3], 9, 64), [3, 9], "each one once");
        assert_eq!(next_turn(vec![9, 3], 4, 1), [9], "the last one may be gone");
        assert!(next_turn(Vec::new(), 4, 64).is_empty());
    }

    #[test]
    fn only_the_first_place_is_first() {
        assert_eq!([Some(0), Some(1), None].map(hanging), [Hanging::First, Hanging::Behind, Hanging::Missing]);
    }
}
