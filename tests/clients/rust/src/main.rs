//! Prints, as JSON, what the AWS SDK for Rust finds on an instance; for what it doesn't find, why not.

use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::SensitiveString;
use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_http_client::Builder;

/// Instead of the SDK's second: machines that run tests are slow at times.
const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let config = ProviderConfig::default().with_http_client(Builder::new().build_http());
    let client = Client::builder().configure(&config).connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
    let credentials = ImdsCredentialsProvider::builder().configure(&config).imds_client(client.clone()).build();
    let region = ImdsRegionProvider::builder().configure(&config).imds_client(client.clone()).build();
    let (id, user_data, region, credentials) = tokio::join!(
        client.get("/latest/meta-data/instance-id"),
        client.get("/latest/user-data"),
        region.region(),
        credentials.provide_credentials(),
    );
    let credentials = match &credentials {
        Ok(found) => {
            [found.access_key_id(), found.secret_access_key(), found.session_token().unwrap_or("none")].join(" ")
        }
        Err(error) => format!("failed: {}", variant(error)),
    };
    let region = region.map_or_else(|| "none".to_owned(), |region| region.to_string());
    // What is found here needs no more than a string of Rust's does.
    println!(
        r#"{{"instance-id": {:?}, "region": {region:?}, "credentials": {credentials:?}, "user-data": {:?}}}"#,
        said(id),
        said(user_data)
    );
}

fn said(answer: Result<SensitiveString, ImdsError>) -> String {
    match answer {
        Ok(value) => value.into(),
        Err(ImdsError::ErrorResponse(answer)) => format!("failed: {}", answer.response().status().as_u16()),
        Err(error) => format!("failed: {}", variant(&error)),
    }
}

/// The name of an error's variant.
fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}
