//! What was typed of documents and events.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Subcommand, ValueHint};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::help;
use crate::metadata::document::{LifecycleState, MaintenanceCode, SpotAction};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MetadataCommand {
    /// Prints the document of an instance, with everything that is derived
    #[command(after_help = help::METADATA_GET)]
    Get {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// Names with slashes between, such as placement/region
        #[arg(value_name = "PATH")]
        path: Option<String>,
    },
    /// Sets a value in the document of an instance
    #[command(after_help = help::METADATA_SET)]
    Set {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// Names with slashes between, such as placement/group-name
        #[arg(value_name = "PATH")]
        path: String,
        /// The value, as JSON where the document wants that, else as it is; `-` is standard input
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Takes a value from the document of an instance: it is derived again, or not there
    #[command(after_help = help::METADATA_UNSET)]
    Unset {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// Names with slashes between, such as placement/group-name
        #[arg(value_name = "PATH")]
        path: String,
    },
    /// Prints the JSON Schema of the document
    #[command(after_help = help::METADATA_SCHEMA)]
    Schema,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EventCommand {
    /// Interrupts a Spot Instance: it is told two minutes before
    #[command(after_help = help::EVENT_SPOT)]
    SpotInterruption {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// When
        #[arg(long = "in", value_name = "TIME", default_value = "2m", value_parser = time)]
        after: Duration,
        /// What becomes of it
        #[arg(long, value_name = "ACTION", default_value = "terminate",
            value_parser = named::<SpotAction>(&["terminate", "stop", "hibernate"]))]
        action: SpotAction,
    },
    /// Recommends to rebalance
    #[command(after_help = help::EVENT_REBALANCE)]
    Rebalance {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// When
        #[arg(long = "in", value_name = "TIME", default_value = "0s", value_parser = time)]
        after: Duration,
    },
    /// Schedules maintenance: once it is over, it is history
    #[command(after_help = help::EVENT_MAINTENANCE)]
    Maintenance {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// When it begins
        #[arg(long = "in", value_name = "TIME", default_value = "2m", value_parser = time)]
        after: Duration,
        /// How long it takes [default: 10m; no end for instance-stop and instance-retirement]
        #[arg(long = "for", value_name = "TIME", value_parser = time)]
        duration: Option<Duration>,
        /// What is done
        #[arg(long, value_name = "CODE", default_value = "system-reboot", value_parser = named::<MaintenanceCode>(&[
            "instance-reboot", "system-reboot", "system-maintenance", "instance-retirement", "instance-stop",
        ]))]
        code: MaintenanceCode,
        /// In words [default: as the code says]
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Leads an instance of an Auto Scaling group to another state
    #[command(after_help = help::EVENT_LIFECYCLE)]
    Lifecycle {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        /// The state
        #[arg(value_name = "STATE", value_parser = named::<LifecycleState>(&[
            "Detached", "InService", "Standby", "Terminated",
            "Warmed:Hibernated", "Warmed:Running", "Warmed:Stopped", "Warmed:Terminated",
        ]))]
        state: LifecycleState,
        /// When
        #[arg(long = "in", value_name = "TIME", default_value = "0s", value_parser = time)]
        after: Duration,
    },
    /// Takes back what was to happen; maintenance is canceled
    #[command(after_help = help::EVENT_CLEAR)]
    Clear {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ApplyArguments {
    /// The instances, JSON; `-` is standard input
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

/// `90s`, `2m`, `1h 30m`, `7d`. A part of a second is a whole one: nothing happens in between.
fn time(text: &str) -> Result<Duration, humantime::DurationError> {
    let time = humantime::parse_duration(text)?;
    Ok(Duration::from_secs(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))))
}

/// Takes the names of a type's values in the document, which help and completions show.
fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(Value::from(name)))
}
