//! `FerryWebRTCMultiplayerPeer`: a game's peer over WebRTC, with the API of the engine's `WebRTCMultiplayerPeer`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_net::link::LinkId;
use ferry_net::multiplayer::{Role, StateError};
use ferry_net::packet::TransferMode;
use ferry_net::peer_id::PeerId;
use ferry_net::webrtc::{MOST_OWN_WAYS, Member, USUAL_MESSAGE_SIZE, Ways};
use godot::classes::web_rtc_peer_connection::ConnectionState;
use godot::classes::{MultiplayerPeerExtension, WebRtcDataChannel, WebRtcPeerConnection};
use godot::global::Error;
use godot::meta::conv::ByValue;
use godot::meta::error::ConvertError;
use godot::meta::{FromGodot, GodotConvert, GodotImmutable, ToGodot};
use godot::prelude::*;

use crate::convert::{self, invalid, outcome};
use crate::peer_methods::peer_methods;
use crate::peer_state::{PeerClass, PeerState, WhenIdle, report_refused, tell_at_once};
use crate::virtual_calls::multiplayer_peer;
use crate::webrtc_data_channel::FerryWebRTCDataChannel;
use crate::webrtc_foreign::{self, Foreign};
use crate::webrtc_line::Line;
use crate::webrtc_peer_connection::FerryWebRTCPeerConnection;

/// The longest that an unreliable packet may be worth something, in milliseconds: what a channel's option has room for.
const LONGEST_LIFETIME: i64 = 65_535;

/// A multiplayer peer over WebRTC, in place of [WebRTCMultiplayerPeer]: players reach each other directly, through routers, and
/// those in browsers too.
///
/// Open it with [method create_server], [method create_client] or [method create_mesh], and set it as
/// [member MultiplayerAPI.multiplayer_peer]. Then make a [FerryWebRTCPeerConnection] for each other player and hand it to
/// [method add_peer] while it is new. One of the two ends then calls [method WebRTCPeerConnection.create_offer], and only one:
/// offers that meet give way to each other. Descriptions and candidates ([signal WebRTCPeerConnection.session_description_created],
/// [signal WebRTCPeerConnection.ice_candidate_created]) are the game's to carry to the other player, who has to have done the same;
/// this peer polls its connections, so their signals go out with its own. Connect methods to these signals: a lambda that holds the
/// connection keeps it for ever. When a connection stands, [signal MultiplayerPeer.peer_connected] tells.
///
/// On the wire it is what [WebRTCMultiplayerPeer] is: either end of a connection can be either. Connections of other making (another
/// plugin's, or a script that extends [WebRTCPeerConnectionExtension]) can be added too; theirs go through the game's thread.
///
/// The network runs on a thread of its own, so nobody is lost while the game loads. What a frame sends to a peer leaves together
/// at its end. Every ending has a reason: see the signals, [method get_disconnect_reason] and [FerryDisconnect].
///
/// Differences from [WebRTCMultiplayerPeer]:
///
/// - A client whose connection to the server could not be made hears [signal connection_failed], and its status becomes
///   [constant MultiplayerPeer.CONNECTION_DISCONNECTED]; the engine's stays connecting for ever.
/// - Opening a peer that is open returns [constant ERR_ALREADY_IN_USE]; the engine's begins anew, with the connections it has.
/// - Who is removed, or disconnected by force, has its connection closed, so that the other end notices at once.
///   [method MultiplayerPeer.disconnect_peer], [method MultiplayerPeer.close] and dropping the last reference deliver what was
///   sent before.
/// - [signal MultiplayerPeer.peer_disconnected] waits until the packets of a peer that has left have been read.
/// - A connection that is silent for a while may come back, within [member peer_timeout]; the engine's ends it at once.
/// - Packets of up to 256 KiB pass, or what both ends' connections allow. Longer ones return [constant ERR_OUT_OF_MEMORY].
/// - What cannot be sent is an error of [method PacketPeer.put_packet] also when it is for all: a channel that there is none of, or a
///   full queue. A client that is not connected yet returns [constant ERR_UNCONFIGURED].
/// - An unreliable packet is given up when it is older than [code]unreliable_lifetime[/code]; with the engine's class and the plugin
///   webrtc-native, which spell that option differently, it is sent until it arrives.
/// - Adding another connection for a peer that is connected tells [signal MultiplayerPeer.peer_disconnected] before (not on clients).
/// - Packets come in the order in which they arrived, on whichever channel. They are not seen on the channels of
///   [method get_peer]: those show how things stand, and are this peer's to read and write.
/// - Packets without bytes are counted and dropped: the engine's scene multiplayer prints an error for each.
#[derive(GodotClass)]
#[class(tool, init, base = MultiplayerPeerExtension)]
pub(crate) struct FerryWebRTCMultiplayerPeer {
    base: Base<MultiplayerPeerExtension>,
    #[init(val = PeerState::shared())]
    state: Arc<PeerState<Line>>,
    #[init(val = Mutex::new(Ways::new(&[])))]
    ways: Mutex<Ways>,
    members: Mutex<BTreeMap<i32, Entry>>,

