//! `FerryWebSocketMultiplayerPeer`: a game's peer over WebSocket, with the API of the engine's `WebSocketMultiplayerPeer`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_net::limits::Limits;
use ferry_net::link::LinkId;
use ferry_net::multiplayer::{Role, StateError};
use ferry_net::websocket::{self, MAX_CLIENTS, Network, ProxyHeader, Settings, Sockets};
use godot::classes::{MultiplayerPeerExtension, TlsOptions};
use godot::global::Error;
use godot::prelude::*;

use crate::convert::{self, invalid, outcome};
use crate::peer_methods::{change_limits, peer_methods};
use crate::peer_state::{PeerClass, PeerState, WhenIdle, report_refused};
use crate::tls_options::{self, OptionalTlsOptions};
use crate::virtual_calls::multiplayer_peer;
use crate::websocket_peer::FerryWebSocketPeer;
use crate::websocket_settings::{SocketSettings, cannot_begin, parse_url};

/// How long a connection may take to be made, as in the engine's class.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Objects of peers that are kept without asking whether their links have ended.
const FEW_PEERS: usize = 16;

/// In seconds; as exact as the engine's class, which counts milliseconds.
const SHORTEST_HANDSHAKE: f64 = 0.001;

const HEADER_NAMES: [(ProxyHeader, &str); 2] =
    [(ProxyHeader::XForwardedFor, "X-Forwarded-For"), (ProxyHeader::Forwarded, "Forwarded")];

/// Trusted proxies. More than a handful is a network.
const MOST_PROXIES: usize = 256;

/// A multiplayer peer over WebSocket, in place of [WebSocketMultiplayerPeer]: for players in browsers and behind firewalls that let
/// nothing else through.
///
/// Set it as [member MultiplayerAPI.multiplayer_peer] after [method create_server] or [method create_client]. On the wire it is
/// what [WebSocketMultiplayerPeer] is: either end of a game can be either. A page with JavaScript's own [code]WebSocket[/code] can
/// join too: the first message it gets is its id (4 bytes, little endian), then each binary message is a packet.
///
/// The network runs on a thread of its own, so nobody is lost while the game loads, any number of clients can join at once, and a
/// frame only pays for handing packets over. What a frame sends to a peer leaves together at its end. All packets arrive, in order;
/// only unreliable ones may be dropped before they are sent, if the other end reads so slowly that too many wait. Every ending has a reason: see the signals,
/// [method get_disconnect_reason] and [FerryDisconnect].
///
/// Differences from [WebSocketMultiplayerPeer]:
///
/// - Packets of up to 16 MiB pass, where the engine's pass 64 KiB: see [member outbound_buffer_size] and [member inbound_buffer_size].
///   A built-in receiver closes the connection ([constant FerryDisconnect.PACKET_TOO_LARGE]) when a packet is longer than
///   its own [member WebSocketMultiplayerPeer.inbound_buffer_size].
/// - No packet that was taken is lost when the receiver is slow: it waits ([member outbound_queue_limit]), and what does not fit is
///   an error of [method PacketPeer.put_packet] on servers, too, where the engine's returns [constant OK].
/// - Connections are kept alive and watched: an end that is gone without a word is noticed within [member peer_timeout].
/// - A client that is not let in is told why, and fails at once: [signal connection_failed] has the reason.
/// - [method MultiplayerPeer.disconnect_peer], [method MultiplayerPeer.close] and dropping the last reference deliver what was sent
///   before, and say goodbye.
/// - [signal MultiplayerPeer.peer_disconnected] waits until the packets of that peer have been read.
/// - [method create_server] refuses a port out of range and options without certificate or key at once.
/// - Packets without bytes are counted and dropped: the engine's scene multiplayer prints an error for each.
/// - TLS is version 1.2 or 1.3. Certificates that Godot's [Crypto] makes work if the client is given that very certificate.
#[derive(GodotClass)]
#[class(tool, init, base = MultiplayerPeerExtension)]
pub(crate) struct FerryWebSocketMultiplayerPeer {
    base: Base<MultiplayerPeerExtension>,
    #[init(val = usual_state())]
    state: Arc<PeerState<Sockets>>,
    set_up: Mutex<SetUp>,
    encrypted: AtomicBool,

