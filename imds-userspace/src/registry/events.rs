//! What became of an instance's packets and requests: the last refusals and drops, and traces.

use std::time::{Duration, Instant};

use imds_common::counters::Counter;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::Record;
use super::{Registry, State};
use crate::control::protocol::{EventView, EventsView};
use crate::events::recent::{self, Numbered};
use crate::events::{Seen, advice};

/// A trace that nobody asks after for so long ends: whoever asked is gone.
const LEASE: Duration = Duration::from_secs(5);

/// How an event's time is written, in UTC.
const TIME: &[FormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

impl<K: Kernel> Registry<K> {
    /// The last refusals and drops of an instance.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], the kernel's.
    pub async fn explain(&self, instance_id: &str, last: usize) -> Result<EventsView, RegistryError> {
        let state = self.state.lock().await;
        let record = state.record(instance_id)?;
        let newest = recent::newest();
        let served = record.slots().filter_map(|slot| self.directory.get(slot));
        let mut events: Vec<Numbered> = served.flat_map(|served| served.recent.refused()).collect();
        events.sort_by_key(|(number, _)| *number);
        events.drain(..events.len().saturating_sub(last));
        self.events_view(record, &events, 0, newest)
    }

    /// Traces an instance: what happened after event number `after`, nothing without one.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], the kernel's.
    pub async fn trace(&self, instance_id: &str, after: Option<u64>, end: bool) -> Result<EventsView, RegistryError> {
        let mut state = self.state.lock().await;
        let slots: Vec<u16> = state.record(instance_id)?.slots().collect();
        let until = Instant::now() + LEASE;
        // A number that was given by now belongs to an event that is kept before its list can be read.
        let newest = recent::newest();
        let (mut events, mut overflowed) = (Vec::new(), 0);
        for slot in slots {
            let Some(served) = self.directory.get(slot) else { continue };
            served.recent.trace();
            self.kernel.set_traced(slot, true);
            state.traces.insert(slot, until);
            let (traced, lost) = served.recent.traced(after.unwrap_or(newest), newest);
            events.extend(traced);
            overflowed += lost;
            if end {
                self.end_trace(&mut state, slot);
            }
        }
        events.sort_by_key(|(number, _)| *number);
        self.events_view(state.record(instance_id)?, &events, overflowed, newest)
    }

    /// Ends the traces that nobody has asked after for some seconds at `now`; to be called every second.
    pub async fn end_stale_traces(&self, now: Instant) {
        let mut state = self.state.lock().await;
        let stale: Vec<u16> = state.traces.iter().filter(|(_, until)| **until < now).map(|(slot, _)| *slot).collect();
        for slot in stale {
            self.end_trace(&mut state, slot);
        }
    }

    fn end_trace(&self, state: &mut State, slot: u16) {
        state.traces.remove(&slot);
        self.kernel.set_traced(slot, false);
        if let Some(served) = self.directory.get(slot) {
            served.recent.end_trace();
        }
    }

    fn events_view(
        &self,
        record: &Record,
        events: &[Numbered],
        overflowed: u64,
        newest: u64,
    ) -> Result<EventsView, RegistryError> {
        let stats = self.count(record)?;
        let untold = stats.kernel.get(Counter::EventsLost.as_str()).copied().unwrap_or(0);
        let hop_limit = record.options.http_put_response_hop_limit.get();
        Ok(EventsView {
            instance_id: record.instance.instance_id.clone(),
            events: events.iter().map(|(_, seen)| view(seen, hop_limit)).collect(),
            lost: untold.saturating_add(overflowed),
            newest,
        })
    }
}

fn view(seen: &Seen, hop_limit: u8) -> EventView {
    let nanoseconds = i128::from(seen.unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    EventView {
        time: time.format(TIME).unwrap_or_default(),
        by: seen.by.as_str().to_owned(),
        client: seen.client.clone(),
        port: seen.port,
        packet: seen.packet.clone(),
        method: seen.head.method.clone(),
        path: seen.head.path.clone(),
        user_agent: seen.head.user_agent.clone(),
        reason: seen.counter.as_str().to_owned(),
        advice: advice::of(seen.counter, Some(hop_limit)),
    }
}
