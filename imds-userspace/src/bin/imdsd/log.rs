//! The log, on standard error.

use std::io::{self, IsTerminal as _};

use imds_userspace::config::{LogFormat, LogLevel, LogTable};
use tracing::level_filters::LevelFilter;

/// Starts logging as the config says; colours only on a terminal.
pub(crate) fn start(config: &LogTable) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // A line that can't be written is lost: complaining of it on the same dead stream would panic.
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).log_internal_errors(false);
    match config.format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