    /// The sub-protocols that [method create_server] and [method create_client] use, the preferred one first; none by default. A
    /// server with some takes only clients that ask for one of them, a client with some only servers that choose one.
    #[var(get = get_supported_protocols, set = set_supported_protocols, usage_flags = [DEFAULT])]
    supported_protocols: PhantomVar<PackedStringArray>,
    /// Lines like [code]"Name: value"[/code] that are sent along with the handshake, by [method create_server] to each client and by
    /// [method create_client] to the server. A server that is open takes a change for connections to come.
    #[var(get = get_handshake_headers, set = set_handshake_headers, usage_flags = [DEFAULT])]
    handshake_headers: PhantomVar<PackedStringArray>,
    /// The longest packet that is taken in, in bytes. 16 MiB by default. Who sends a longer one is
    /// disconnected, with close code 1009 and [constant FerryDisconnect.PACKET_TOO_LARGE].
    #[var(get = get_inbound_buffer_size, set = set_inbound_buffer_size, usage_flags = [DEFAULT])]
    inbound_buffer_size: PhantomVar<i64>,
    /// The longest packet that can be put, in bytes. 16 MiB by default, 0 means the most there is (32 MB). Putting a longer one returns [constant ERR_OUT_OF_MEMORY], and the connection lives on. How much may wait is
    /// [member outbound_queue_limit].
    #[var(get = get_outbound_buffer_size, set = set_outbound_buffer_size, usage_flags = [DEFAULT])]
    outbound_buffer_size: PhantomVar<i64>,
    /// How long a connection may take to be made, in seconds: TCP, TLS and the handshake of WebSocket, at either end. 3 by default.
    /// [member connect_timeout] is the same.
    #[var(get = get_handshake_timeout, set = set_handshake_timeout, usage_flags = [DEFAULT])]
    handshake_timeout: PhantomVar<f64>,
    /// How many packets may wait to be sent to one peer, and how many of one peer's may wait for the next poll. 1048576 by default:
    /// [member outbound_queue_limit] and [member inbound_queue_limit], which count bytes, are reached before.
    #[var(get = get_max_queued_packets, set = set_max_queued_packets, usage_flags = [DEFAULT])]
    max_queued_packets: PhantomVar<i64>,
    /// How many clients [method create_server] lets in: 1 to 4095, the default. Others are told
    /// [constant FerryDisconnect.SERVER_FULL].
    #[var(get = get_max_clients, set = set_max_clients)]
    max_clients: PhantomVar<i64>,
    /// Reverse proxies in front of [method create_server], as addresses ([code]"10.0.0.7"[/code]) or networks
    /// ([code]"10.0.0.0/8"[/code]). On connections from them, [member proxy_header] tells the player's address, for
    /// [method get_peer_address] and the figures. None by default: anybody can send such a header.
    #[var(get = get_trusted_proxies, set = set_trusted_proxies)]
    trusted_proxies: PhantomVar<PackedStringArray>,
    /// The header in which [member trusted_proxies] tell a player's address: [code]"X-Forwarded-For"[/code] (the default) or
    /// [code]"Forwarded"[/code]. Only this one is believed: a proxy that sets the one mostly passes on the other as a player sent it.
    #[var(get = get_proxy_header, set = set_proxy_header, hint = ENUM_SUGGESTION, hint_string = "X-Forwarded-For,Forwarded")]
    proxy_header: PhantomVar<GString>,
    /// How long a connection may take to be made, in seconds. 3 by default. Then [signal connection_failed] says
    /// [constant FerryDisconnect.CONNECT_TIMEOUT]. The same as [member handshake_timeout], under the name that all Ferry peers have.
    #[var(get = get_connect_timeout, set = set_connect_timeout)]
    connect_timeout: PhantomVar<f64>,
    /// How long a peer may be silent at most, in seconds, before it counts as gone ([constant FerryDisconnect.TIMEOUT]). 30 by
    /// default. Who is silent is asked for a sign of life some times before; browsers and the engine's own peers answer by
    /// themselves, the latter while they are polled.
    #[var(get = get_peer_timeout, set = set_peer_timeout)]
    peer_timeout: PhantomVar<f64>,
    /// How many bytes of packets may wait to be sent to one peer. 64 MiB by default. What happens then is
    /// [member reliable_overflow].
    #[var(get = get_outbound_queue_limit, set = set_outbound_queue_limit)]
    outbound_queue_limit: PhantomVar<i64>,
    /// How many bytes of packets may wait to be read, from all peers together. 64 MiB by default. Beyond, they wait at their senders.
    #[var(get = get_inbound_queue_limit, set = set_inbound_queue_limit)]
    inbound_queue_limit: PhantomVar<i64>,
    /// What becomes of a peer that a packet cannot be queued for: [constant OVERFLOW_DISCONNECT] (the default), since the engine
    /// ignores the error and the game would go wrong; or [constant OVERFLOW_RETURN_ERROR].
    #[var(get = get_reliable_overflow, set = set_reliable_overflow, hint = ENUM, hint_string = "Disconnect,Return Error")]
    reliable_overflow: PhantomVar<i64>,
}

