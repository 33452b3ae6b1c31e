//! `FerryWebSocketPeer`: one connection over WebSocket, with the API of the engine's `WebSocketPeer`.
//!
//! Converts and forwards: what a connection is and how it goes stands in `websocket_connection`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::{LinkError, LinkId};
use ferry_net::websocket::{self, Kind, Particulars, Phase, Settings, Sockets};
use godot::classes::{IPacketPeerExtension, PacketPeerExtension, StreamPeer};
use godot::global::Error;
use godot::meta::conv::RawPtr;
use godot::prelude::*;

use crate::convert::{self, invalid, outcome};
use crate::enums::{SocketState, WriteMode};
use crate::frame::{Frame, Sender};
use crate::guard::guarded;
use crate::log;
use crate::peer_state::provoke_panic;
use crate::raw_packet::{self, LengthOut, PacketOut};
use crate::stream_pump::StreamPump;
use crate::tls_options::OptionalTlsOptions;
use crate::websocket_connection::{Connection, Incoming, Leaving, Socket};
use crate::websocket_settings::{SocketSettings, cannot_begin, parse_url};

const STATE_CONNECTING: i64 = 0;
const STATE_OPEN: i64 = 1;
const STATE_CLOSING: i64 = 2;
const STATE_CLOSED: i64 = 3;

const WRITE_MODE_TEXT: i64 = 0;
const WRITE_MODE_BINARY: i64 = 1;

/// A WebSocket connection, in place of [WebSocketPeer].
///
/// As a client: [method connect_to_url], then [method poll] each frame; [method get_ready_state] tells how it goes, and
/// [method PacketPeer.get_packet] what has come. As a part of a server: [method accept_stream]. The peers of a
/// [FerryWebSocketMultiplayerPeer] are of this class, too ([method FerryWebSocketMultiplayerPeer.get_peer]): there,
/// the multiplayer peer polls and reads.
///
/// The network runs on a thread of its own. What is sent leaves together at the frame's end, or at the next [method poll].
///
/// Differences from [WebSocketPeer]:
///
/// - Messages of up to 16 MiB pass, where the engine's pass 64 KiB: see [member inbound_buffer_size].
/// - What came before the end of a connection can be read: [constant STATE_CLOSED] waits for it, for a second at most if nothing is read.
/// - A connection that cannot be made in [member connect_timeout] ends; one whose other end is silent for
///   [member peer_timeout] ends as well, with pings before, even if [member heartbeat_interval] is 0.
/// - [method get_disconnect_reason] and [method get_disconnect_text] tell why it ended or could not be made.
/// - [member heartbeat_interval] is a [float] here; the engine's class has it as an [int] in its list of properties.
#[derive(GodotClass)]
#[class(tool, init, base = PacketPeerExtension)]
pub(crate) struct FerryWebSocketPeer {
    base: Base<PacketPeerExtension>,
    socket: Mutex<Socket>,
    #[init(val = EndSender::shared())]
    sender: Arc<EndSender>,

    /// The sub-protocols to ask for, or as a server to take, the preferred one first; none by default. Taken when the connection is
    /// made.
    #[var(get = get_supported_protocols, set = set_supported_protocols, usage_flags = [DEFAULT])]
    supported_protocols: PhantomVar<PackedStringArray>,
    /// Lines like [code]"Name: value"[/code] to send along with the handshake. Taken when the connection is made.
    #[var(get = get_handshake_headers, set = set_handshake_headers, usage_flags = [DEFAULT])]
    handshake_headers: PhantomVar<PackedStringArray>,
    /// The longest message that is taken in, in bytes. 16 MiB by default; taken when the connection is made. A longer one ends the
    /// connection, with close code 1009.
    #[var(get = get_inbound_buffer_size, set = set_inbound_buffer_size, usage_flags = [DEFAULT])]
    inbound_buffer_size: PhantomVar<i64>,
    /// The longest message that can be sent, in bytes. 16 MiB by default, 0 means the most there is (32 MB); taken when the
    /// connection is made. Sending a longer one returns [constant ERR_OUT_OF_MEMORY], and the connection lives on.
    #[var(get = get_outbound_buffer_size, set = set_outbound_buffer_size, usage_flags = [DEFAULT])]
    outbound_buffer_size: PhantomVar<i64>,
    /// How many messages may wait each way. 1048576 by default; taken when the connection is made.
    #[var(get = get_max_queued_packets, set = set_max_queued_packets, usage_flags = [DEFAULT])]
    max_queued_packets: PhantomVar<i64>,
    /// How often to send a ping, in seconds; each has to be answered before the next. 0 (the default) means as often as
    /// [member peer_timeout] calls for.
    #[var(get = get_heartbeat_interval, set = set_heartbeat_interval, usage_flags = [DEFAULT])]
    heartbeat_interval: PhantomVar<f64>,
    /// How long a connection may take to be made, in seconds. 10 by default.
    #[var(get = get_connect_timeout, set = set_connect_timeout)]
    connect_timeout: PhantomVar<f64>,
    /// How long the other end may be silent at most, in seconds, before it counts as gone. 30 by default. It is pinged before.
    #[var(get = get_peer_timeout, set = set_peer_timeout)]
    peer_timeout: PhantomVar<f64>,
}

