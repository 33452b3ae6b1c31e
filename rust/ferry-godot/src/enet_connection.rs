//! `FerryENetConnection`: one socket and its connections, with the API of the engine's `ENetConnection`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferry_net::bind_address::BindAddress;
use ferry_net::enet::{Compression, Connection, Event, HostSettings, MAX_CHANNELS, MAX_PEERS, Phase, Target};
use ferry_net::limits::Limits;
use ferry_net::link::{LinkError, LinkId};
use ferry_net::stats::EndpointStats;
use godot::classes::TlsOptions;
use godot::global::Error;
use godot::prelude::*;

use crate::convert::{bind_address, create_error};
use crate::enet_packet_peer::{FerryENetPacketPeer, mode_of};
use crate::enums::{CompressionMode, HostStatistic};
use crate::log;
use crate::tls_options::OptionalTlsOptions;

const EVENT_ERROR: i64 = -1;
const EVENT_NONE: i64 = 0;
const EVENT_CONNECT: i64 = 1;
const EVENT_DISCONNECT: i64 = 2;
const EVENT_RECEIVE: i64 = 3;

/// DTLS is a part of Ferry that is not written yet.
const NO_DTLS: &str = "Ferry's ENet has no DTLS yet: the connection would not be encrypted.";

/// An ENet host, in place of [ENetConnection]: one socket, to which others connect and from which one connects to others.
///
/// The network runs on a thread of its own: [method service] fetches what has come and waits for more if asked to; what is
/// sent leaves with [method flush], [method service], or by itself within 5 ms.
///
/// Differences from [ENetConnection]: [method connect_to_host] never blocks, a name that cannot be looked up ends in
/// [constant EVENT_DISCONNECT]; IPv4 and IPv6 work in every build; a host that is full or refuses
/// ([method refuse_new_connections], which works without DTLS) answers at once; [method destroy] tells the peers; DTLS is
/// not there yet, [method dtls_server_setup] and [method dtls_client_setup] return [constant ERR_UNAVAILABLE].
#[derive(GodotClass)]
#[class(tool, init, base = RefCounted)]
pub(crate) struct FerryENetConnection {
    base: Base<RefCounted>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    connection: Option<Connection>,
    /// A multiplayer peer decides when it ends.
    belongs_to_a_peer: bool,
    peers: HashMap<LinkId, Gd<FerryENetPacketPeer>>,
    /// What `pop_statistic` has told, which it counts from.
    told: EndpointStats,
}

impl Inner {
    /// The object that stands for a link; always the same one.
    fn peer(&mut self, link: LinkId) -> Option<Gd<FerryENetPacketPeer>> {
        let connection = self.connection.clone()?;
        if let Some(peer) = self.peers.get(&link) {
            return Some(peer.clone());
        }
        // Objects of links that have ended are let go of now and then; whoever holds one keeps it.
        if self.peers.len() > 2 * connection.links().len() + 16 {
            self.peers.retain(|link, _| connection.phase(*link).is_some());
        }
        let peer = FerryENetPacketPeer::create(connection, link);
        self.peers.insert(link, peer.clone());
        Some(peer)
    }
}

impl FerryENetConnection {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a multiplayer peer's endpoint.
    pub(crate) fn around(connection: Connection) -> Gd<Self> {
        let host = Self::new_gd();
        {
            let host = host.bind();
            let mut inner = host.inner();
            inner.connection = Some(connection);
            inner.belongs_to_a_peer = true;
        }
        host
    }

    /// The only connection, if there is just one and it stands: what a mesh takes.
    pub(crate) fn only_peer(&self) -> Option<(Connection, LinkId)> {
        let connection = self.inner().connection.clone()?;
        match connection.links()[..] {
            [link] if connection.phase(link) == Some(Phase::Connected) => Some((connection, link)),
            _ => None,
        }
    }

    /// The object that stands for a link; always the same one.
    pub(crate) fn peer(&self, link: LinkId) -> Option<Gd<FerryENetPacketPeer>> {
        self.inner().peer(link)
    }

    fn active(&self) -> Option<Connection> {
        let active = self.inner().connection.clone().filter(|connection| !connection.is_closed());
        if active.is_none() {
            godot_error!("The FerryENetConnection instance isn't currently active.");
        }
        active
    }