/// What only this class knows.
struct SetUp {
    sockets: SocketSettings,
    max_clients: i64,
    trusted_proxies: PackedStringArray,
    proxy_header: ProxyHeader,
    /// The objects that scripts got for peers.
    peers: HashMap<LinkId, Gd<FerryWebSocketPeer>>,
    /// How many there are when it is time to let go of some.
    sweep_at: usize,
}

impl Default for SetUp {
    fn default() -> Self {
        Self {
            sockets: SocketSettings::default(),
            max_clients: MAX_CLIENTS as i64,
            trusted_proxies: PackedStringArray::new(),
            proxy_header: ProxyHeader::default(),
            peers: HashMap::new(),
            sweep_at: FEW_PEERS,
        }
    }
}

fn usual_state() -> Arc<PeerState<Sockets>> {
    let state = PeerState::<Sockets>::shared();
    state.lock().set_limits(Limits { connect_timeout: HANDSHAKE_TIMEOUT, ..Limits::default() });
    state
}

multiplayer_peer!(FerryWebSocketMultiplayerPeer);
peer_methods!(FerryWebSocketMultiplayerPeer, __godot_FerryWebSocketMultiplayerPeer_Funcs);

impl PeerClass for FerryWebSocketMultiplayerPeer {
    type Carrier = Sockets;

    const TRANSPORT: &'static str = "websocket";

    const WHEN_IDLE: WhenIdle = WhenIdle {
        complains_when_closed: false,
        read_unconnected: Error::ERR_UNCONFIGURED,
        channel_of_none: 0,
        sender_of_none: 1,
        id_of_none: 0,
    };

    fn state(&self) -> &Arc<PeerState<Sockets>> {
        &self.state
    }

    fn is_encrypted(&self) -> bool {
        self.encrypted.load(Ordering::Acquire)
    }

    fn max_packet_size(&self) -> i32 {
        i32::try_from(self.set_up().sockets.longest_outgoing()).unwrap_or(i32::MAX)
    }

    fn closed(&self) {
        let peers = std::mem::take(&mut self.set_up().peers);
        // Not under the lock: the last reference to an object may go here.
        drop(peers);
    }
}

impl FerryWebSocketMultiplayerPeer {
    fn set_up(&self) -> MutexGuard<'_, SetUp> {
        self.set_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint, of a server.
    fn server(&self) -> Option<Sockets> {
        let peer = self.state.lock();
        peer.carrier().filter(|_| peer.role() == Some(Role::Server)).cloned()
    }

    /// What a new endpoint is made with.
    fn settings(&self) -> Result<Settings, Error> {
        let set_up = self.set_up();
        let proxies = parse_networks(&set_up.trusted_proxies).map_err(invalid)?;
        Ok(Settings {
            max_clients: usize::try_from(set_up.max_clients).unwrap_or(MAX_CLIENTS),
            trusted_proxies: proxies,
            proxy_header: set_up.proxy_header,
            ..set_up.sockets.settings()
        })
    }

    /// Changes what endpoints are made with. A server that is open takes it for connections to come.
    fn change(&self, change: impl FnOnce(&mut SetUp)) {
        change(&mut self.set_up());
        if let Some((sockets, Ok(settings))) = self.server().map(|sockets| (sockets, self.settings()))
            && let Err(error) = sockets.set_settings(settings)
        {
            godot_error!("The server goes on as it is: {error}.");
        }
    }