/// What is flushed at a frame's end.
struct EndSender {
    frame: Frame,
    sockets: Mutex<Option<Sockets>>,
}

impl EndSender {
    fn shared() -> Arc<Self> {
        Arc::new_cyclic(|own: &Weak<Self>| Self { frame: Frame::of(own.clone()), sockets: Mutex::default() })
    }

    fn sockets(&self) -> MutexGuard<'_, Option<Sockets>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sends_through(&self, sockets: &Sockets) {
        *self.sockets() = Some(sockets.clone());
    }
}

impl Sender for EndSender {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn flush(&self) {
        if let Some(sockets) = &*self.sockets() {
            sockets.flush();
        }
    }
}

/// A code that a goodbye may have; another one is told, and replaced by the usual one. `None` for those that mean "at once".
fn close_code(code: i64) -> Option<u16> {
    if code < 0 {
        return None;
    }
    let allowed = |code: &u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    Some(u16::try_from(code).ok().filter(allowed).unwrap_or_else(|| {
        godot_error!(
            "A connection cannot be closed with code {code}: 1000 is sent. Codes of one's own are 3000 to 4999."
        );
        1000
    }))
}

/// Not under the lock: it may call scripts.
fn let_go(leaving: Option<Leaving>) {
    if let Some(leaving) = leaving {
        leaving.run();
    }
}

impl FerryWebSocketPeer {
    /// Not to be held while the engine is called, which may call scripts: also where it prints an error.
    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a link of a multiplayer peer's endpoint.
    pub(crate) fn around(sockets: Sockets, link: LinkId, settings: &SocketSettings) -> Gd<Self> {
        let peer = Self::new_gd();
        {
            let peer = peer.bind();
            let mut socket = peer.socket();
            socket.settings = settings.clone();
            peer.sender.sends_through(&sockets);
            // A new object has nothing to let go of.
            let _ = socket.begin(Connection::lent(sockets, link));
        }
        peer
    }

    /// Whether a connection may be begun.
    fn check_free(&self) -> Result<(), Error> {
        match self.socket().phase() {
            None | Some(Phase::Closing) => Ok(()),
            Some(Phase::Connecting | Phase::Open) => {
                godot_error!("This FerryWebSocketPeer has a connection already.");
                Err(Error::ERR_ALREADY_IN_USE)
            }
        }
    }

    fn start_client(&self, url: &GString, options: &OptionalTlsOptions) -> Result<(), Error> {
        let tls = options.client().map_err(invalid)?;
        self.check_free()?;
        let url = parse_url(url)?;
        let (settings, limits) = self.next();
        let (sockets, link) = websocket::open_plain(url, tls, settings, limits).map_err(cannot_begin)?;
        self.begin(Connection::own(sockets, link, None));
        Ok(())
    }

    fn start_server(&self, stream: Option<Gd<StreamPeer>>) -> Result<(), Error> {
        let stream = stream.ok_or_else(|| invalid("The stream is null.".to_owned()))?;
        self.check_free()?;
        let (settings, limits) = self.next();
        let (sockets, link, pump) = StreamPump::open(stream, settings, limits).map_err(invalid)?;
        self.begin(Connection::own(sockets, link, Some(pump)));
        Ok(())
    }

    /// What the next connection is made with.
    fn next(&self) -> (Settings, Limits) {
        let socket = self.socket();
        (socket.next_settings(), socket.limits)
    }