    fn create(&self, settings: Result<HostSettings, String>) -> Error {
        let active = self.inner().connection.as_ref().is_some_and(|connection| !connection.is_closed());
        if active {
            godot_error!("The FerryENetConnection instance is already active.");
            return Error::ERR_ALREADY_IN_USE;
        }
        let settings = match settings {
            Ok(settings) => settings,
            Err(text) => {
                godot_error!("{text}");
                return Error::ERR_INVALID_PARAMETER;
            }
        };
        match Connection::bind(&settings, Limits::default(), false) {
            Ok(connection) => {
                let before = std::mem::take(&mut *self.inner());
                self.inner().connection = Some(connection);
                drop(before);
                Error::OK
            }
            Err(error) => {
                godot_error!("Couldn't create an ENet host: {error}.");
                create_error(&error)
            }
        }
    }

    fn event(&self, event: Option<Event>) -> VarArray {
        let (kind, peer, data, channel) = match event {
            None => (EVENT_NONE, None, 0, 0),
            Some(Event::Connected { link, data }) => (EVENT_CONNECT, self.peer(link), i64::from(data), 0),
            Some(Event::Disconnected { link, word, .. }) => {
                let peer = self.peer(link);
                self.inner().peers.remove(&link);
                (EVENT_DISCONNECT, peer, i64::from(word), 0)
            }
            Some(Event::Received { link, channel, mode, payload }) => {
                let peer = self.peer(link);
                if let Some(peer) = &peer {
                    peer.bind().store(payload, mode);
                }
                (EVENT_RECEIVE, peer, 0, i64::from(channel))
            }
            Some(Event::Failed(farewell)) => {
                godot_error!("The ENet host has failed: {farewell}.");
                (EVENT_ERROR, None, 0, 0)
            }
        };
        result_of(kind, peer, data, channel)
    }
}

impl Drop for FerryENetConnection {
    /// Objects of its connections may live on; the socket does not.
    fn drop(&mut self) {
        let inner = std::mem::take(&mut *self.inner());
        if let Some(connection) = inner.connection.filter(|_| !inner.belongs_to_a_peer) {
            connection.close(0);
        }
    }
}

/// What `service` answers.
fn result_of(kind: i64, peer: Option<Gd<FerryENetPacketPeer>>, data: i64, channel: i64) -> VarArray {
    let peer = peer.map_or_else(Variant::nil, |peer| peer.to_variant());
    varray![kind, &peer, data, channel]
}

/// Checks the numbers that both ways to make a host take.
pub(crate) fn host_settings(
    bind: BindAddress,
    port: i64,
    max_peers: i64,
    max_channels: i64,
    bandwidth: (i64, i64),
) -> Result<HostSettings, String> {
    let port = u16::try_from(port)
        .map_err(|_| format!("The local port number must be between 0 and 65535 (inclusive), not {port}."))?;
    let max_peers =
        usize::try_from(max_peers).ok().filter(|count| (1..=MAX_PEERS).contains(count)).ok_or_else(|| {
            format!(
                "The number of clients must be set between 1 and {MAX_PEERS} (inclusive), not {max_peers}."
            )
        })?;
    let max_channels = u8::try_from(max_channels).map_err(|_| {
        format!(
            "Invalid channel count. Must be between 0 and {MAX_CHANNELS} (0 means maximum, i.e. {MAX_CHANNELS}), not {max_channels}."
        )
    })?;
    let limit = |what: &str, bytes: i64| {
        u32::try_from(bytes).map_err(|_| {
            format!("The {what} bandwidth limit must be greater than or equal to 0 (0 disables the limit), and below 4 GB/s, not {bytes}.")
        })
    };
    Ok(HostSettings {
        bind,
        port,
        max_peers,
        max_channels,
        incoming_bandwidth: limit("incoming", bandwidth.0)?,
        outgoing_bandwidth: limit("outgoing", bandwidth.1)?,
        ..HostSettings::default()
    })
}

/// How many channels a client asks for: as in ENet, too many means as many as there are.
pub(crate) fn channel_count(wanted: i64) -> u8 {
    u8::try_from(wanted.clamp(0, i64::from(MAX_CHANNELS))).unwrap_or(MAX_CHANNELS)
}

#[godot_api]
impl FerryENetConnection {
    /// Makes a host on an address and a port. [code]"*"[/code] is every address; port 0 lets the system choose.
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if there is one already, [constant ERR_INVALID_PARAMETER] if a number is out of its
    /// range, [constant ERR_CANT_CREATE] if the port cannot be had.
    #[func]
    fn create_host_bound(
        &self,
        bind_address: GString,
        bind_port: i64,
        #[opt(default = 32)] max_peers: i64,
        #[opt(default = 0)] max_channels: i64,
        #[opt(default = 0)] in_bandwidth: i64,
        #[opt(default = 0)] out_bandwidth: i64,
    ) -> Error {
        let Some(bind) = self::bind_address(&bind_address.to_string()) else {
            godot_error!("Invalid bind IP: `{bind_address}`.");
            return Error::ERR_INVALID_PARAMETER;
        };
        let settings = host_settings(bind, bind_port, max_peers, max_channels, (in_bandwidth, out_bandwidth));
        self.create(settings.map(|settings| HostSettings { frees_port: true, ..settings }))
    }

