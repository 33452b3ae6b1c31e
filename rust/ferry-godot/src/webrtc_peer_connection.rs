//! `FerryWebRTCPeerConnection`: a WebRTC connection, with the API of the engine's `WebRTCPeerConnection`.
//!
//! Converts and forwards: what a connection is stands in `ferry_net::webrtc`, what its dictionaries mean in `webrtc_settings`.
//! Signals go out in `poll` alone, while nothing is borrowed or locked: their handlers may call anything here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_net::create_error::CreateError;
use ferry_net::limits::Limits;
use ferry_net::webrtc::{
    self, Connection, DescriptionKind, Settings, Signal, SignalingError, SignalingState as Signaling,
};
use godot::classes::web_rtc_peer_connection::{ConnectionState, GatheringState, SignalingState};
use godot::classes::{IWebRtcPeerConnectionExtension, WebRtcDataChannel, WebRtcPeerConnectionExtension};
use godot::global::Error;
use godot::prelude::*;

use crate::convert::{self, invalid, outcome};
use crate::frame::Sender;
use crate::guard::guarded;
use crate::log;
use crate::peer_state::provoke_panic;
use crate::webrtc_data_channel::{ConnectionSender, FerryWebRTCDataChannel};
use crate::webrtc_settings;

/// What `get_stats` calls it.
const TRANSPORT: &str = "webrtc";

/// Signals that one poll emits. A handler that causes one more each time would keep the game in here for ever; the rest is told
/// by the next poll.
const SIGNALS_A_POLL: usize = 4096;

/// The index of the only part of a description, the one for data.
const DATA_INDEX: i32 = 0;

/// A connection over WebRTC, in place of [WebRTCPeerConnection] and of the plugin webrtc-native.
///
/// This is what [code]WebRTCPeerConnection.new()[/code] makes where no other extension brings such a class: see the project setting
/// [code]ferry/webrtc/default_extension[/code]. [WebRTCPeerConnection] tells how a connection is made. In short: connect its
/// signals, call [method WebRTCPeerConnection.create_data_channel], on one side [method WebRTCPeerConnection.create_offer], carry
/// descriptions and candidates to the other side, and call [method WebRTCPeerConnection.poll] each frame.
///
/// The network runs on a thread of its own. Signals come in [method WebRTCPeerConnection.poll] only.
///
/// [method WebRTCPeerConnection.initialize] takes a dictionary like
///
/// ```gdscript
/// {
///     "iceServers": [
///         {"urls": ["stun:stun.example.com:3478"]},
///         {"urls": "turns:turn.example.com", "username": "me", "credential": "secret"},
///     ],
///     "iceTransportPolicy": "all", # Or "relay": nothing goes but through a TURN server.
///     "ferry": {
///         "udp_port": 0, # One UDP port for all connections that name it; 0 for one of its own for each.
///         "bind_address": "*", # The only address of this machine to use.
///         "loopback": "auto", # Whether 127.0.0.1 is offered: "auto" if there is nothing else, "always" or "never".
///         "max_message_size": 262144, # The longest message, in bytes.
///     },
/// }
/// ```
///
/// Differences from the engine's document, the plugin webrtc-native and browsers:
///
/// - Channels can be made at any time while the connection is not over, not in [constant WebRTCPeerConnection.STATE_NEW] only.
/// - [code]"maxPacketLifeTime"[/code] may also be spelled [code]"maxPacketLifetime"[/code], as [WebRTCMultiplayerPeer] does: with
///   webrtc-native and in browsers, its unreliable channels are reliable.
/// - What makes no sense (options, descriptions, candidates) is an error at once, and changes nothing.
/// - An offer that meets another one gives way. If both ends do, no connection comes of it: let only one of them offer.
/// - An answer whose signal was told and that is not set at the next poll is set by itself, with a warning; setting it late is no
///   error.
/// - [method get_disconnect_reason] and [method get_disconnect_text] tell why a connection ended or could not be made.
/// - Names of webrtc-native's own, [code]"libdatachannel"[/code], are taken and change nothing.
#[derive(GodotClass)]
#[class(tool, init, base = WebRtcPeerConnectionExtension)]
pub(crate) struct FerryWebRTCPeerConnection {
    base: Base<WebRtcPeerConnectionExtension>,
    held: Mutex<Held>,
    #[init(val = ConnectionSender::shared(None))]
    sender: Arc<ConnectionSender>,

