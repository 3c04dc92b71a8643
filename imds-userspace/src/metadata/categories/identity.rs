//! `dynamic/instance-identity`

use serde_json::{Value, json};

use crate::metadata::identity::IdentityText;
use crate::metadata::instance::Instance;
use crate::metadata::json;
use crate::metadata::tree::Planting;

/// The version of the identity document's form.
const VERSION: &str = "2017-09-30";

pub(super) fn plant(tree: &mut Planting) {
    for text in IdentityText::ALL {
        tree.identity(&["dynamic", "instance-identity", text.name()], text);
    }
}

/// The text of `dynamic/instance-identity/document` as the instance is now; it is signed and kept before it is served.
pub(crate) fn identity_document(instance: &Instance) -> String {
    let document = instance.complete();
    let more = &document.instance_identity;
    json::object(&[
        ("accountId", json!(document.account_id)),
        ("architecture", json!(document.architecture)),
        ("availabilityZone", json!(document.placement.availability_zone)),
        ("billingProducts", json!(more.billing_products)),
        ("devpayProductCodes", json!(more.devpay_product_codes)),
        ("marketplaceProductCodes", json!(more.marketplace_product_codes)),
        ("imageId", json!(document.ami_id)),
        ("instanceId", json!(instance.instance_id)),
        ("instanceType", json!(document.instance_type)),
        ("kernelId", json!(document.kernel_id)),
        ("pendingTime", json!(document.pending_time)),
        ("privateIp", document.local_ipv4.map_or(Value::Null, |ip| json!(ip))),
        ("ramdiskId", json!(document.ramdisk_id)),
        ("region", json!(document.placement.region)),
        ("version", json!(VERSION)),
    ])
}
