//! A role's credentials for an instance: none that open anything.

use std::path::{Path, PathBuf};

use crate::names;

/// The role's name.
pub const ROLE: &str = "test-role";
/// Its access key's id.
pub const ACCESS_KEY_ID: &str = "ASIAIOSFODNN7EXAMPLE";
/// Its secret key.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// Its session token.
pub const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";

/// The number of the user, and of the group, that processes run as here: nobody.
pub const PROCESS_USER: u32 = 65_534;

/// Where a guest reads a role's credentials; with no name, their listing.
#[must_use]
pub fn path(role: &str) -> String {
    format!("/latest/meta-data/iam/security-credentials/{role}")
}

/// A file with them, as `--credentials-file` takes it.
#[must_use]
pub fn file() -> PathBuf {
    names::file("credentials.json", document("").as_bytes(), 0o600)
}

/// EC2's document of them, each of the three values with `mark` at its end.
#[must_use]
pub fn document(mark: &str) -> String {
    let json = serde_json::json!({
        "AccessKeyId": format!("{ACCESS_KEY_ID}{mark}"),
        "SecretAccessKey": format!("{SECRET_ACCESS_KEY}{mark}"),
        "Token": format!("{SESSION_TOKEN}{mark}"),
        "Expiration": "2099-01-01T00:00:00Z",
    });
    json.to_string()
}

/// A shell script that prints them as a process does, each of the three values with `mark` at its end; `expiration`
/// is what `date --date` takes.
#[must_use]
pub fn printing(mark: &str, expiration: &str) -> String {
    let keys = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"].map(|key| format!(r#","{key}":"%s""#));
    let values = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN].map(|value| format!("{value}{mark} "));
    let end = format!("$(date --date \"{expiration}\" +%Y-%m-%dT%H:%M:%S%:z)");
    format!(r#"printf '{{"Version":1{}}}' {}{end}"#, keys.concat(), values.concat())
}

/// A table of imdsd's config: a role whose credentials stand in a file.
#[must_use]
pub fn file_role(name: &str, path: &Path) -> String {
    format!("[[roles]]\nname = \"{name}\"\nprovider = \"file\"\npath = \"{}\"\n", path.display())
}

/// A table of imdsd's config: a role whose credentials a shell script prints.
#[must_use]
pub fn process_role(name: &str, script: &str) -> String {
    let command = serde_json::json!(["/bin/sh", "-c", script]);
    let user = format!("uid = {PROCESS_USER}\ngid = {PROCESS_USER}");
    format!("[[roles]]\nname = \"{name}\"\nprovider = \"process\"\ncommand = {command}\n{user}\n")
}

/// A Python script that prints what boto3 finds on an instance: region, method, and the three parts of the
/// credentials, a line each.
pub const FIND_BY_BOTO3: &str = "
import boto3
from botocore.utils import InstanceMetadataRegionFetcher
print(InstanceMetadataRegionFetcher(timeout=5, num_attempts=2).retrieve_region())
credentials = boto3.Session().get_credentials()
frozen = credentials.get_frozen_credentials()
print(credentials.method, frozen.access_key, frozen.secret_key, frozen.token, sep='\\n')
";

/// What that script prints when all is found in a region.
#[must_use]
pub fn found_by_boto3(region: &str) -> String {
    format!("{region}\niam-role\n{ACCESS_KEY_ID}\n{SECRET_ACCESS_KEY}\n{SESSION_TOKEN}\n")
}
