//! Giving memory back.

/// From this size on, a block of memory is the system's own and goes back to it when it is freed.
///
/// The C library of Linux raises its limit to the size of what is freed, up to 32 MiB, so that after
/// the first large message all later ones would come from the heap, break it up, and stay. A process
/// that only carries messages holds 160 MB then where it needs 45 (128 answers of 1 MiB at once).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_BLOCK: i32 = 256 * 1024;

/// Fixes that limit for this process, where the C library has one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back_large_blocks() {
    // SAFETY: mallopt takes two numbers, and may be called at any time; that it can fail does not
    // matter, since memory is then only given back later.
    #[expect(unsafe_code, reason = "the one call that no crate wraps")]
    let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_BLOCK) };
}

/// Other systems give back what is free.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back_large_blocks() {}