    /// How long a connection may take to be made once both descriptions are there, in seconds. 10 by default.
    #[var(get = get_connect_timeout, set = set_connect_timeout)]
    connect_timeout: PhantomVar<f64>,
    /// How long the other end may be silent, in seconds, before it counts as gone. 30 by default.
    #[var(get = get_peer_timeout, set = set_peer_timeout)]
    peer_timeout: PhantomVar<f64>,
    /// How many bytes may wait to be sent, on all reliable channels together. 64 MiB by default. A message that does not fit is not sent:
    /// [method PacketPeer.put_packet] returns [constant ERR_OUT_OF_MEMORY]. On unreliable channels the oldest ones are dropped.
    #[var(get = get_outbound_queue_limit, set = set_outbound_queue_limit)]
    outbound_queue_limit: PhantomVar<i64>,
    /// How many bytes may wait to be read, on all channels together. 64 MiB by default. Beyond, the other end has to wait.
    #[var(get = get_inbound_queue_limit, set = set_inbound_queue_limit)]
    inbound_queue_limit: PhantomVar<i64>,
}

/// The connection, made when it is first asked for: the editor makes objects of every class.
#[derive(Default)]
struct Held {
    connection: Option<Connection>,
    limits: Limits,
}

impl FerryWebRTCPeerConnection {
    /// Not to be held while the engine is called, which may call scripts: also where it prints an error.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection as it is now; another one after `initialize`.
    pub(crate) fn connection(&self) -> Connection {
        let mut held = self.held();
        if let Some(connection) = &held.connection {
            return connection.clone();
        }
        let made = Connection::new(Settings::default(), held.limits);
        let connection = made.expect("usual settings make sense, and the system has randomness");
        held.connection = Some(connection.clone());
        self.sender.sends_through(&connection);
        connection
    }

    /// If anything was done with it.
    fn known(&self) -> Option<Connection> {
        self.held().connection.clone()
    }

    /// Lets leave what is queued, and tells the script what has happened. Nothing of it is borrowed meanwhile.
    pub(crate) fn poll_and_tell(mut this: Gd<Self>) {
        let connection = {
            let peer = this.bind();
            peer.sender.frame().note_poll();
            peer.connection()
        };
        connection.begin_turn();
        for _ in 0..SIGNALS_A_POLL {
            let Some(signal) = connection.next_signal() else { break };
            tell(&mut this, &connection, signal);
        }
    }

    fn begin_anew(&self, configuration: &VarDictionary) -> Result<(), Error> {
        let settings = webrtc_settings::settings(configuration)
            .map_err(|error| invalid(format!("This is no configuration of a connection: {error}.")))?;
        let limits = self.held().limits;
        let connection = Connection::new(settings, limits).map_err(|error| {
            godot_error!("No connection could be begun: {error}.");
            match error {
                CreateError::Invalid(_) => Error::ERR_INVALID_PARAMETER,
                CreateError::Bind(_) => Error::ERR_CANT_CREATE,
            }
        })?;
        self.sender.sends_through(&connection);
        let before = self.held().connection.replace(connection);
        if let Some(before) = before {
            before.close();
        }
        Ok(())
    }

    fn open_channel(
        &self,
        label: &GString,
        options: &VarDictionary,
    ) -> Result<Gd<FerryWebRTCDataChannel>, String> {
        let init = webrtc_settings::channel(label.to_string(), options)?;
        let connection = self.connection();
        let id = connection.create_channel(init).map_err(|error| error.to_string())?;
        self.sender.frame().flush_at_end();
        Ok(FerryWebRTCDataChannel::around(connection, id))
    }

    /// Does something about descriptions or candidates, which leaves by the frame's end.
    fn negotiate(&self, body: impl FnOnce(&Connection) -> Result<(), SignalingError>) -> Result<(), Error> {
        let done = body(&self.connection());
        self.sender.frame().flush_at_end();
        done.map_err(report)
    }

    fn change_limits(&self, change: impl FnOnce(&mut Limits)) {
        let mut held = self.held();
        change(&mut held.limits);
        if let Some(connection) = &held.connection {
            connection.set_limits(held.limits);
        }
    }
}

/// What `type` means, if anything.
fn kind_of(word: &GString) -> Result<DescriptionKind, Error> {
    DescriptionKind::of(&word.to_string()).ok_or_else(|| {
        invalid(format!(
            "A description's type is \"offer\", \"answer\", \"pranswer\" or \"rollback\", not \"{word}\"."
        ))
    })
}

