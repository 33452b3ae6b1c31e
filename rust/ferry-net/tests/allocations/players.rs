//! The players, in a process of their own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ferry_net::multiplayer::{Carrier, Multiplayer, Status};
use ferry_net::packet::TransferMode;

use crate::crowd::{Enet, Transport, WebSocket, enet_player, poll, take_all, websocket_player};
use crate::game::{FRAME, Sends};

/// What the process is to be: transport, port, how many players, how long their packets are (0 for none), and their mode.
const PLAYERS: &str = "FERRY_ALLOCATIONS_PLAYERS";

/// Nobody plays longer than this, whatever happens to the server.
const BOUND: Duration = Duration::from_secs(60);

/// Ends with the test, however it ends.
pub(crate) struct Players(Child);

impl Players {
    /// Each player sends this to the server, once a frame.
    pub(crate) fn start(transport: &str, port: u16, count: usize, sends: Sends) -> Self {
        let (mode, length) = match sends {
            Sends::Own(mode, length) => (mode as i32, length),
            _ => (0, 0),
        };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "players::the_players", "--ignored"])
            .env(PLAYERS, format!("{transport} {port} {count} {length} {mode}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "no test, but the players of the others"]
fn the_players() {
    let Ok(told) = std::env::var(PLAYERS) else { return };
    let words: Vec<&str> = told.split(' ').collect();
    let [transport, port, count, length, mode] = words[..] else { panic!("{told}") };
    let (port, count, length) = (port.parse().unwrap(), count.parse().unwrap(), length.parse().unwrap());
    let mode = if mode == "2" { TransferMode::Reliable } else { TransferMode::Unreliable };
    let sends = if length == 0 { Sends::Nothing } else { Sends::Own(mode, length) };
    match transport {
        Enet::NAME => play(|| enet_player(port), count, sends),
        WebSocket::NAME => play(|| websocket_player(port), count, sends),
        other => panic!("{other}"),
    }
}

fn play<C: Carrier>(player: impl Fn() -> Multiplayer<C>, count: usize, sends: Sends) {
    let begun = Instant::now();
    let mut players: Vec<_> = (0..count).map(|_| player()).collect();
    let mut packet = [7; crate::game::LONGEST];
    while begun.elapsed() < BOUND && players.iter().all(|player| player.status() != Status::Disconnected) {
        for player in &mut players {
            poll(player);
            take_all(player);
            if player.status() == Status::Connected {
                sends.put(player, &[1], &mut packet);
                player.flush();
            }
        }
        std::thread::sleep(FRAME);
    }
}
