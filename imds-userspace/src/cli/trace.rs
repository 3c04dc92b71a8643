//! `trace`: asking for packets again and again. The daemon ends a trace that nobody asks after, so that it ends with
//! this process, however that ends.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::invocation::View;
use super::output::Printer;
use crate::control::protocol::{Command, Payload};

/// The time from one question to the next: much less than the daemon waits for it.
const INTERVAL: Duration = Duration::from_millis(200);

/// What to trace, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) instance_id: String,
    pub(super) seconds: Option<u32>,
    pub(super) count: Option<u32>,
}

impl Trace {
    /// Writes packets until there are enough, the time is over, or nobody reads on.
    pub(super) fn run(
        &self,
        ask: impl Fn(Command) -> Result<Payload, Error>,
        printer: Printer,
        output: &mut dyn Write,
    ) -> Result<(), Error> {
        let tracer = getrandom::u64().map_err(Error::Random)?;
        let ask = |after, end| match ask(Command::Trace { instance_id: self.instance_id.clone(), tracer, after, end })?
        {
            Payload::Events(view) => Ok(view),
            _ => Err(Error::Payload),
        };
        let end = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        let mut left = self.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let first = ask(None, false)?;
        let (mut after, mut lost) = (first.newest, first.lost);
        loop {
            let over = end.is_some_and(|end| Instant::now() >= end);
            let mut view = ask(Some(after), over)?;
            after = view.newest;
            (lost, view.lost) = (view.lost, view.lost.saturating_sub(lost));
            view.events.truncate(left);
            left -= view.events.len();
            let shown = printer.render(&View::Trace, Payload::Events(view));
            let written = shown.and_then(|text| super::write(output, text.as_bytes()));
            if over {
                return written;
            }
            if left == 0 || written.is_err() {
                // Whatever becomes of it, the trace ends by itself.
                let ended = ask(Some(after), true);
                return written.and(ended.map(drop));
            }
            thread::sleep(INTERVAL.min(end.map_or(INTERVAL, |end| end.saturating_duration_since(Instant::now()))));
        }
    }
}
