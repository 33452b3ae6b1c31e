//! What the system holds for this process: threads, open files.

/// Threads of the process; zero where that cannot be known.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Open files and sockets of the process; zero where that cannot be known.
pub(crate) fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