    /// How long a connection may take to be made once both ends' descriptions are there, in seconds. 10 by default. Then
    /// [signal connection_failed] or [signal peer_lost] says [constant FerryDisconnect.CONNECT_TIMEOUT] or
    /// [constant FerryDisconnect.ICE_FAILED].
    #[var(get = get_connect_timeout, set = set_connect_timeout)]
    connect_timeout: PhantomVar<f64>,
    /// How long a peer may be silent at most, in seconds, before it counts as gone ([constant FerryDisconnect.TIMEOUT]). 30 by
    /// default. Who is silent is asked for a sign of life many times before.
    #[var(get = get_peer_timeout, set = set_peer_timeout)]
    peer_timeout: PhantomVar<f64>,
    /// How many bytes of packets may wait to be sent to one peer, on each channel. 64 MiB by default. What happens then is
    /// [member reliable_overflow].
    #[var(get = get_outbound_queue_limit, set = set_outbound_queue_limit)]
    outbound_queue_limit: PhantomVar<i64>,
    /// How many bytes of packets may wait to be read, from all peers together. 64 MiB by default. Beyond, they wait at their senders.
    #[var(get = get_inbound_queue_limit, set = set_inbound_queue_limit)]
    inbound_queue_limit: PhantomVar<i64>,
    /// What becomes of a peer that a reliable packet cannot be queued for: [constant OVERFLOW_DISCONNECT] (the default), since the
    /// engine ignores the error and the game would go wrong; or [constant OVERFLOW_RETURN_ERROR].
    #[var(get = get_reliable_overflow, set = set_reliable_overflow, hint = ENUM, hint_string = "Disconnect,Return Error")]
    reliable_overflow: PhantomVar<i64>,
}

/// What is kept for a peer: objects of the engine, for as long as the peer is there.
struct Entry {
    connection: Gd<WebRtcPeerConnection>,
    channels: Vec<Gd<WebRtcDataChannel>>,
    polled: Polled,
    line: Line,
}

/// What a poll does for a connection.
#[derive(Clone)]
enum Polled {
    Ours(Gd<FerryWebRTCPeerConnection>),
    Foreign(Foreign),
}

impl Drop for Entry {
    /// The connection is not the game's peer any more, by whomever. Ferry's own are closed by `Multiplayer`.
    fn drop(&mut self) {
        if let Polled::Foreign(foreign) = &self.polled {
            foreign.finish();
        }
    }
}

impl Entry {
    /// Makes the channels of a peer on a new connection.
    fn new(connection: Gd<WebRtcPeerConnection>, ways: Ways, lifetime: Duration) -> Result<Self, Error> {
        match connection.clone().try_cast::<FerryWebRTCPeerConnection>() {
            Ok(ours) => Self::ours(connection, ours, ways, lifetime),
            Err(foreign) => Self::foreign(foreign, ways, lifetime),
        }
    }

    fn ours(
        object: Gd<WebRtcPeerConnection>,
        ours: Gd<FerryWebRTCPeerConnection>,
        ways: Ways,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let connection = ours.bind().connection();
        let member = Member::new(connection.clone(), ways, lifetime).map_err(|error| {
            godot_error!("The channels of a peer cannot be made on this connection: {error}.");
            Error::FAILED
        })?;
        let lent = |id| FerryWebRTCDataChannel::lent(connection.clone(), id).upcast();
        let channels = member.channels().map(lent).collect();
        Ok(Self { connection: object, channels, polled: Polled::Ours(ours), line: Line::Ours(member) })
    }

    fn foreign(
        mut connection: Gd<WebRtcPeerConnection>,
        ways: Ways,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let channels = webrtc_foreign::make_channels(&mut connection, &ways, lifetime).ok_or_else(|| {
            godot_error!("This connection does not make the channels of a peer.");
            Error::FAILED
        })?;
        let foreign = Foreign::new(&connection, &channels, ways);
        Ok(Self {
            connection,
            channels,
            polled: Polled::Foreign(foreign.clone()),
            line: Line::Foreign(foreign),
        })
    }