    fn begin(&self, connection: Connection) {
        self.sender.sends_through(connection.sockets());
        let leaving = self.socket().begin(connection);
        let_go(leaving);
    }

    fn put(&self, kind: Kind, bytes: &[u8]) -> Error {
        let sent = self.socket().send(kind, Bytes::copy_from_slice(bytes));
        self.sender.frame.flush_at_end();
        match sent {
            Ok(()) => Error::OK,
            Err(error) => {
                godot_error!("Nothing was sent: {error}.");
                // As the engine's: a connection that is not open is a failure, whatever it is instead.
                if error == LinkError::Gone { Error::FAILED } else { convert::link_error(error) }
            }
        }
    }

    fn particulars(&self) -> Option<Particulars> {
        self.socket().particulars()
    }

    fn address(&self) -> Option<SocketAddr> {
        // As the engine's: the address goes with the connection, the rest stays.
        let stands = self.socket().phase().is_some();
        let address = self.particulars().filter(|_| stands).and_then(|particulars| particulars.address);
        if address.is_none() {
            godot_error!("There is no connection whose address could be told.");
        }
        address
    }

    fn change_limits(&self, change: impl FnOnce(&mut Limits)) {
        let mut socket = self.socket();
        let mut limits = socket.limits;
        change(&mut limits);
        socket.set_limits(limits);
    }
}

impl Drop for FerryWebSocketPeer {
    /// What was sent leaves, with a goodbye.
    fn drop(&mut self) {
        let leaving = self.socket().release();
        let_go(leaving);
    }
}

#[godot_api]
impl FerryWebSocketPeer {
    /// Connects to a server, by a URL like [code]"wss://example.org:9080/path"[/code]. [code]ws://[/code] is meant where there is no
    /// scheme. Never blocks: [method poll] and [method get_ready_state] tell how it goes.
    ///
    /// With [code]wss://[/code], the server has to show a certificate for that host name that the system trusts, unless
    /// [code]tls_client_options[/code] says otherwise: see [method TLSOptions.client] and [method TLSOptions.client_unsafe].
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if there is a connection already, [constant ERR_INVALID_PARAMETER] if the URL is none or
    /// the options are a server's.
    #[func]
    fn connect_to_url(
        &self,
        url: GString,
        #[opt(default = OptionalTlsOptions::NONE)] tls_client_options: OptionalTlsOptions,
    ) -> Error {
        outcome(self.start_client(&url, &tls_client_options))
    }

    /// Takes a connection that came in: a [StreamPeerTCP] from [method TCPServer.take_connection], or a [StreamPeerTLS] around one that
    /// accepts it. The handshake of WebSocket follows; from now on [method poll] reads and writes the stream.
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if there is a connection already, [constant ERR_INVALID_PARAMETER] for other streams.
    #[func]
    fn accept_stream(&self, stream: Option<Gd<StreamPeer>>) -> Error {
        outcome(self.start_server(stream))
    }

    /// Sends a message, as [constant WRITE_MODE_BINARY] or [constant WRITE_MODE_TEXT]. It leaves with the others of this frame.
    ///
    /// Returns [constant FAILED] if the connection is not open, [constant ERR_OUT_OF_MEMORY] if the message is longer than
    /// [member outbound_buffer_size] or too much waits already, [constant ERR_INVALID_PARAMETER] for a text that is not UTF-8.
    #[func]
    fn send(
        &self,
        message: PackedByteArray,
        #[opt(default = WriteMode(WRITE_MODE_BINARY))] write_mode: WriteMode,
    ) -> Error {
        if write_mode.0 != WRITE_MODE_TEXT {
            return self.put(Kind::Binary, message.as_slice());
        }
        if let Err(error) = std::str::from_utf8(message.as_slice()) {
            return invalid(format!("Nothing was sent: a text must be UTF-8, and this is not: {error}."));
        }
        self.put(Kind::Text, message.as_slice())
    }

    /// Sends a message as text. Returns what [method send] does.
    #[func]
    fn send_text(&self, message: GString) -> Error {
        self.put(Kind::Text, message.to_string().as_bytes())
    }

    /// Whether the packet that was read last is text.
    #[func]
    fn was_string_packet(&self) -> bool {
        self.socket().was_text()
    }

