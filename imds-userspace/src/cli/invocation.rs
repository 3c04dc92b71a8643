//! What is meant: the arguments with their files read and their values checked.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::Shell;

use super::arguments::{
    Arguments, CreateArguments, EventCommand, IdentityCommand, InstanceCommand, InterfaceCommand, KeysCommand,
    LimitsCommand, MetadataCommand, OptionsCommand, Subject, limit_changes,
};
use super::error::Error;
use super::identity::Verification;
use super::output::Format;
use super::trace::Trace;
use super::{apply, document, metadata_options};
use crate::control::protocol::Command;
use crate::metadata::document::MaintenanceCode;
use crate::registry::request::CreateInstance;
use crate::registry::request::{Change, Described, Event, Json};

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
    /// Bring instances to a described state, or say what that would take.
    Apply { instances: Vec<Described>, check: bool },
    /// Print the document's schema.
    Schema,
    /// Ask it for counters until stopped.
    Watch { instance_id: Option<String> },
    /// Ask it for packets until stopped.
    Trace(Trace),
    /// Check signatures of an identity document.
    Verify(Verification),
    /// Print completions.
    Completions(Shell),
    /// Print the manual, or write it to a directory.
    Man(Option<PathBuf>),
}

/// What of a reply is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// All of one instance.
    Instance,
    /// That an instance is gone, and whether its interfaces were let go.
    Deletion { released: bool },
    /// That an interface was let go.
    Release,
    /// That an instance is another.
    Change,
    /// What stands at a path of a document, or all of it.
    Document(Option<String>),
    /// A line for each instance.
    Instances,
    /// What became of described instances, or would.
    Applied { check: bool },
    /// The options of the one instance.
    OptionsOfOne,
    /// The options of each instance.
    OptionsOfEach,
    /// The limits of an instance.
    Limits,
    /// A certificate: of the DSA key, or else of the RSA key.
    Certificate { dsa: bool },
    /// Counters.
    Stats,
    /// What became of packets and requests.
    Events,
    /// The same, a line each.
    Trace,
    /// The keys after a rotation.
    Keys,
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
            Subject::Instance(InstanceCommand::Delete { instance_id, release }) => {
                let command = Command::InstanceDelete { instance_id, release };
                Action::Ask { command, view: View::Deletion { released: release } }
            }
            Subject::Interface(InterfaceCommand::Attach { interface, attach }) => {
                Action::Ask { command: Command::InterfaceAttach { interface, attach }, view: View::Change }
            }
            Subject::Interface(InterfaceCommand::Release { interface }) => {
                Action::Ask { command: Command::InterfaceRelease { interface }, view: View::Release }
            }
            Subject::Instance(InstanceCommand::Update { instance_id, document: file, replace }) => {
                let document = Json(document::read(&file, input, &mut warnings)?);
                change(instance_id, if replace { Change::Replace(document) } else { Change::Merge(document) })
            }
            Subject::Metadata(MetadataCommand::Get { instance_id, path }) => {
                Action::Ask { command: Command::DocumentGet { instance_id }, view: View::Document(path) }
            }
            Subject::Metadata(MetadataCommand::Set { instance_id, path, value }) => {
                change(instance_id, document::setting(path, value, input)?)
            }
            Subject::Metadata(MetadataCommand::Unset { instance_id, path }) => {
                change(instance_id, Change::Unset { path })
            }
            Subject::Metadata(MetadataCommand::Schema) => Action::Schema,
            Subject::Event(command) => event(command),
            Subject::Apply(arguments) => Action::Apply {
                instances: apply::read(&arguments.file, input, &mut warnings)?,
                check: arguments.dry_run,
            },
            Subject::Instance(InstanceCommand::Restart { instance_id }) => {
                Action::Ask { command: Command::InstanceRestart { instance_id }, view: View::Instance }
            }
            Subject::Options(OptionsCommand::Show { instance_id }) => {
                Action::Ask { command: Command::InstanceShow { instance_id }, view: View::OptionsOfOne }
            }
            // The parser takes an id or `--all` and never both, so no id means all.
            Subject::Options(OptionsCommand::Set { instance_id, all: _, changes }) => {
                let command = Command::OptionsSet { instance_id, changes: changes.into() };
                Action::Ask { command, view: View::OptionsOfEach }
            }
            Subject::Limits(LimitsCommand::Show { instance_id }) => {
                Action::Ask { command: Command::InstanceShow { instance_id }, view: View::Limits }
            }
            Subject::Limits(LimitsCommand::Set { instance_id, limits, any_address, any_mac }) => {
                let changes = limit_changes(limits, any_address, any_mac);
                Action::Ask { command: Command::LimitsSet { instance_id, changes }, view: View::Limits }
            }
            Subject::Identity(IdentityCommand::Certificate { dsa }) => {
                Action::Ask { command: Command::IdentityCertificates, view: View::Certificate { dsa } }
            }
            Subject::Identity(IdentityCommand::Verify(verify)) => Action::Verify(Verification::new(&verify, input)?),
            Subject::Stats { instance_id, watch: true } => Action::Watch { instance_id },
            Subject::Stats { instance_id, watch: false } => {
                Action::Ask { command: Command::Stats { instance_id }, view: View::Stats }
            }
            Subject::Explain { instance_id, last } => {
                Action::Ask { command: Command::Explain { instance_id, last }, view: View::Events }
            }
            Subject::Trace { instance_id, seconds, count } => Action::Trace(Trace { instance_id, seconds, count }),
            Subject::Keys(KeysCommand::Rotate { force }) => {
                Action::Ask { command: Command::KeysRotate { force }, view: View::Keys }
            }
            Subject::Completions { shell } => Action::Completions(shell),
            Subject::Man { directory } => Action::Man(directory),
        };
        Ok(Self { socket, format, action, warnings })
    }
}