    fn describe(&self, connected: bool) -> VarDictionary {
        let channels: VarArray = self.channels.iter().map(ToGodot::to_variant).collect();
        vdict! {
            "connection" => &self.connection,
            "connected" => connected,
            "channels" => &channels,
        }
    }
}

multiplayer_peer!(FerryWebRTCMultiplayerPeer);
peer_methods!(FerryWebRTCMultiplayerPeer, __godot_FerryWebRTCMultiplayerPeer_Funcs);

impl PeerClass for FerryWebRTCMultiplayerPeer {
    type Carrier = Line;

    const TRANSPORT: &'static str = "webrtc";

    const WHEN_IDLE: WhenIdle = WhenIdle {
        complains_when_closed: false,
        read_unconnected: Error::ERR_UNAVAILABLE,
        channel_of_none: 0,
        sender_of_none: 0,
        id_of_none: 1,
    };

    const POLLS_OTHERS: bool = true;

    fn state(&self) -> &Arc<PeerState<Line>> {
        &self.state
    }

    fn is_encrypted(&self) -> bool {
        true
    }

    fn max_packet_size(&self) -> i32 {
        i32::try_from(USUAL_MESSAGE_SIZE).unwrap_or(i32::MAX)
    }

    fn before_poll(this: &Gd<Self>) {
        let polled: Vec<Polled> = this.bind().members().values().map(|entry| entry.polled.clone()).collect();
        for one in polled {
            match one {
                Polled::Ours(connection) => FerryWebRTCPeerConnection::poll_and_tell(connection),
                Polled::Foreign(foreign) => foreign.pump(),
            }
        }
    }

    fn sweep(&self) {
        let gone: Vec<Entry> = {
            let peer = self.state.lock();
            let mut members = self.members();
            let is_gone = |(id, entry): (&i32, &Entry)| {
                let stays = peer.way_to(*id).is_some_and(|(line, _)| line.is(&entry.line));
                (!stays).then_some(*id)
            };
            let ids: Vec<i32> = members.iter().filter_map(is_gone).collect();
            ids.iter().filter_map(|id| members.remove(id)).collect()
        };
        // Not under the locks: scripts may run when objects go.
        drop(gone);
    }

    fn closed(&self) {
        let gone = std::mem::take(&mut *self.members());
        self.state.lock().set_target(0);
        // Not under the lock, as above.
        drop(gone);
    }
}

impl FerryWebRTCMultiplayerPeer {
    fn members(&self) -> MutexGuard<'_, BTreeMap<i32, Entry>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, role: Role, id: i64, config: &ChannelsConfig) -> Result<(), Error> {
        self.state.attempt(|peer| peer.check_inactive())?;
        let id = peer_id(id)?;
        if role == Role::Client && id == PeerId::SERVER.get() {
            return Err(invalid("Clients cannot have ID 1.".to_owned()));
        }
        let ways = Ways::new(&config.modes().map_err(invalid)?);
        self.state.attempt(|peer| peer.start_bringing(role, id))?;
        *self.ways() = ways;
        Ok(())
    }

    /// What the engine's class looks at, in its order.
    fn check_addition(&self, id: i64, lifetime: i64) -> Result<(i32, Duration), Error> {
        let (role, refusing) = {
            let peer = self.state.lock();
            (peer.role(), peer.is_refusing())
        };
        let role = role.ok_or_else(|| report_refused(StateError::NotActive))?;
        let is_of_server = id == i64::from(PeerId::SERVER.get());
        match role {
            Role::Client if !is_of_server => {
                return Err(invalid(format!(
                    "A client has the server as its only peer, with ID 1, not {id}."
                )));
            }
            Role::Server if is_of_server => {
                return Err(invalid("The ID 1 is the server's own.".to_owned()));
            }
            _ => {}
        }
        let id = peer_id(id)?;
        if !(0..=LONGEST_LIFETIME).contains(&lifetime) {
            let most = LONGEST_LIFETIME;
            return Err(invalid(format!(
                "unreliable_lifetime must be between 0 and {most}, not {lifetime}."
            )));
        }
        if refusing {
            godot_error!("No peer can be added: refuse_new_connections is set.");
            return Err(Error::ERR_UNAUTHORIZED);
        }
        Ok((id, Duration::from_millis(lifetime.unsigned_abs())))
    }

    /// Gives whether another connection had to give way.
    fn add(&self, peer: Option<Gd<WebRtcPeerConnection>>, id: i64, lifetime: i64) -> Result<bool, Error> {
        let (id, lifetime) = self.check_addition(id, lifetime)?;
        let connection = peer.ok_or_else(|| invalid("The connection is null.".to_owned()))?;
        if connection.get_connection_state() != ConnectionState::NEW {
            return Err(invalid("The connection must be in STATE_NEW.".to_owned()));
        }
        let ways = self.ways().clone();
        let entry = Entry::new(connection, ways, lifetime)?;
        self.state.attempt(|peer| peer.bring(id, entry.line.clone(), LinkId::ONLY))?;
        let replaced = self.members().insert(id, entry);
        self.state.flush_at_end_of_frame();
        Ok(replaced.is_some())
    }

    fn described(&self, id: i32) -> Option<VarDictionary> {
        let (known, connected) = {
            let peer = self.state.lock();
            (peer.has_peer(id), peer.is_connected(id))
        };
        if !known {
            return None;
        }
        self.members().get(&id).map(|entry| entry.describe(connected))
    }
}

