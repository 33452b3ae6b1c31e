//! Whether `WebRTCPeerConnection.new()` makes Ferry's class: the project setting `ferry/webrtc/default_extension`.
//!
//! The engine has one default class, and whoever names itself last is it; nobody can ask which it is. Other extensions, as
//! the plugin webrtc-native, name theirs while they are loaded, before or after Ferry's library. So:
//!
//! - `auto`: Ferry's, unless an extension that was loaded before has such a class. One that is loaded later names itself.
//! - `always`: Ferry's, said again once all extensions are there.
//! - `never`: others may have it, or nobody.
//!
//! Scripts run only after that. What tells that all extensions are there is the engine's default theme, which is made between
//! the two in every kind of build: there is no call of its own for it before Godot 4.5.

use std::sync::atomic::{AtomicI64, Ordering};

use godot::classes::object::ConnectFlags;
use godot::classes::{
    ClassDb, ProjectSettings, ThemeDb, WebRtcPeerConnection, WebRtcPeerConnectionExtension,
};
use godot::global::godot_warn;
use godot::obj::Singleton;
use godot::prelude::*;

use crate::webrtc_peer_connection::FerryWebRTCPeerConnection;

const SETTING: &str = "ferry/webrtc/default_extension";

/// The signal of the default theme.
const ALL_ARE_LOADED: &str = "fallback_changed";

/// The method that hears it.
const HEARD: &str = "all_are_loaded";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    Always,
    Never,
}

/// The engine's number of the object that hears of it; 0 without one.
static LISTENER: AtomicI64 = AtomicI64::new(0);

/// Hears that all extensions are there. An object, since closures of ours would not survive a library that goes.
#[derive(GodotClass)]
#[class(tool, init, internal, base = Object)]
pub(crate) struct FerryWebRTCDefault {
    base: Base<Object>,
}

#[godot_api]
impl FerryWebRTCDefault {
    #[func]
    fn all_are_loaded(&self) {
        become_default();
    }
}

/// The library is there, and the engine knows its classes.
pub(crate) fn begin() {
    match choice() {
        Choice::Auto if !others().is_empty() => {}
        Choice::Auto => become_default(),
        Choice::Always => {
            become_default();
            listen();
        }
        Choice::Never => {}
    }
}

/// The library is about to go.
pub(crate) fn end() {
    let listener = LISTENER.swap(0, Ordering::AcqRel);
    if listener != 0
        && let Ok(object) = Gd::<Object>::try_from_instance_id(InstanceId::from_i64(listener))
    {
        object.free();
    }
}

fn listen() {
    let listener = FerryWebRTCDefault::new_alloc();
    LISTENER.store(listener.instance_id().to_i64(), Ordering::Release);
    let callable = Callable::from_object_method(&listener, HEARD);
    ThemeDb::singleton().connect_flags(ALL_ARE_LOADED, &callable, ConnectFlags::ONE_SHOT);
}

/// Makes Ferry's class the one that the engine makes, whichever it was before.
fn become_default() {
    // The engine takes the name for one that is never let go of, and calls it a bug when it goes all the same: at exit, once
    // another name has taken its place.
    others().into_iter().for_each(std::mem::forget);
    std::mem::forget(own_name());
    WebRtcPeerConnection::set_default_extension(&own_name());
}

fn own_name() -> StringName {
    FerryWebRTCPeerConnection::class_id().to_string_name()
}

/// The classes of other extensions.
fn others() -> Vec<StringName> {
    let extension = WebRtcPeerConnectionExtension::class_id().to_string_name();
    let classes = ClassDb::singleton().get_inheriters_from_class(&extension);
    classes.as_slice().iter().map(StringName::from).filter(|class| *class != own_name()).collect()
}

fn choice() -> Choice {
    let settings = ProjectSettings::singleton();
    if !settings.has_setting(SETTING) {
        return Choice::Auto;
    }
    let text = settings.get_setting_with_override(SETTING).to_string();
    parse(&text).unwrap_or_else(|| {
        godot_warn!("Ferry: `{SETTING}` is \"auto\", \"always\" or \"never\", not \"{text}\".");
        Choice::Auto
    })
}

fn parse(text: &str) -> Option<Choice> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "" | "auto" => Choice::Auto,
        "always" => Choice::Always,
        "never" => Choice::Never,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_goes_by_its_words() {
        assert_eq!(parse(" Always "), Some(Choice::Always));
        assert_eq!(parse("never"), Some(Choice::Never));
        assert_eq!(parse(""), Some(Choice::Auto));
        assert_eq!(parse("yes"), None);
    }
}