fn report(error: SignalingError) -> Error {
    match error {
        SignalingError::Closed => {
            godot_error!("This connection is over: call initialize() to begin another.");
            Error::ERR_UNCONFIGURED
        }
        SignalingError::OutOfTurn(text) => {
            godot_error!("{text}.");
            Error::FAILED
        }
        SignalingError::Invalid(text) => invalid(format!("{text}.")),
    }
}

/// Emits a signal. A channel that no handler keeps is closed when this returns.
fn tell(this: &mut Gd<FerryWebRTCPeerConnection>, connection: &Connection, signal: Signal) {
    match signal {
        Signal::DescriptionCreated(kind, text) => {
            this.emit_signal("session_description_created", vslice![kind.word(), text.as_str()]);
        }
        Signal::CandidateCreated { mid, candidate } => {
            let arguments = vslice![mid.as_str(), DATA_INDEX, candidate.as_str()];
            this.emit_signal("ice_candidate_created", arguments);
        }
        Signal::ChannelReceived(id) => {
            let channel = FerryWebRTCDataChannel::around(connection.clone(), id);
            this.emit_signal("data_channel_received", vslice![channel]);
        }
    }
}

impl Drop for FerryWebRTCPeerConnection {
    /// What was put still leaves, and the other end hears that this one has gone.
    fn drop(&mut self) {
        let connection = self.held().connection.take();
        if let Some(connection) = connection {
            connection.close();
        }
    }
}

#[godot_api]
impl FerryWebRTCPeerConnection {
    /// Makes the next offer look for new ways to the other end, as after a change of networks: call
    /// [method WebRTCPeerConnection.create_offer] after this. Channels and what waits on them stay.
    #[func]
    fn restart_ice(&self) {
        self.connection().restart_ice();
    }

    /// Why the connection ended or could not be made, as one of [FerryDisconnect]; [constant FerryDisconnect.NONE] while there
    /// is nothing to tell.
    #[func]
    fn get_disconnect_reason(&self) -> i64 {
        self.known().map_or(0, |connection| connection.farewell().reason as i64)
    }

    /// The same in words, with what else is known: for a log or a message to the player.
    #[func]
    fn get_disconnect_text(&self) -> GString {
        self.known().map_or_else(GString::new, |connection| GString::from(&connection.farewell().to_string()))
    }

    /// Figures of the connection, at most 50 ms old, with the keys of [method FerryENetMultiplayerPeer.get_peer_stats]. Empty
    /// while nothing was done with it.
    #[func]
    fn get_stats(&self) -> VarDictionary {
        self.known().map_or_else(VarDictionary::new, |connection| {
            convert::peer_figures(&connection.stats(), TRANSPORT, true)
        })
    }

    /// See [member connect_timeout].
    #[func]
    fn get_connect_timeout(&self) -> f64 {
        self.held().limits.connect_timeout.as_secs_f64()
    }

    /// See [member connect_timeout].
    #[func]
    fn set_connect_timeout(&self, seconds: f64) {
        self.change_limits(|limits| limits.connect_timeout = convert::seconds(seconds));
    }

    /// See [member peer_timeout].
    #[func]
    fn get_peer_timeout(&self) -> f64 {
        self.held().limits.peer_timeout.as_secs_f64()
    }

    /// See [member peer_timeout].
    #[func]
    fn set_peer_timeout(&self, seconds: f64) {
        self.change_limits(|limits| limits.peer_timeout = convert::seconds(seconds));
    }

    /// See [member outbound_queue_limit].
    #[func]
    fn get_outbound_queue_limit(&self) -> i64 {
        convert::int(self.held().limits.outbound)
    }

    /// See [member outbound_queue_limit].
    #[func]
    fn set_outbound_queue_limit(&self, bytes: i64) {
        self.change_limits(|limits| limits.outbound = convert::bytes(bytes));
    }

    /// See [member inbound_queue_limit].
    #[func]
    fn get_inbound_queue_limit(&self) -> i64 {
        convert::int(self.held().limits.inbound)
    }

    /// See [member inbound_queue_limit].
    #[func]
    fn set_inbound_queue_limit(&self, bytes: i64) {
        self.change_limits(|limits| limits.inbound = convert::bytes(bytes));
    }
}

