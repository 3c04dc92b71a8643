//! The daemon's life: what is started in which order, and what ends it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use imds_userspace::config::{Config, ErrorBodies, IdentityTable, OnRefuse};
use imds_userspace::control;
use imds_userspace::control::run_dir::RunDir;
use imds_userspace::credentials::{self, Issuer, Refresh};
use imds_userspace::dataplane::Dataplane;
use imds_userspace::dataplane::names::Names;
use imds_userspace::metadata::date;
use imds_userspace::metadata::identity::Authority;
use imds_userspace::registry::allowance;
use imds_userspace::registry::directory::{Directory, KeyRing};
use imds_userspace::registry::draft::Defaults;
use imds_userspace::registry::limits::Budgets;
use imds_userspace::registry::store::Store;
use imds_userspace::registry::{Registry, Settings, signing_keys};
use imds_userspace::service::{self, ServiceSettings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;

/// How often the kernel's dates are renewed: it needs them once a second at least.
const DATES_PERIOD: Duration = Duration::from_millis(500);
/// How often interfaces that came or went are looked for.
const RECONCILE_PERIOD: Duration = Duration::from_secs(1);

/// Serves until a signal, in this order: the lock, so that all else has one owner; the check that the kernel's side is
/// of this build's layout, so that a refusal changes nothing; the store, since without it nothing may be released; the
/// kernel; every instance; the roles' credentials; then only the listeners, so that whoever gets an answer, of the
/// service or of the control socket, finds everything enforced.
pub(crate) async fn run(arguments: &Arguments, config: &Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT can't be handled")?;
    raise_file_limit(config.max_slots.get());
    let run_dir = RunDir::take(&arguments.run_dir)?;
    let names = Names::new(run_dir.path());
    let State { store, issuer, refreshes, authority } = match open(arguments, config, &names).await {
        Ok(opened) => opened,
        Err(error) => {
            if let Err(error) = run_dir.abandon() {
                tracing::warn!(%error, "the run directory of a failed start is left behind");
            }
            return Err(error);
        }
    };
    let store = Arc::new(store);
    // Read while the kernel walks the programs: of thousands of instances either takes its time.
    let stored = store.clone();
    let stored = tokio::task::spawn_blocking(move || stored.load());
    let dataplane = Arc::new(Dataplane::start(&names, arguments.attach, config.max_slots.get()).await?);
    dataplane.watch()?;
    dataplane.refresh_dates(date::http_date)?;
    let keys = KeyRing::new(dataplane.keys()?);
    let slots = dataplane.slots();
    if slots != config.max_slots.get() {
        let configured = config.max_slots.get();
        tracing::warn!(
            slots,
            configured,
            "the kernel's tables keep their size; `imdsd detach` before a start changes it"
        );
    }
    let directory = Arc::new(Directory::new(slots.into(), keys));
    let listener = directory.clone();
    dataplane.listen(move |event| listener.note(event))?;
    let settings = Settings {
        defaults: Defaults {
            availability_zone: config.defaults.availability_zone.clone(),
            account_id: config.defaults.account_id.clone(),
        },
        slots,
        refuse_silently: config.on_refuse == OnRefuse::Drop,
        budgets: Budgets { packets: config.packet_budget.get(), requests: config.request_budget.get() },
        error_pages: config.error_bodies == ErrorBodies::Xhtml,
        authority: Arc::new(authority),
    };
    let stored = (store, stored.await.context("the store can't be read")??);
    let registry = Registry::start(dataplane.clone(), directory.clone(), stored, issuer, settings).await?;
    let registry = Arc::new(registry);

    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    credentials::start(refreshes, &mut tasks, &shutdown).await;
    let service_settings = ServiceSettings {
        head_timeout: config.service.head_timeout.duration(),
        idle_timeout: config.service.idle_timeout.duration(),
        ..ServiceSettings::default()
    };
    tasks.spawn(service::serve(dataplane.listener()?, directory, service_settings, shutdown.clone()));
    let (kernel, instances) = (dataplane.clone(), registry.clone());
    let renew = move || std::future::ready(kernel.refresh_dates(date::http_date));
    tasks.spawn(every(DATES_PERIOD, "dates not renewed", shutdown.clone(), renew));
    let reconcile = move || {
        let instances = instances.clone();
        async move {
            instances.end_stale_traces(Instant::now()).await;
            instances.reconcile_when_due().await?;
            instances.mend_hooks().await
        }
    };
    tasks.spawn(every(RECONCILE_PERIOD, "interfaces not looked at", shutdown.clone(), reconcile));
    tasks.spawn(control::server::serve(run_dir.listen()?, registry.clone(), shutdown.clone()));
    tracing::info!(run_dir = %run_dir.path().display(), state_dir = %arguments.state_dir.display(), slots, "ready");

    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = tasks.join_next() => ended,
    };
    tracing::info!("ending");
    shutdown.cancel();
    run_dir.remove_socket()?;
    // Each task bounds its own end.
    while tasks.join_next().await.is_some() {}
    drop((registry, dataplane));
    if config.detach_on_exit {
        Dataplane::detach(&names).await?;
    }
    match ended {
        None => Ok(()),
        Some(Ok(Err(error))) => Err(error).context("imdsd can't go on"),
        Some(Err(error)) => Err(error).context("a part of imdsd failed"),
        Some(Ok(Ok(()))) => bail!("a part of imdsd ended by itself"),
    }
}

/// What is on disk.
struct State {
    store: Store,
    issuer: Issuer,
    refreshes: Vec<Refresh>,
    authority: Authority,
}

/// Opens what is on disk, once it is sure that the kernel's side can be taken over: the store first, whose lock makes
/// all of the state directory this daemon's. New signing keys take a second or so to be made.
async fn open(arguments: &Arguments, config: &Config, names: &Names) -> anyhow::Result<State> {
    Dataplane::check_layout(names, config.max_slots.get())?;
    let directory = arguments.state_dir.clone();
    let store = Store::open(&directory)?;
    let (issuer, refreshes) = Issuer::open(&directory, config.roles.specs())?;
    let IdentityTable { rsa_file, dsa_file } = config.identity.clone();
    let keys = move || signing_keys::open(&directory, rsa_file.path(), dsa_file.path());
    let authority = tokio::task::spawn_blocking(keys).await.context("signing keys can't be made")??;
    Ok(State { store, issuer, refreshes, authority })
}

/// Open files that are no connection of an instance: maps, links, the store, sockets of the daemon's own.
const OTHER_FILES: u64 = 1_024;

/// Raises the limit of open files to what every connection of every slot takes, or as far as the host lets it, so
/// that no instance's connections leave another without.
fn raise_file_limit(slots: u16) {
    let wanted = u64::from(slots) * allowance::CONNECTIONS as u64 + OTHER_FILES;
    let given = getrlimit(Resource::Nofile);
    if given.current.is_none_or(|current| current >= wanted) {
        return;
    }
    if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: Some(wanted) }).is_ok() {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: given.maximum, ..given }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    tracing::warn!(limit, wanted, "fewer open files than {slots} slots can have connections");
}

/// Does something again and again; a failure is logged when it begins, and tried again.
async fn every<F, E>(
    period: Duration,
    failure: &'static str,
    shutdown: CancellationToken,
    mut act: impl FnMut() -> F,
) -> std::io::Result<()>
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error,
{
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing: Option<String> = None;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = act().await.err().map(|error| error.to_string());
        if let Some(error) = now.as_ref().filter(|error| failing.as_ref() != Some(error)) {
            tracing::error!(error, "{failure}; trying again");
        }
        failing = now;
    }
    Ok(())
}
