//! The few calls of the C library that have no safe wrapper.
#![allow(unsafe_code, reason = "localtime_r, fork and AsyncFd::register have no safe wrapper")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use tokio::io::unix::AsyncFd;

/// An owner of a descriptor that gives out the same one for as long as it lives.
pub(crate) trait OwnsDescriptor: AsRawFd {}
impl OwnsDescriptor for pluto_kernel::IkeSocket {}
impl OwnsDescriptor for pluto_kernel::Events {}

/// Gives out the descriptor of what has a descriptor by another name.
#[derive(Debug)]
pub(crate) struct Described<T>(pub(crate) T);

impl<T: AsFd> AsRawFd for Described<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl OwnsDescriptor for Described<pluto_kernel::esp::EspEvents> {}
impl OwnsDescriptor for Described<std::sync::Arc<pluto_kernel::esp::Stray>> {}

/// Registers a descriptor with the reactor.
///
/// # Errors
/// The reactor's.
pub(crate) fn register<T: OwnsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the trait says that the descriptor stays the owner's until it is dropped, which
    // is after AsyncFd has deregistered it.
    unsafe { AsyncFd::register(owner) }.map_err(|error| error.into_parts().1)
}

/// Forks; true in the parent. Must be called while there is one thread.
///
/// # Errors
/// The operating system's.
pub(crate) fn fork() -> io::Result<bool> {
    // SAFETY: the daemon has not started a thread yet, so the child has a whole process.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { .. } => Ok(true),
        nix::unistd::ForkResult::Child => Ok(false),
    }
}

/// Turns standard input, output and error away from the terminal.
///
/// # Errors
/// The operating system's.
pub(crate) fn forget_terminal() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// `Nov 22 14:35:00` in local time.
#[must_use]
pub(crate) fn local_time(seconds: u64) -> Option<String> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut broken_down = std::mem::MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; localtime_r fills the structure when it
    // returns non-null.
    let tm = unsafe {
        if libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()).is_null() {
            return None;
        }
        broken_down.assume_init()
    };
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.get(usize::try_from(tm.tm_mon).ok()?)?;
    Some(format!("{month} {:2} {:02}:{:02}:{:02}", tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec))
}

/// A descriptor that whoever started us has opened for us.
///
/// # Errors
/// There is none of that number.
pub(crate) fn given_descriptor(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: the number is only looked at: a descriptor that is not open is refused before
    // anything owns it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    nix::fcntl::fcntl(borrowed, nix::fcntl::FcntlArg::F_GETFD)?;
    // A copy of our own, so that nothing else in the process can close it.
    borrowed.try_clone_to_owned()
}