    /// Makes a host on a port that the system chooses.
    #[func]
    fn create_host(
        &self,
        #[opt(default = 32)] max_peers: i64,
        #[opt(default = 0)] max_channels: i64,
        #[opt(default = 0)] in_bandwidth: i64,
        #[opt(default = 0)] out_bandwidth: i64,
    ) -> Error {
        self.create(host_settings(
            BindAddress::Any,
            0,
            max_peers,
            max_channels,
            (in_bandwidth, out_bandwidth),
        ))
    }

    /// Ends the host and all its connections, which are told. A port that was chosen is free when this returns.
    #[func]
    fn destroy(&self) {
        let Inner { connection, peers, .. } = std::mem::take(&mut *self.inner());
        match connection.filter(|connection| !connection.is_closed()) {
            Some(connection) => connection.close(0),
            None => godot_error!("Host already destroyed."),
        }
        drop(peers);
        log::print_waiting();
    }

    /// Connects to a host, by its name or address. [method service] tells when the connection stands
    /// ([constant EVENT_CONNECT]), or cannot be made ([constant EVENT_DISCONNECT]). Returns [code]null[/code] if a connection was
    /// made already, or the port is none.
    #[func]
    fn connect_to_host(
        &self,
        address: GString,
        port: i64,
        #[opt(default = 0)] channels: i64,
        #[opt(default = 0)] data: i64,
    ) -> Option<Gd<FerryENetPacketPeer>> {
        let connection = self.active()?;
        if !connection.links().is_empty() {
            godot_error!("The FerryENetConnection is already connected to a peer.");
            return None;
        }
        let Some(port) = u16::try_from(port).ok().filter(|port| *port > 0) else {
            godot_error!("The remote port number must be between 1 and 65535 (inclusive), not {port}.");
            return None;
        };
        let target = Target::new(&address.to_string(), port);
        match connection.connect(target, channel_count(channels), data as u32) {
            Ok(link) => self.peer(link),
            Err(error) => {
                godot_error!("No connection to {address}: {error}.");
                None
            }
        }
    }

    /// Sends what waits, and returns the next event: its type (one of those that begin with [code]EVENT_[/code]), the
    /// [FerryENetPacketPeer], its data and its channel. A packet that came is then the last of those that the peer has. If nothing
    /// has come, waits [code]timeout[/code] milliseconds for it.
    #[func]
    fn service(&self, #[opt(default = 0)] timeout: i64) -> VarArray {
        let Some(connection) = self.active() else {
            return result_of(EVENT_ERROR, None, 0, 0);
        };
        log::print_waiting();
        let bound = Duration::from_millis(u64::try_from(timeout).unwrap_or(0));
        let event = if bound.is_zero() {
            connection.flush();
            connection.next_event()
        } else {
            connection.wait_for_event(bound)
        };
        self.event(event)
    }

    /// Sends what waits.
    #[func]
    fn flush(&self) {
        if let Some(connection) = self.active() {
            connection.flush();
        }
    }

    /// Sets what this host can take and give, in bytes a second; 0 means no limit.
    #[func]
    fn bandwidth_limit(&self, #[opt(default = 0)] in_bandwidth: i64, #[opt(default = 0)] out_bandwidth: i64) {
        if let Some(connection) = self.active() {
            let limit = |bytes: i64| u32::try_from(bytes.max(0)).unwrap_or(u32::MAX);
            connection.set_bandwidth(limit(in_bandwidth), limit(out_bandwidth));
        }
    }

    /// Sets the most channels of connections that others make from now on; 0 means 255.
    #[func]
    fn channel_limit(&self, limit: i64) {
        if let Some(connection) = self.active() {
            connection.set_channel_limit(channel_count(limit));
        }
    }

