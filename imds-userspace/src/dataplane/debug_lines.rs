//! The kernel programs' own debug lines, which only the debug object has, in the daemon's log.

use std::io;

use aya::Ebpf;
use aya_log::{EbpfLogger, Error};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Hands the lines on as long as the daemon lives. An object without any is not an error; nor is one whose lines can't be
/// read, as everything else works without: the log says so.
pub(super) fn forward(ebpf: &mut Ebpf) -> io::Result<()> {
    let logger = match EbpfLogger::init(ebpf) {
        Ok(logger) => logger,
        Err(Error::MapNotFound) => return Ok(()),
        Err(error) => {
            tracing::warn!(%error, "the programs' debug lines can't be read, and are not in the log");
            return Ok(());
        }
    };
    // SAFETY: the logger owns its ring buffer's descriptor and keeps it open, one and the same, until it is dropped.
    let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
    let mut logger = logger.map_err(io::Error::from)?;
    tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
    Ok(())
}
