//! What each command does: the registry's operations, and its errors as replies.

use super::protocol::{Command, Failure, FailureKind, Payload};
use super::server::Handler;
use crate::credentials::CredentialsError;
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
            Command::InstanceDelete { instance_id, release } => self.delete(&instance_id, release).await.map(instance),
            Command::InterfaceRelease { interface } => self.release_interface(&interface).await.map(Payload::Interface),
            Command::InterfaceAttach { interface, attach } => {
                self.attach_interface(&interface, attach).await.map(instance)
            }
            Command::InstanceRestart { instance_id } => self.restart(&instance_id).await.map(instance),
            Command::IdentityCertificates => Ok(Payload::Certificates(self.certificates())),
            Command::OptionsSet { instance_id, changes } => {
                self.set_options(instance_id.as_deref(), &changes).await.map(Payload::Instances)
            }
            Command::LimitsSet { instance_id, changes } => self.set_limits(&instance_id, &changes).await.map(instance),
            Command::DocumentChange { instance_id, change } => self.change(&instance_id, &change).await.map(instance),
            Command::DocumentGet { instance_id } => {
                self.document(&instance_id).await.map(|document| Payload::Document(Box::new(document)))
            }
            Command::Apply { instances, check, claimed } => {
                self.apply(&instances, check, &claimed).await.map(Payload::Applied)
            }
            Command::Stats { instance_id } => self.stats(instance_id.as_deref()).await.map(Payload::Stats),
            Command::KeysRotate { force } => self.rotate_keys(force).await.map(Payload::Keys),
            Command::Explain { instance_id, last } => self.explain(&instance_id, last).await.map(Payload::Events),
            Command::Trace { instance_id, tracer, after, end } => {
                self.trace(&instance_id, tracer, after, end).await.map(Payload::Events)
            }
        };
        outcome.map_err(|error| Failure { kind: kind(&error), message: error.to_string() })
    }
}

fn kind(error: &RegistryError) -> FailureKind {
    match error {
        RegistryError::Draft(_)
        | RegistryError::Options { .. }
        | RegistryError::SameInterface { .. }
        | RegistryError::DescribedTwice
        | RegistryError::DescribedInterface(_)
        | RegistryError::Credentials(CredentialsError::UnknownRole { .. } | CredentialsError::Expired { .. }) => {
            FailureKind::Invalid
        }
        RegistryError::Described { source, .. } => kind(source),
        RegistryError::NotFound(_) | RegistryError::NotClosed(_) | RegistryError::NoOwner(_) => FailureKind::NotFound,
        RegistryError::OtherContent(_)
        | RegistryError::OtherInterfaces(_)
        | RegistryError::InterfaceTaken { .. }
        | RegistryError::TooManyTracers(_)
        | RegistryError::RotationTooSoon { .. } => FailureKind::Conflict,
        RegistryError::NoSlot(_) | RegistryError::Interface(_) | RegistryError::Dataplane(_) => {
            FailureKind::Unsupported
        }
        RegistryError::Lookup { .. }
        | RegistryError::Store(_)
        | RegistryError::Credentials(_)
        | RegistryError::NotReleased { .. }
        | RegistryError::NotLetGo { .. }
        | RegistryError::Sign(_)
        | RegistryError::Random(_) => FailureKind::Internal,
    }
}
