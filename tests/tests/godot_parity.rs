//! The same script on the engine's built-in ENet classes and on Ferry's, in all four pairings: what it sees is the same.
//!
//! What Ferry does differently, and is meant to, stands in the lists here and in the classes' documentation.

use ferry_tests::parity::{Family, WantedDifference, When, parity, parity_of_one_end};

#[test]
fn a_multiplayer_peer_answers_wrong_calls_as_the_built_in_does() {
    parity_of_one_end(
        Family::ENet,
        "parity/peer_errors.gd",
        &[
            WantedDifference {
                key: "server.in_bandwidth_negative",
                ferry: "31",
                when: When::FerryServer,
                why: "create_server's in_bandwidth is honoured, and checked; the built-in passes its arguments one off",
            },
            WantedDifference {
                key: "server.channels_negative",
                ferry: "31",
                when: When::FerryServer,
                why: "the same for max_channels",
            },
        ],
    );
}

#[test]
fn peers_connect_as_the_built_in_does() {
    parity(
        Family::ENet,
        "parity/peer_connecting.gd",
        &[
            WantedDifference {
                key: "full.second",
                ferry: "disconnected",
                when: When::FerryServer,
                why: "a full server says so at once; the built-in lets the client try for half a minute",
            },
            WantedDifference {
                key: "refusing.is_told",
                ferry: "true",
                when: When::FerryServer,
                why: "a server that refuses says so at once",
            },
        ],
    );
}

#[test]
fn packets_travel_as_with_the_built_in() {
    let no_channel = |key, when| WantedDifference {
        key,
        ferry: "31",
        when,
        why: "a channel that the connection does not have is an error of the caller; the built-in returns OK",
    };
    let no_wrap = |key, when| WantedDifference {
        key,
        ferry: "0",
        when,
        why: "the built-in's channel number wraps round: what was put on channel 255 arrives on channel 0",
    };
    parity(
        Family::ENet,
        "parity/peer_packets.gd",
        &[
            WantedDifference {
                key: "empty.arrived",
                ferry: "[7]",
                when: When::FerryServer,
                why: "SceneMultiplayer prints an error for each empty packet: a stranger could fill the log",
            },
            no_channel("beyond.254.client", When::FerryClient),
            no_channel("beyond.254.server_all", When::FerryServer),
            no_channel("beyond.254.server_one", When::FerryServer),
            no_channel("beyond.255.client", When::FerryClient),
            no_channel("beyond.255.server_all", When::FerryServer),
            no_channel("beyond.255.server_one", When::FerryServer),
            no_channel("few.beyond_up", When::FerryClient),
            no_channel("few.beyond_down", When::FerryServer),
            no_wrap("beyond.255.arrived_up", When::FerryClient),
            no_wrap("beyond.255.arrived_down", When::FerryServer),
        ],
    );
}

#[test]
fn connections_end_as_with_the_built_in() {
    let all_arrive = |key| WantedDifference {
        key,
        ferry: "[10, true]",
        when: When::Either,
        why: "what was put before the goodbye arrives; the built-in drops what was not yet dispatched",
    };
    let later = |key, when| WantedDifference {
        key,
        ferry: "6",
        when,
        why: "disconnect_peer lets arrive what was put before it: the peer is in STATE_DISCONNECT_LATER",
    };
    parity(
        Family::ENet,
        "parity/peer_endings.gd",
        &[
            all_arrive("before_close.packets"),
            all_arrive("before_disconnect.packets"),
            later("client_disconnects.at_once.state", When::FerryClient),
            later("server_disconnects.at_once.state", When::FerryServer),
            later("server_disconnects_forced.at_once.state", When::FerryServer),
        ],
    );
}

#[test]
fn a_mesh_works_as_with_the_built_in() {
    parity(Family::ENet, "parity/peer_mesh.gd", &[]);
}

#[test]
fn a_host_connection_answers_calls_as_the_built_in_does() {
    parity_of_one_end(Family::ENet, "parity/connection_calls.gd", &[]);
}

#[test]
fn host_connections_work_together_as_with_the_built_in() {
    let says_goodbye = |key, when| WantedDifference {
        key,
        ferry: "true",
        when,
        why: "a connection that is destroyed says goodbye; with the built-in, the other end waits for its time-out",
    };
    parity(
        Family::ENet,
        "parity/connection_pair.gd",
        &[
            says_goodbye("end.destroy.by_server.told", When::FerryServer),
            says_goodbye("end.destroy.by_client.told", When::FerryClient),
        ],
    );
}

#[test]
fn scene_multiplayer_works_as_with_the_built_in() {
    parity(Family::ENet, "parity/scene_multiplayer.gd", &[]);
}