// The methods that take `&mut self` are there twice: gdext takes the first, which borrows nothing while the engine is called,
// and the compiler wants the second.
#[godot_api]
impl IWebRtcPeerConnectionExtension for FerryWebRTCPeerConnection {
    fn get_connection_state(&self) -> ConnectionState {
        match self.known().map_or(webrtc::ConnectionState::New, |connection| connection.state()) {
            webrtc::ConnectionState::New => ConnectionState::NEW,
            webrtc::ConnectionState::Connecting => ConnectionState::CONNECTING,
            webrtc::ConnectionState::Connected => ConnectionState::CONNECTED,
            webrtc::ConnectionState::Disconnected => ConnectionState::DISCONNECTED,
            webrtc::ConnectionState::Failed => ConnectionState::FAILED,
            webrtc::ConnectionState::Closed => ConnectionState::CLOSED,
        }
    }

    fn get_gathering_state(&self) -> GatheringState {
        match self.known().map_or(webrtc::GatheringState::New, |connection| connection.gathering()) {
            webrtc::GatheringState::New => GatheringState::NEW,
            webrtc::GatheringState::Gathering => GatheringState::GATHERING,
            webrtc::GatheringState::Complete => GatheringState::COMPLETE,
        }
    }

    fn get_signaling_state(&self) -> SignalingState {
        match self.known().map_or(Signaling::Stable, |connection| connection.signaling()) {
            Signaling::Stable => SignalingState::STABLE,
            Signaling::HaveLocalOffer => SignalingState::HAVE_LOCAL_OFFER,
            Signaling::HaveRemoteOffer => SignalingState::HAVE_REMOTE_OFFER,
            Signaling::HaveLocalPranswer => SignalingState::HAVE_LOCAL_PRANSWER,
            Signaling::HaveRemotePranswer => SignalingState::HAVE_REMOTE_PRANSWER,
            Signaling::Closed => SignalingState::CLOSED,
        }
    }

    #[func(gd_self)]
    fn initialize(this: Gd<Self>, configuration: VarDictionary) -> Error {
        guarded(Error::FAILED, || outcome(this.bind().begin_anew(&configuration)))
    }

    fn initialize(&mut self, _: VarDictionary) -> Error {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn create_data_channel(
        this: Gd<Self>,
        label: GString,
        options: VarDictionary,
    ) -> Option<Gd<WebRtcDataChannel>> {
        guarded(None, || {
            provoke_panic(label == "panic when made");
            match this.bind().open_channel(&label, &options) {
                Ok(channel) => Some(channel.upcast()),
                Err(error) => {
                    godot_error!("There can be no channel \"{label}\": {error}.");
                    None
                }
            }
        })
    }

    fn create_data_channel(&mut self, _: GString, _: VarDictionary) -> Option<Gd<WebRtcDataChannel>> {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn create_offer(this: Gd<Self>) -> Error {
        guarded(Error::FAILED, || outcome(this.bind().negotiate(Connection::create_offer)))
    }

    fn create_offer(&mut self) -> Error {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn set_remote_description(this: Gd<Self>, kind: GString, sdp: GString) -> Error {
        guarded(Error::FAILED, || {
            outcome(kind_of(&kind).and_then(|kind| {
                this.bind().negotiate(|connection| {
                    provoke_panic(sdp == "panic when set");
                    connection.set_remote_description(kind, &sdp.to_string())
                })
            }))
        })
    }

    fn set_remote_description(&mut self, _: GString, _: GString) -> Error {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn set_local_description(this: Gd<Self>, kind: GString, sdp: GString) -> Error {
        guarded(Error::FAILED, || {
            outcome(kind_of(&kind).and_then(|kind| {
                this.bind().negotiate(|connection| connection.set_local_description(kind, &sdp.to_string()))
            }))
        })
    }

    fn set_local_description(&mut self, _: GString, _: GString) -> Error {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn add_ice_candidate(this: Gd<Self>, _media: GString, _index: i32, name: GString) -> Error {
        guarded(Error::FAILED, || {
            outcome(this.bind().negotiate(|connection| {
                provoke_panic(name == "panic when added");
                connection.add_candidate(&name.to_string())
            }))
        })
    }

    fn add_ice_candidate(&mut self, _: GString, _: i32, _: GString) -> Error {
        unreachable!("the one above is called")
    }

    #[func(gd_self)]
    fn poll(this: Gd<Self>) -> Error {
        guarded(Error::FAILED, || {
            Self::poll_and_tell(this);
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
            let connection = this.bind().connection();
            connection.close();
            log::print_waiting();
        });
    }

    fn close(&mut self) {
        unreachable!("the one above is called")
    }
}
