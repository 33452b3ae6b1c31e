//! Certificates, and what a TLS connection is made with: what a client trusts, what a server shows, and why a handshake
//! failed.
//!
//! No socket is opened here. A transport makes a [`Client`] or a [`Server`] of what the game gave; a client's stream is
//! encrypted by `connect`, a server hands its configuration to tokio-rustls and asks [`explain`] about the error if that
//! fails. [`self_signed`] makes a certificate for development.
//!
//! The rules for what is trusted stand in `trust`. They are webpki's, with one more door: a certificate that the game
//! itself named as trusted may be shown as it is, which is how the engine's own certificates are meant to be used and
//! which webpki refuses. Sessions are never resumed and nothing is sent early: every connection proves itself.
//!
//! What the other end can send us is bounded by rustls (64 KiB of certificates), what a game gives us by [`MOST_TEXT`].
//! Tests: inline for each rule, `tests.rs` for whole handshakes between two ends in memory.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;

mod certificate;
mod client;
mod connect;
mod explain;
mod pem;
mod self_signed;
mod server;
#[cfg(test)]
mod tests;
mod trust;

pub use client::{Client, ClientOptions};
pub(crate) use connect::connect;
pub use explain::{End, explain};
pub use self_signed::{MOST_DAYS, MOST_NAMES, Pair, self_signed};
pub use server::{MOST_IN_CHAIN, Server};

/// The longest text of certificates that is read: ten times the list of all public authorities. More is some other file.
pub const MOST_TEXT: usize = 4 * 1024 * 1024;

/// Why a certificate, a key or a name cannot be used. Always what the game gave, never what the network sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// There is no certificate in the text; what there is instead.
    NoCertificate(String),
    /// A certificate cannot be read: which one, and why.
    BadCertificate(String),
    /// There is no private key in the text; what there is instead.
    NoKey(String),
    /// The private key is protected by a password.
    EncryptedKey,
    /// The private key cannot be used, and why.
    BadKey(String),
    /// The private key belongs to another certificate.
    KeyMismatch(String),
    /// More than is sensible.
    TooMuch(String),
    /// The host is neither a name nor an address.
    BadName(String),
    /// A certificate could not be made.
    NotMade(String),
    /// The TLS library refused the settings.
    Settings(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate(found) => write!(formatter, "no certificate in it: {found}"),
            Self::BadCertificate(why) => write!(formatter, "a certificate cannot be used: {why}"),
            Self::NoKey(found) => write!(formatter, "no private key in it: {found}"),
            Self::EncryptedKey => {
                formatter.write_str("the private key is encrypted with a password; save it without one")
            }
            Self::BadKey(why) => write!(formatter, "the private key cannot be used: {why}"),
            Self::KeyMismatch(why) => {
                write!(formatter, "the private key does not belong to the certificate: {why}")
            }
            Self::TooMuch(why) => formatter.write_str(why),
            Self::BadName(host) => {
                write!(formatter, "{host:?} is neither a host name in ASCII letters nor an address")
            }
            Self::NotMade(why) => write!(formatter, "the certificate could not be made: {why}"),
            Self::Settings(why) => write!(formatter, "TLS could not be set up: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The cryptography. Handed over each time: a default of the process belongs to the program, and another library in it may
/// have set its own.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What a fault in our own use of rustls is told as.
fn settings(error: rustls::Error) -> TlsError {
    TlsError::Settings(error.to_string())
}
