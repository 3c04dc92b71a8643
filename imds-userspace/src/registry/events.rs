//! What became of an instance's packets and requests: the last refusals and drops, and traces.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use imds_common::counters::Counter;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::error::RegistryError;
use super::kernel::Kernel;
use super::record::Record;
use super::{Registry, State};
use crate::events::recent::{self, Numbered};
use crate::events::{self, Client, Seen, advice};
use crate::registry::view::{EventView, EventsView};

/// A trace that nobody asks after for so long ends: whoever asked is gone.
const LEASE: Duration = Duration::from_secs(5);

/// How many may trace an interface at once: each asks several times a second, and is kept account of.
const TRACERS: usize = 8;

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
        let (mut kept, mut served) = (Vec::new(), Vec::new());
        for slot in record.slots() {
            let Some(of_slot) = self.directory.get(slot) else { continue };
            // Read after what is kept: an event counts what was lost before it.
            kept.extend(of_slot.recent.refused().into_iter().map(|event| (slot, event)));
            served.push((slot, of_slot.untold.read()));
        }
        kept.sort_by_key(|(_, (number, _))| *number);
        let before = kept.len().saturating_sub(last);
        let lost = |&(slot, untold): &(u16, u64)| {
            // Without a shown event of the slot, what was lost before its last one is no news either.
            let of_slot = |(number, _): &&(u16, Numbered)| *number == slot;
            let oldest = kept[before..].iter().find(of_slot).or_else(|| kept[..before].iter().rfind(of_slot));
            untold.saturating_sub(oldest.map_or(0, |(_, (_, seen))| seen.untold))
        };
        let lost = served.iter().map(lost).sum();
        self.events_view(record, &kept[before..], lost, newest)
    }

    /// Traces an instance for `tracer`, a number of its own: what happened after event number `after`, nothing without
    /// one.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], [`RegistryError::TooManyTracers`], the kernel's.
    pub async fn trace(
        &self,
        instance_id: &str,
        tracer: u64,
        after: Option<u64>,
        end: bool,
    ) -> Result<EventsView, RegistryError> {
        let mut state = self.state.lock().await;
        let slots: Vec<u16> = state.record(instance_id)?.slots().collect();
        let until = Instant::now() + LEASE;
        // A number that was given by now belongs to an event that is kept before its list can be read.
        let newest = recent::newest();
        let (mut events, mut lost) = (Vec::new(), 0);
        for slot in slots {
            let Some(served) = self.directory.get(slot) else { continue };
            let others = state.tracers(slot).filter(|other| *other != tracer).count();
            if others >= TRACERS {
                return Err(RegistryError::TooManyTracers(instance_id.to_owned()));
            }
            let (traced, missed) = served.recent.traced(tracer, after.unwrap_or(newest), newest);
            self.kernel.set_traced(slot, true);
            state.traces.insert((slot, tracer), until);
            events.extend(traced.into_iter().map(|event| (slot, event)));
            lost += missed;
            if end {
                self.end_trace(&mut state, slot, tracer);
            }
        }
        events.sort_by_key(|(_, (number, _))| *number);
        let record = state.record(instance_id)?;
        let untold = self.count(record)?.kernel;
        for counter in [Counter::EventsLost, Counter::TraceLost] {
            lost += untold.get(counter.as_str()).copied().unwrap_or(0);
        }
        self.events_view(record, &events, lost, newest)
    }

    /// Ends the traces that nobody has asked after for some seconds at `now`; to be called every second.
    pub async fn end_stale_traces(&self, now: Instant) {
        let mut state = self.state.lock().await;
        let stale: Vec<_> = state.traces.iter().filter(|(_, until)| **until < now).map(|(trace, _)| *trace).collect();
        for (slot, tracer) in stale {
            self.end_trace(&mut state, slot, tracer);
        }
    }

    /// Ends one trace of a slot; the kernel tells of it for as long as there is another.
    fn end_trace(&self, state: &mut State, slot: u16, tracer: u64) {
        state.traces.remove(&(slot, tracer));
        if state.tracers(slot).next().is_none() {
            self.kernel.set_traced(slot, false);
        }
        if let Some(served) = self.directory.get(slot) {
            served.recent.end_trace(tracer);
        }
    }

    fn events_view(
        &self,
        record: &Record,
        events: &[(u16, Numbered)],
        lost: u64,
        newest: u64,
    ) -> Result<EventsView, RegistryError> {
        let hop_limit = record.options.http_put_response_hop_limit.get();
        let mut places = BTreeMap::new();
        let mut views = Vec::with_capacity(events.len());
        for (slot, (_, seen)) in events {
            // Read once, and only where somebody isn't known without.
            if matches!(seen.client, Some(Client::Identity(_))) && !places.contains_key(slot) {
                places.insert(*slot, self.kernel.places(*slot)?);
            }
            let of_slot = places.get(slot).map_or(&[][..], |of_slot| &of_slot[..]);
            views.push(view(seen, seen.client.map(|client| client.name(of_slot)), hop_limit));
        }
        Ok(EventsView { instance_id: record.instance.instance_id.clone(), events: views, lost, newest })
    }
}

impl State {
    /// Who traces a slot.
    fn tracers(&self, slot: u16) -> impl Iterator<Item = u64> {
        self.traces.range((slot, 0)..=(slot, u64::MAX)).map(|((_, tracer), _)| *tracer)
    }
}

fn view(seen: &Seen, client: Option<String>, hop_limit: u8) -> EventView {
    let nanoseconds = i128::from(seen.unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    EventView {
        time: time.format(TIME).unwrap_or_default(),
        by: seen.by.as_str().to_owned(),
        client,
        mac: seen.mac.map(events::written),
        port: seen.port,
        packet: seen.packet.clone(),
        method: seen.head.method.clone(),
        path: seen.head.path.clone(),
        user_agent: seen.head.user_agent.clone(),
        reason: seen.counter.as_str().to_owned(),
        advice: advice::of(seen.counter, Some(hop_limit)),
    }
}
