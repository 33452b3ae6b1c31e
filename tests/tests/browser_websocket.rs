//! A page in a real browser, which knows nothing of Ferry, plays on a Godot server by the plain WebSocket API.
//!
//! The page is `tests/pages/join.html`, the server `godot_project/tests/browser/server.gd`; beside it a desktop player of
//! the engine's own class, or of Ferry's, is in the match. What the page is to see stands here. The same page on the
//! built-in server shows that page and harness are right. Without a browser these tests skip, and say so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ferry_tests::chromium::{self, Report, Visit};
use ferry_tests::godot::{OBSERVE_MARK, Run, Scene};

const FERRY: &str = "FerryWebSocketMultiplayerPeer";
const BUILT_IN: &str = "WebSocketMultiplayerPeer";

/// Long enough to need several segments, and more than one of Ferry's fragments.
const SIZES: &str = "1,2,125,126,1000,65535,65536,70000,1048576";

/// Within the built-in's buffers.
const BUILT_IN_SIZES: &str = "1,2,125,126,1000,60000";

/// What players do at the server.
struct Match {
    run: Run,
    url: String,
    key_hash: Option<String>,
}

impl Match {
    /// None without a browser.
    fn start(class: &str, tls: bool, options: &[(&str, &str)]) -> Option<Self> {
        if !chromium::is_there() {
            return None;
        }
        let scene = Scene::script("browser/server.gd").with("server", class).with("tls", tls);
        let scene = options.iter().fold(scene, |scene, (key, value)| scene.with(key, value));
        let mut run = scene.start();
        let key_hash = tls.then(|| run.line("BROWSER spki="));
        let port = run.line("BROWSER port=");
        let url = if tls { format!("wss://localhost:{port}") } else { format!("ws://127.0.0.1:{port}") };
        Some(Self { run, url, key_hash })
    }

    /// A page plays a part; the browser trusts the server.
    fn visit(&self, part: &str, options: &[(&str, &str)]) -> Report {
        let visit = Visit::to("join.html").with("part", part).with("url", &self.url);
        let visit = options.iter().fold(visit, |visit, (key, value)| visit.with(key, value));
        match &self.key_hash {
            Some(hash) => visit.trusting(hash).report(),
            None => visit.report(),
        }
    }

    /// A page in a browser that does not know the server's certificate.
    fn visit_without_trust(&self, part: &str) -> Report {
        Visit::to("join.html").with("part", part).with("url", &self.url).report()
    }

    /// Waits for the scene's end; gives the endings that the server was told of.
    fn end(self) -> String {
        let outcome = self.run.outcome();
        outcome.must_have_passed();
        let mark = format!("{OBSERVE_MARK}lost = ");
        outcome.lines().iter().find_map(|line| line.strip_prefix(&mark)).unwrap_or_default().to_owned()
    }
}

/// What the exchange of packets looks like where all is well.
fn exchange_with(sizes: &str, text_frame: &str) -> Vec<(String, String)> {
    let same = "the same";
    let echoes = sizes.split(',').map(|size| (format!("echo of {size} bytes"), same.to_owned()));
    let joined = [("joined".to_owned(), "with an id".to_owned())];
    let rest = [
        ("many at once", "all, in order"),
        ("echo after an empty message", same),
        ("text frame", text_frame),
        ("echo to others after it", same),
        ("desktop player", "say:from the desktop"),
        ("left", LEFT),
    ];
    let rest = rest.map(|(key, value)| (key.to_owned(), value.to_owned()));
    joined.into_iter().chain(echoes).chain(rest).collect()
}

/// The server gives back the code that the page said goodbye with.
const LEFT: &str = "code 1000, clean, \"goodbye\"";

fn must_be(report: &Report, wanted: &[(String, String)]) {
    let wanted: Vec<_> = wanted.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(report.observations(), wanted);
}

fn exchanges(class: &str, desktop: &str, tls: bool, sizes: &str, text_frame: &str) {
    let Some(game) = Match::start(class, tls, &[("client", desktop), ("desktop", "1")]) else { return };
    let report = game.visit("exchange", &[("sizes", sizes)]);
    must_be(&report, &exchange_with(sizes, text_frame));
    let lost = game.end();
    assert!(class == BUILT_IN || lost.split("; ").all(|one| one.starts_with("REMOTE_CLOSE")), "{lost}");
}