fn peer_id(id: i64) -> Result<i32, Error> {
    let known = i32::try_from(id).ok().and_then(PeerId::new);
    known
        .map(PeerId::get)
        .ok_or_else(|| invalid(format!("The ID must be between 1 and {} (inclusive), not {id}.", i32::MAX)))
}

/// The argument `channels_config`, an array of any type that may be left out.
#[derive(Clone, Debug)]
pub(crate) struct ChannelsConfig(AnyArray);

impl ChannelsConfig {
    fn none() -> Self {
        Self(VarArray::new().into_read_only().upcast_any_array())
    }

    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    fn modes(&self) -> Result<Vec<TransferMode>, String> {
        if self.0.len() > MOST_OWN_WAYS {
            return Err(format!("There may be {MOST_OWN_WAYS} channels in 'channels_config' at most."));
        }
        self.0.iter_shared().map(|mode| mode_of(&mode)).collect()
    }
}

fn mode_of(mode: &Variant) -> Result<TransferMode, String> {
    let number = (mode.get_type() == VariantType::INT).then(|| mode.to::<i64>());
    match number.and_then(|number| i32::try_from(number).ok()) {
        Some(number @ 0..=2) => Ok(convert::mode_of_number(number)),
        _ => Err(format!(
            "The 'channels_config' array must contain only enum values from 'MultiplayerPeer.TransferMode'. Got: {mode}"
        )),
    }
}

impl GodotConvert for ChannelsConfig {
    type Via = AnyArray;

    fn godot_shape() -> godot::meta::shape::GodotShape {
        VarArray::godot_shape()
    }
}

impl ToGodot for ChannelsConfig {
    type Pass = ByValue;

    fn to_godot(&self) -> AnyArray {
        self.0.clone()
    }
}

impl FromGodot for ChannelsConfig {
    fn try_from_godot(via: AnyArray) -> Result<Self, ConvertError> {
        Ok(Self(via))
    }
}

// SAFETY: the only default value there is of it is `none`, an array that cannot be changed.
unsafe impl GodotImmutable for ChannelsConfig {}

#[godot_api]
impl FerryWebRTCMultiplayerPeer {
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

    /// Right after [signal MultiplayerPeer.peer_disconnected]: why, as one of [FerryDisconnect], and what else is known. Also,
    /// without that signal before it, for a peer whose connection could not be made.
    #[signal]
    fn peer_lost(id: i64, reason: i64, detail: GString);

    /// Opens as the server, with the ID 1: others are clients, and reach each other through it, see
    /// [method MultiplayerPeer.is_server_relay_supported].
    ///
    /// [code]channels_config[/code] lists channels beside the usual one, as one [enum MultiplayerPeer.TransferMode] each: a channel of
    /// WebRTC has one mode only, that of its place here, whatever [member MultiplayerPeer.transfer_mode] says. They go by the numbers 1
    /// and on. All peers of a game have to list the same.
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open, [constant ERR_INVALID_PARAMETER] if the list has anything else in
    /// it.
    #[func]
    fn create_server(
        &self,
        #[opt(default = ChannelsConfig::none())] channels_config: ChannelsConfig,
    ) -> Error {
        outcome(self.open(Role::Server, i64::from(PeerId::SERVER.get()), &channels_config))
    }

