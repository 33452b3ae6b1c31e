//! `FerryENetMultiplayerPeer`: a game's peer over ENet, with the API of the engine's `ENetMultiplayerPeer`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_net::bind_address::BindAddress;
use ferry_net::create_error::CreateError;
use ferry_net::enet::{self, Connection, Target};
use ferry_net::multiplayer::{Notice, Role, StateError};
use godot::classes::MultiplayerPeerExtension;
use godot::global::Error;
use godot::prelude::*;

use crate::convert::{self, invalid, outcome};
use crate::enet_connection::{FerryENetConnection, channel_count, host_settings};
use crate::enet_packet_peer::FerryENetPacketPeer;
use crate::peer_methods::peer_methods;
use crate::peer_state::{PeerClass, PeerState, WhenIdle, report_refused, tell};
use crate::virtual_calls::multiplayer_peer;

/// The most channels of a game besides channel 0.
const MAX_GAME_CHANNELS: i64 = 253;

/// A multiplayer peer over ENet, in place of [ENetMultiplayerPeer].
///
/// Set it as [member MultiplayerAPI.multiplayer_peer] after [method create_server], [method create_client] or
/// [method create_mesh]. On the wire it is what [ENetMultiplayerPeer] is: either end of a game can be either.
///
/// The network runs on a thread of its own, so nobody is lost while the game loads, and a frame only pays for handing packets
/// over. What a frame sends to a peer leaves together at its end. Every ending has a reason: see the signals,
/// [method get_disconnect_reason] and [FerryDisconnect].
///
/// Differences from [ENetMultiplayerPeer]:
///
/// - [method create_server] gives [code]max_channels[/code] and the bandwidths the meaning that the documents say; the engine's
///   passes them on shifted by one.
/// - [method create_client] never blocks: a host name is looked up on the way, and one that is not found ends in
///   [signal connection_failed] with [constant FerryDisconnect.RESOLVE], where the engine's returns
///   [constant ERR_CANT_CREATE].
/// - A server that is full or refuses new connections says so: the client fails at once.
/// - [method MultiplayerPeer.disconnect_peer], [method MultiplayerPeer.close] and dropping the last reference deliver what was
///   sent before; the engine's drop what has not left yet.
/// - Sending on a channel that the connection does not have, or more than its queue takes, is an error; the engine's returns
///   [constant OK].
/// - [signal MultiplayerPeer.peer_disconnected] waits until the packets of that peer have been read.
/// - Packets without bytes are counted and dropped: the engine's scene multiplayer prints an error for each.
/// - IPv4 and IPv6 work in every build.
#[derive(GodotClass)]
#[class(tool, init, base = MultiplayerPeerExtension)]
pub(crate) struct FerryENetMultiplayerPeer {
    base: Base<MultiplayerPeerExtension>,
    #[init(val = PeerState::shared())]
    state: Arc<PeerState<Connection>>,
    set_up: Mutex<SetUp>,

    /// The underlying [FerryENetConnection] of a server or client, [code]null[/code] otherwise.
    #[var(get = get_host, no_set, usage_flags = [NONE], hint = RESOURCE_TYPE, hint_string = "FerryENetConnection")]
    host: PhantomVar<Option<Gd<FerryENetConnection>>>,
    /// How long [method create_client] tries to reach the server, in seconds. 10 by default. Then
    /// [signal connection_failed] says [constant FerryDisconnect.CONNECT_TIMEOUT].
    #[var(get = get_connect_timeout, set = set_connect_timeout)]
    connect_timeout: PhantomVar<f64>,
    /// How long a peer may be silent at most, in seconds, before it counts as gone. 30 by default; it may be up to a second
    /// less, and somebody who answered quickly before is given up after 5 seconds already.
    #[var(get = get_peer_timeout, set = set_peer_timeout)]
    peer_timeout: PhantomVar<f64>,
    /// How many bytes of reliable packets may wait to be sent to one peer. 64 MiB by default. What happens then is
    /// [member reliable_overflow]. Unreliable packets have a queue of their own, which drops the oldest.
    #[var(get = get_outbound_queue_limit, set = set_outbound_queue_limit)]
    outbound_queue_limit: PhantomVar<i64>,
    /// How many bytes of packets may wait to be read, from all peers together. 64 MiB by default. Beyond, reliable packets wait
    /// at their senders (and up to 2 MiB of each on the way), and of unreliable ones the oldest are dropped.
    #[var(get = get_inbound_queue_limit, set = set_inbound_queue_limit)]
    inbound_queue_limit: PhantomVar<i64>,
    /// What becomes of a peer that a reliable packet cannot be queued for: [constant OVERFLOW_DISCONNECT] (the default), since
    /// the engine ignores the error and the game would go wrong; or [constant OVERFLOW_RETURN_ERROR].
    #[var(get = get_reliable_overflow, set = set_reliable_overflow, hint = ENUM, hint_string = "Disconnect,Return Error")]
    reliable_overflow: PhantomVar<i64>,
}

