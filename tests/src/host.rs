//! A daemon on directories of its own, and its command line.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::attachment::Attachment;
use crate::family::Family;
use crate::namespace::Namespace;
use crate::process::{self, Output};
use crate::stats::{InstanceStats, Stats};
use crate::{environment, names, wait};

/// How long a daemon may take to end after SIGTERM: it drains for some seconds at most.
const END: Duration = Duration::from_secs(20);

/// What a daemon's config begins with: no budgets, as tests send more than a guest does.
const UNBOUNDED: &str = "packet-budget = 0\nrequest-budget = 0\n";

/// Keys that everybody knows.
const SIGNING_KEYS: [(&str, &str); 2] = [
    ("identity-rsa.pem", include_str!("../../imds-userspace/src/metadata/identity/sample/rsa.pem")),
    ("identity-dsa.pem", include_str!("../../imds-userspace/src/metadata/identity/sample/dsa.pem")),
];

/// A daemon, its directories and its log. Killed, detached and removed with this value.
#[derive(Debug)]
pub struct Host {
    directory: PathBuf,
    attachment: Option<Attachment>,
    family: Family,
    /// The network namespace that is the host's to the daemon, if it isn't this process's.
    network: Option<String>,
    /// The daemon's program.
    program: PathBuf,
    daemon: Option<Child>,
}

