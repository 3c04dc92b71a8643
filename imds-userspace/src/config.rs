//! The operator's config: TOML, every key with a default.
//!
//! The tables below are the one definition of keys, defaults and comments: the types, and the file that
//! `imdsd config default` prints, are made of it.

mod role;
mod table;
mod value;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::role::RoleTable;
pub use self::role::Roles;
use self::table::table;
pub use self::value::{Budget, ErrorBodies, KeyFile, LogFormat, LogLevel, OnRefuse, Seconds, SlotCount};
use crate::metadata::document::{AccountId, AvailabilityZone};

table! {
    /// The config of one daemon.
    Config {
        /// How many slots there are in the kernel's tables, 2 to 16384. A slot is one interface of one instance; slot 0
        /// belongs to nobody. Takes effect on tables that are new: after a reboot or `imdsd detach`.
        max_slots: SlotCount = SlotCount::DEFAULT,
        /// What the kernel does with a request that it refuses: "answer" sends what EC2 sends (401, 403), "drop" is
        /// silent, so that clients wait for their time-out; a disabled endpoint then takes no connection either.
        on_refuse: OnRefuse = OnRefuse::Answer,
        /// What stands in the body of a 400, 401, 404 or 503: nothing ("none"), as EC2 answers now, or the page that it
        /// used to send ("xhtml"). With pages the kernel leaves refusing with a 401 to imdsd, which costs more.
        error_bodies: ErrorBodies = ErrorBodies::None,
        /// Packets a second that an interface of an instance may send to the service, 0 to 1000000; what is over that is
        /// dropped in the kernel and counted. What one second allows may come at once. EC2 allows 1024; 0 is no limit.
        /// An instance may have a budget of its own.
        packet_budget: Budget = Budget::DEFAULT,
        /// Requests a second that an instance may send, 0 to 1000000, likewise; what is over that is answered with 503,
        /// and its connection ends. Requests that the kernel refuses are none of these.
        request_budget: Budget = Budget::DEFAULT,
        /// Whether enforcement is removed when imdsd ends. While it stays, instances get no answer, and nothing else,
        /// until imdsd is back; once removed, their requests go where the host sends them.
        detach_on_exit: bool = false,
    }
    tables {
        /// Connections of instances.
        service: ServiceTable,
        /// What instances get that are created without a value of their own.
        defaults: DefaultsTable,
        /// What signs instance identity documents.
        identity: IdentityTable,
        /// imdsd's log, on standard error.
        log: LogTable,
    }
    lists {
        /// Roles that instances can be given by name, a table each. Guests read their credentials, which are renewed
        /// ahead and never served expired. For example, with every key and its default:
        roles: Roles of RoleTable,
    }
}

table! {
    /// Connections of instances.
    ServiceTable {
        /// Seconds, 1 to 100, in which the head of a request must be whole.
        head_timeout: Seconds = Seconds::new(10),
        /// Seconds, 1 to 100, after which a connection without a request is closed.
        idle_timeout: Seconds = Seconds::new(75),
    }
}

table! {
    /// What instances get that are created without a value of their own.
    DefaultsTable {
        /// Availability zone; the region is this up to its first number.
        availability_zone: AvailabilityZone = value::default_zone(),
        /// Account: twelve digits.
        account_id: AccountId = value::default_account(),
    }
}

table! {
    /// What signs instance identity documents.
    IdentityTable {
        /// PEM file, absolute and readable by root alone, with the RSA key (PKCS #8, 2048 bits) of `signature` and
        /// `rsa2048` and its certificate. "" is identity-rsa.pem in the state directory, made where it is missing.
        rsa_file: KeyFile = KeyFile::default(),
        /// The same with the DSA key (p and q of 1024 and 160 bits, or larger) of `pkcs7`. "" is identity-dsa.pem.
        dsa_file: KeyFile = KeyFile::default(),
    }
}

