//! What two ends tell each other before they are connected: the part of SDP that data channels need (RFC 8866, 8839, 8841).
//!
//! [`Description::parse`] takes what any WebRTC implementation writes, with as many other media as it likes, and keeps what
//! concerns the one association that carries data channels. Text from a stranger: lines are looked at once, those that are
//! not known are passed over, and what is kept is bounded. [`Description::write`] writes what browsers read.

use std::fmt::Write;

use super::quoted::quoted;

/// The longest text that is looked at: browsers' are 2 KiB with audio and video and all candidates.
const LONGEST_TEXT: usize = 256 * 1024;

/// Candidates that are taken out of one description.
pub(super) const MOST_CANDIDATES: usize = 64;

/// The longest name of a part: it comes back with each candidate. Browsers' are a number.
const LONGEST_MID: usize = 256;

/// As much of a stranger's text as an error message quotes.
const QUOTED: usize = 80;

/// What an end takes that does not say how long messages may be (RFC 8841).
const UNSAID_MESSAGE_SIZE: usize = 65_536;

/// Which end begins the encryption's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// Whoever answers decides.
    ActPass,
    /// The one that says so.
    Active,
    /// The other one.
    Passive,
}

/// A certificate's SHA-256.
pub(super) type Fingerprint = [u8; 32];

/// What one end says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// The name of the part that carries data, which candidates come with.
    pub(super) mid: String,
    pub(super) ufrag: String,
    pub(super) password: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) setup: Setup,
    pub(super) sctp_port: u16,
    /// The longest message that this end takes; `None` for any.
    pub(super) longest_message: Option<usize>,
    pub(super) candidates: Vec<String>,
}

/// The lines of one part, or of the whole, as far as they matter.
#[derive(Clone, Default)]
struct Part<'a> {
    mid: Option<&'a str>,
    ufrag: Option<&'a str>,
    password: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
    other_hashes: Vec<&'a str>,
    setup: Option<&'a str>,
    sctp_port: Option<u16>,
    longest_message: Option<usize>,
    candidates: Vec<&'a str>,
    /// For data channels, and not turned down.
    is_data: bool,
}

impl Description {
    /// Reads what the other end said.
    ///
    /// # Errors
    ///
    /// A sentence, if it is no description, or one of a connection without data channels.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_TEXT {
            return Err(format!("it is longer than {LONGEST_TEXT} bytes"));
        }
        if !text.trim_start().starts_with("v=0") {
            return Err("it does not begin with `v=0`".to_owned());
        }
        let (session, data) = parts(text);
        let data = data.ok_or(
            "it has no part for data channels (`m=application`): whoever made it had created no channel",
        )?;
        Self::put_together(&session, &data)
    }

    fn put_together(session: &Part<'_>, data: &Part<'_>) -> Result<Self, String> {
        let ufrag = data.ufrag.or(session.ufrag).ok_or("it has no `a=ice-ufrag`")?;
        let password = data.password.or(session.password).ok_or("it has no `a=ice-pwd`")?;
        check_token("a=ice-ufrag", ufrag, 4)?;
        check_token("a=ice-pwd", password, 22)?;
        let fingerprint = data.fingerprint.or(session.fingerprint).ok_or_else(|| {
            let others = data.other_hashes.iter().chain(&session.other_hashes).copied();
            match others.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "it has no `a=fingerprint`".to_owned(),
                others => format!("its fingerprint is not a SHA-256, but {}", quoted(&others, QUOTED)),
            }
        })?;
        let setup = match data.setup.or(session.setup) {
            Some("active") => Setup::Active,
            Some("passive") => Setup::Passive,
            Some("actpass") | None => Setup::ActPass,
            Some(other) => {
                return Err(format!(
                    "`a=setup:{}` is none of actpass, active and passive",
                    quoted(other, QUOTED)
                ));
            }
        };
        let mid = data.mid.unwrap_or("0");
        if mid.len() > LONGEST_MID {
            return Err(format!("its `a=mid` is longer than {LONGEST_MID} bytes"));
        }
        Ok(Self {
            mid: mid.to_owned(),
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
            fingerprint,
            setup,
            sctp_port: data.sctp_port.ok_or("it has no `a=sctp-port`")?,
            longest_message: match data.longest_message {
                Some(0) => None,
                said => Some(said.unwrap_or(UNSAID_MESSAGE_SIZE)),
            },
            candidates: data.candidates.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    /// Writes it; `session` tells this connection's descriptions from others', `version` one of them from the next.
    pub(super) fn write(&self, session: u64, version: u64) -> String {
        let setup = match self.setup {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
        };
        let mut text = format!(
            "v=0\r\no=- {session} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\n\
             a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\na=mid:{mid}\r\n\
             a=sctp-port:{port}\r\na=max-message-size:{longest}\r\n",
            mid = self.mid,
            ufrag = self.ufrag,
            password = self.password,
            fingerprint = hexadecimal(&self.fingerprint),
            port = self.sctp_port,
            longest = self.longest_message.unwrap_or(0),
        );
        for candidate in &self.candidates {
            // Writing to a text does not fail.
            let _ = write!(text, "a={candidate}\r\n");
        }
        text
    }
}

/// The lines above all parts, and the first part that is for data channels.
fn parts(text: &str) -> (Part<'_>, Option<Part<'_>>) {
    let mut session = Part::default();
    let mut current: Option<Part<'_>> = None;
    for line in text.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            if current.as_ref().is_some_and(|part| part.is_data) {
                break;
            }
            current = Some(Part { is_data: is_data(media), ..Part::default() });
        } else if let Some(attribute) = line.strip_prefix("a=") {
            current.as_mut().unwrap_or(&mut session).note(attribute);
        }
    }
    (session, current.filter(|part| part.is_data))
}

