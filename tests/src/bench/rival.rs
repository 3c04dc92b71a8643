//! nginx in the daemon's place.

use std::fmt::Write;
use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::http::Answer;
use crate::namespace::Namespace;
use crate::{environment, names, process, wait};

/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// Where the kernel programs carry requests to, with what imdsd asks of its socket too.
const LISTEN: &str = "[fd00:ec2::254]:80 backlog=4096 deferred";

/// A running nginx. Ended with this value.
pub(super) struct Nginx {
    master: Child,
    pub(super) workers: usize,
}

impl Nginx {
    /// Starts it in a daemon's namespace, where nobody listens.
    pub(super) fn start(namespace: &Namespace, workers: usize, locations: &str) -> Self {
        let directory = names::directory();
        let place = directory.display();
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = write!(temporary, "{kind}_temp_path {place}/{kind}; ");
        }
        let reuse = if workers > 1 { " reuseport" } else { "" };
        let config = format!(
            "daemon off; worker_processes {workers}; user root; pid {place}/pid; error_log stderr;
             events {{ worker_connections 4096; }}
             http {{
                 access_log off; server_tokens off; default_type text/plain; keepalive_requests 100000000;
                 {temporary}
                 server {{ listen {LISTEN}{reuse}; {locations} }}
             }}"
        );
        names::write(&directory.join("nginx.conf"), config.as_bytes(), 0o600);
        let log = fs::File::create(directory.join("log")).expect("a directory of our own");
        let mut command = namespace.command(environment::nginx());
        command.args(["-e", "stderr", "-c"]).arg(directory.join("nginx.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let master = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        let nginx = Self { master, workers };
        wait::until(
            "nginx to listen",
            || (namespace.listens(), fs::read_to_string(directory.join("log")).unwrap_or_default()),
            |(listens, log)| {
                assert!(!log.contains("[emerg]"), "{log}");
                *listens
            },
        );
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // So that it ends its workers too.
        if let Some(pid) = i32::try_from(self.master.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if process::wait(&mut self.master, END).is_none() {
            let _ = self.master.kill();
            let _ = self.master.wait();
        }
    }
}

/// What makes nginx give the very answer that imdsd gave, but for `Server` and, where it stays, `Connection`.
pub(super) fn the_same(answer: &Answer, closes: bool) -> String {
    /// What nginx writes by itself.
    const OWN: [&str; 5] = ["content-type", "content-length", "date", "server", "connection"];
    let mut location = String::from("location / { ");
    for line in answer.head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ")
            && !OWN.contains(&name.to_ascii_lowercase().as_str())
        {
            let _ = write!(location, "add_header {name} \"{value}\" always; ");
        }
    }
    if closes {
        location += "keepalive_timeout 0; ";
    }
    let _ = write!(location, "return {} \"{}\"; }}", answer.status, answer.text());
    location
}