    fn started(&self, encrypted: bool) {
        self.encrypted.store(encrypted, Ordering::Release);
        self.state.flush_at_end_of_frame();
    }

    fn start_server(&self, port: i64, address: &GString, options: &OptionalTlsOptions) -> Result<(), Error> {
        self.state.attempt(|peer| peer.check_inactive())?;
        let tls = options.server().map_err(invalid)?;
        let port = u16::try_from(port)
            .map_err(|_| invalid(format!("The port must be between 0 and 65535 (inclusive), not {port}.")))?;
        let bind = convert::bind_address(&address.to_string())
            .ok_or_else(|| invalid(format!("Invalid bind address: `{address}`.")))?;
        let (settings, limits) = (self.settings()?, self.state.lock().limits());
        let encrypted = tls.is_some();
        let sockets = websocket::open_server(bind, port, tls, settings, limits).map_err(|error| {
            godot_error!("Cannot listen on port {port}: {error}.");
            convert::open_error(&error)
        })?;
        self.state.attempt(|peer| peer.start_server(sockets))?;
        self.started(encrypted);
        Ok(())
    }

    fn start_client(&self, url: &GString, options: &OptionalTlsOptions) -> Result<(), Error> {
        self.state.attempt(|peer| peer.check_inactive())?;
        let tls = options.client().map_err(invalid)?;
        let url = parse_url(url)?;
        let (settings, limits) = (self.settings()?, self.state.lock().limits());
        let encrypted = url.is_tls();
        let (sockets, link) = websocket::open_client(url, tls, settings, limits).map_err(cannot_begin)?;
        self.state.attempt(|peer| peer.start_client(sockets, link, None))?;
        self.started(encrypted);
        Ok(())
    }

    fn renew(&self, options: Option<Gd<TlsOptions>>) -> Result<(), Error> {
        let options = options.ok_or_else(|| invalid("The TLSOptions are null.".to_owned()))?;
        let server = tls_options::server(&options).map_err(invalid)?;
        let sockets = self.server().ok_or_else(|| report_refused(StateError::NotActive))?;
        if !self.is_encrypted() {
            godot_error!("This server was opened without TLS, and stays so.");
            return Err(Error::ERR_UNCONFIGURED);
        }
        sockets.renew_tls(server);
        Ok(())
    }

    fn address_of(&self, id: i64) -> Option<std::net::SocketAddr> {
        let (sockets, link) = self.state.way_to(id)?;
        sockets.particulars(link)?.address
    }

    fn peer_object(&self, sockets: &Sockets, link: LinkId) -> Gd<FerryWebSocketPeer> {
        let settings = {
            let set_up = self.set_up();
            if let Some(peer) = set_up.peers.get(&link) {
                return peer.clone();
            }
            set_up.sockets.clone()
        };
        let made = FerryWebSocketPeer::around(sockets.clone(), link, &settings);
        let mut set_up = self.set_up();
        let peer = set_up.peers.entry(link).or_insert(made).clone();
        let gone = set_up.sweep(sockets);
        // Not under the lock: the last reference to an object may go here.
        drop(set_up);
        drop(gone);
        peer
    }
}

impl SetUp {
    /// Takes out objects of links that have ended, once they may be half of all; whoever holds one keeps it.
    fn sweep(&mut self, sockets: &Sockets) -> Vec<Gd<FerryWebSocketPeer>> {
        if self.peers.len() < self.sweep_at {
            return Vec::new();
        }
        let gone =
            self.peers.extract_if(|link, _| sockets.phase(*link).is_none()).map(|(_, peer)| peer).collect();
        self.sweep_at = 2 * self.peers.len() + FEW_PEERS;
        gone
    }
}

fn parse_networks(texts: &PackedStringArray) -> Result<Vec<Network>, String> {
    if texts.len() > MOST_PROXIES {
        return Err(format!(
            "There may be {MOST_PROXIES} trusted proxies at most; a network stands for many."
        ));
    }
    texts
        .as_slice()
        .iter()
        .map(|text| text.to_string().parse().map_err(|error| format!("trusted_proxies: {error}.")))
        .collect()
}

