//! `FerryWebRTCDataChannel`: one channel of a WebRTC connection, with the API of the engine's `WebRTCDataChannel`.
//!
//! Converts and forwards: what a channel is stands in `ferry_net::webrtc`. Two kinds: a script's own, which is closed when the
//! script lets go of it, and one of a multiplayer peer's, which is only lent.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use ferry_net::link::LinkError;
use ferry_net::packet::Kind;
use ferry_net::webrtc::{ChannelId, ChannelInit, ChannelPhase, Connection, Persistence};
use godot::classes::web_rtc_data_channel::{ChannelState, WriteMode};
use godot::classes::{IWebRtcDataChannelExtension, WebRtcDataChannelExtension};
use godot::global::Error;
use godot::meta::conv::RawPtr;
use godot::obj::EngineEnum;
use godot::prelude::*;

use crate::convert::{self, invalid};
use crate::frame::{Frame, Sender};
use crate::guard::guarded;
use crate::log;
use crate::peer_state::provoke_panic;
use crate::raw_packet::{self, LengthOut, PacketOut};
use crate::webrtc_settings::NO_LIMIT;

/// The engine's number for an id that is not known yet.
const NO_ID: i32 = 65_535;

/// A channel of a WebRTC connection, in place of [WebRTCDataChannel].
///
/// Comes from [method WebRTCPeerConnection.create_data_channel] or, made by the other end, with
/// [signal WebRTCPeerConnection.data_channel_received]. Keep it: a channel that nobody keeps is closed. Messages are put by
/// [method PacketPeer.put_packet] and read by [method PacketPeer.get_packet], while [method WebRTCPeerConnection.poll] is called
/// each frame.
///
/// The network runs on a thread of its own. What is put leaves together at the frame's end, or at the connection's next poll.
///
/// [method PacketPeer.put_packet] returns [constant ERR_UNCONFIGURED] if the channel is not open, [constant ERR_OUT_OF_MEMORY] if
/// the message is longer than the connection's [code]"max_message_size"[/code] or if too much waits already
/// ([member FerryWebRTCPeerConnection.outbound_queue_limit]), [constant ERR_INVALID_PARAMETER] for a text that is not UTF-8.
///
/// Differences from the plugin webrtc-native and from browsers:
///
/// - What came before a channel or its connection was closed can still be read.
/// - Messages of up to 256 KiB pass, and more if both ends' [code]"max_message_size"[/code] allows it: see [FerryWebRTCPeerConnection].
/// - No message of a reliable channel is dropped when a queue is full: the put fails, or the other end waits.
#[derive(GodotClass)]
#[class(tool, no_init, base = WebRtcDataChannelExtension)]
pub(crate) struct FerryWebRTCDataChannel {
    base: Base<WebRtcDataChannelExtension>,
    connection: Connection,
    id: ChannelId,
    /// How it was asked for; does not change.
    init: ChannelInit,
    is_lent: bool,
    write_mode: AtomicI32,
    sender: Arc<ConnectionSender>,
    read: Mutex<LastRead>,
    /// That its queue is full has been told; not again until something fits.
    told_full: AtomicBool,
}

/// The message that was read last.
#[derive(Default)]
struct LastRead {
    /// The engine may still look at it.
    bytes: Bytes,
    was_text: bool,
}

/// What is flushed at a frame's end: a connection.
pub(crate) struct ConnectionSender {
    frame: Frame,
    connection: Mutex<Option<Connection>>,
}

impl ConnectionSender {
    /// For this connection, if there is one already.
    pub(crate) fn shared(connection: Option<Connection>) -> Arc<Self> {
        Arc::new_cyclic(|own: &Weak<Self>| Self {
            frame: Frame::of(own.clone()),
            connection: Mutex::new(connection),
        })
    }

