//! Real clients: curl, wget, and Python with boto3.

use std::process::Command;

use crate::namespace::Namespace;
use crate::process::{self, Output};
use crate::{environment, names};

/// The service, as a URL without a path.
pub const URL: &str = "http://169.254.169.254";

/// What curl says of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curl {
    /// Its exit code: 0, or 28 when it ran out of time.
    pub code: Option<i32>,
    /// The status, 0 when no answer came.
    pub status: u16,
    /// Whether it was connected.
    pub connected: bool,
    /// The bytes of the request's body and head that it sent.
    pub sent: u64,
    /// The body.
    pub body: String,
}

/// The line that ends curl's output.
const SUMMARY: &str = "\n%{http_code} %{time_connect} %{size_request}";

impl Namespace {
    /// Runs curl for 5 seconds at most.
    #[must_use]
    #[track_caller]
    pub fn curl(&self, arguments: &[&str], path: &str) -> Curl {
        let url = format!("{URL}{path}");
        let mut command = self.command("curl");
        command.args(["--silent", "--noproxy", "*", "--max-time", "5", "--write-out", SUMMARY]).args(arguments);
        let output = process::run(command.arg(url));
        let (body, summary) = output.stdout.rsplit_once('\n').unwrap_or(("", ""));
        let mut words = summary.split(' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("curl said {output:?}"));
        let (status, connected, sent) = (word(), word(), word());
        Curl {
            code: output.code,
            status: status.parse().unwrap_or_else(|_| panic!("curl said {output:?}")),
            connected: connected.parse::<f64>().is_ok_and(|seconds| seconds > 0.0),
            sent: sent.parse().unwrap_or_default(),
            body: body.to_owned(),
        }
    }

    /// Asks for a token by curl.
    #[must_use]
    #[track_caller]
    pub fn curl_token(&self) -> Curl {
        self.curl(&["-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 21600"], "/latest/api/token")
    }

    /// Reads a path by curl with a token.
    #[must_use]
    #[track_caller]
    pub fn curl_with(&self, token: &str, path: &str) -> Curl {
        self.curl(&["-H", &format!("X-aws-ec2-metadata-token: {token}")], path)
    }

    /// Runs a Python script that may use boto3, without any configuration of AWS around it.
    #[must_use]
    #[track_caller]
    pub fn python(&self, script: &str) -> Output {
        let mut command = self.command(environment::python());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"AWS_")) {
            command.env_remove(name);
        }
        process::run(without_proxies(&mut command).env("HOME", names::directory()).args(["-c", script]))
    }
}

/// Removes what would lead a client past the service.
fn without_proxies(command: &mut Command) -> &mut Command {
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}
