//! What scripts say of a WebRTC connection and its channels, in dictionaries as browsers take them, and what ferry-net makes
//! of it.
//!
//! Such dictionaries are written by hand or come as JSON from a server, so numbers may be whole floats, and texts names. What
//! is wrong is told by the name of its key. A key that nobody knows is a spelling mistake or another program's: it is told
//! once, and changes nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ferry_net::packet::MAX_PACKET_SIZE;
use ferry_net::webrtc::{ChannelInit, Loopback, Persistence, Server, Settings};
use godot::builtin::{AnyArray, AnyDictionary};
use godot::prelude::*;

use crate::convert;

/// Servers that one connection may ask. Each is asked before it stands, so more only make it slower.
const MOST_SERVERS: usize = 32;

/// Unknown keys that are told of; who invents more of them has been told enough.
const MOST_UNKNOWN: usize = 64;

/// The engine's number for a limit that is not set, so it cannot be one.
pub(crate) const NO_LIMIT: u16 = u16::MAX;

/// Keys of the browsers' own that mean nothing where there is only data.
const WITHOUT_MEANING: [&str; 3] = ["bundlePolicy", "rtcpMuxPolicy", "iceCandidatePoolSize"];

/// The plugin webrtc-native's own settings, of its library.
const OF_WEBRTC_NATIVE: &str = "libdatachannel";

/// What `initialize` was given.
pub(crate) fn settings(configuration: &AnyDictionary) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for (key, value) in entries("configuration", configuration)? {
        match key.as_str() {
            "iceServers" => settings.servers = servers(&value)?,
            "iceTransportPolicy" => {
                settings.relay_only = one_of(&key, &value, &["all", "relay"])? == 1;
            }
            "ferry" => own_settings(&mut settings, &dictionary(&key, &value)?)?,
            OF_WEBRTC_NATIVE => {}
            _ if WITHOUT_MEANING.contains(&key.as_str()) => {}
            _ => tell_unknown(&key, "a WebRTC connection's configuration"),
        }
    }
    Ok(settings)
}

fn own_settings(settings: &mut Settings, own: &AnyDictionary) -> Result<(), String> {
    for (key, value) in entries("ferry", own)? {
        match key.as_str() {
            "udp_port" => settings.shared_port = number(&key, &value, 0, u16::MAX)?,
            "bind_address" => {
                let text = text(&key, &value)?;
                let address = convert::bind_address(&text);
                settings.bind = address.ok_or_else(|| {
                    format!("\"bind_address\" must be \"*\" or an IP address, not \"{text}\"")
                })?;
            }
            "loopback" => {
                settings.loopback = match one_of(&key, &value, &["auto", "always", "never"])? {
                    0 => Loopback::Alone,
                    1 => Loopback::Always,
                    _ => Loopback::Never,
                };
            }
            "max_message_size" => {
                let most = u32::try_from(MAX_PACKET_SIZE).unwrap_or(u32::MAX);
                settings.longest_message = number(&key, &value, 1, most)? as usize;
            }
            _ => tell_unknown(&key, "the \"ferry\" part of a WebRTC connection's configuration"),
        }
    }
    Ok(())
}

fn servers(value: &Variant) -> Result<Vec<Server>, String> {
    let list =
        value.try_to::<AnyArray>().map_err(|_| wrong("iceServers", "an Array of dictionaries", value))?;
    let mut servers = Vec::new();
    for entry in list.iter_shared() {
        let entry = entry
            .try_to::<AnyDictionary>()
            .map_err(|_| wrong("iceServers", "an Array of dictionaries", &entry))?;
        add_servers(&mut servers, &entry)?;
    }
    if servers.len() > MOST_SERVERS {
        return Err(format!("\"iceServers\" may have {MOST_SERVERS} URLs, not {}", servers.len()));
    }
    Ok(servers)
}

fn add_servers(servers: &mut Vec<Server>, entry: &AnyDictionary) -> Result<(), String> {
    let (mut urls, mut username, mut credential) = (None, String::new(), String::new());
    for (key, value) in entries("iceServers", entry)? {
        match key.as_str() {
            "urls" => urls = Some(texts(&key, &value)?),
            "username" => username = text(&key, &value)?,
            "credential" => credential = text(&key, &value)?,
            // There is no other but passwords in use.
            "credentialType" => {
                one_of(&key, &value, &["password"])?;
            }
            _ => tell_unknown(&key, "an entry of \"iceServers\""),
        }
    }
    let urls = urls.ok_or("an entry of \"iceServers\" has no \"urls\"")?;
    for url in urls {
        servers.push(Server::parse(&url, &username, &credential)?);
    }
    Ok(())
}