#[test]
fn the_page_exchanges_packets_with_the_built_in_server() {
    exchanges(BUILT_IN, BUILT_IN, false, BUILT_IN_SIZES, "12 bytes came back, then the same");
}

#[test]
fn the_page_exchanges_packets_with_the_built_in_server_over_tls() {
    exchanges(BUILT_IN, BUILT_IN, true, BUILT_IN_SIZES, "12 bytes came back, then the same");
}

#[test]
fn a_page_exchanges_packets_with_a_ferry_server() {
    exchanges(FERRY, BUILT_IN, false, SIZES, "12 bytes came back, then the same");
}

#[test]
fn a_page_exchanges_packets_with_a_ferry_server_over_tls() {
    exchanges(FERRY, FERRY, true, SIZES, "12 bytes came back, then the same");
}

#[test]
fn a_page_that_fails_fails_its_test() {
    if chromium::is_there() {
        let visit = Visit::to("join.html").with("part", "one that is not there");
        assert!(std::panic::catch_unwind(|| visit.report()).is_err());
    }
}

fn sees(class: &str, part: &str, wanted: &[(&str, &str)]) {
    let Some(game) = Match::start(class, false, &[]) else { return };
    assert_eq!(game.visit(part, &[]).observations(), wanted);
    game.end();
}

#[test]
fn a_page_that_is_kicked_is_told_so_and_may_come_back() {
    sees(FERRY, "kicked", &[("kicked", "code 4003, clean, \"kicked by the server\""), ("left", LEFT)]);
}

#[test]
fn a_page_that_is_refused_is_told_so_and_disturbs_nobody() {
    let wanted = [
        ("refused", "code 4005, clean, \"refused by the server\""),
        ("echo to who is in", "the same"),
        ("left", LEFT),
        ("who was in leaves", LEFT),
    ];
    sees(FERRY, "refused", &wanted);
}

#[test]
fn a_page_is_told_that_the_server_closed() {
    let Some(game) = Match::start(FERRY, false, &[]) else { return };
    let report = game.visit("closed", &[]);
    let [("the server closed", how)] = report.observations()[..] else { panic!("{report:?}") };
    assert!(how.starts_with("code 1001, clean, "), "{how}");
    game.end();
}

#[test]
fn a_page_whose_browser_ends_leaves_the_match() {
    sees(FERRY, "vanishes", &[]);
}

#[test]
fn page_and_server_agree_on_a_sub_protocol() {
    let Some(game) = Match::start(FERRY, false, &[("protocol", "chess")]) else { return };
    let report = game.visit("protocols", &[("protocols", "checkers,chess")]);
    assert_eq!(report.observations(), [("sub-protocol", "chess"), ("left", LEFT)]);
    game.end();
}

/// The server's game thread stands still for three times the time after which a silent player counts as lost. The page
/// sends nothing: it is the network thread that asks, and the browser that answers.
#[test]
fn a_page_outlasts_a_server_that_stands_still() {
    let Some(game) = Match::start(FERRY, false, &[("peer_timeout", "1")]) else { return };
    let wanted = [
        ("while the server stands still", "open"),
        ("afterwards", "done:stall"),
        ("it stood still", "long enough"),
        ("what was sent meanwhile", "the same"),
        ("left", LEFT),
    ];
    assert_eq!(game.visit("stalled", &[("stall_ms", "3000")]).observations(), wanted);
    // The desktop player, of the engine's own class and on the same thread, could not answer.
    let lost = game.end();
    assert!(lost.starts_with("TIMEOUT ") && lost.contains("; REMOTE_CLOSE "), "{lost}");
}

/// This test found that a client who had hung up ended the game: what was written to him raised SIGPIPE, which Rust's own
/// programs ignore and Godot does not. Only in the engine does that show.
#[test]
fn a_browser_that_does_not_trust_the_server_stays_out_and_the_server_goes_on() {
    let Some(game) = Match::start(FERRY, true, &[]) else { return };
    let report = game.visit_without_trust("untrusted");
    assert_eq!(report.observations(), [("untrusted", "code 1006, not clean, \"\"")]);
    game.visit("exchange", &[("sizes", "1000")]);
    game.end();
}