#[godot_api]
impl FerryWebSocketMultiplayerPeer {
    /// The connection to the server stands. Emitted on a client, right after [signal MultiplayerPeer.peer_connected].
    #[signal]
    fn connection_succeeded();

    /// The connection to the server could not be made; [code]reason[/code] is one of [FerryDisconnect], and
    /// [method get_disconnect_text] of peer 1 says more. Emitted on a client, when the status has become
    /// [constant MultiplayerPeer.CONNECTION_DISCONNECTED].
    #[signal]
    fn connection_failed(reason: i64);

    /// The connection to the server has ended; [code]reason[/code] is one of [FerryDisconnect]. Emitted on a client, when the status
    /// has become [constant MultiplayerPeer.CONNECTION_DISCONNECTED].
    #[signal]
    fn server_disconnected(reason: i64);

    /// Right after [signal MultiplayerPeer.peer_disconnected]: why, as one of [FerryDisconnect], and what else is known: the close
    /// code and text of the other side, or what was wrong.
    #[signal]
    fn peer_lost(id: i64, reason: i64, detail: GString);

    /// Opens as a client that connects to a server, by a URL like [code]"wss://example.org:9080/path"[/code]. [code]ws://[/code] is
    /// meant where there is no scheme. Never blocks: how it goes is told by the signals.
    ///
    /// With [code]wss://[/code], the server has to show a certificate for that host name that the system trusts, unless
    /// [code]tls_client_options[/code] says otherwise: see [method TLSOptions.client] and [method TLSOptions.client_unsafe].
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open, [constant ERR_INVALID_PARAMETER] if the URL is none or the options
    /// are a server's. Then the peer is as it was.
    #[func]
    fn create_client(
        &self,
        url: GString,
        #[opt(default = OptionalTlsOptions::NONE)] tls_client_options: OptionalTlsOptions,
    ) -> Error {
        outcome(self.start_client(&url, &tls_client_options))
    }

    /// Opens as a server on a TCP port; 0 lets the system choose one, which [method get_local_port] tells. [code]bind_address[/code]
    /// is an IPv4 or IPv6 address, or [code]"*"[/code] for all. With [code]tls_server_options[/code], all connections are encrypted:
    /// see [method TLSOptions.server], [method FerryTLS.load_server] and [method FerryTLS.self_signed].
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open or the port cannot be had, [constant ERR_INVALID_PARAMETER] if the
    /// address is none or the options are of no use to a server. Then the peer is as it was.
    #[func]
    fn create_server(
        &self,
        port: i64,
        #[opt(default = "*")] bind_address: GString,
        #[opt(default = OptionalTlsOptions::NONE)] tls_server_options: OptionalTlsOptions,
    ) -> Error {
        outcome(self.start_server(port, &bind_address, &tls_server_options))
    }

    /// Gives a server that is open another certificate, such as a renewed one, for connections to come. Nobody is dropped.
    ///
    /// Returns [constant ERR_UNCONFIGURED] if it is not open as a server with TLS, [constant ERR_INVALID_PARAMETER] if the options
    /// are of no use to a server. Then it keeps the one it has.
    #[func]
    fn set_tls_server_options(&self, options: Option<Gd<TlsOptions>>) -> Error {
        outcome(self.renew(options))
    }

    /// The port that [method create_server] listens on, 0 if it is not open as a server.
    #[func]
    fn get_local_port(&self) -> i64 {
        self.server().map_or(0, |sockets| i64::from(sockets.local_port()))
    }

    /// The [FerryWebSocketPeer] behind an id: always the same object.
    #[func]
    fn get_peer(&self, peer_id: i64) -> Option<Gd<FerryWebSocketPeer>> {
        let (sockets, link) = self.state.way_to(peer_id)?;
        Some(self.peer_object(&sockets, link))
    }

    /// The address of a peer: of the player, where [member trusted_proxies] tell it.
    #[func]
    fn get_peer_address(&self, id: i64) -> GString {
        convert::host(self.address_of(id))
    }

    /// The port of a peer.
    #[func]
    fn get_peer_port(&self, id: i64) -> i64 {
        convert::port(self.address_of(id))
    }