    /// Sends a packet to all that are connected; [code]flags[/code] are those of [FerryENetPacketPeer].
    #[func]
    fn broadcast(&self, channel: i64, packet: PackedByteArray, flags: i64) {
        let Some(connection) = self.active() else { return };
        let Ok(channel) = u8::try_from(channel) else {
            godot_error!("Invalid channel: {channel}.");
            return;
        };
        if channel >= connection.max_channels() {
            godot_error!(
                "Unable to send packet on channel {channel}, max channels: {}",
                connection.max_channels()
            );
            return;
        }
        let Some(mode) = mode_of(flags) else {
            godot_error!("Invalid flags: {flags}.");
            return;
        };
        let payload = Bytes::copy_from_slice(packet.as_slice());
        let connected =
            connection.links().into_iter().filter(|link| connection.phase(*link) == Some(Phase::Connected));
        for link in connected {
            match connection.send(link, channel, mode, payload.clone()) {
                // Those who have fewer channels do not get it, as with the engine's own.
                Ok(()) | Err(LinkError::NoSuchChannel(_) | LinkError::NotConnected | LinkError::Gone) => {}
                Err(error) => godot_error!("Nothing was sent to one peer: {error}."),
            }
        }
    }

    /// Sets how datagrams are compressed, one of those that begin with [code]COMPRESS_[/code]. Both ends must have the same, from
    /// the beginning on.
    #[func]
    fn compress(&self, mode: CompressionMode) {
        let Some(connection) = self.active() else { return };
        let mode = match mode.0 {
            0 => Compression::None,
            1 => Compression::RangeCoder,
            2 => Compression::FastLz,
            3 => Compression::Zlib,
            4 => Compression::Zstd,
            other => {
                godot_error!("There is no compression mode {other}.");
                return;
            }
        };
        connection.set_compression(mode);
    }

    /// Not there yet: returns [constant ERR_UNAVAILABLE].
    #[func]
    fn dtls_server_setup(&self, server_options: Option<Gd<TlsOptions>>) -> Error {
        let _ = server_options;
        godot_error!("{NO_DTLS}");
        Error::ERR_UNAVAILABLE
    }

    /// Not there yet: returns [constant ERR_UNAVAILABLE].
    #[func]
    fn dtls_client_setup(
        &self,
        hostname: GString,
        #[opt(default = OptionalTlsOptions::NONE)] client_options: OptionalTlsOptions,
    ) -> Error {
        let _ = (hostname, client_options);
        godot_error!("{NO_DTLS}");
        Error::ERR_UNAVAILABLE
    }

    /// Tells everybody who wants to connect no, at once.
    #[func]
    fn refuse_new_connections(&self, refuse: bool) {
        if let Some(connection) = self.active() {
            connection.set_refusing(refuse);
        }
    }

    /// A figure of the host since it was asked for last, one of those that begin with [code]HOST_TOTAL_[/code].
    #[func]
    fn pop_statistic(&self, statistic: HostStatistic) -> f64 {
        let Some(connection) = self.active() else { return 0.0 };
        let now = connection.endpoint_stats();
        let figure = |stats: &EndpointStats| match statistic.0 {
            0 => Some(stats.bytes_sent),
            1 => Some(stats.datagrams_sent),
            2 => Some(stats.bytes_received),
            3 => Some(stats.datagrams_received),
            _ => None,
        };
        let Some(count) = figure(&now) else {
            godot_error!("Invalid statistic: {}.", statistic.0);
            return 0.0;
        };
        let mut inner = self.inner();
        let told = &mut inner.told;
        let difference = count - figure(told).unwrap_or_default();
        match statistic.0 {
            0 => told.bytes_sent = count,
            1 => told.datagrams_sent = count,
            2 => told.bytes_received = count,
            _ => told.datagrams_received = count,
        }
        difference as f64
    }

    /// The most channels of connections that others make.
    #[func]
    fn get_max_channels(&self) -> i64 {
        self.active().map_or(0, |connection| i64::from(connection.max_channels()))
    }

    /// The port that the host listens on.
    #[func]
    fn get_local_port(&self) -> i64 {
        self.active().map_or(0, |connection| i64::from(connection.local_port()))
    }

    /// All connections: those that are being made, stand or are being ended.
    #[func]
    fn get_peers(&self) -> Array<Gd<FerryENetPacketPeer>> {
        let links = self.active().map_or_else(Vec::new, |connection| connection.links());
        links.into_iter().filter_map(|link| self.peer(link)).collect()
    }

    /// Sends bytes from this host's port to somebody outside of any connection: to open a way through routers.
    #[func]
    fn socket_send(&self, destination_address: GString, destination_port: i64, packet: PackedByteArray) {
        let Some(connection) = self.active() else { return };
        let Some(port) = u16::try_from(destination_port).ok().filter(|port| *port > 0) else {
            godot_error!(
                "The remote port number must be between 1 and 65535 (inclusive), not {destination_port}."
            );
            return;
        };
        let target = Target::new(&destination_address.to_string(), port);
        connection.send_datagram(target, Bytes::copy_from_slice(packet.as_slice()));
        connection.flush();
    }
}
