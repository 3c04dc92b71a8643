//! A network namespace: a guest's own, or that of a client behind it.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{io, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::family::Family;
use crate::process::{self, Output};
use crate::{environment, names};

/// The service's address, as every EC2 instance knows it.
pub const SERVICE: &str = "169.254.169.254:80";
/// The service's IPv6 address.
pub const SERVICE_V6: &str = "[fd00:ec2::254]:80";

/// How long a client waits for a connection, an answer, or a write.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A network namespace, removed with this value unless it is somebody else's.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    ours: bool,
    /// By which address clients in it reach the service.
    pub family: Family,
}

impl Namespace {
    /// Makes a namespace with its loopback interface up.
    #[must_use]
    pub fn new() -> Self {
        environment::require();
        let name = names::link();
        process::ip(["netns", "add", &name]);
        let namespace = Self { name, ours: true, family: Family::default() };
        namespace.ip(["link", "set", "lo", "up"]);
        namespace
    }

    /// One that somebody else made and removes.
    #[must_use]
    pub fn of_another(name: String) -> Self {
        Self { name, ours: false, family: Family::default() }
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` on what is in it.
    #[track_caller]
    pub fn ip<const N: usize>(&self, arguments: [&str; N]) {
        process::ip(["-n", &self.name].into_iter().chain(arguments));
    }

    /// The index of a link that is in it.
    #[must_use]
    #[track_caller]
    pub fn ifindex_of(&self, link: &str) -> u32 {
        let mut command = Command::new("ip");
        let output = process::run(command.args(["-n", &self.name, "-json", "link", "show", link]));
        let links: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let index = links[0]["ifindex"].as_u64().and_then(|index| index.try_into().ok());
        index.unwrap_or_else(|| panic!("{link} is not in {}: {}{}", self.name, output.stdout, output.stderr))
    }

    /// A command that runs in it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref());
        command
    }

    /// Runs a command in it to its end.
    #[must_use]
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        process::run(self.command(program).args(arguments))
    }

    /// Does something on a thread that is in it: the sockets that it makes stay in it.
    #[track_caller]
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let path = PathBuf::from("/run/netns").join(&self.name);
        let entered = || -> io::Result<T> {
            let file = File::open(&path)?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(act())
        };
        let result = thread::scope(|scope| scope.spawn(entered).join());
        match result {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => panic!("{} can't be entered: {error}", path.display()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Connects to the service from inside, over its family.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn connect(&self) -> io::Result<TcpStream> {
        self.connect_to(self.family.service(), PATIENCE)
    }

    /// Connects to an address from inside, within a time.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn connect_to(&self, service: &str, patience: Duration) -> io::Result<TcpStream> {
        let service: SocketAddr = service.parse().expect("an address");
        let stream = self.inside(|| TcpStream::connect_timeout(&service, patience))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.ours {
            process::ip_remove(&["netns", "delete", &self.name]);
        }
    }
}
