//! What was typed. Values are checked here where the parser can say it best; files and what needs several arguments
//! together are the invocation's.

mod document;
mod limits;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use imds_common::options::{HopLimit, HttpTokens, Switch};

pub(super) use self::document::{ApplyArguments, EventCommand, MetadataCommand};
pub(super) use self::limits::{LimitFlags, LimitsCommand, changes as limit_changes};
use super::help;
use super::output::Format;
use crate::dataplane::attach::Attach;

/// The socket of a daemon that wasn't told another run directory.
const DEFAULT_SOCKET: &str = "/run/imdsd/imdsd.sock";

/// The heading of what every command takes.
const GLOBAL: &str = "Global options";

/// Controls imdsd, the instance metadata service
#[derive(Debug, Parser)]
#[command(name = "imdsctl", version, after_help = help::TOP)]
pub struct Arguments {
    /// The daemon's control socket
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "PATH",
        env = "IMDSD_SOCKET",
        hide_env_values = true,
        default_value = DEFAULT_SOCKET,
        value_hint = ValueHint::FilePath
    )]
    pub(super) socket: PathBuf,

    /// How to print what the daemon says
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_enum,
        value_name = "FORMAT",
        default_value_t = Format::Table
    )]
    pub(super) output: Format,

    #[command(subcommand)]
    pub(super) subject: Subject,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subject {
    /// Creates, lists, shows, changes, restarts and deletes instances
    #[command(subcommand, after_help = help::INSTANCE)]
    Instance(InstanceCommand),
    /// Shows and changes the metadata options of instances
    #[command(subcommand, after_help = help::OPTIONS)]
    Options(OptionsCommand),
    /// Shows and changes what an instance may send to the service: from where, and how much a second
    #[command(subcommand, after_help = help::LIMITS)]
    Limits(LimitsCommand),
    /// Releases an interface that is closed since its instance was deleted
    #[command(subcommand, after_help = help::INTERFACE)]
    Interface(InterfaceCommand),
    /// Reads and changes the document of an instance: what its metadata is made of
    #[command(subcommand, after_help = help::METADATA)]
    Metadata(MetadataCommand),
    /// Makes something happen to an instance
    #[command(subcommand, after_help = help::EVENT)]
    Event(EventCommand),
    /// Creates and changes many instances until they are as a file describes them
    #[command(after_help = help::APPLY)]
    Apply(ApplyArguments),
    /// Prints the certificates of identity documents, and checks their signatures
    #[command(subcommand, after_help = help::IDENTITY)]
    Identity(IdentityCommand),
    /// Prints counters: reads without a token, tokens, requests, refusals and drops by reason
    #[command(after_help = help::STATS)]
    Stats {
        /// An instance's id; left out: every instance, and the host
        #[arg(value_name = "ID")]
        instance_id: Option<String>,
        /// Repeat every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Says why an instance's recent requests and packets were refused or dropped, and what to change
    #[command(after_help = help::EXPLAIN)]
    Explain {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// How many to show, at most
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
    },
    /// Shows every packet between an instance and the service with its verdict, as it happens
    #[command(after_help = help::TRACE)]
    Trace {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// End after so many seconds [default: at Ctrl-C]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        seconds: Option<u32>,
        /// End after so many packets [default: at Ctrl-C]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        count: Option<u32>,
    },
    /// Rotates the keys that sign tokens
    #[command(subcommand, after_help = help::KEYS)]
    Keys(KeysCommand),
    /// Prints a shell's completions
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints the manual pages of every command, or writes them as files
    #[command(after_help = help::MAN)]
    Man {
        /// The directory to write the pages to; made where it isn't there
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum InstanceCommand {
    /// Creates an instance behind one or more interfaces of this host
    #[command(after_help = help::INSTANCE_CREATE)]
    Create(Box<CreateArguments>),
    /// Lists all instances
    #[command(after_help = help::INSTANCE_LIST)]
    List,
    /// Shows an instance
    #[command(after_help = help::INSTANCE_SHOW)]
    Show {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
    },
    /// Changes the document of an instance while it runs
    #[command(after_help = help::INSTANCE_UPDATE)]
    Update {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// What to change, JSON; `-` is standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        document: PathBuf,
        /// Forget what the file leaves out
        #[arg(long)]
        replace: bool,
    },
    /// Restarts an instance, as far as its metadata goes
    #[command(after_help = help::INSTANCE_RESTART)]
    Restart {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
    },
    /// Deletes an instance
    #[command(after_help = help::INSTANCE_DELETE)]
    Delete {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// Let its interfaces go instead of leaving them closed: what the guest sends to the metadata addresses then
        /// goes where the host's own stack leads it
        #[arg(long)]
        release: bool,
    },
}

#[derive(Debug, Default, Args)]
pub(super) struct CreateArguments {
    /// An interface of this host behind which the instance is, a tap or a veth; the first one given is the primary
    #[arg(long = "interface", value_name = "IF", required = true)]
    pub(super) interfaces: Vec<String>,
    /// How programs are attached to its interfaces [default: as the daemon's --attach says]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(super) attach: Option<Attach>,
    /// `i-` and 8 or 17 hexadecimal digits [default: a new one]
    #[arg(long, value_name = "ID")]
    pub(super) instance_id: Option<String>,
    /// Its document, JSON; `-` is standard input; the flags below come before it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) document: Option<PathBuf>,
    /// The image it was started from [default: ami-00000000000000000]
    #[arg(long, value_name = "ID")]
    pub(super) image_id: Option<String>,
    /// Its type [default: t3.micro]
    #[arg(long, value_name = "TYPE")]
    pub(super) instance_type: Option<String>,
    /// Its zone [default: as the daemon's config says]
    #[arg(long, value_name = "AZ")]
    pub(super) availability_zone: Option<String>,
    /// Its own IPv4 address [default: 10.0.0.1, or none with an IPv6 address]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) private_ip: Option<Ipv4Addr>,
    /// Its private DNS name [default: made from the address, as EC2's are]
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Hostname)]
    pub(super) hostname: Option<String>,
    /// The account it belongs to, twelve digits [default: as the daemon's config says]
    #[arg(long, value_name = "NUMBER")]
    pub(super) account_id: Option<String>,
    /// The name of its role: one of the daemon's config, or any with --credentials-file
    #[arg(long, value_name = "NAME")]
    pub(super) iam_role: Option<String>,
    /// The role's credentials as static values, JSON with AccessKeyId, SecretAccessKey, Token and Expiration
    #[arg(long, value_name = "FILE", requires = "iam_role", value_hint = ValueHint::FilePath)]
    pub(super) credentials_file: Option<PathBuf>,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub(super) tags: Vec<String>,
    /// Its user data, at most 16 KiB; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) user_data_file: Option<PathBuf>,
    /// Metadata options that differ from the defaults
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub(super) metadata_options: Option<String>,
    #[command(flatten)]
    pub(super) limits: LimitFlags,
}

#[derive(Debug, Subcommand)]
pub(super) enum OptionsCommand {
    /// Shows the options of an instance
    #[command(after_help = help::OPTIONS_SHOW)]
    Show {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
    },
    /// Changes options of an instance, or of all
    #[command(
        after_help = help::OPTIONS_SET,
        override_usage = "imdsctl options set <ID|--all> <OPTION TO CHANGE>...",
        group = ArgGroup::new("target").args(["instance_id", "all"]).required(true),
        group = ArgGroup::new("change").required(true).multiple(true).args([
            "http_tokens",
            "http_put_response_hop_limit",
            "http_endpoint",
            "http_protocol_ipv6",
            "instance_metadata_tags",
        ])
    )]
    Set {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: Option<String>,
        /// Every instance there is
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        changes: OptionFlags,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum InterfaceCommand {
    /// Attaches to an interface of an instance in another way, while it runs
    #[command(after_help = help::INTERFACE_ATTACH)]
    Attach {
        /// The interface's name on this host
        #[arg(value_name = "IF")]
        interface: String,
        /// How programs are attached; left out: as the daemon's --attach says
        #[arg(value_name = "HOW", value_enum)]
        attach: Option<Attach>,
    },
    /// Takes the program off a closed interface
    #[command(after_help = help::INTERFACE_RELEASE)]
    Release {
        /// The interface's name on this host
        #[arg(value_name = "IF")]
        interface: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Makes a new key, which signs all tokens from now on
    #[command(after_help = help::KEYS_ROTATE)]
    Rotate {
        /// Rotate even if good tokens end by it
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum IdentityCommand {
    /// Prints the certificate that signatures from now on are checked with, in PEM
    #[command(after_help = help::IDENTITY_CERTIFICATE)]
    Certificate {
        /// The one of `pkcs7` instead of the one of `signature` and `rsa2048`
        #[arg(long)]
        dsa: bool,
    },
    /// Checks signatures of an identity document
    #[command(
        after_help = help::IDENTITY_VERIFY,
        group = ArgGroup::new("claim").required(true).multiple(true).args(["signature", "pkcs7", "rsa2048"])
    )]
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct VerifyArguments {
    /// Certificates to trust, one or several in PEM [default: those that imdsd has now]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) certificate: Option<PathBuf>,
    /// The document, byte for byte as the instance reads it; `-` is standard input, for one file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) document: PathBuf,
    /// The instance's `signature`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) signature: Option<PathBuf>,
    /// The instance's `pkcs7`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) pkcs7: Option<PathBuf>,
    /// The instance's `rsa2048`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) rsa2048: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct OptionFlags {
    /// Whether a read needs a session token
    #[arg(long, value_name = "VALUE", value_parser = values::<HttpTokens>([
        HttpTokens::Optional.as_str(),
        HttpTokens::Required.as_str(),
    ]))]
    pub(super) http_tokens: Option<HttpTokens>,
    /// How many hops a token may travel, 1 to 64
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) http_put_response_hop_limit: Option<HopLimit>,
    /// Whether the service answers at all
    #[arg(long, value_name = "VALUE", value_parser = switch())]
    pub(super) http_endpoint: Option<Switch>,
    /// Whether it answers on IPv6 too
    #[arg(long, value_name = "VALUE", value_parser = switch())]
    pub(super) http_protocol_ipv6: Option<Switch>,
    /// Whether the instance can read its tags
    #[arg(long, value_name = "VALUE", value_parser = switch())]
    pub(super) instance_metadata_tags: Option<Switch>,
}

fn switch() -> impl TypedValueParser<Value = Switch> {
    values([Switch::Enabled.as_str(), Switch::Disabled.as_str()])
}

/// Takes the listed values, which help and completions show.
fn values<T>(names: [&'static str; 2]) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}
