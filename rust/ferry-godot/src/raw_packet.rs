//! Packets as the engine passes them: a pointer and a length.

use godot::global::Error;
use godot::meta::conv::RawPtr;
use godot::obj::EngineEnum;

use crate::peer_state::{PeerClass, StateOf, report_no_packet, report_put};
use crate::virtual_calls::Arguments;

/// `Error.FAILED`, as the engine passes it.
pub(crate) const FAILED: i32 = 1;

/// Answers `_get_packet`: takes a peer's next packet and lends it to the engine, until the next is taken.
///
/// # Safety
///
/// The arguments must be those that the engine passed to the `_get_packet` that is running.
pub(crate) unsafe fn take<P: PeerClass>(arguments: Arguments, state: &StateOf<P>) -> i32 {
    // SAFETY: the engine passes the places of a pointer and of a length.
    let (packet, length): (*mut *const u8, *mut i32) = unsafe { (arguments.get(0), arguments.get(1)) };
    // First: whatever happens then, the engine does not read where nothing was written.
    // SAFETY: the places are the engine's.
    unsafe { lend(packet, length, (std::ptr::null(), 0)) };
    let Some(bytes) = state.take_packet() else { return report_no_packet::<P>(state).ord() };
    // SAFETY: as above; the bytes stay until the next packet is taken.
    unsafe { lend(packet, length, bytes) };
    Error::OK.ord()
}

/// Answers `_put_packet`: copies the engine's bytes and queues them.
///
/// # Safety
///
/// The arguments must be those that the engine passed to the `_put_packet` that is running.
pub(crate) unsafe fn put<P: PeerClass>(arguments: Arguments, state: &StateOf<P>) -> i32 {
    // SAFETY: the engine passes the bytes and how many there are, and does not change them during the call.
    let bytes = unsafe { slice(arguments.get(0), arguments.int(1)) };
    let outcome = state.put_packet(bytes);
    report_put(outcome).ord()
}

/// # Safety
///
/// Both places must be the engine's, of the call that is running.
unsafe fn lend(packet: *mut *const u8, length: *mut i32, (bytes, count): (*const u8, usize)) {
    // SAFETY: the caller vouches for both. No packet is longer than 32 MB.
    unsafe {
        packet.write(bytes);
        length.write(count as i32);
    }
}

/// # Safety
///
/// There must be so many bytes, for as long as the slice is used.
unsafe fn slice<'a>(bytes: *const u8, count: i32) -> &'a [u8] {
    match usize::try_from(count) {
        // SAFETY: the caller vouches for it.
        Ok(count) if count > 0 && !bytes.is_null() => unsafe { std::slice::from_raw_parts(bytes, count) },
        _ => &[],
    }
}

/// Where gdext's own virtual methods tell the engine a packet's bytes.
pub(crate) type PacketOut = RawPtr<*mut RawPtr<*const u8>>;
/// Where they tell it how many there are.
pub(crate) type LengthOut = RawPtr<*mut i32>;

/// Tells the engine that there is no packet. Done first, as above.
///
/// # Safety
///
/// Both places must be the ones that the engine passed to the method that is running.
pub(crate) unsafe fn lend_nothing(packet: PacketOut, length: LengthOut) {
    // SAFETY: the caller vouches for both.
    unsafe { lend(packet.ptr().cast(), length.ptr(), (std::ptr::null(), 0)) };
}

/// Lends a packet's bytes to the engine.
///
/// # Safety
///
/// Both places must be the ones that the engine passed to the method that is running, and the bytes must stay where they are
/// until the engine asks for the next packet.
pub(crate) unsafe fn lend_bytes(packet: PacketOut, length: LengthOut, bytes: &[u8]) -> Error {
    // SAFETY: the caller vouches for all. A `RawPtr` is its pointer.
    unsafe { lend(packet.ptr().cast(), length.ptr(), (bytes.as_ptr(), bytes.len())) };
    Error::OK
}

/// The bytes that the engine wants to be sent.
///
/// # Safety
///
/// Both must be what the engine passed to the method that is running, and the bytes must not be used after it.
pub(crate) unsafe fn borrow<'a>(packet: RawPtr<*const u8>, length: i32) -> &'a [u8] {
    // SAFETY: the caller vouches for it.
    unsafe { slice(packet.ptr(), length) }
}
