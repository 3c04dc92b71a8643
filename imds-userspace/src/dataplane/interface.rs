//! Host-side interfaces: which ones can carry an instance.

/// A host-side interface that can carry an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its own MAC, of the host's side.
    pub mac: [u8; 6],
}

/// Why an interface can't carry an instance.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// It isn't there.
    #[error("interface \"{name}\" does not exist; imdsctl instance create needs a host-side interface (see `ip link`)")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is there, but what it receives isn't what a guest sends.
    #[error("interface \"{name}\" is {what}; give the host-side veth or tap of the instance")]
    Unsuitable {
        /// Its name.
        name: String,
        /// What it is, for example `the loopback interface`.
        what: &'static str,
    },
}

impl Interface {
    /// Looks an interface up and checks that its ingress carries a guest's packets.
    pub async fn find(_name: &str) -> Result<Self, InterfaceError> {
        unimplemented!()
    }
}
