//! When the library goes: at the end of the program, or when the editor loads it anew.
//!
//! Everything that was sent has a moment to leave, and all threads are joined. One that cannot be, such as a look-up that the
//! system holds up, would come back to code that is not there any more: then the library stays in memory.

use std::time::Duration;

/// Drivers have 200 ms for their goodbyes; a busy machine may take a little longer.
const BOUND: Duration = Duration::from_millis(500);

pub(crate) fn end_threads() {
    if !ferry_net::runtime::shut_down(BOUND) {
        pin();
    }
}

/// Keeps this library in memory until the process ends.
#[cfg(unix)]
fn pin() {
    let mut place = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let inside: fn() = end_threads;
    // SAFETY: `place` is ours and of the right type. The name that is found belongs to the dynamic loader and lives as long
    // as the library; opening it again runs no code, since it is loaded already.
    unsafe {
        if libc::dladdr(inside as *const libc::c_void, &raw mut place) != 0 && !place.dli_fname.is_null() {
            libc::dlopen(place.dli_fname, libc::RTLD_NOW | libc::RTLD_NODELETE);
        }
    }
}

/// Keeps this library in memory until the process ends.
#[cfg(windows)]
fn pin() {
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    };
    let inside: fn() = end_threads;
    let mut module = std::ptr::null_mut();
    // SAFETY: the address lies in this library, as the first flag says, and the place for the handle is ours.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
            inside as *const u16,
            &raw mut module,
        );
    }
}