/// What only this class knows.
struct SetUp {
    bind_ip: BindAddress,
    /// The object that scripts get as `host`.
    host: Option<Gd<FerryENetConnection>>,
    /// The hosts that were brought into a mesh, by the ids of their peers.
    mesh: HashMap<i64, Gd<FerryENetConnection>>,
}

impl Default for SetUp {
    fn default() -> Self {
        Self { bind_ip: BindAddress::Any, host: None, mesh: HashMap::new() }
    }
}

multiplayer_peer!(FerryENetMultiplayerPeer);
peer_methods!(FerryENetMultiplayerPeer, __godot_FerryENetMultiplayerPeer_Funcs);

impl PeerClass for FerryENetMultiplayerPeer {
    type Carrier = Connection;

    const TRANSPORT: &'static str = "enet";

    const WHEN_IDLE: WhenIdle = WhenIdle {
        complains_when_closed: true,
        read_unconnected: Error::ERR_UNAVAILABLE,
        channel_of_none: 1,
        sender_of_none: 1,
        id_of_none: 0,
    };

    fn state(&self) -> &Arc<PeerState<Connection>> {
        &self.state
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn max_packet_size(&self) -> i32 {
        convert::MAX_PACKET_SIZE
    }

    fn closed(&self) {
        let objects = {
            let mut set_up = self.set_up();
            (set_up.host.take(), std::mem::take(&mut set_up.mesh))
        };
        // Not under the lock: the last reference to an object may go here.
        drop(objects);
    }
}

impl FerryENetMultiplayerPeer {
    fn set_up(&self) -> MutexGuard<'_, SetUp> {
        self.set_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self, connection: Connection) {
        self.set_up().host = Some(FerryENetConnection::around(connection));
        self.state.flush_at_end_of_frame();
    }

    fn start_server(
        &self,
        port: i64,
        max_clients: i64,
        channels: i64,
        bandwidth: (i64, i64),
    ) -> Result<(), Error> {
        self.state.attempt(|peer| peer.check_inactive())?;
        if !(0..=MAX_GAME_CHANNELS).contains(&channels) {
            return Err(invalid(format!(
                "max_channels must be between 0 and {MAX_GAME_CHANNELS} (inclusive), not {channels}."
            )));
        }
        let bind = self.set_up().bind_ip;
        let settings = host_settings(bind, port, max_clients, channels, bandwidth).map_err(invalid)?;
        let limits = self.state.lock().limits();
        let connection = enet::open_server(settings, limits).map_err(cannot_create)?;
        self.state.attempt(|peer| peer.start_server(connection.clone()))?;
        self.started(connection);
        Ok(())
    }

    fn start_client(
        &self,
        address: &GString,
        port: i64,
        channels: i64,
        bandwidth: (i64, i64),
        local_port: i64,
    ) -> Result<(), Error> {
        self.state.attempt(|peer| peer.check_inactive())?;
        let bind = if local_port == 0 { BindAddress::Any } else { self.set_up().bind_ip };
        let settings = host_settings(bind, local_port, 1, 0, bandwidth).map_err(invalid)?;
        let Some(port) = u16::try_from(port).ok().filter(|port| *port > 0) else {
            godot_error!("The remote port number must be between 1 and 65535 (inclusive), not {port}.");
            return Err(Error::ERR_CANT_CREATE);
        };
        let address = address.to_string();
        if address.trim().is_empty() {
            godot_error!("The address of the server is empty.");
            return Err(Error::ERR_CANT_CREATE);
        }
        let target = Target::new(&address, port);
        let channels = channel_count(channels.min(MAX_GAME_CHANNELS));
        let limits = self.state.lock().limits();
        let (connection, link, id) =
            enet::open_client(settings, target, channels, limits).map_err(cannot_create)?;
        self.state.attempt(|peer| peer.start_client(connection.clone(), link, Some(id)))?;
        self.started(connection);
        Ok(())
    }

    fn take_into_mesh(&self, id: i64, host: Option<Gd<FerryENetConnection>>) -> Result<i32, Error> {
        let host = host.ok_or_else(|| invalid("The host is null.".to_owned()))?;
        let role = self.state.lock().role();
        if role != Some(Role::Mesh) {
            return Err(report_refused(StateError::NotAMesh));
        }
        let (connection, link) = host.bind().only_peer().ok_or_else(|| {
            invalid("The provided host must have exactly one peer in the connected state.".to_owned())
        })?;
        let id = i32::try_from(id)
            .ok()
            .filter(|id| *id > 0)
            .ok_or_else(|| invalid(format!("The ID of a peer must be greater than 0, not {id}.")))?;
        self.state.attempt(|peer| peer.add_mesh_peer(id, connection, link))?;
        self.set_up().mesh.insert(i64::from(id), host);
        Ok(id)
    }
}

fn cannot_create(error: CreateError) -> Error {
    godot_error!("Couldn't create an ENet host: {error}.");
    convert::create_error(&error)
}