    /// Opens as a client with an ID of its own, 2 to 2147483647, which the server has to call it by. Add one connection then, with the
    /// ID 1: the one to the server. The status is [constant MultiplayerPeer.CONNECTION_CONNECTING] until it stands.
    ///
    /// For [code]channels_config[/code] see [method create_server].
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open, [constant ERR_INVALID_PARAMETER] if the ID is none of a client's, or
    /// the list has anything else than modes in it.
    #[func]
    fn create_client(
        &self,
        peer_id: i64,
        #[opt(default = ChannelsConfig::none())] channels_config: ChannelsConfig,
    ) -> Error {
        outcome(self.open(Role::Client, peer_id, &channels_config))
    }

    /// Opens as one of many who are all connected to each other, with an ID of its own, 1 to 2147483647.
    ///
    /// For [code]channels_config[/code] see [method create_server].
    ///
    /// Returns [constant ERR_ALREADY_IN_USE] if this peer is open, [constant ERR_INVALID_PARAMETER] if the ID is none, or the list has
    /// anything else than modes in it.
    #[func]
    fn create_mesh(
        &self,
        peer_id: i64,
        #[opt(default = ChannelsConfig::none())] channels_config: ChannelsConfig,
    ) -> Error {
        outcome(self.open(Role::Mesh, peer_id, &channels_config))
    }

    /// Takes a connection to another player, who goes by [code]peer_id[/code]. It must be in
    /// [constant WebRTCPeerConnection.STATE_NEW], and no other peer's: the channels are made here, and the other end has to make the
    /// same. Then let one of both ends call [method WebRTCPeerConnection.create_offer]. This peer polls the connection from now on, and keeps it.
    ///
    /// Unreliable packets are given up when they could not be sent for [code]unreliable_lifetime[/code] milliseconds.
    ///
    /// The limits and time-outs of this peer become those of the connection.
    ///
    /// Returns [constant ERR_UNCONFIGURED] if this peer is not open, [constant ERR_UNAUTHORIZED] while
    /// [member MultiplayerPeer.refuse_new_connections] is set, [constant ERR_INVALID_PARAMETER] if the connection is null or not new,
    /// the ID cannot be that of a peer here, or the lifetime is negative, and [constant FAILED] if the connection does not make the
    /// channels.
    #[func(gd_self)]
    fn add_peer(
        mut this: Gd<Self>,
        peer: Option<Gd<WebRtcPeerConnection>>,
        peer_id: i64,
        #[opt(default = 1)] unreliable_lifetime: i64,
    ) -> Error {
        let added = this.bind().add(peer, peer_id, unreliable_lifetime);
        match added {
            Ok(replaced) => {
                if replaced {
                    tell_at_once(&mut this);
                }
                Error::OK
            }
            Err(error) => error,
        }
    }

    /// Lets go of a peer and closes its connection. If it was connected, [signal MultiplayerPeer.peer_disconnected] is emitted before
    /// this returns. A client that removes its server is [constant MultiplayerPeer.CONNECTION_DISCONNECTED] then.
    #[func(gd_self)]
    fn remove_peer(mut this: Gd<Self>, peer_id: i64) {
        let state = this.bind().state.clone();
        let outcome = i32::try_from(peer_id).ok().map(|id| state.lock().take_out(id));
        match outcome {
            Some(Ok(())) => tell_at_once(&mut this),
            _ => godot_error!("No peer has the ID {peer_id}."),
        }
    }

    /// Whether a connection was added for this ID; it may not stand yet.
    #[func]
    fn has_peer(&self, peer_id: i64) -> bool {
        i32::try_from(peer_id).is_ok_and(|id| self.state.lock().has_peer(id))
    }

    /// What is known of a peer: [code]connection[/code], the [WebRTCPeerConnection] that was added; [code]channels[/code], an array of
    /// its [WebRTCDataChannel]s, the three usual ones and those of [code]channels_config[/code]; [code]connected[/code], whether all of
    /// them are open.
    #[func]
    fn get_peer(&self, peer_id: i64) -> VarDictionary {
        let described = i32::try_from(peer_id).ok().and_then(|id| self.described(id));
        described.unwrap_or_else(|| {
            godot_error!("No peer has the ID {peer_id}.");
            VarDictionary::new()
        })
    }

    /// What [method get_peer] tells, of all peers, by their IDs.
    #[func]
    fn get_peers(&self) -> VarDictionary {
        let ids = self.state.lock().peer_ids();
        ids.into_iter().filter_map(|id| Some((id.to_variant(), self.described(id)?.to_variant()))).collect()
    }
}