/// What `create_data_channel` was given.
pub(crate) fn channel(label: String, options: &AnyDictionary) -> Result<ChannelInit, String> {
    let mut init = ChannelInit { label, ..ChannelInit::default() };
    let (mut negotiated, mut id) = (false, None);
    let (mut lifetime, mut retransmits) = (None, None);
    for (key, value) in entries("options", options)? {
        match key.as_str() {
            "negotiated" => negotiated = truth(&key, &value)?,
            "id" => id = Some(number(&key, &value, 0, u16::MAX - 1)?),
            "ordered" => init.unordered = !truth(&key, &value)?,
            "protocol" => init.protocol = text(&key, &value)?,
            // The engine's WebRTCMultiplayerPeer spells it the second way.
            "maxPacketLifeTime" | "maxPacketLifetime" => {
                let limit: u16 = number(&key, &value, 0, NO_LIMIT)?;
                if lifetime.is_some_and(|other| other != limit) {
                    return Err("\"maxPacketLifeTime\" is there twice, with different numbers".to_owned());
                }
                lifetime = Some(limit);
            }
            "maxRetransmits" => retransmits = Some(number(&key, &value, 0, NO_LIMIT)?),
            _ => tell_unknown(&key, "a data channel's options"),
        }
    }
    init.negotiated = match (negotiated, id) {
        (true, None) => return Err("a channel that is \"negotiated\" needs an \"id\"".to_owned()),
        (false, Some(_)) => {
            return Err("an \"id\" is for channels that are \"negotiated\"; others get one".to_owned());
        }
        (_, id) => id,
    };
    init.persistence = match (lifetime, retransmits) {
        (None, None) => Persistence::Reliable,
        (Some(lifetime), None) => Persistence::Lifetime(Duration::from_millis(lifetime.into())),
        (None, Some(retransmits)) => Persistence::Retransmits(retransmits),
        (Some(_), Some(_)) => {
            return Err("\"maxRetransmits\" and \"maxPacketLifeTime\" cannot both be set".to_owned());
        }
    };
    Ok(init)
}

/// What is in a dictionary, by name. An entry that is null counts as not there, as JSON has it.
fn entries(place: &str, dictionary: &AnyDictionary) -> Result<Vec<(String, Variant)>, String> {
    let mut entries = Vec::new();
    for (key, value) in dictionary.iter_shared() {
        let name = as_text(&key)
            .ok_or_else(|| format!("the keys of \"{place}\" must be texts, but {key} is not"))?;
        if !value.is_nil() {
            entries.push((name, value));
        }
    }
    Ok(entries)
}

fn wrong(key: &str, wanted: &str, value: &Variant) -> String {
    let kind = value.get_type();
    format!("\"{key}\" must be {wanted}, not {value} ({kind:?})")
}

fn as_text(value: &Variant) -> Option<String> {
    matches!(value.get_type(), VariantType::STRING | VariantType::STRING_NAME).then(|| value.to_string())
}

fn text(key: &str, value: &Variant) -> Result<String, String> {
    as_text(value).ok_or_else(|| wrong(key, "a String", value))
}

fn texts(key: &str, value: &Variant) -> Result<Vec<String>, String> {
    const WANTED: &str = "a String or an Array of them";
    if let Some(one) = as_text(value) {
        return Ok(vec![one]);
    }
    if value.get_type() == VariantType::PACKED_STRING_ARRAY {
        let list = value.to::<PackedStringArray>();
        return Ok(list.as_slice().iter().map(GString::to_string).collect());
    }
    let list = value.try_to::<AnyArray>().map_err(|_| wrong(key, WANTED, value))?;
    list.iter_shared().map(|entry| as_text(&entry).ok_or_else(|| wrong(key, WANTED, &entry))).collect()
}

fn dictionary(key: &str, value: &Variant) -> Result<AnyDictionary, String> {
    value.try_to::<AnyDictionary>().map_err(|_| wrong(key, "a Dictionary", value))
}

/// A whole number; JSON has only floats.
fn whole(value: &Variant) -> Option<i64> {
    match value.get_type() {
        VariantType::INT => value.try_to::<i64>().ok(),
        VariantType::FLOAT => {
            let float = value.try_to::<f64>().ok()?;
            // Beyond, a float is no exact number; nothing here is that large.
            (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
        }
        _ => None,
    }
}

fn number<T>(key: &str, value: &Variant, least: T, most: T) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let found = whole(value).and_then(|number| T::try_from(number).ok());
    found
        .filter(|number| *number >= least && *number <= most)
        .ok_or_else(|| wrong(key, &format!("a number from {least} to {most}"), value))
}

fn truth(key: &str, value: &Variant) -> Result<bool, String> {
    if value.get_type() == VariantType::BOOL {
        return Ok(value.to::<bool>());
    }
    match whole(value) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(wrong(key, "true or false", value)),
    }
}

/// Which of these words it is.
fn one_of(key: &str, value: &Variant, words: &[&str]) -> Result<usize, String> {
    let found = as_text(value).and_then(|text| words.iter().position(|word| *word == text));
    found.ok_or_else(|| wrong(key, &format!("one of \"{}\"", words.join("\", \"")), value))
}

fn tell_unknown(key: &str, place: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let is_new = {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_UNKNOWN && told.insert(key.to_owned())
    };
    // Not under the lock: printing may call scripts.
    if is_new {
        godot_warn!("\"{key}\" is not known in {place}: it changes nothing.");
    }
}
