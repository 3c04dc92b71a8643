//! What is meant: the arguments with their files read and their values checked.

use std::io::Read;
use std::path::PathBuf;

use clap_complete::Shell;

use super::arguments::{Arguments, CreateArguments, IdentityCommand, InstanceCommand, OptionsCommand, Subject};
use super::error::Error;
use super::identity::Verification;
use super::output::Format;
use super::{credentials, metadata_options, tags, user_data};
use crate::control::protocol::{Command, CreateInstance, EncodedUserData};

/// One run of `imdsctl`.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) socket: PathBuf,
    pub(super) format: Format,
    pub(super) action: Action,
    /// What the operator shall know before it is done.
    pub(super) warnings: Vec<String>,
}

/// What to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Ask the daemon once.
    Ask { command: Command, view: View },
    /// Ask it for counters until stopped.
    Watch { instance_id: Option<String> },
    /// Check signatures of an identity document.
    Verify(Verification),
    /// Print completions.
    Completions(Shell),
    /// Print the manual, or write it to a directory.
    Man(Option<PathBuf>),
}

/// What of a reply is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// All of one instance.
    Instance,
    /// That an instance is gone.
    Deletion,
    /// A line for each instance.
    Instances,
    /// The options of the one instance.
    OptionsOfOne,
    /// The options of each instance.
    OptionsOfEach,
    /// A certificate: of the DSA key, or else of the RSA key.
    Certificate { dsa: bool },
    /// Counters.
    Stats,
    /// Counters, among others before and after: a JSON document is one line.
    StatsOverTime,
}

impl Invocation {
    /// Checks the arguments and reads the files that they name; `input` is the one named `-`.
    pub(super) fn new(arguments: Arguments, input: &mut dyn Read) -> Result<Self, Error> {
        let Arguments { socket, output: format, subject } = arguments;
        let mut warnings = Vec::new();
        let action = match subject {
            Subject::Instance(InstanceCommand::Create(create)) => {
                let command = Command::InstanceCreate(Box::new(creation(*create, input, &mut warnings)?));
                Action::Ask { command, view: View::Instance }
            }
            Subject::Instance(InstanceCommand::List) => {
                Action::Ask { command: Command::InstanceList, view: View::Instances }
            }
            Subject::Instance(InstanceCommand::Show { instance_id }) => {
                Action::Ask { command: Command::InstanceShow { instance_id }, view: View::Instance }
            }
            Subject::Instance(InstanceCommand::Restart { instance_id }) => {
                Action::Ask { command: Command::InstanceRestart { instance_id }, view: View::Instance }
            }
            Subject::Instance(InstanceCommand::Delete { instance_id }) => {
                Action::Ask { command: Command::InstanceDelete { instance_id }, view: View::Deletion }
            }
            Subject::Options(OptionsCommand::Show { instance_id }) => {
                Action::Ask { command: Command::InstanceShow { instance_id }, view: View::OptionsOfOne }
            }
            // The parser takes an id or `--all` and never both, so no id means all.
            Subject::Options(OptionsCommand::Set { instance_id, all: _, changes }) => {
                let command = Command::OptionsSet { instance_id, changes: changes.into() };
                Action::Ask { command, view: View::OptionsOfEach }
            }
            Subject::Identity(IdentityCommand::Certificate { dsa }) => {
                Action::Ask { command: Command::IdentityCertificates, view: View::Certificate { dsa } }
            }
            Subject::Identity(IdentityCommand::Verify(verify)) => Action::Verify(Verification::new(&verify, input)?),
            Subject::Stats { instance_id, watch: true } => Action::Watch { instance_id },
            Subject::Stats { instance_id, watch: false } => {
                Action::Ask { command: Command::Stats { instance_id }, view: View::Stats }
            }
            Subject::Completions { shell } => Action::Completions(shell),
            Subject::Man { directory } => Action::Man(directory),
        };
        Ok(Self { socket, format, action, warnings })
    }
}

fn creation(
    arguments: CreateArguments,
    input: &mut dyn Read,
    warnings: &mut Vec<String>,
) -> Result<CreateInstance, Error> {
    let metadata_options = arguments.metadata_options.as_deref().map(metadata_options::parse).transpose()?;
    let tags = tags::parse(&arguments.tags)?;
    let user_data = arguments.user_data_file.map(|file| user_data::read(&file, input)).transpose()?;
    let credentials = arguments.credentials_file.map(|file| credentials::read(&file)).transpose()?;
    let credentials = credentials.map(|file| {
        warnings.extend(file.warning);
        file.credentials
    });
    Ok(CreateInstance {
        interfaces: arguments.interfaces,
        instance_id: arguments.instance_id,
        image_id: arguments.image_id,
        instance_type: arguments.instance_type,
        availability_zone: arguments.availability_zone,
        private_ip: arguments.private_ip,
        hostname: arguments.hostname,
        account_id: arguments.account_id,
        iam_role: arguments.iam_role,
        credentials,
        tags,
        user_data: user_data.map(EncodedUserData),
        metadata_options: metadata_options.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