impl Host {
    /// Starts a daemon with the default config, but for its budgets: there are none.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::with_config("")
    }

    /// Starts a daemon with a config that says nothing of budgets: there are none.
    #[must_use]
    #[track_caller]
    pub fn with_config(toml: &str) -> Self {
        Self::with_whole_config(&format!("{UNBOUNDED}{toml}"))
    }

    /// Starts a daemon with a config, budgets and all.
    #[must_use]
    #[track_caller]
    pub fn with_whole_config(toml: &str) -> Self {
        let mut host = Self::prepare();
        names::write(&host.config(), toml.as_bytes(), 0o600);
        host.launch();
        host
    }

    /// The same, which lets the clients of each new instance reach the service over that family.
    #[must_use]
    pub fn over(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// The directories of a daemon that isn't started yet.
    #[must_use]
    pub fn prepare() -> Self {
        let host = Self {
            directory: names::directory(),
            attachment: Attachment::current(),
            family: Family::default(),
            network: None,
            program: environment::imdsd(),
            daemon: None,
        };
        names::write(&host.config(), UNBOUNDED.as_bytes(), 0o600);
        host
    }

    /// The same, with the debug object, and a config that says nothing of budgets: there are none.
    #[must_use]
    pub fn prepare_debug(toml: &str) -> Self {
        let mut host = Self::prepare();
        host.program = environment::debug_imdsd();
        names::write(&host.config(), format!("{UNBOUNDED}{toml}").as_bytes(), 0o600);
        host
    }

    /// Lets a namespace be the host's network from the next start on. It is to go before this value, so that nothing
    /// is left of the daemon's in it.
    pub fn move_to(&mut self, network: &Namespace) {
        self.network = Some(network.name().to_owned());
    }

    /// Starts the daemon on what is there, and waits until it answers.
    #[track_caller]
    pub fn launch(&mut self) {
        self.spawn();
        let socket = self.socket();
        wait::until(
            "imdsd's socket",
            || (self.ended(), UnixStream::connect(&socket).is_ok()),
            |seen| {
                assert!(seen.0.is_none(), "imdsd has ended: {:?}\n{}", seen.0, self.log());
                seen.1
            },
        );
    }

    /// Starts the daemon on what is there, and waits for nothing.
    #[track_caller]
    pub fn spawn(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        if environment::is_slow() {
            self.keep_signing_keys();
        }
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.unwrap_or_else(|error| panic!("{} can't be written: {error}", self.log_file().display()));
        let mut command = self.imdsd();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        self.daemon = Some(child);
    }

    /// Gives the daemon signing keys that are known, instead of new ones.
    fn keep_signing_keys(&self) {
        if self.state_dir().exists() {
            return;
        }
        let made = fs::DirBuilder::new().mode(0o700).create(self.state_dir());
        made.unwrap_or_else(|error| panic!("{} can't be made: {error}", self.state_dir().display()));
        for (name, text) in SIGNING_KEYS {
            names::write(&self.state_dir().join(name), text.as_bytes(), 0o600);
        }
    }

    fn ended(&self) -> Option<String> {
        let pid = self.daemon.as_ref()?.id();
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Field 3, after the name in brackets; Z is what ended and wasn't waited for.
        let state = state.rsplit_once(") ").map_or("gone", |(_, rest)| rest);
        (state == "gone" || state.starts_with('Z')).then(|| state.to_owned())
    }

    /// The command that starts this daemon.
    #[must_use]
    pub fn imdsd(&self) -> Command {
        let mut command = match &self.network {
            None => Command::new(&self.program),
            Some(name) => {
                // As `ip netns exec`, but that /sys stays as it is, where the daemon's pins are.
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{name}")).arg(&self.program);
                command
            }
        };
        command.args(self.arguments());
        command
    }

    /// The daemon's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let paths = [("--config", self.config()), ("--run-dir", self.run_dir()), ("--state-dir", self.state_dir())];
        let paths = paths.into_iter().flat_map(|(name, path)| [name.to_owned(), path.display().to_string()]);
        let attachment = self.attachment.map(|attachment| ["--attach".to_owned(), attachment.as_str().to_owned()]);
        paths.chain(attachment.into_iter().flatten()).collect()
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("imdsd.toml")
    }

    /// The run directory.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// The state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("imdsd.sock")
    }

    /// Where the daemon logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory.join("imdsd.log")
    }

    /// What the daemon logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The daemon's process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Kills the daemon: it gets no chance to do anything.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Ends the daemon by SIGTERM.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("it runs");
        let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).unwrap_or_else(|error| panic!("imdsd can't be ended: {error}"));
        process::wait(&mut daemon, END).unwrap_or_else(|| {
            let _ = daemon.kill();
            let _ = daemon.wait();
            panic!("imdsd takes longer than {END:?} to end\n{}", self.log());
        })
    }

    /// Removes everything that the daemon made in the kernel.
    #[must_use]
    pub fn detach(&self) -> Output {
        self.detach_within(wait::LIMIT * 3)
    }

    /// The same where there is more than usual: the kernel takes its time for every interface.
    #[must_use]
    pub fn detach_within(&self, limit: Duration) -> Output {
        let mut imdsd = Command::new(environment::imdsd());
        process::run_within(imdsd.args(["detach", "--run-dir"]).arg(self.run_dir()), limit)
    }

    /// What the daemon has in the kernel now, a line each, as it says itself.
    #[must_use]
    #[track_caller]
    pub fn leftovers(&self) -> Vec<String> {
        let mut imdsd = Command::new(environment::imdsd());
        let output = process::run(imdsd.args(["detach", "--dry-run", "--run-dir"]).arg(self.run_dir()));
        assert!(output.success(), "imdsd detach --dry-run: {}", output.stderr);
        output.stdout.lines().map(str::to_owned).collect()
    }

    /// The directory of the daemon's pins, as long as there is one.
    #[must_use]
    #[track_caller]
    pub fn pins(&self) -> Option<PathBuf> {
        self.leftovers().iter().find_map(|line| line.strip_prefix("pins ").map(PathBuf::from))
    }

    /// Runs `imdsctl`.
    #[must_use]
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        process::run(self.imdsctl().args(arguments))
    }

    /// The command that asks this daemon.
    #[must_use]
    pub fn imdsctl(&self) -> Command {
        let mut command = Command::new(environment::imdsctl());
        command.arg("--socket").arg(self.socket());
        command
    }

    /// Runs `imdsctl`, which must succeed; its JSON.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let output = process::run(self.imdsctl().args(["--output", "json"]).args(arguments));
        assert!(output.success(), "imdsctl {arguments:?}: {}", output.stderr);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("imdsctl {arguments:?} printed no JSON ({error}): {}", output.stdout))
    }

    /// Creates an instance; its id.
    #[track_caller]
    pub fn create(&self, interface: &str, arguments: &[&str]) -> String {
        let arguments = self.family.enabled(arguments);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let view = self.ask(&[&["instance", "create", "--interface", interface], &arguments[..]].concat());
        view["instance_id"].as_str().unwrap_or_else(|| panic!("no id in {view}")).to_owned()
    }

    /// Changes options of an instance.
    #[track_caller]
    pub fn set(&self, instance: &str, arguments: &[&str]) {
        self.ask(&[&["options", "set", instance], arguments].concat());
    }

    /// Deletes an instance.
    #[track_caller]
    pub fn delete(&self, instance: &str) {
        self.ask(&["instance", "delete", instance]);
    }

    /// An instance's counters.
    #[track_caller]
    pub fn stats(&self, instance: &str) -> InstanceStats {
        Stats::new(self.ask(&["stats", instance])).instance(instance)
    }

    /// One of the counters that belong to no instance.
    #[track_caller]
    pub fn host_counter(&self, name: &str) -> u64 {
        Stats::new(self.ask(&["stats"])).host(name)
    }

    /// Where everything of it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        let detached = self.detach();
        if thread::panicking() {
            eprintln!("imdsd's log:\n{}", self.log());
        } else {
            assert!(detached.success(), "imdsd detach: {}", detached.stderr);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}
