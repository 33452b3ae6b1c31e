//! The certificate that this process shows to the other ends of its WebRTC connections.
//!
//! Nobody signs it: each end tells its hash in its description, over whatever way the game has for that, and only a
//! certificate with that hash is accepted. One serves all connections of a process, and is made with the first.

use std::sync::OnceLock;

use super::description::Fingerprint;
use crate::random;

/// A certificate with its key, and its hash.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// DER.
    pub(super) certificate: Vec<u8>,
    /// PKCS #8, DER.
    pub(super) key: Vec<u8>,
    pub(super) fingerprint: Fingerprint,
}

/// This process's.
///
/// # Errors
///
/// A sentence, if the system has no randomness.
pub(super) fn own() -> Result<&'static Identity, String> {
    static OWN: OnceLock<Result<Identity, String>> = OnceLock::new();
    OWN.get_or_init(make).as_ref().map_err(Clone::clone)
}

fn make() -> Result<Identity, String> {
    let failed = |error: rcgen::Error| format!("no certificate could be made: {error}");
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "WebRTC");
    // A number that is no other's; positive, and without leading zeros.
    let number = [0x40 | (random::word() as u8 & 0x3F), random::word() as u8, random::word() as u8];
    parameters.serial_number = Some(number.to_vec().into());
    let certificate = parameters.self_signed(&key).map_err(failed)?.der().to_vec();
    let fingerprint = fingerprint_of(&certificate);
    Ok(Identity { certificate, key: key.serialize_der(), fingerprint })
}

/// The hash that a description tells of a certificate.
pub(super) fn fingerprint_of(certificate: &[u8]) -> Fingerprint {
    let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(hash.as_ref());
    fingerprint
}