    /// See [member supported_protocols].
    #[func]
    fn get_supported_protocols(&self) -> PackedStringArray {
        self.set_up().sockets.protocols.clone()
    }

    /// See [member supported_protocols].
    #[func]
    fn set_supported_protocols(&self, protocols: PackedStringArray) {
        self.change(|set_up| set_up.sockets.set_protocols(&protocols));
    }

    /// See [member handshake_headers].
    #[func]
    fn get_handshake_headers(&self) -> PackedStringArray {
        self.set_up().sockets.headers.clone()
    }

    /// See [member handshake_headers].
    #[func]
    fn set_handshake_headers(&self, protocols: PackedStringArray) {
        self.change(|set_up| set_up.sockets.headers = protocols);
    }

    /// See [member inbound_buffer_size].
    #[func]
    fn get_inbound_buffer_size(&self) -> i64 {
        self.set_up().sockets.inbound_buffer_size
    }

    /// See [member inbound_buffer_size].
    #[func]
    fn set_inbound_buffer_size(&self, buffer_size: i64) {
        self.change(|set_up| set_up.sockets.inbound_buffer_size = buffer_size);
    }

    /// See [member outbound_buffer_size].
    #[func]
    fn get_outbound_buffer_size(&self) -> i64 {
        self.set_up().sockets.outbound_buffer_size
    }

    /// See [member outbound_buffer_size].
    #[func]
    fn set_outbound_buffer_size(&self, buffer_size: i64) {
        self.change(|set_up| set_up.sockets.outbound_buffer_size = buffer_size);
    }

    /// See [member handshake_timeout].
    #[func]
    fn get_handshake_timeout(&self) -> f64 {
        self.get_connect_timeout()
    }

    /// See [member handshake_timeout].
    #[func]
    fn set_handshake_timeout(&self, timeout: f64) {
        if timeout > 0.0 {
            let time = convert::seconds_from(SHORTEST_HANDSHAKE, timeout);
            change_limits(self, |limits| limits.connect_timeout = time);
        } else {
            godot_error!("handshake_timeout must be more than 0, not {timeout}.");
        }
    }

    /// See [member max_queued_packets].
    #[func]
    fn get_max_queued_packets(&self) -> i64 {
        self.set_up().sockets.max_queued_packets
    }

    /// See [member max_queued_packets].
    #[func]
    fn set_max_queued_packets(&self, max_queued_packets: i64) {
        self.change(|set_up| set_up.sockets.max_queued_packets = max_queued_packets);
    }

    /// See [member max_clients].
    #[func]
    fn get_max_clients(&self) -> i64 {
        self.set_up().max_clients
    }

    /// See [member max_clients].
    #[func]
    fn set_max_clients(&self, max_clients: i64) {
        if (1..=MAX_CLIENTS as i64).contains(&max_clients) {
            self.change(|set_up| set_up.max_clients = max_clients);
        } else {
            godot_error!("max_clients must be between 1 and {MAX_CLIENTS} (inclusive), not {max_clients}.");
        }
    }

    /// See [member trusted_proxies].
    #[func]
    fn get_trusted_proxies(&self) -> PackedStringArray {
        self.set_up().trusted_proxies.clone()
    }

    /// See [member proxy_header].
    #[func]
    fn get_proxy_header(&self) -> GString {
        let header = self.set_up().proxy_header;
        HEADER_NAMES.iter().find(|(own, _)| *own == header).map_or("", |(_, name)| name).into()
    }

    /// See [member proxy_header].
    #[func]
    fn set_proxy_header(&self, header: GString) {
        let name = header.to_string();
        match HEADER_NAMES.iter().find(|(_, own)| own.eq_ignore_ascii_case(name.trim())) {
            Some((header, _)) => self.change(|set_up| set_up.proxy_header = *header),
            None => godot_error!("proxy_header is X-Forwarded-For or Forwarded, not {name}."),
        }
    }

    /// See [member trusted_proxies].
    #[func]
    fn set_trusted_proxies(&self, proxies: PackedStringArray) {
        match parse_networks(&proxies) {
            Ok(_) => self.change(|set_up| set_up.trusted_proxies = proxies),
            Err(text) => godot_error!("{text}"),
        }
    }
}
