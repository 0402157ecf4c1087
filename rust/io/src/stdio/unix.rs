//! Ends on Unix: pipes and sockets join the event loop, the rest gets a thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use tokio::io::unix::AsyncFd;
use tokio::io::{BufWriter, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::{Closed, Reader, Writer};

/// The process's stdin.
///
/// # Errors
/// It is not open, or not open for reading.
pub fn input() -> io::Result<Reader> {
    let direct = direct_input(io::stdin().as_fd())?;
    Ok(direct.unwrap_or_else(|| Box::pin(tokio::io::stdin())))
}

/// The process's stdout, and word of its reader's end.
///
/// # Errors
/// It is not open, or not open for writing.
pub fn output() -> io::Result<(Writer, Closed)> {
    let direct = direct_output(io::stdout().as_fd())?;
    Ok(direct.unwrap_or_else(|| {
        let writer = BufWriter::new(tokio::io::stdout());
        (Box::pin(writer), Box::pin(std::future::pending()))
    }))
}

/// Reads a pipe or a socket in the event loop; `None` for anything else.
///
/// # Errors
/// The descriptor is not open, or not open for reading.
pub fn direct_input(fd: BorrowedFd<'_>) -> io::Result<Option<Reader>> {
    Ok(match kind(fd)? {
        FileType::Fifo => {
            let own = own_pipe(fd, OFlags::RDONLY)?;
            Some(Box::pin(pipe::Receiver::from_owned_fd(own)?))
        }
        FileType::Socket => Some(Box::pin(socket(fd)?)),
        _ => None,
    })
}

/// Writes a pipe or a socket in the event loop; `None` for anything else.
///
/// # Errors
/// The descriptor is not open, or not open for writing.
pub fn direct_output(fd: BorrowedFd<'_>) -> io::Result<Option<(Writer, Closed)>> {
    let writer: Writer = match kind(fd)? {
        FileType::Fifo => {
            let own = own_pipe(fd, OFlags::WRONLY)?;
            Box::pin(pipe::Sender::from_owned_fd(own)?)
        }
        FileType::Socket => Box::pin(socket(fd)?),
        _ => return Ok(None),
    };
    let watched = watch(fd.try_clone_to_owned()?)?;
    Ok(Some((writer, Box::pin(closed(watched)))))
}

fn kind(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// The same pipe under an open file of our own.
///
/// "Do not block" is a property of the open file, which the ferry shares with whoever started it; a
/// shell or a parent that finds its own end changed misbehaves. A pipe with a name is not opened
/// again: if its writer has been and gone, the new end would never hear of that.
fn own_pipe(fd: BorrowedFd<'_>, access: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let nameless =
        std::fs::read_link(&path).is_ok_and(|link| link.to_string_lossy().starts_with("pipe:"));
    if nameless {
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(own) = rustix::fs::open(&path, flags, Mode::empty()) {
            return Ok(own);
        }
    }
    fd.try_clone_to_owned()
}

fn socket(fd: BorrowedFd<'_>) -> io::Result<UnixStream> {
    let own = StdStream::from(fd.try_clone_to_owned()?);
    own.set_nonblocking(true)?;
    UnixStream::from_std(own)
}

/// Lets the event loop tell when `fd` becomes ready for reading, or breaks.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "what replaces it is unsafe, for types that do not own their fd")]
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Waits until the other end is closed, which an event loop is told even when it writes nothing.
async fn closed(end: AsyncFd<OwnedFd>) {
    let told = end.ready(Interest::READABLE | Interest::ERROR).await;
    // A socket that has something to read, or is closed by half, is always ready: only a write can
    // tell more.
    if told.is_err() || !hung_up(end.get_ref()) {
        std::future::pending::<()>().await;
    }
}

/// Whether nobody is at the other end, which the event loop does not tell from "readable".
fn hung_up(end: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(end, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut asked, Some(&at_once)).is_ok()
        && asked.iter().any(|end| end.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}