#[godot_api]
impl FerryENetMultiplayerPeer {
    /// The connection to the server stands. Emitted on a client, right after [signal MultiplayerPeer.peer_connected].
    #[signal]
    fn connection_succeeded();

    /// The connection to the server could not be made; [code]reason[/code] is one of [FerryDisconnect]. Emitted on a client, when the
    /// status has become [constant MultiplayerPeer.CONNECTION_DISCONNECTED].
    #[signal]
    fn connection_failed(reason: i64);

    /// The connection to the server has ended; [code]reason[/code] is one of [FerryDisconnect]. Emitted on a client, when the status
    /// has become [constant MultiplayerPeer.CONNECTION_DISCONNECTED].
    #[signal]
    fn server_disconnected(reason: i64);

    /// Right after [signal MultiplayerPeer.peer_disconnected]: why, as one of [FerryDisconnect], and what else is known.
    #[signal]
    fn peer_lost(id: i64, reason: i64, detail: GString);

    /// Opens as a server on a UDP port; 0 lets the system choose one, which [method FerryENetConnection.get_local_port] of
    /// [member host] tells. At most [code]max_clients[/code] (1 to 4095) are let in; with [code]max_channels[/code] (0 to 253, 0 means
    /// all), on so many channels besides channel 0. Bandwidths are in bytes a second, 0 means no limit.
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open, [constant ERR_INVALID_PARAMETER] if a number is out of its range,
    /// [constant ERR_CANT_CREATE] if the port cannot be had. Then the peer is as it was.
    #[func]
    fn create_server(
        &self,
        port: i64,
        #[opt(default = 32)] max_clients: i64,
        #[opt(default = 0)] max_channels: i64,
        #[opt(default = 0)] in_bandwidth: i64,
        #[opt(default = 0)] out_bandwidth: i64,
    ) -> Error {
        outcome(self.start_server(port, max_clients, max_channels, (in_bandwidth, out_bandwidth)))
    }

    /// Opens as a client that connects to a server, by its host name or its IPv4 or IPv6 address. Never blocks: how it goes is told
    /// by the signals. With [code]local_port[/code], it is sent from that port.
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open, [constant ERR_INVALID_PARAMETER] if a number is out of its range,
    /// [constant ERR_CANT_CREATE] if the local port cannot be had or the server's is none. Then the peer is as it was.
    #[func]
    fn create_client(
        &self,
        address: GString,
        port: i64,
        #[opt(default = 0)] channel_count: i64,
        #[opt(default = 0)] in_bandwidth: i64,
        #[opt(default = 0)] out_bandwidth: i64,
        #[opt(default = 0)] local_port: i64,
    ) -> Error {
        outcome(self.start_client(&address, port, channel_count, (in_bandwidth, out_bandwidth), local_port))
    }

    /// Opens as a member of a mesh with this id. The connections to the others are made with [FerryENetConnection] and brought in by
    /// [method add_mesh_peer].
    #[func]
    fn create_mesh(&self, unique_id: i64) -> Error {
        let id = i32::try_from(unique_id).unwrap_or(0);
        outcome(self.state.attempt(|peer| peer.start_mesh(id)))
    }

    /// Brings the connection to the member [code]peer_id[/code] into a mesh: a host with exactly one peer, which is connected.
    #[func(gd_self)]
    fn add_mesh_peer(mut this: Gd<Self>, peer_id: i64, host: Option<Gd<FerryENetConnection>>) -> Error {
        let added = this.bind().take_into_mesh(peer_id, host);
        match added {
            Ok(id) => {
                tell(&mut this, Notice::PeerConnected(id));
                Error::OK
            }
            Err(error) => error,
        }
    }

    /// Sets the address that [method create_server] listens on, and [method create_client] with a local port sends from: an IPv4 or
    /// IPv6 address, or [code]"*"[/code] (the default) for all.
    #[func]
    fn set_bind_ip(&self, ip: GString) {
        match convert::bind_address(&ip.to_string()) {
            Some(address) => self.set_up().bind_ip = address,
            None => godot_error!("Invalid bind IP address: {ip}"),
        }
    }

    /// See [member host].
    #[func]
    fn get_host(&self) -> Option<Gd<FerryENetConnection>> {
        // While the last signals of one that has ended go out, the object is still there.
        let open = self.state.lock().carrier().is_some();
        let host = self.set_up().host.clone().filter(|_| open);
        if host.is_none() {
            godot_error!("There is a host only while this is open as a server or client.");
        }
        host
    }

    /// The [FerryENetPacketPeer] behind an id: always the same object.
    #[func]
    fn get_peer(&self, id: i64) -> Option<Gd<FerryENetPacketPeer>> {
        let (_, link) = self.state.way_to(id)?;
        let host = {
            let set_up = self.set_up();
            set_up.mesh.get(&id).or(set_up.host.as_ref()).cloned()
        };
        host?.bind().peer(link)
    }
}
