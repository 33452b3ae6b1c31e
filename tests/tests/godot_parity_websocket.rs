//! The same script on the engine's built-in WebSocket classes and on Ferry's, in all four pairings: what it sees is
//! the same.
//!
//! What Ferry does differently, and is meant to, stands in the lists here and in the classes' documentation.

use ferry_tests::parity::{Family, WantedDifference, When, parity, parity_of_one_end};

/// Why Ferry's buffers are larger than the built-in's by default.
const LARGER: &str =
    "packets of up to 16 MiB pass with default settings; the built-in's limit is 65 535 bytes";

fn differs(key: &'static str, ferry: &'static str, when: When, why: &'static str) -> WantedDifference {
    WantedDifference { key, ferry, when, why }
}

#[test]
fn a_websocket_multiplayer_peer_answers_wrong_calls_as_the_built_in_does() {
    let no_port = |key| {
        differs(
            key,
            "31",
            When::FerryServer,
            "a port that is none is an error; the built-in cuts it to 16 bits",
        )
    };
    parity_of_one_end(
        Family::WebSocket,
        "parity/websocket_errors.gd",
        &[
            differs("default.inbound_buffer_size", "16777216", When::FerryServer, LARGER),
            differs("default.outbound_buffer_size", "16777216", When::FerryServer, LARGER),
            differs(
                "default.max_queued_packets",
                "1048576",
                When::FerryServer,
                "a burst must not end a connection",
            ),
            differs("url.\" \"", "31", When::FerryServer, "a URL without a host is an error at once"),
            differs("url.\" \".status", "disconnected", When::FerryServer, "the same"),
            no_port("server.port_65536"),
            no_port("server.port_1048576"),
        ],
    );
}

#[test]
fn websocket_peers_connect_as_the_built_in_does() {
    let bracketed = |key| {
        differs(
            key,
            "ws://[::1]:PORT/",
            When::FerryClient,
            "an IPv6 address in a Host header stands in brackets",
        )
    };
    parity(
        Family::WebSocket,
        "parity/websocket_connecting.gd",
        &[
            differs("refusing.is_told", "true", When::FerryServer, "a server that refuses says so at once"),
            bracketed("bound.::1.[::1].url"),
            bracketed("bound.*.[::1].url"),
            differs(
                "by_hand.without_id",
                r#"["connecting", "connecting", []]"#,
                When::FerryClient,
                "a connection is open when the game may send on it: when its id has come",
            ),
            differs(
                "no_id.gives_up",
                "true",
                When::FerryClient,
                "handshake_timeout bounds the whole way to the id; the built-in waits for it for ever",
            ),
        ],
    );
}

#[test]
fn websocket_over_tls_works_as_with_the_built_in() {
    let no_key = "a key that does not belong to its certificate is an error at once; with the built-in, nobody gets in";
    parity(
        Family::WebSocket,
        "parity/websocket_tls.gd",
        &[
            differs("wrong_key", "31", When::FerryServer, no_key),
            differs("wrong_key.status", "disconnected", When::FerryServer, no_key),
        ],
    );
}