    /// Fetches what has happened, and lets leave what was sent. Call it each frame, also after [method close], until
    /// [constant STATE_CLOSED]. A peer of a [FerryWebSocketMultiplayerPeer] is polled by that.
    #[func]
    fn poll(&self) {
        self.sender.frame.note_poll();
        let stream = self.socket().take_stream();
        if let Some(mut stream) = stream {
            stream.run();
            let homeless = self.socket().give_back(stream);
            if let Some(mut stream) = homeless {
                stream.hang_up();
            }
        }
        let leaving = self.socket().poll();
        let_go(leaving);
        log::print_waiting();
    }

    /// Says goodbye, with a code (1000 to 1003, 1007 to 1014, or one's own from 3000 to 4999) and a text of up to 123 bytes: what was
    /// sent before arrives before. A negative code ends the connection at once, without a goodbye.
    #[func]
    fn close(&self, #[opt(default = 1000)] code: i64, #[opt(default = "")] reason: GString) {
        let code = close_code(code);
        let leaving = self.socket().close(code, &reason.to_string());
        let_go(leaving);
        log::print_waiting();
    }

    /// The address of the other end.
    #[func]
    fn get_connected_host(&self) -> GString {
        convert::host(self.address())
    }

    /// The port of the other end.
    #[func]
    fn get_connected_port(&self) -> i64 {
        convert::port(self.address())
    }

    /// The sub-protocol that was agreed on, empty if none was.
    #[func]
    fn get_selected_protocol(&self) -> GString {
        self.particulars().map_or_else(GString::new, |particulars| GString::from(&particulars.protocol))
    }

    /// The URL: the one that [method connect_to_url] was given, or the one that the client asked for.
    #[func]
    fn get_requested_url(&self) -> GString {
        self.particulars().map_or_else(GString::new, |particulars| GString::from(&particulars.url))
    }

    /// Whether small messages leave at once instead of waiting for more (Nagle's algorithm). They do by default.
    #[func]
    fn set_no_delay(&self, enabled: bool) {
        if !self.socket().set_no_delay(enabled) {
            godot_error!("There is no connection.");
        }
    }

    /// How many bytes wait to be sent.
    #[func]
    fn get_current_outbound_buffered_amount(&self) -> i64 {
        let socket = self.socket();
        let open = socket.way().filter(|_| socket.phase() == Some(Phase::Open));
        open.map_or(0, |(sockets, link)| convert::int(sockets.queued_bytes(link)))
    }

    /// The state of the connection.
    #[func]
    fn get_ready_state(&self) -> SocketState {
        SocketState(match self.socket().phase() {
            Some(Phase::Connecting) => STATE_CONNECTING,
            Some(Phase::Open) => STATE_OPEN,
            Some(Phase::Closing) => STATE_CLOSING,
            None => STATE_CLOSED,
        })
    }

    /// The code of the other end's goodbye; -1 if there was none. To be asked once the state is [constant STATE_CLOSED].
    #[func]
    fn get_close_code(&self) -> i64 {
        self.socket().end().code
    }

    /// The text of the other end's goodbye.
    #[func]
    fn get_close_reason(&self) -> GString {
        GString::from(&self.socket().end().text)
    }

    /// Why the connection ended or could not be made, as one of [FerryDisconnect]; [constant FerryDisconnect.NONE] while there is
    /// nothing to tell. Of a multiplayer peer's connection, [method FerryWebSocketMultiplayerPeer.get_disconnect_reason] tells.
    #[func]
    fn get_disconnect_reason(&self) -> i64 {
        self.socket().end().farewell.reason as i64
    }

    /// The same in words, with what else is known.
    #[func]
    fn get_disconnect_text(&self) -> GString {
        GString::from(&self.socket().end().farewell.to_string())
    }

    /// See [member supported_protocols].
    #[func]
    fn get_supported_protocols(&self) -> PackedStringArray {
        self.socket().settings.protocols.clone()
    }

    /// See [member supported_protocols].
    #[func]
    fn set_supported_protocols(&self, protocols: PackedStringArray) {
        self.socket().settings.set_protocols(&protocols);
    }

    /// See [member handshake_headers].
    #[func]
    fn get_handshake_headers(&self) -> PackedStringArray {
        self.socket().settings.headers.clone()
    }

