//! Counts the memory that a test takes: of its own thread ([`thread`]), or of the whole process ([`process`]).
//!
//! To use any of it is enough: the program's allocator counts from then on. It is not what the system says: memory that an
//! earlier test gave back is often kept there, and what is claimed but never touched costs nothing on some systems.

pub mod process;
pub mod thread;

use std::alloc::{GlobalAlloc, Layout, System};

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

fn took(bytes: usize) {
    process::took(bytes);
    thread::took(bytes);
}

fn gave_back(bytes: usize) {
    process::gave_back(bytes);
    thread::gave_back(bytes);
}

// SAFETY: every call is passed on to the system's allocator as it came, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // In this order: while it is moved, both are held.
        took(size);
        gave_back(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