#[test]
fn packets_travel_over_websocket_as_with_the_built_in() {
    let told = "a put over the limit is an error; the built-in's server swallows it";
    let closes = "the built-in closes with 1009 then";
    // The first that fits counts: what shows between two of Ferry's goes before what shows towards a built-in.
    let passes = |key, arrives| differs(key, arrives, When::Both, LARGER);
    let lives_on = |key, seen| differs(key, seen, When::Both, LARGER);
    parity(
        Family::WebSocket,
        "parity/websocket_packets.gd",
        &[
            differs("over.by_1.up.put", "0", When::FerryClient, LARGER),
            passes("over.by_1.up.arrives", "from client, reliable, channel 0, 65536 bytes"),
            lives_on("over.by_1.up.status", "connected"),
            lives_on("over.by_1.up.server", ""),
            lives_on("over.by_1.up.client", ""),
            differs("over.by_1.up.status", "disconnected", When::FerryClient, closes),
            differs("over.by_1.up.server", "peer_disconnected(client)", When::FerryClient, closes),
            differs("over.by_1.up.client", "peer_disconnected(server)", When::FerryClient, closes),
            passes("over.by_1.down.arrives", "from server, reliable, channel 0, 65536 bytes"),
            lives_on("over.by_1.down.status", "connected"),
            lives_on("over.by_1.down.server", ""),
            lives_on("over.by_1.down.client", ""),
            differs("over.by_1.down.status", "disconnected", When::FerryServer, closes),
            differs("over.by_1.down.server", "peer_disconnected(client)", When::FerryServer, closes),
            differs("over.by_1.down.client", "peer_disconnected(server)", When::FerryServer, closes),
            differs("over.by_150000.up.put", "0", When::FerryClient, LARGER),
            passes("over.by_150000.up.arrives", "from client, reliable, channel 0, 215535 bytes"),
            lives_on("over.by_150000.up.status", "connected"),
            lives_on("over.by_150000.up.server", ""),
            lives_on("over.by_150000.up.client", ""),
            differs("over.by_150000.up.status", "disconnected", When::FerryClient, closes),
            differs("over.by_150000.up.server", "peer_disconnected(client)", When::FerryClient, closes),
            differs("over.by_150000.up.client", "peer_disconnected(server)", When::FerryClient, closes),
            passes("over.by_150000.down.arrives", "from server, reliable, channel 0, 215535 bytes"),
            lives_on("over.by_150000.down.status", "connected"),
            lives_on("over.by_150000.down.server", ""),
            lives_on("over.by_150000.down.client", ""),
            differs("over.by_150000.down.status", "disconnected", When::FerryServer, closes),
            differs("over.by_150000.down.server", "peer_disconnected(client)", When::FerryServer, closes),
            differs("over.by_150000.down.client", "peer_disconnected(server)", When::FerryServer, closes),
            differs("set.down.put_over", "6", When::FerryServer, told),
            differs("set.all.put_over", "6", When::FerryServer, told),
        ],
    );
}

#[test]
fn websocket_connections_end_as_with_the_built_in() {
    let all_arrive = |key, when| {
        let why = "what was put before the goodbye arrives; the built-in drops what comes in the same poll";
        differs(key, "[10, true]", when, why)
    };
    let kicked = |key| {
        let both = r#"[4003, 4003, "kicked by the server", "kicked by the server"]"#;
        differs(key, both, When::FerryServer, "who is sent away is told why")
    };
    parity(
        Family::WebSocket,
        "parity/websocket_endings.gd",
        &[
            kicked("server_disconnects.codes"),
            kicked("server_disconnects_forced.codes"),
            differs(
                "client_disconnects_forced.at_once.state",
                "closed",
                When::FerryClient,
                "a forced end is one at once; the built-in's would go on if somebody polled it",
            ),
            differs(
                "client_disconnects_forced.codes",
                r#"[1000, -1, "", ""]"#,
                When::FerryClient,
                "a forced end does not wait for the answer to its goodbye",
            ),
            all_arrive("before.client_close.packets", When::FerryServer),
            all_arrive("before.client_disconnect.packets", When::FerryServer),
            all_arrive("before.client_force.packets", When::FerryServer),
            all_arrive("before.server_close.packets", When::FerryClient),
            all_arrive("before.server_disconnect.packets", When::FerryClient),
            all_arrive("before.server_force.packets", When::FerryClient),
        ],
    );
}

#[test]
fn scene_multiplayer_works_over_websocket_as_with_the_built_in() {
    let survives = "the built-in WebSocket server does not outlive being let go of in its own signal";
    parity(
        Family::WebSocket,
        "parity/scene_multiplayer.gd",
        &[
            differs(
                "dropped.server",
                r#"Array[String](["peer_connected anna"])"#,
                When::FerryServer,
                survives,
            ),
            differs("dropped.server.peer", "true", When::FerryServer, survives),
        ],
    );
}

#[test]
fn single_websockets_work_as_the_built_in_does() {
    let all_arrive = |key, when| {
        differs(key, "10", when, "what was sent before the goodbye can be read; the built-in throws it away")
    };
    parity(
        Family::WebSocket,
        "parity/websocket_peer.gd",
        &[
            differs("unconnected.there.default.inbound_buffer_size", "16777216", When::FerryServer, LARGER),
            differs("unconnected.there.default.outbound_buffer_size", "16777216", When::FerryServer, LARGER),
            differs("unconnected.there.default.max_queued_packets", "1048576", When::FerryServer, LARGER),
            differs("unconnected.here.default.inbound_buffer_size", "16777216", When::FerryClient, LARGER),
            differs("unconnected.here.default.outbound_buffer_size", "16777216", When::FerryClient, LARGER),
            differs("unconnected.here.default.max_queued_packets", "1048576", When::FerryClient, LARGER),
            // Closed by the one end, read by the other.
            all_arrive("before.here", When::FerryServer),
            all_arrive("before.there", When::FerryClient),
        ],
    );
}