    /// See [member handshake_headers].
    #[func]
    fn set_handshake_headers(&self, protocols: PackedStringArray) {
        self.socket().settings.headers = protocols;
    }

    /// See [member inbound_buffer_size].
    #[func]
    fn get_inbound_buffer_size(&self) -> i64 {
        self.socket().settings.inbound_buffer_size
    }

    /// See [member inbound_buffer_size].
    #[func]
    fn set_inbound_buffer_size(&self, buffer_size: i64) {
        self.socket().settings.inbound_buffer_size = buffer_size;
    }

    /// See [member outbound_buffer_size].
    #[func]
    fn get_outbound_buffer_size(&self) -> i64 {
        self.socket().settings.outbound_buffer_size
    }

    /// See [member outbound_buffer_size].
    #[func]
    fn set_outbound_buffer_size(&self, buffer_size: i64) {
        self.socket().settings.outbound_buffer_size = buffer_size;
    }

    /// See [member max_queued_packets].
    #[func]
    fn get_max_queued_packets(&self) -> i64 {
        self.socket().settings.max_queued_packets
    }

    /// See [member max_queued_packets].
    #[func]
    fn set_max_queued_packets(&self, buffer_size: i64) {
        self.socket().settings.max_queued_packets = buffer_size;
    }

    /// See [member heartbeat_interval].
    #[func]
    fn get_heartbeat_interval(&self) -> f64 {
        self.socket().heartbeat().map_or(0.0, |interval| interval.as_secs_f64())
    }

    /// See [member heartbeat_interval].
    #[func]
    fn set_heartbeat_interval(&self, interval: f64) {
        if interval.is_nan() || interval < 0.0 {
            godot_error!("heartbeat_interval must not be negative, but is {interval}.");
            return;
        }
        self.socket().set_heartbeat((interval > 0.0).then(|| convert::seconds(interval)));
    }

    /// See [member connect_timeout].
    #[func]
    fn get_connect_timeout(&self) -> f64 {
        self.socket().limits.connect_timeout.as_secs_f64()
    }

    /// See [member connect_timeout].
    #[func]
    fn set_connect_timeout(&self, seconds: f64) {
        self.change_limits(|limits| limits.connect_timeout = convert::seconds(seconds));
    }

    /// See [member peer_timeout].
    #[func]
    fn get_peer_timeout(&self) -> f64 {
        self.socket().limits.peer_timeout.as_secs_f64()
    }

    /// See [member peer_timeout].
    #[func]
    fn set_peer_timeout(&self, seconds: f64) {
        self.change_limits(|limits| limits.peer_timeout = convert::seconds(seconds));
    }
}

#[godot_api]
impl IPacketPeerExtension for FerryWebSocketPeer {
    #[func(gd_self)]
    unsafe fn get_packet_rawptr(this: Gd<Self>, packet: PacketOut, length: LengthOut) -> Error {
        // SAFETY: both places are the engine's, of this call.
        unsafe { raw_packet::lend_nothing(packet, length) };
        guarded(Error::FAILED, || {
            let peer = this.bind();
            if peer.socket().incoming().is_none() {
                godot_error!("Nothing can be read: the connection is not open.");
                return Error::FAILED;
            }
            let mut socket = peer.socket();
            let Some(payload) = socket.incoming().and_then(Incoming::take) else {
                return Error::ERR_UNAVAILABLE;
            };
            provoke_panic(payload == b"panic when read".as_slice());
            // SAFETY: as above; the packet stays until the next one is taken.
            unsafe { raw_packet::lend_bytes(packet, length, payload) }
        })
    }

    #[func(gd_self)]
    unsafe fn put_packet_rawptr(this: Gd<Self>, packet: RawPtr<*const u8>, length: i32) -> Error {
        guarded(Error::FAILED, || {
            // SAFETY: both are the engine's, of this call, and the bytes are copied in it.
            let bytes = unsafe { raw_packet::borrow(packet, length) };
            provoke_panic(bytes == b"panic when put");
            this.bind().put(Kind::Binary, bytes)
        })
    }

    fn get_available_packet_count(&self) -> i32 {
        let count = self.socket().incoming().map_or(0, |incoming| incoming.len());
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    fn get_max_packet_size(&self) -> i32 {
        i32::try_from(self.socket().settings.longest_outgoing()).unwrap_or(i32::MAX)
    }
}
