//! What an instance may have and do in the daemon at once, whichever of its interfaces it comes by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use imds_common::budget;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that one instance may have in the daemon at once.
pub const CONNECTIONS: usize = imds_common::flow::FLOWS;

/// One instance's, shared by its interfaces. Nobody waits for anybody.
#[derive(Debug)]
pub struct Allowance {
    /// One permit a connection.
    connections: Arc<Semaphore>,
    /// Nanoseconds from one request to the next; 0 without a budget.
    interval_ns: AtomicU32,
    /// When the budget of requests is whole again, in nanoseconds since boot.
    due_ns: AtomicU64,
}

impl Allowance {
    /// With a budget of so many requests a second, 0 for none.
    #[must_use]
    pub fn new(requests_per_second: u32) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let interval_ns = AtomicU32::new(budget::interval_ns(requests_per_second));
        Self { connections, interval_ns, due_ns: AtomicU64::new(0) }
    }

    /// Replaces the budget.
    pub fn set_request_budget(&self, requests_per_second: u32) {
        self.interval_ns.store(budget::interval_ns(requests_per_second), Ordering::Relaxed);
    }

    /// A place for one more connection, if there is one: it is given back when it is dropped.
    #[must_use]
    pub fn connect(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Charges one request at `now_ns`, on the clock since boot: whether it is within the budget.
    #[must_use]
    pub fn admits_request(&self, now_ns: u64) -> bool {
        let interval_ns = self.interval_ns.load(Ordering::Relaxed);
        let charge = |due_ns| budget::charge(due_ns, interval_ns, now_ns);
        interval_ns == 0 || self.due_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_admitted_within_their_budget() {
        let allowance = Allowance::new(10);
        let admitted = |now_ns| (0..100).filter(|_| allowance.admits_request(now_ns)).count();
        assert_eq!(admitted(5_000_000_000), 11, "a second's worth, and the one at hand");
        assert_eq!(admitted(5_000_000_000), 0);
        assert_eq!(admitted(5_250_000_000), 2, "so many have become due");
        allowance.set_request_budget(0);
        assert_eq!(admitted(5_250_000_000), 100);
        allowance.set_request_budget(1_000_000);
        assert_eq!(admitted(9_000_000_000), 100);
    }

    #[test]
    fn many_at_once_get_no_more_than_the_budget() {
        let allowance = Allowance::new(100);
        let admitted = || (0..1_000).filter(|_| allowance.admits_request(1_000_000_000)).count();
        let total: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(admitted)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(total, 101);
    }

    #[test]
    fn connections_come_back() {
        let allowance = Allowance::new(0);
        let mut held: Vec<_> = (0..CONNECTIONS).map(|_| allowance.connect().expect("room")).collect();
        assert!(allowance.connect().is_none());
        held.pop();
        assert!(allowance.connect().is_some());
    }
}
