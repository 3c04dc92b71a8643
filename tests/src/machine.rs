//! A virtual machine that is an instance: QEMU at a tap of the host's, told by its console what to run.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::guest::{Bridge, Link};
use crate::{environment, names, process};

/// How long an emulated machine may take to boot; far more than it takes on a busy host.
const BOOT: Duration = Duration::from_secs(120);
/// How long it may take to run one command.
const COMMAND: Duration = Duration::from_secs(60);
/// The network of a client inside the machine, one hop behind it.
const BEHIND: &str = "behind";

/// What came of a command in a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code, as text.
    pub code: String,
    /// What it printed.
    pub text: String,
}

/// A machine and its tap. Ended and removed with this value.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    input: ChildStdin,
    console: Receiver<String>,
    /// All that the console said.
    said: Vec<String>,
    // The last: QEMU holds it.
    link: Link,
}

impl Machine {
    /// Boots a machine at a tap of its own: routed, or a port of `bridge`. It has the host for its router, which has an
    /// address there.
    #[must_use]
    #[track_caller]
    pub fn boot(bridge: Option<&Bridge>) -> Self {
        environment::require();
        let name = names::link();
        process::ip(["tuntap", "add", "dev", &name, "mode", "tap"]);
        let link = Link::adopt(name);
        if let Some(bridge) = bridge {
            process::ip(["link", "set", link.name(), "master", bridge.name()]);
        }
        process::ip(["link", "set", link.name(), "up"]);
        let (host, guest) = names::pair_of_addresses();
        let [host, guest] = [host, guest].map(Ipv4Addr::from);
        let router = bridge.map_or(link.name(), Bridge::name);
        process::ip(["address", "add", &format!("{host}/30"), "dev", router]);

        let mut command = Command::new(environment::machine());
        command.arg("-netdev").arg(format!("tap,id=link,ifname={},script=no,downscript=no", link.name()));
        command.args(["-device", "virtio-net-pci,netdev=link,romfile="]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut qemu = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        let input = qemu.stdin.take().expect("the pipe was asked for");
        let console = lines(qemu.stdout.take().expect("the pipe was asked for"));
        let mut machine = Self { qemu, input, console, said: Vec::new(), link };
        assert_eq!(machine.answer(BOOT).code, "ready");
        for line in [
            "ip link set eth0 up".to_owned(),
            format!("ip address add {guest}/30 dev eth0"),
            format!("ip route add default via {host}"),
        ] {
            machine.must(&line);
        }
        machine
    }

    /// The name of its tap.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.link.name()
    }

    /// Runs a line by a shell.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> Ran {
        // A console's line has an end.
        assert!(line.len() < 4_000, "too long for a console: {line}");
        writeln!(self.input, "{line}").unwrap_or_else(|error| panic!("the machine is gone: {error}\n{}", self.log()));
        self.answer(COMMAND)
    }

    /// Runs a line that must succeed; what it printed.
    #[track_caller]
    pub fn must(&mut self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, "0", "{line}: {}", ran.text);
        ran.text
    }

    /// Makes a client inside the machine, which forwards for it: one hop more.
    #[track_caller]
    pub fn put_client_behind(&mut self) {
        for line in [
            format!("ip netns add {BEHIND}"),
            format!("ip link add eth1 type veth peer name eth0 netns {BEHIND}"),
            "ip address add 10.99.0.1/24 dev eth1".to_owned(),
            "ip link set eth1 up".to_owned(),
            "sysctl -q -w net.ipv4.ip_forward=1".to_owned(),
            format!("ip -n {BEHIND} address add 10.99.0.2/24 dev eth0"),
            format!("ip -n {BEHIND} link set eth0 up"),
            format!("ip -n {BEHIND} route add default via 10.99.0.1"),
        ] {
            self.must(&line);
        }
    }

    /// Runs a line as that client.
    #[track_caller]
    pub fn run_behind(&mut self, line: &str) -> Ran {
        self.run(&format!("ip netns exec {BEHIND} {line}"))
    }

    #[track_caller]
    fn answer(&mut self, limit: Duration) -> Ran {
        let deadline = Instant::now() + limit;
        let mut text = Vec::new();
        loop {
            let line = match self.console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => panic!("the machine has ended\n{}", self.log()),
                Err(RecvTimeoutError::Timeout) => panic!("no answer within {limit:?}\n{}", self.log()),
            };
            self.said.push(line.clone());
            if let Some(code) = line.strip_prefix("= ") {
                return Ran { code: code.to_owned(), text: text.join("\n") };
            }
            // An empty line's blank was trimmed.
            text.extend(line.strip_prefix('>').map(|text| text.strip_prefix(' ').unwrap_or(text).to_owned()));
        }
    }

    fn log(&self) -> String {
        format!("its console said:\n{}", self.said.join("\n"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn lines(console: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}