    /// From now on for this one.
    pub(crate) fn sends_through(&self, connection: &Connection) {
        *self.connection() = Some(connection.clone());
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender for ConnectionSender {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn flush(&self) {
        let connection = self.connection().clone();
        if let Some(connection) = connection {
            connection.flush();
        }
    }
}

impl FerryWebRTCDataChannel {
    /// A script's own: closed when the script lets go of it.
    pub(crate) fn around(connection: Connection, id: ChannelId) -> Gd<Self> {
        Self::make(connection, id, false)
    }

    /// One that somebody else owns.
    pub(crate) fn lent(connection: Connection, id: ChannelId) -> Gd<Self> {
        Self::make(connection, id, true)
    }

    fn make(connection: Connection, id: ChannelId, is_lent: bool) -> Gd<Self> {
        let init = connection.channel_init(id).unwrap_or_default();
        let sender = ConnectionSender::shared(Some(connection.clone()));
        Gd::from_init_fn(|base| Self {
            base,
            connection,
            id,
            init,
            is_lent,
            write_mode: AtomicI32::new(WriteMode::BINARY.ord()),
            sender,
            read: Mutex::default(),
            told_full: AtomicBool::new(false),
        })
    }

    fn last_read(&self) -> MutexGuard<'_, LastRead> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writes_text(&self) -> bool {
        self.write_mode.load(Ordering::Acquire) == WriteMode::TEXT.ord()
    }

    fn put(&self, bytes: &[u8]) -> Error {
        let kind = if self.writes_text() { Kind::Text } else { Kind::Binary };
        if kind == Kind::Text
            && let Err(error) = std::str::from_utf8(bytes)
        {
            return invalid(format!("Nothing was sent: a text must be UTF-8, and this is not: {error}."));
        }
        let sent = self.connection.send(self.id, kind, Bytes::copy_from_slice(bytes));
        self.sender.frame.flush_at_end();
        match sent {
            Ok(()) => {
                self.told_full.store(false, Ordering::Release);
                Error::OK
            }
            Err(error) => self.report(error),
        }
    }

    fn report(&self, error: LinkError) -> Error {
        let label = &self.init.label;
        match error {
            LinkError::Gone | LinkError::NotConnected => {
                godot_error!("Nothing was sent: the channel \"{label}\" is not open.");
                // As in web builds.
                return Error::ERR_UNCONFIGURED;
            }
            LinkError::OverLimit(limit) => {
                godot_error!(
                    "Nothing was sent: a message on this connection may have {limit} bytes (\"max_message_size\")."
                );
            }
            // These come in crowds.
            LinkError::QueueFull(_) if self.told_full.swap(true, Ordering::AcqRel) => {}
            _ => godot_error!("Nothing was sent on the channel \"{label}\": {error}."),
        }
        convert::link_error(error)
    }
}

impl Drop for FerryWebRTCDataChannel {
    /// What was put still leaves.
    fn drop(&mut self) {
        if !self.is_lent {
            self.connection.forget_channel(self.id);
        }
    }
}

#[godot_api]
impl FerryWebRTCDataChannel {}

// The methods that take `&mut self` are there twice: gdext takes the first, which borrows nothing while the engine is called,
// and the compiler wants the second.
#[godot_api]
impl IWebRtcDataChannelExtension for FerryWebRTCDataChannel {
    #[func(gd_self)]
    unsafe fn get_packet_rawptr(this: Gd<Self>, packet: PacketOut, length: LengthOut) -> Error {
        // SAFETY: both places are the engine's, of this call.
        unsafe { raw_packet::lend_nothing(packet, length) };
        guarded(Error::FAILED, || {
            let channel = this.bind();
            let Some((kind, payload)) = channel.connection.take_message(channel.id) else {
                return Error::ERR_UNAVAILABLE;
            };
            provoke_panic(payload == b"panic when read".as_slice());
            let mut read = channel.last_read();
            *read = LastRead { bytes: payload, was_text: kind == Kind::Text };
            // SAFETY: as above; the message stays until the next one is taken.
            unsafe { raw_packet::lend_bytes(packet, length, &read.bytes) }
        })
    }

    #[func(gd_self)]
    unsafe fn put_packet_rawptr(this: Gd<Self>, packet: RawPtr<*const u8>, length: i32) -> Error {
        guarded(Error::FAILED, || {
            // SAFETY: both are the engine's, of this call, and the bytes are copied in it.
            let bytes = unsafe { raw_packet::borrow(packet, length) };
            provoke_panic(bytes == b"panic when put");
            this.bind().put(bytes)
        })
    }

    fn get_available_packet_count(&self) -> i32 {
        i32::try_from(self.connection.available(self.id)).unwrap_or(i32::MAX)
    }

    fn get_max_packet_size(&self) -> i32 {
        i32::try_from(self.connection.longest_message()).unwrap_or(i32::MAX)
    }

    #[func(gd_self)]
    fn poll(this: Gd<Self>) -> Error {
        guarded(Error::FAILED, || {
            this.bind().connection.fetch();
            log::print_waiting();
            Error::OK
        })
    }

    fn poll(&mut self) -> Error {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn close(this: Gd<Self>) {
        guarded((), || {
            let channel = this.bind();
            channel.connection.close_channel(channel.id);
        });
    }

    fn close(&mut self) {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn set_write_mode(this: Gd<Self>, mode: WriteMode) {
        guarded((), || this.bind().write_mode.store(mode.ord(), Ordering::Release));
    }

    fn set_write_mode(&mut self, _: WriteMode) {
        unreachable!("the one above is called")
    }

    fn get_write_mode(&self) -> WriteMode {
        if self.writes_text() { WriteMode::TEXT } else { WriteMode::BINARY }
    }

    fn was_string_packet(&self) -> bool {
        self.last_read().was_text
    }

    fn get_ready_state(&self) -> ChannelState {
        match self.connection.channel_phase(self.id) {
            ChannelPhase::Connecting => ChannelState::CONNECTING,
            ChannelPhase::Open => ChannelState::OPEN,
            ChannelPhase::Closing => ChannelState::CLOSING,
            ChannelPhase::Closed => ChannelState::CLOSED,
        }
    }

    fn get_label(&self) -> GString {
        GString::from(&self.init.label)
    }

    fn is_ordered(&self) -> bool {
        !self.init.unordered
    }

    fn get_id(&self) -> i32 {
        self.connection.channel_stream(self.id).or(self.init.negotiated).map_or(NO_ID, i32::from)
    }

    fn get_max_packet_life_time(&self) -> i32 {
        match self.init.persistence {
            Persistence::Lifetime(time) => i32::try_from(time.as_millis()).unwrap_or(i32::MAX),
            _ => i32::from(NO_LIMIT),
        }
    }

    fn get_max_retransmits(&self) -> i32 {
        match self.init.persistence {
            Persistence::Retransmits(count) => i32::from(count),
            _ => i32::from(NO_LIMIT),
        }
    }

    fn get_protocol(&self) -> GString {
        GString::from(&self.init.protocol)
    }

    fn is_negotiated(&self) -> bool {
        self.init.negotiated.is_some()
    }

    fn get_buffered_amount(&self) -> i32 {
        i32::try_from(self.connection.buffered_amount(self.id)).unwrap_or(i32::MAX)
    }
}
