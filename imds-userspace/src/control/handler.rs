//! What each command does: the registry's operations, and its errors as replies.

use super::protocol::{Command, Failure, FailureKind, Payload};
use super::server::Handler;
use crate::registry::Registry;
use crate::registry::error::RegistryError;
use crate::registry::kernel::Kernel;

impl<K: Kernel> Handler for Registry<K> {
    async fn handle(&self, command: Command) -> Result<Payload, Failure> {
        let instance = |view| Payload::Instance(Box::new(view));
        let outcome = match command {
            Command::InstanceCreate(request) => self.create(&request).await.map(instance),
            Command::InstanceList => self.list().await.map(Payload::Instances),
            Command::InstanceShow { instance_id } => self.show(&instance_id).await.map(instance),
            Command::InstanceDelete { instance_id } => self.delete(&instance_id).await.map(instance),
            Command::InstanceRestart { instance_id } => self.restart(&instance_id).await.map(instance),
            Command::IdentityCertificates => Ok(Payload::Certificates(self.certificates())),
            Command::OptionsSet { instance_id, changes } => {
                self.set_options(instance_id.as_deref(), &changes).await.map(Payload::Instances)
            }
            Command::Stats { instance_id } => self.stats(instance_id.as_deref()).await.map(Payload::Stats),
        };
        outcome.map_err(|error| Failure { kind: kind(&error), message: error.to_string() })
    }
}

fn kind(error: &RegistryError) -> FailureKind {
    match error {
        RegistryError::Draft(_) | RegistryError::Options { .. } | RegistryError::SameInterface { .. } => {
            FailureKind::Invalid
        }
        RegistryError::NotFound(_) => FailureKind::NotFound,
        RegistryError::OtherContent(_) | RegistryError::InterfaceTaken { .. } => FailureKind::Conflict,
        RegistryError::NoSlot(_) | RegistryError::Interface(_) | RegistryError::Dataplane(_) => {
            FailureKind::Unsupported
        }
        RegistryError::Lookup { .. }
        | RegistryError::Store(_)
        | RegistryError::NotReleased { .. }
        | RegistryError::Sign(_)
        | RegistryError::Random(_) => FailureKind::Internal,
    }
}