/// `application 9 UDP/DTLS/SCTP webrtc-datachannel`
fn is_data(media: &str) -> bool {
    let mut words = media.split_ascii_whitespace();
    let is_application = words.next() == Some("application");
    let port = words.next();
    let over_sctp = words.next().is_some_and(|protocol| protocol.ends_with("DTLS/SCTP"));
    // Port 0 turns a part down.
    is_application && over_sctp && port.is_some_and(|port| port != "0")
}

impl<'a> Part<'a> {
    fn note(&mut self, attribute: &'a str) {
        if attribute.starts_with("candidate:") {
            if self.candidates.len() < MOST_CANDIDATES {
                self.candidates.push(attribute);
            }
            return;
        }
        let Some((name, value)) = attribute.split_once(':') else { return };
        let value = value.trim();
        match name {
            "mid" => self.mid = Some(value),
            "ice-ufrag" => self.ufrag = Some(value),
            "ice-pwd" => self.password = Some(value),
            "setup" => self.setup = Some(value),
            "sctp-port" => self.sctp_port = value.parse().ok(),
            "max-message-size" => self.longest_message = value.parse().ok(),
            "fingerprint" => match value.split_once(' ') {
                Some((hash, digits)) if hash.eq_ignore_ascii_case("sha-256") => {
                    self.fingerprint = self.fingerprint.or_else(|| fingerprint(digits));
                }
                Some((hash, _)) => self.other_hashes.push(hash),
                None => {}
            },
            _ => {}
        }
    }
}

/// Letters that ICE allows, so many at least.
fn check_token(what: &str, text: &str, shortest: usize) -> Result<(), String> {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || byte == b'+'
            || byte == b'/'
            || byte == b'-'
            || byte == b'_'
            || byte == b'='
    };
    if (shortest..=256).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(format!("`{what}` must have {shortest} to 256 letters and digits"))
    }
}

fn fingerprint(digits: &str) -> Option<Fingerprint> {
    let mut bytes = digits
        .trim()
        .split(':')
        .map(|pair| (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok()).flatten());
    let mut fingerprint = Fingerprint::default();
    for byte in &mut fingerprint {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(fingerprint)
}

/// `AB:CD:...`, as descriptions and people write fingerprints.
pub(super) fn hexadecimal(fingerprint: &Fingerprint) -> String {
    let pairs: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Description {
        Description {
            mid: "data".to_owned(),
            ufrag: "abcd".to_owned(),
            password: "0123456789abcdefghijkl".to_owned(),
            fingerprint: std::array::from_fn(|index| index as u8 * 7),
            setup: Setup::Active,
            sctp_port: 5000,
            longest_message: Some(262_144),
            candidates: vec!["candidate:1 1 UDP 1 192.0.2.7 4711 typ host".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = example().write(1, 2);
        assert_eq!(Description::parse(&text), Ok(example()));
        // With the line ends that a text field makes of them, too.
        assert_eq!(Description::parse(&text.replace("\r\n", "\n")), Ok(example()));
    }

    #[test]
    fn what_is_said_for_all_parts_counts_for_data_and_other_media_are_passed_over() {
        let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:sess\r\na=setup:actpass\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:audio\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n\
            m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=ice-pwd:bbbbbbbbbbbbbbbbbbbbbbbb\r\n\
            a=fingerprint:sha-1 00:11\r\na=fingerprint:SHA-256 00:01:02:03:04:05:06:07:08:09:0a:0B:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f\r\n\
            a=sctp-port:5001\r\n";
        let description = Description::parse(text).expect("it is one");
        assert_eq!((description.mid.as_str(), description.ufrag.as_str()), ("1", "sess"));
        assert_eq!((description.sctp_port, description.longest_message), (5001, Some(65_536)));
        assert_eq!(description.fingerprint, std::array::from_fn(|index| index as u8));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let good = example().write(1, 1);
        let without = |line: &str| {
            let kept: Vec<&str> = good.lines().filter(|have| !have.starts_with(line)).collect();
            Description::parse(&kept.join("\r\n")).expect_err(line)
        };
        for line in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=sctp-port"] {
            assert!(without(line).contains(line), "{line}: {}", without(line));
        }
        assert!(without("m=application").contains("m=application"));
        for (from, to) in [
            ("a=setup:active", "a=setup:maybe"),
            ("sha-256 ", "sha-512 "),
            ("ufrag:abcd", "ufrag:a b"),
            ("m=application 9", "m=application 0"),
            ("v=0", "hello"),
        ] {
            assert!(Description::parse(&good.replace(from, to)).is_err(), "{to}");
        }
        let long = "x".repeat(10_000);
        for (from, to) in [
            ("a=mid:data", format!("a=mid:{long}")),
            ("a=setup:active", format!("a=setup:{long}")),
            ("sha-256", long),
        ] {
            assert!(Description::parse(&good.replace(from, &to)).expect_err(from).len() < 200, "{from}");
        }
        assert!(Description::parse(&format!("v=0\r\n{}", "a".repeat(LONGEST_TEXT))).is_err());
    }

    #[test]
    fn no_cut_or_changed_text_panics_and_candidates_are_bounded() {
        let good = example().write(1, 1);
        for end in 0..good.len() {
            let _ = Description::parse(&good[..end]);
        }
        let line = "a=candidate:1 1 UDP 1 192.0.2.7 4711 typ host\r\n";
        let many = good + &line.repeat(1000);
        assert_eq!(Description::parse(&many).expect("still one").candidates.len(), MOST_CANDIDATES);
    }
}
