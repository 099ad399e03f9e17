//! Who comes first when a processor is scarce.

/// Raises this process above those who flood us: a stop must not wait for a processor behind them.
/// Threads that are started later inherit it. Refused without `CAP_SYS_NICE`, and then things are as
/// they were.
pub fn raise() {
    // SAFETY: no pointers.
    unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, -15) };
}

/// Takes the calling thread back to where everybody else is.
pub fn lower() {
    // SAFETY: no pointers; on Linux 0 is the calling thread.
    unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, 0) };
}