fn change(instance_id: String, change: Change) -> Action {
    Action::Ask { command: Command::DocumentChange { instance_id, change: Box::new(change) }, view: View::Change }
}

fn event(command: EventCommand) -> Action {
    let (instance_id, event) = match command {
        EventCommand::SpotInterruption { instance_id, after, action } => {
            (instance_id, Event::SpotInterruption { seconds: after.as_secs(), action })
        }
        EventCommand::Rebalance { instance_id, after } => (instance_id, Event::Rebalance { seconds: after.as_secs() }),
        EventCommand::Maintenance { instance_id, after, duration, code, description } => {
            let duration = duration.or_else(|| has_end(code).then_some(MAINTENANCE)).map(|duration| duration.as_secs());
            let seconds = after.as_secs();
            (instance_id, Event::Maintenance { seconds, duration, code, description })
        }
        EventCommand::Lifecycle { instance_id, state, after } => {
            (instance_id, Event::Lifecycle { seconds: after.as_secs(), state })
        }
        EventCommand::Clear { instance_id } => (instance_id, Event::Clear),
    };
    change(instance_id, Change::Event(event))
}

/// How long maintenance takes that doesn't say.
const MAINTENANCE: Duration = Duration::from_secs(10 * 60);

/// Whether EC2 tells when such maintenance ends: a stopped or retired instance doesn't come back by itself.
const fn has_end(code: MaintenanceCode) -> bool {
    !matches!(code, MaintenanceCode::InstanceStop | MaintenanceCode::InstanceRetirement)
}

fn creation(
    arguments: CreateArguments,
    input: &mut dyn Read,
    warnings: &mut Vec<String>,
) -> Result<CreateInstance, Error> {
    let metadata_options = arguments.metadata_options.as_deref().map(metadata_options::parse).transpose()?;
    Ok(CreateInstance {
        document: document::of_creation(&arguments, input, warnings)?,
        interfaces: arguments.interfaces,
        attach: arguments.attach,
        instance_id: arguments.instance_id,
        metadata_options: metadata_options.unwrap_or_default(),
        limits: arguments.limits.into(),
    })
}

#[cfg(test)]
mod tests;
