//! Keeps one place of a role's credentials up to date.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::document;
use super::file::{FileError, WatchedFile};
use super::process::{Process, ProcessError};
use super::schedule::Schedule;
use crate::metadata::date;
use crate::metadata::document::{Credentials, Time};
use crate::metadata::live::Live;

/// How often it is looked whether something is due: no clock that jumps and no suspended host puts more between.
const PERIOD: Duration = Duration::from_secs(1);

/// Why a provider gave no credentials.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// They are over.
    #[error("the credentials that it gave expired at {expiration}; have new ones made")]
    Expired {
        /// When.
        expiration: String,
    },
}

/// How long a start waits for the first tries, so that a guest which boots with the host finds credentials; who is
/// slower has a failure to show until then.
const FIRST_TRIES: Duration = Duration::from_secs(5);

/// Somebody who is asked for credentials.
trait Source {
    /// Whether there is something new, whatever the schedule says.
    fn has_news(&mut self) -> impl Future<Output = bool> + Send;

    /// Asks.
    fn ask(&mut self) -> impl Future<Output = Result<Credentials, ProviderError>> + Send;
}

impl Source for WatchedFile {
    async fn has_news(&mut self) -> bool {
        self.blocking(|file| file.is_replaced()).await
    }

    async fn ask(&mut self) -> Result<Credentials, ProviderError> {
        Ok(self.blocking(Self::read).await?)
    }
}

impl WatchedFile {
    /// Looks at the file where that may block.
    async fn blocking<T: Send + 'static>(&mut self, look: impl FnOnce(&mut Self) -> T + Send + 'static) -> T {
        let mut file = self.clone();
        let looked = tokio::task::spawn_blocking(move || (look(&mut file), file)).await;
        // A look isn't cancelled, so that it can only have panicked: that goes on here.
        let (seen, file) = looked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        *self = file;
        seen
    }
}

impl Source for Process {
    async fn has_news(&mut self) -> bool {
        false
    }

    async fn ask(&mut self) -> Result<Credentials, ProviderError> {
        Ok(self.run().await?)
    }
}

/// One provider of one role, and the place of what it gives.
struct Refresher<S> {
    role: String,
    source: S,
    live: Arc<Live>,
    schedule: Schedule,
    /// What it gave last.
    given: Option<Credentials>,
    /// What went wrong last time and whether there were good credentials still, to be logged once.
    trouble: Option<(String, bool)>,
}

impl<S: Source> Refresher<S> {
    const fn new(role: String, source: S, live: Arc<Live>) -> Self {
        Self { role, source, live, schedule: Schedule::new(), given: None, trouble: None }
    }

    /// Does what is due.
    async fn tick(&mut self, now: u64) {
        if !self.schedule.is_due(now) && !self.source.has_news().await {
            return;
        }
        let asked = self.source.ask().await;
        let given = asked.and_then(|credentials| match credentials.end().unix() {
            end if end > now => Ok((credentials, end)),
            _ => Err(ProviderError::Expired { expiration: credentials.expiration }),
        });
        match given {
            Ok((credentials, end)) => {
                self.take(now, end, credentials);
                self.schedule.succeeded(now, end);
                self.trouble = None;
            }
            Err(error) => self.fail(now, &error),
        }
    }

    /// Serves what was given, unless it is the same again. What the provider says now holds, even where it ends sooner
    /// than what it said before: it may have shortened or revoked a session.
    fn take(&mut self, now: u64, end: u64, credentials: Credentials) {
        let (role, expiration) = (&self.role, &credentials.expiration);
        if self.given.as_ref() == Some(&credentials) {
            tracing::debug!(role, expiration, "the same credentials again");
            return;
        }
        if self.live.end(now).is_some_and(|former| end < former) {
            tracing::warn!(role, expiration, "new credentials, which end sooner than those before them");
        } else {
            tracing::info!(role, expiration, "new credentials");
        }
        self.live.replace(document::success(&document::the_role(role), &credentials, Time::from_unix(now)));
        self.given = Some(credentials);
    }

    /// Goes on with what there is, which ends by itself, and says so once.
    fn fail(&mut self, now: u64, error: &ProviderError) {
        self.schedule.failed(now);
        let good_until = self.live.end(now).map(|end| Time::from_unix(end).to_string());
        let trouble = Some((error.to_string(), good_until.is_some()));
        if self.trouble != trouble {
            let role = &self.role;
            match &good_until {
                Some(until) => {
                    tracing::warn!(role, %error, until, "no new credentials; those there are stay until they expire");
                }
                None => tracing::error!(role, %error, "no credentials; trying again with back-off"),
            }
            self.trouble = trouble;
        }
    }

    /// Goes on until `shutdown`; says when the first try is over.
    async fn run(mut self, first: impl FnOnce() + Send, shutdown: CancellationToken) -> io::Result<()> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first = Some(first);
        let rounds = async {
            loop {
                ticks.tick().await;
                self.tick(date::unix_seconds()).await;
                if let Some(first) = first.take() {
                    first();
                }
            }
        };
        shutdown.run_until_cancelled(rounds).await;
        Ok(())
    }
}

/// A provider to be kept asking.
pub struct Refresh(Kind);

enum Kind {
    File(Refresher<WatchedFile>),
    Process(Refresher<Process>),
}

impl Refresh {
    pub(super) fn of_file(role: &str, path: &Path, live: &Arc<Live>) -> Self {
        let source = WatchedFile::new(path.to_owned());
        Self(Kind::File(Refresher::new(role.to_owned(), source, Arc::clone(live))))
    }

    pub(super) fn of_process(role: &str, process: &Process, live: &Arc<Live>) -> Self {
        Self(Kind::Process(Refresher::new(role.to_owned(), process.clone(), Arc::clone(live))))
    }
}

/// Begins to ask every provider, each in a task of its own until `shutdown`, and waits for the first tries, within
/// a bound.
pub async fn start(refreshes: Vec<Refresh>, tasks: &mut JoinSet<io::Result<()>>, shutdown: &CancellationToken) {
    let (first, mut all_first) = mpsc::channel::<Infallible>(1);
    for Refresh(kind) in refreshes {
        let (first, shutdown) = (first.clone(), shutdown.clone());
        // The channel closes when the last try has dropped its end.
        match kind {
            Kind::File(refresher) => tasks.spawn(refresher.run(|| drop(first), shutdown)),
            Kind::Process(refresher) => tasks.spawn(refresher.run(|| drop(first), shutdown)),
        };
    }
    drop(first);
    if timeout(FIRST_TRIES, all_first.recv()).await.is_err() {
        tracing::warn!("some role's provider has given nothing yet; serving without");
    }
}

#[cfg(test)]
mod tests;
