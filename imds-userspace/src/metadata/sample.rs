//! An instance for tests.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::identity::{self, Identity};
use super::identity_document;
use super::instance::{Credentials, Instance, Role};

/// An instance that has everything, its credentials good until 2100.
pub(crate) fn instance() -> Instance {
    Instance {
        instance_id: "i-0123456789abcdef0".into(),
        image_id: "ami-0123456789abcdef0".into(),
        instance_type: "t3.micro".into(),
        availability_zone: "eu-west-2c".into(),
        private_ip: Ipv4Addr::new(10, 0, 0, 1),
        hostname: "ip-10-0-0-1.eu-west-2.compute.internal".into(),
        account_id: "123456789012".into(),
        reservation_id: "r-0123456789abcdef0".into(),
        mac: "02:00:00:00:00:01".into(),
        pending_time: "2026-11-22T09:08:07Z".into(),
        security_groups: vec!["default".into(), "web".into()],
        tags: BTreeMap::from([("Name".into(), "one".into()), ("Empty".into(), String::new())]),
        role: Some(Role {
            name: "app".into(),
            credentials: Credentials {
                access_key_id: "ASIAEXAMPLE".into(),
                secret_access_key: "secret/key+1".into(),
                token: "session==".into(),
                expiration: "2100-01-02T03:04:05Z".into(),
            },
        }),
    }
}

/// The identity of [`instance`].
pub(crate) fn identity() -> Identity {
    identity::sample::authority().sign(identity_document(&instance())).expect("signed")
}
