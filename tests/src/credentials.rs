//! A role's credentials for an instance: none that open anything.

use std::path::PathBuf;

use crate::names;

/// The role's name.
pub const ROLE: &str = "test-role";
/// Its access key's id.
pub const ACCESS_KEY_ID: &str = "ASIAIOSFODNN7EXAMPLE";
/// Its secret key.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// Its session token.
pub const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";

/// A file with them, as `--credentials-file` takes it.
#[must_use]
pub fn file() -> PathBuf {
    let json = serde_json::json!({
        "AccessKeyId": ACCESS_KEY_ID,
        "SecretAccessKey": SECRET_ACCESS_KEY,
        "Token": SESSION_TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    names::file("credentials.json", json.to_string().as_bytes(), 0o600)
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
