//! The roles of the config.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::table::table;
use super::value::Seconds;
use crate::credentials::Process;
use crate::credentials::role::{Delivery, Provider, RoleSpec};
use crate::metadata::field::{self, FieldError};

table! {
    /// One provider of one role.
    RoleTable {
        /// The role's name, needed: what `imdsctl instance create --iam-role` says.
        name: String = String::new(),
        /// Which reads get these credentials: "any", "1.0" (those without a token) or "2.0" (those with one). A role
        /// may have a table for each; a read that no table is for gets a failure.
        delivery: DeliveryName = DeliveryName::Any,
        /// Where the credentials come from: "static" (a file that is read at the start only), "file" (a file that
        /// somebody keeps up to date, best by a rename over it), "process" (a program, as credential_process of the AWS
        /// configuration).
        provider: ProviderName = ProviderName::File,
        /// Of "static" and "file": the file's absolute path. It is 0600 and root's, JSON with AccessKeyId,
        /// SecretAccessKey, Token and Expiration, or what a process prints.
        path: PathBuf = PathBuf::new(),
        /// Of "process": the program's absolute path, and its arguments. It prints JSON with Version 1, AccessKeyId,
        /// SecretAccessKey, SessionToken and, where they expire, Expiration; no shell is between.
        command: Vec<String> = Vec::new(),
        /// Of "process", needed: the number of the user that it runs as, best one that runs nothing else. Not root.
        uid: u32 = 0,
        /// Of "process", needed: the number of its group, the only one that it has. Not root's.
        gid: u32 = 0,
        /// Of "process": seconds, 1 to 100, after which it is killed.
        timeout: Seconds = Seconds::new(30),
    }
}

/// `delivery`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryName {
    /// All reads.
    #[serde(rename = "any")]
    Any,
    /// Those without a token.
    #[serde(rename = "1.0")]
    One,
    /// Those with one.
    #[serde(rename = "2.0")]
    Two,
}

/// `provider`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    /// A file that is read once.
    Static,
    /// A file that is watched.
    File,
    /// A program.
    Process,
}

/// Why a table is no role.
#[derive(Debug, Error)]
pub enum RoleError {
    /// Its name.
    #[error(transparent)]
    Name(#[from] FieldError),
    /// A key is needed.
    #[error("role \"{role}\" has the provider \"{provider}\" and needs {key}")]
    Missing {
        /// The role.
        role: String,
        /// Its provider.
        provider: &'static str,
        /// What it needs.
        key: &'static str,
    },
    /// A key is another provider's.
    #[error("role \"{role}\" has the provider \"{provider}\", which takes no {key}; leave it out")]
    Superfluous {
        /// The role.
        role: String,
        /// Its provider.
        provider: &'static str,
        /// What it has.
        key: &'static str,
    },
    /// Two tables for one read.
    #[error("role \"{role}\" has two tables for the same reads; give one the delivery \"1.0\" and the other \"2.0\"")]
    Twice {
        /// The role.
        role: String,
    },
}

/// The path of a file, or of a program, as it has to be given.
const ABSOLUTE_PATH: &str = "path, an absolute one";
const ABSOLUTE_PROGRAM: &str = "command, a list that begins with a program's absolute path";

impl TryFrom<RoleTable> for RoleSpec {
    type Error = RoleError;

    fn try_from(table: RoleTable) -> Result<Self, RoleError> {
        let RoleTable { name, delivery, provider, path, command, uid, gid, timeout } = table;
        let role = || name.clone();
        let delivery = match delivery {
            DeliveryName::Any => Delivery::Any,
            DeliveryName::One => Delivery::WithoutToken,
            DeliveryName::Two => Delivery::WithToken,
        };
        field::role(&name)?;
        let of_process = [("command", !command.is_empty()), ("uid", uid != 0), ("gid", gid != 0)];
        let needs = |provider, key| RoleError::Missing { role: role(), provider, key };
        let takes_no = |provider, key| RoleError::Superfluous { role: role(), provider, key };
        let provider = match provider {
            ProviderName::Static | ProviderName::File => {
                let kind = if provider == ProviderName::Static { "static" } else { "file" };
                if let Some((key, _)) = of_process.iter().find(|(_, given)| *given) {
                    return Err(takes_no(kind, key));
                }
                if !path.is_absolute() {
                    return Err(needs(kind, ABSOLUTE_PATH));
                }
                if provider == ProviderName::Static { Provider::Static(path) } else { Provider::File(path) }
            }
            ProviderName::Process => {
                if !path.as_os_str().is_empty() {
                    return Err(takes_no("process", "path"));
                }
                if let Some((key, _)) = of_process.iter().find(|(_, given)| !*given) {
                    return Err(needs("process", key));
                }
                let mut words = command.into_iter();
                let program = words.next().map(PathBuf::from).filter(|program| program.is_absolute());
                let program = program.ok_or_else(|| needs("process", ABSOLUTE_PROGRAM))?;
                let (arguments, time_limit) = (words.collect(), timeout.duration());
                Provider::Process(Process { program, arguments, uid, gid, time_limit })
            }
        };
        Ok(Self { name, delivery, provider })
    }
}

/// One table, checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RoleTable")]
struct Checked(RoleSpec);

impl TryFrom<RoleTable> for Checked {
    type Error = RoleError;

