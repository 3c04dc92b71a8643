//! Real clients: curl, boto3, the AWS CLI, the AWS SDKs, and cloud-init.

use std::path::Path;
use std::process::Command;

use crate::family::Family;
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
        let url = format!("{}{path}", self.family.url());
        let mut command = self.command("curl");
        command
            .args(["--silent", "--globoff", "--noproxy", "*", "--max-time", "5", "--write-out", SUMMARY])
            .args(arguments);
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
        process::run(self.unconfigured(environment::python()).args(["-c", script]))
    }

    /// Runs the AWS CLI.
    #[must_use]
    #[track_caller]
    pub fn aws(&self, arguments: &[&str]) -> Output {
        process::run(self.unconfigured(environment::client("python/bin/aws")).args(arguments))
    }

    /// Runs a module of JavaScript that may use the AWS SDK.
    #[must_use]
    #[track_caller]
    pub fn javascript(&self, module: &str) -> Output {
        // Node looks for packages from where it runs on.
        let directory = environment::client("javascript/package.json").with_file_name("");
        process::run(self.unconfigured("node").current_dir(directory).args(["--input-type=module", "-e", module]))
    }

    /// Runs the program that uses the AWS SDK for Rust.
    #[must_use]
    #[track_caller]
    pub fn rust(&self) -> Output {
        process::run(&mut self.unconfigured(environment::client("rust/debug/aws-sdk-client")))
    }

    /// Runs a script that uses cloud-init, by the Python that it is packaged for.
    #[must_use]
    #[track_caller]
    pub fn cloud_init(&self, script: &str) -> Output {
        let packages =
            environment::client("cloud-init/usr/bin/cloud-init").with_file_name("../lib/python3/dist-packages");
        let mut command = self.unconfigured("/usr/bin/python3");
        process::run(command.env("PYTHONPATH", packages).args(["-B", "-c", script]))
    }

    /// A client without any configuration of AWS around it, and with nothing that leads it past the service.
    fn unconfigured(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.command(program);
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b"AWS_") || bytes.to_ascii_lowercase().ends_with(b"_proxy") {
                command.env_remove(name);
            }
        }
        if self.family == Family::Ipv6 {
            command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
        }
        command.env("HOME", names::directory());
        command
    }
}
