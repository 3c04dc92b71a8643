"""Prints, as JSON, what boto3 finds on an instance; for what it doesn't find, why not."""

import json
import os

import boto3
from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher

# Instead of its second, with one attempt as it is: machines that run tests are slow at times.
PATIENCE = 2
os.environ["AWS_METADATA_SERVICE_TIMEOUT"] = str(PATIENCE)

# As its session reads it.
config = {"ec2_metadata_service_endpoint_mode": os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv4").lower()}
fetcher = InstanceMetadataFetcher(timeout=PATIENCE, config=config)
token = fetcher._fetch_metadata_token()


def read(path):
    try:
        return fetcher._get_request(path, lambda answer: answer.status_code != 200, token).text
    except Exception as error:
        return f"failed: {type(error).__name__.lstrip('_')}"


def credentials():
    found = boto3.Session().get_credentials()
    if found is None:
        return "none"
    frozen = found.get_frozen_credentials()
    return f"{frozen.access_key} {frozen.secret_key} {frozen.token}"


print(
    json.dumps(
        {
            "instance-id": read("latest/meta-data/instance-id"),
            "region": InstanceMetadataRegionFetcher(timeout=PATIENCE, config=config).retrieve_region() or "none",
            "credentials": credentials(),
            "user-data": read("latest/user-data"),
        }
    )
)
