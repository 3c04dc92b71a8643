//! A program that prints credentials, as the AWS configuration's `credential_process` runs them.
//!
//! It runs as a user of its own with nothing of the daemon's: no environment but a path, no open file, no input, no
//! further groups, no way to gain rights, no core dump. What it says on standard error is lost, as it may hold a
//! secret. It has a time limit and may print so much only; its whole process group ends with it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open, set_parent_process_death_signal,
    setrlimit,
};
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::form::{self, FormError, Writer};
use crate::metadata::document::Credentials;

/// The only variable of the environment.
const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
/// The first descriptor that isn't standard input, output or error.
const FIRST_OTHER: libc::c_uint = 3;

/// What to run, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
    /// The user it runs as.
    pub uid: u32,
    /// The group it runs in, its only one.
    pub gid: u32,
    /// How long it may take.
    pub time_limit: Duration,
}

/// Why a process gave no credentials. Its arguments and its output are in no message.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It can't be started.
    #[error("{} can't be run ({source})", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It can't be followed.
    #[error("{} can't be waited for ({source})", .program.display())]
    Wait {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It took too long.
    #[error("{} took longer than {} seconds and was killed; raise its timeout, or mend it", .program.display(), .limit.as_secs())]
    TimeOut {
        /// The program.
        program: PathBuf,
        /// Its limit.
        limit: Duration,
    },
    /// It printed too much.
    #[error("{} printed more than {} bytes and was killed", .program.display(), form::SIZE_MAX)]
    TooLarge {
        /// The program.
        program: PathBuf,
    },
    /// It failed.
    #[error("{} failed ({status}); run it by hand to see why", .program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// What it printed.
    #[error("what {} printed: {source}", .program.display())]
    Form {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        source: FormError,
    },
}

impl Process {
    /// Runs it to its end.
    pub(super) async fn run(&self) -> Result<Credentials, ProcessError> {
        let (mut group, output) =
            self.start().map_err(|source| ProcessError::Start { program: self.program.clone(), source })?;
        let wait = |source| ProcessError::Wait { program: self.program.clone(), source };
        let end = async {
            group.ended().await.map_err(wait)?;
            // With what it started, so that nobody holds its output open.
            group.end().map_err(wait)
        };
        let read = async {
            let text = read_whole(output).await.map_err(wait)?;
            text.ok_or_else(|| ProcessError::TooLarge { program: self.program.clone() })
        };
        let limit = self.time_limit;
        let both = timeout(limit, async { tokio::try_join!(read, end) }).await;
        let (text, status) = both.map_err(|_| ProcessError::TimeOut { program: self.program.clone(), limit })??;
        if !status.success() {
            return Err(ProcessError::Failed { program: self.program.clone(), status });
        }
        form::parse(&text, Writer::Process)
            .map_err(|source| ProcessError::Form { program: self.program.clone(), source })
    }

    fn start(&self) -> io::Result<(Group, OwnedFd)> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env(PATH.0, PATH.1)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Root's further groups go with the user, and the saved ids too.
            .gid(self.gid)
            .uid(self.uid)
            .process_group(0);
        // SAFETY: between fork and exec it makes system calls only; it neither allocates nor takes a lock.
        unsafe { command.pre_exec(forgo) };
        let mut child = command.spawn()?;
        let output = child.stdout.take().map(OwnedFd::from);
        let group = Group::of(child)?;
        Ok((group, output.ok_or(io::ErrorKind::BrokenPipe)?))
    }
}

/// What the process gives up before it is another program.
fn forgo() -> io::Result<()> {
    // It doesn't outlive the daemon. A daemon that is gone by now doesn't read its output either.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // On exec, since the way to tell the parent of a failure is one of them.
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: no descriptor is closed here; all of them are no other program's.
    match unsafe { libc::close_range(FIRST_OTHER, libc::c_uint::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A process and all that it started in its group: killed with this value.
struct Group {
    leader: Child,
    pid: Pid,
    end: AsyncFd<OwnedFd>,
    /// How the leader ended, once it was waited for. Until then the group's number is nobody else's.
    status: Option<ExitStatus>,
}

impl Group {
    fn of(mut leader: Child) -> io::Result<Self> {
        let watch = || {
            let pid = Pid::from_raw(leader.id().cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
            let end = pidfd_open(pid, PidfdFlags::empty())?;
            // SAFETY: an `OwnedFd` is the same open descriptor until it is dropped, after this registration of it.
            io::Result::Ok((pid, unsafe { AsyncFd::register_with_interest(end, Interest::READABLE) }?))
        };
        match watch() {
            Ok((pid, end)) => Ok(Self { leader, pid, end, status: None }),
            Err(error) => {
                leader.kill()?;
                leader.wait()?;
                Err(error)
            }
        }
    }

    /// Waits until the leader has ended.
    async fn ended(&self) -> io::Result<()> {
        self.end.readable().await.map(drop)
    }

    /// Kills what is left of the group, and says how the leader ended.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        match kill_process_group(self.pid, Signal::KILL) {
            // Its leader may have left it for another one.
            Ok(()) | Err(Errno::SRCH) => self.leader.kill()?,
            Err(error) => return Err(error.into()),
        }
        let status = self.leader.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(pid = self.leader.id(), %error, "a process is left behind that gives a role's credentials");
        }
    }
}

/// All that is printed, or nothing if it is too much.
async fn read_whole(output: OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    let pipe = pipe::Receiver::from_owned_fd(output)?;
    pipe.take(form::SIZE_MAX as u64 + 1).read_to_end(&mut text).await?;
    Ok(Some(text).filter(|text| text.len() <= form::SIZE_MAX))
}

#[cfg(test)]
mod tests;