table! {
    /// The log.
    LogTable {
        /// "text", or "json" with one object a line.
        format: LogFormat = LogFormat::Text,
        /// "error", "warn", "info", "debug" or "trace". No level logs a secret.
        level: LogLevel = LogLevel::Info,
    }
}

/// Why a config can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("config {} can't be read ({source}); `imdsd config default` prints one to begin with", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A line isn't TOML, a key is unknown, or a value isn't one that its key takes.
    #[error("config {}, line {line}{}: {message}; `imdsd config default` prints every key", .path.display(), key.as_ref().map_or_else(String::new, |key| format!(", key {key}")))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key on that line, with its table.
        key: Option<String>,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// Reads a config file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a config file; `path` is for errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`]
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            let number = before.matches('\n').count();
            let message = error.message().replace('\n', " ");
            ConfigError::Invalid { path: path.to_owned(), line: number + 1, key: key_at(text, number), message }
        })
    }

    /// The file that has every key with its comment and its default.
    #[must_use]
    pub fn default_file() -> String {
        let mut file = String::from("# imdsd's config. Every key may be left out; what stands here is its default.\n");
        Self::default().print(&mut file);
        file
    }
}

/// The key on a line, with its table, as far as the line has one.
fn key_at(text: &str, number: usize) -> Option<String> {
    let (key, _) = text.lines().nth(number)?.split_once('=')?;
    let table = text.lines().take(number).filter_map(|line| line.trim().strip_prefix('[')?.split(']').next()).last();
    let table = table.map(|table| table.trim_start_matches('[').trim());
    Some(table.map_or_else(String::new, |table| format!("{table}.")) + key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/imdsd.toml"))
    }

    #[test]
    fn the_printed_file_parses_to_the_defaults() {
        let file = Config::default_file();
        assert_eq!(parse(&file).expect("valid"), Config::default(), "{file}");
        let keys: Vec<_> = file.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key)).collect();
        let expected = ["max-slots", "on-refuse", "error-bodies", "packet-budget", "request-budget", "detach-on-exit"];
        assert_eq!(keys[..6], expected, "{file}");
        let tables = [
            "head-timeout",
            "idle-timeout",
            "availability-zone",
            "account-id",
            "rsa-file",
            "dsa-file",
            "format",
            "level",
        ];
        assert_eq!(keys[6..14], tables, "{file}");
        let role = ["name", "delivery", "provider", "path", "command", "uid", "gid", "timeout"];
        assert_eq!(keys[14..], role.map(|key| format!("#   {key}")), "{file}");
        let bare = |pair: &[&str]| pair[1].contains(" = ") && !pair[0].starts_with("# ");
        assert!(!file.lines().collect::<Vec<_>>().windows(2).any(bare), "a key without a comment: {file}");
        assert!(file.lines().all(|line| line.len() <= 120), "{file}");
    }

    #[test]
    fn nothing_is_needed() {
        assert_eq!(parse("").expect("valid"), Config::default());
        assert_eq!(parse("[log]\n").expect("valid"), Config::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = "max-slots = 2\non-refuse = \"drop\"\nerror-bodies = \"xhtml\"\npacket-budget = 7\nrequest-budget = 0\ndetach-on-exit = true\n\
                    [service]\nhead-timeout = 1\nidle-timeout = 100\n\
                    [defaults]\navailability-zone = \"eu-west-2c\"\naccount-id = \"123456789012\"\n\
                    [identity]\nrsa-file = \"/etc/rsa.pem\"\ndsa-file = \"/etc/dsa.pem\"\n\
                    [log]\nformat = \"json\"\nlevel = \"trace\"\n";
        let config = parse(text).expect("valid");
        assert_eq!((config.max_slots.get(), config.packet_budget.get(), config.request_budget.get()), (2, 7, 0));
        assert_eq!((config.on_refuse, config.detach_on_exit), (OnRefuse::Drop, true));
        assert_eq!(config.error_bodies, ErrorBodies::Xhtml);
        assert_eq!(config.service.head_timeout.duration().as_secs(), 1);
        assert_eq!(config.service.idle_timeout.duration().as_secs(), 100);
        assert_eq!(&*config.defaults.availability_zone, "eu-west-2c");
        assert_eq!(&*config.defaults.account_id, "123456789012");
        assert_eq!(config.identity.rsa_file.path(), Some(Path::new("/etc/rsa.pem")));
        assert_eq!(config.identity.dsa_file.path(), Some(Path::new("/etc/dsa.pem")));
        assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LogLevel::Trace));
    }

    #[test]
    fn what_is_wrong_is_named_by_file_line_and_key() {
        let cases = [
            ("max-slots = 4\nmax-slot = 5\n", 2, Some("max-slot"), "unknown field `max-slot`"),
            ("[service]\n\nidle_timeout = 5\n", 3, Some("service.idle_timeout"), "unknown field `idle_timeout`"),
            ("[services]\n", 1, None, "unknown field `services`"),
            ("max-slots = \"many\"\n", 1, Some("max-slots"), "expected"),
            ("max-slots = 1\n", 1, Some("max-slots"), "2 to 16384, got 1"),
            ("max-slots = 16385\n", 1, Some("max-slots"), "2 to 16384, got 16385"),
            ("\non-refuse = \"reset\"\n", 2, Some("on-refuse"), "`answer` or `drop`"),
            ("error-bodies = true\n", 1, Some("error-bodies"), "wanted string"),
            ("packet-budget = -1\n", 1, Some("packet-budget"), "0 to 1000000, got -1"),
            ("packet-budget = 1000001\n", 1, Some("packet-budget"), "0 to 1000000, got 1000001"),
            ("request-budget = \"many\"\n", 1, Some("request-budget"), "expected"),
            ("detach-on-exit = 1\n", 1, Some("detach-on-exit"), "boolean"),
            ("[service]\nhead-timeout = 0\n", 2, Some("service.head-timeout"), "1 to 100, got 0"),
            ("[service]\nidle-timeout = -1\n", 2, Some("service.idle-timeout"), "1 to 100, got -1"),
            ("service.idle-timeout = 1.5\n", 1, Some("service.idle-timeout"), "expected"),
            (
                "[defaults]\navailability-zone = \"moon\"\n",
                2,
                Some("defaults.availability-zone"),
                "\"moon\" is malformed",
            ),
            ("[defaults]\naccount-id = 1\n", 2, Some("defaults.account-id"), "expected a string"),
            ("[identity]\nrsa-file = \"rsa.pem\"\n", 2, Some("identity.rsa-file"), "an absolute path, or \"\""),
            ("[log]\nlevel = \"loud\"\n", 2, Some("log.level"), "unknown variant `loud`"),
            ("max-slots = 4\nmax-slots = 5\n", 2, Some("max-slots"), "duplicate key"),
            ("max-slots\n", 1, None, "="),
            ("max-slots = [\n", 1, Some("max-slots"), "array"),
        ];
        for (text, expected_line, expected_key, expected_message) in cases {
            match parse(text).expect_err(text) {
                ConfigError::Invalid { path, line, key, message } => {
                    assert_eq!(path, Path::new("/etc/imdsd.toml"));
                    assert_eq!((line, key.as_deref()), (expected_line, expected_key), "{text}: {message}");
                    assert!(message.contains(expected_message), "{text}: {message}");
                }
                error @ ConfigError::Read { .. } => panic!("{text}: {error}"),
            }
        }
        let text = parse("[log]\nlevel = 1\n").expect_err("a number").to_string();
        assert!(text.starts_with("config /etc/imdsd.toml, line 2, key log.level: "), "{text}");
        let missing = Config::read(Path::new("/nonexistent/imdsd.toml")).expect_err("missing").to_string();
        assert!(missing.starts_with("config /nonexistent/imdsd.toml can't be read (No such file"), "{missing}");
    }
}
