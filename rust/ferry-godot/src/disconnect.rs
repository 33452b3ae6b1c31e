//! `FerryDisconnect`: the reasons of endings, for scripts.

use ferry_net::reason::Reason;
use godot::prelude::*;

/// Why a connection ended, as Ferry's signals and [code]get_disconnect_reason[/code] tell it.
///
/// All Ferry peers use these numbers, whatever the transport. Between two Ferry peers the reason travels: a kicked client
/// hears [code]KICKED[/code], one that finds the server full [code]SERVER_FULL[/code].
#[derive(GodotClass)]
#[class(tool, no_init, base = RefCounted)]
pub(crate) struct FerryDisconnect {
    base: Base<RefCounted>,
}

#[godot_api]
impl FerryDisconnect {
    /// A short phrase for a reason, to show to a player or to put into a log: [code]"timed out"[/code].
    #[func]
    fn describe(reason: i64) -> GString {
        let known = Reason::ALL.iter().find(|known| **known as i64 == reason);
        known.map_or("unknown reason", |reason| reason.phrase()).into()
    }
}
