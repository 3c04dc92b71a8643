//! The service's time limits.

use std::time::Duration;

/// How long the service waits for what. The defaults suit every client known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// From a connection's beginning, or a later request's first byte, until the request's head is whole.
    pub head_timeout: Duration,
    /// From an answer to the next request's first byte.
    pub idle_timeout: Duration,
    /// For an answer to be taken by the client's TCP.
    pub write_timeout: Duration,
    /// For the client to close after an answer that ends the connection.
    pub linger_timeout: Duration,
    /// For the requests in hand when the service is told to end.
    pub drain_timeout: Duration,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            // Above the 60 s at which some clients ask again on a connection that they keep, and below the 120 s after
            // which the kernel forgets an idle one.
            idle_timeout: Duration::from_secs(75),
            // Below TCP_USER_TIMEOUT, after which the kernel gives the connection up and tells the client nothing.
            write_timeout: Duration::from_secs(4),
            linger_timeout: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(5),
        }
    }
}