    fn try_from(table: RoleTable) -> Result<Self, RoleError> {
        RoleSpec::try_from(table).map(Self)
    }
}

/// All roles: no two tables are for the same reads of the same role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Checked>")]
pub struct Roles(Vec<RoleSpec>);

impl Roles {
    /// The roles.
    #[must_use]
    pub fn specs(&self) -> &[RoleSpec] {
        &self.0
    }
}

impl TryFrom<Vec<Checked>> for Roles {
    type Error = RoleError;

    fn try_from(tables: Vec<Checked>) -> Result<Self, RoleError> {
        let mut seen: BTreeSet<(String, Delivery)> = BTreeSet::new();
        for Checked(RoleSpec { name, delivery, provider: _ }) in &tables {
            if seen.iter().any(|(other, theirs)| other == name && theirs.overlaps(*delivery)) {
                return Err(RoleError::Twice { role: name.clone() });
            }
            seen.insert((name.clone(), *delivery));
        }
        Ok(Self(tables.into_iter().map(|Checked(spec)| spec).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, ConfigError};

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/imdsd.toml"))
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            [[roles]]
            name = "web"
            path = "/etc/imdsd/web.json"
            [[roles]]
            name = "db"
            delivery = "1.0"
            provider = "static"
            path = "/etc/imdsd/db.json"
            [[roles]]
            name = "db"
            delivery = "2.0"
            provider = "process"
            command = ["/usr/local/bin/credentials", "--role", "db"]
            uid = 1001
            gid = 1002
            timeout = 5
        "#;
        let config = parse(text).expect("valid");
        let process = Process {
            program: "/usr/local/bin/credentials".into(),
            arguments: vec!["--role".into(), "db".into()],
            uid: 1001,
            gid: 1002,
            time_limit: Duration::from_secs(5),
        };
        let spec = |name: &str, delivery, provider| RoleSpec { name: name.into(), delivery, provider };
        let expected = [
            spec("web", Delivery::Any, Provider::File("/etc/imdsd/web.json".into())),
            spec("db", Delivery::WithoutToken, Provider::Static("/etc/imdsd/db.json".into())),
            spec("db", Delivery::WithToken, Provider::Process(process)),
        ];
        assert_eq!(config.roles.specs(), expected);
    }

    #[test]
    fn what_is_wrong_is_named_by_file_line_and_role() {
        let cases = [
            ("\n[[roles]]\nname = \"a/b\"\npath = \"/x\"\n", 2, "IAM role \"a/b\" is malformed"),
            ("[[roles]]\npath = \"/x\"\n", 1, "IAM role \"\" is malformed"),
            ("[[roles]]\nname = \"a\"\n", 1, "role \"a\" has the provider \"file\" and needs path, an absolute one"),
            ("[[roles]]\nname = \"a\"\npath = \"x\"\n", 1, "needs path, an absolute one"),
            ("[[roles]]\nname = \"a\"\npath = \"/x\"\nuid = 1\n", 1, "\"file\", which takes no uid"),
            (
                "[[roles]]\nname = \"a\"\nprovider = \"static\"\ncommand = [\"/x\"]\n",
                1,
                "\"static\", which takes no command",
            ),
            ("[[roles]]\nname = \"a\"\nprovider = \"process\"\n", 1, "\"process\" and needs command"),
            ("[[roles]]\nname = \"a\"\nprovider = \"process\"\ncommand = [\"/x\"]\ngid = 1\n", 1, "needs uid"),
            ("[[roles]]\nname = \"a\"\nprovider = \"process\"\ncommand = [\"/x\"]\nuid = 1\n", 1, "needs gid"),
            (
                "[[roles]]\nname = \"a\"\nprovider = \"process\"\ncommand = [\"x\"]\nuid = 1\ngid = 1\n",
                1,
                "needs command, a list that begins with a program's absolute path",
            ),
            (
                "[[roles]]\nname = \"a\"\nprovider = \"process\"\ncommand = [\"/x\"]\nuid = 1\ngid = 1\npath = \"/x\"\n",
                1,
                "\"process\", which takes no path",
            ),
            ("[[roles]]\nname = \"a\"\nuser = \"x\"\n", 3, "unknown field `user`"),
            ("[[roles]]\nname = \"a\"\nprovider = \"vault\"\n", 3, "unknown variant `vault`"),
            ("[[roles]]\nname = \"a\"\ndelivery = 2.0\n", 3, "wanted string"),
            ("[[roles]]\nname = \"a\"\ntimeout = 0\n", 3, "1 to 100, got 0"),
            (
                "[[roles]]\nname = \"a\"\npath = \"/x\"\n[[roles]]\nname = \"a\"\ndelivery = \"2.0\"\npath = \"/x\"\n",
                1,
                "role \"a\" has two tables for the same reads",
            ),
        ];
        for (text, expected_line, expected_message) in cases {
            match parse(text).expect_err(text) {
                ConfigError::Invalid { line, key, message, .. } => {
                    assert!(message.contains(expected_message), "{text}: {message}");
                    let named = text.lines().nth(line - 1).and_then(|line| line.split_once(" = "));
                    assert_eq!(key, named.map(|(name, _)| format!("roles.{name}")), "{text}");
                    assert_eq!(line, expected_line, "{text}: {message}");
                }
                error @ ConfigError::Read { .. } => panic!("{text}: {error}"),
            }
        }
    }
}
