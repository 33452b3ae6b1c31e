//! A server's side: the certificate it shows, with its chain, and the key that goes with it.
//!
//! Everything that can be wrong with what the game gave is found in [`Server::new`], with a sentence; what is only doubtful
//! (an expired certificate, a chain out of order) is for [`Server::remarks`], since the engine's server starts with such
//! ones too.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Any, Decode, Encode, Tag, Tagged};

use super::certificate::{Facts, date};
use super::{TlsError, pem, provider, settings};

/// The longest chain that is shown: a certificate, the eight intermediate ones that the engine's clients follow, and the
/// authority. A longer text is some other file.
pub const MOST_IN_CHAIN: usize = 10;

/// A certificate that ends within this time is worth a word.
const ENDS_SOON_SECS: u64 = 7 * 24 * 60 * 60;

/// What RSA keys may be, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// What a server shows. Clones share it.
#[derive(Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    /// What is known of the chain, the server's own first. Those that could not be read are missing.
    facts: Arc<[Facts]>,
    had_repeats: bool,
}

impl Server {
    /// A chain as PEM text, the server's own certificate first, and its key (PKCS#1, PKCS#8 or SEC1, without a password).
    pub fn new(certificates_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let mut chain = pem::certificates(certificates_pem)?;
        let had_repeats = leave_out_repeats(&mut chain);
        if chain.len() > MOST_IN_CHAIN {
            return Err(TlsError::TooMuch(format!(
                "{} certificates are too many for a server to show: {MOST_IN_CHAIN} at most",
                chain.len()
            )));
        }
        let facts = chain.iter().filter_map(|certificate| Facts::of(certificate).ok()).collect();
        let key = pem::key(key_pem)?;
        let provider = provider();
        let key = match provider.key_provider.load_private_key(key.clone_key()) {
            Ok(loaded) => loaded,
            Err(_) => return Err(TlsError::BadKey(what_is_wrong(&key))),
        };
        check_match(&chain, &key)?;
        let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(settings)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        // Sessions to resume would cost memory for each guest, and save a handshake of a millisecond.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), facts, had_repeats })
    }

    /// What tokio-rustls wants.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// What somebody who starts a server with it should know, a sentence each; usually nothing.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks_at(UnixTime::now())
    }

    fn remarks_at(&self, now: UnixTime) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.had_repeats {
            remarks.push(
                "a certificate is in the chain more than once and is shown once; if it came out of an \
                 X509Certificate, the engine repeats the first one in place of the others: load the file instead"
                    .to_owned(),
            );
        }
        let Some(own) = self.facts.first() else { return remarks };
        let ends = date(own.not_after());
        if own.check_date(now).is_ok() {
            if own.not_after().as_secs() - now.as_secs() < ENDS_SOON_SECS {
                remarks.push(format!("the certificate expires soon, on {ends}"));
            }
        } else if now > own.not_after() {
            remarks.push(format!("the certificate expired on {ends}: clients will refuse it"));
        } else {
            remarks
                .push(format!("the certificate is not valid yet on {}: clients will refuse it", date(now)));
        }
        if own.is_ed25519 {
            remarks.push(
                "the certificate has an Ed25519 key, which the engine's own clients do not know".into(),
            );
        }
        if !own.is_for_servers {
            remarks.push("the certificate is not meant for servers: clients will refuse it".to_owned());
        }
        if !own.has_alternative_names() {
            remarks.push(
                "the certificate has no alternative name: browsers refuse it, and clients that trust it by its \
                 authority"
                    .to_owned(),
            );
        }
        let broken = self.facts.windows(2).position(|pair| !pair[0].is_issued_by(&pair[1]));
        if let Some(position) = broken {
            remarks.push(format!(
                "the chain is broken: certificate {} was not issued by certificate {}",
                position + 1,
                position + 2
            ));
        }
        remarks
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.facts.first().map(Facts::names);
        formatter.debug_struct("Server").field("names", &names).finish_non_exhaustive()
    }
}

fn leave_out_repeats(chain: &mut Vec<CertificateDer<'static>>) -> bool {
    let mut kept: Vec<CertificateDer<'static>> = Vec::new();
    let given = chain.len();
    for certificate in chain.drain(..) {
        // One beyond the limit is enough to know.
        if kept.len() <= MOST_IN_CHAIN && !kept.contains(&certificate) {
            kept.push(certificate);
        }
    }
    *chain = kept;
    chain.len() < given && chain.len() <= MOST_IN_CHAIN
}

/// Whether the key is the first certificate's.
fn check_match(chain: &[CertificateDer<'static>], key: &Arc<dyn SigningKey>) -> Result<(), TlsError> {
    let matches = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], key.clone()).keys_match()
    };
    let Some((own, others)) = chain.split_first() else {
        return Err(TlsError::NoCertificate("the chain is empty".to_owned()));
    };
    match matches(own) {
        Ok(()) => Ok(()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::KeyMismatch(match others.iter().position(|other| matches(other).is_ok()) {
                Some(position) => format!(
                    "it belongs to certificate {}; the server's own must be the first of the chain",
                    position + 2
                ),
                None => "they were not made together".to_owned(),
            }))
        }
        Err(error) => Err(TlsError::BadCertificate(format!("number 1: {error}"))),
    }
}

/// Why a key was refused, of which the library only says that it was.
fn what_is_wrong(key: &PrivateKeyDer<'_>) -> String {
    match key {
        PrivateKeyDer::Pkcs1(key) => rsa(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Sec1(_) => ELLIPTIC_FAULT.to_owned(),
        _ => UNKNOWN_FAULT.to_owned(),
    }
}

const ELLIPTIC_FAULT: &str = "it is an elliptic curve key that is neither P-256 nor P-384, or is damaged";
const UNKNOWN_FAULT: &str = "it is none of RSA, elliptic curve (P-256, P-384) and Ed25519, or is damaged";

fn pkcs8(der: &[u8]) -> String {
    // PrivateKeyInfo: version, algorithm, key.
    let Ok(parts) = Vec::<Any>::from_der(der) else { return UNKNOWN_FAULT.to_owned() };
    let algorithm = parts.get(1).and_then(|algorithm| algorithm.to_der().ok());
    let algorithm = algorithm.and_then(|algorithm| Vec::<Any>::from_der(&algorithm).ok());
    let oid = algorithm.as_deref().and_then(<[Any]>::first).and_then(|oid| oid.decode_as().ok());
    match (oid, parts.get(2)) {
        (Some(RSA), Some(inner)) => rsa(inner.value()),
        (Some(ELLIPTIC), _) => ELLIPTIC_FAULT.to_owned(),
        _ => UNKNOWN_FAULT.to_owned(),
    }
}

fn rsa(der: &[u8]) -> String {
    // RSAPrivateKey: version, modulus, and seven more numbers.
    let parts = Vec::<Any>::from_der(der).unwrap_or_default();
    let modulus = parts.get(1).filter(|modulus| modulus.tag() == Tag::Integer).map(Any::value);
    let bits = modulus.map(|bytes| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let first = bytes.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
        (bytes.len() - zeros) * 8 - first
    });
    match bits {
        Some(bits) if !RSA_BITS.contains(&bits) => {
            format!("it is an RSA key of {bits} bits; {} to {} are needed", RSA_BITS.start(), RSA_BITS.end())
        }
        _ => "it is an RSA key that is damaged".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    const CERTIFICATE: &str = include_str!("fixtures/godot.crt");
    const KEY: &str = include_str!("fixtures/godot.key");
    const OTHER: &str = include_str!("fixtures/other_godot.crt");

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn sentence(certificates: &str, key: &str) -> String {
        Server::new(certificates, key).expect_err("an error").to_string()
    }

    #[test]
    fn every_kind_of_key_is_taken() {
        let (ed_key, ed_certificate) = {
            let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
            let made = CertificateParams::new(["localhost".to_owned()]).expect("names").self_signed(&key);
            (key.serialize_pem(), made.expect("a certificate").pem())
        };
        let ec = crate::tls::self_signed(&["localhost".to_owned()], 1).expect("a pair");
        for (name, certificate, key) in [
            ("RSA in PKCS#1", CERTIFICATE, KEY),
            ("RSA in PKCS#8", CERTIFICATE, include_str!("fixtures/godot_pkcs8.key")),
            ("P-256 in SEC1", include_str!("fixtures/sec1.crt"), include_str!("fixtures/sec1.key")),
            ("P-256 in PKCS#8", &ec.certificate, &ec.key),
            ("Ed25519", &ed_certificate, &ed_key),
        ] {
            Server::new(certificate, key).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let remarks = Server::new(&ed_certificate, &ed_key).expect("a server").remarks();
        assert!(remarks.iter().any(|remark| remark.contains("Ed25519")), "{remarks:?}");
    }

    #[test]
    fn a_key_that_cannot_be_used_says_what_it_is() {
        let small = sentence(include_str!("fixtures/rsa_1024.crt"), include_str!("fixtures/rsa_1024.key"));
        assert!(small.contains("RSA key of 1024 bits; 2048 to 4096"), "{small}");
        let curve = sentence(include_str!("fixtures/p521.crt"), include_str!("fixtures/p521.key"));
        assert!(curve.contains("neither P-256 nor P-384"), "{curve}");
        let damaged = "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n";
        assert!(sentence(CERTIFICATE, damaged).contains("damaged"));
        let encrypted = sentence(CERTIFICATE, include_str!("fixtures/encrypted_pkcs8.key"));
        assert!(encrypted.contains("password"), "{encrypted}");
        assert!(sentence(CERTIFICATE, CERTIFICATE).contains("it holds CERTIFICATE"));
    }

    #[test]
    fn another_certificates_key_is_refused() {
        let said = sentence(OTHER, KEY);
        assert!(said.contains("does not belong"), "{said}");
        let said = sentence(&format!("{OTHER}{CERTIFICATE}"), KEY);
        assert!(said.contains("it belongs to certificate 2"), "{said}");
    }

    #[test]
    fn chains_without_an_end_and_without_a_certificate_are_refused() {
        assert!(sentence("", KEY).contains("it is empty"));
        assert!(sentence(KEY, KEY).contains("RSA PRIVATE KEY"));
        let many: String = (0..=MOST_IN_CHAIN)
            .map(|_| crate::tls::self_signed(&["a".to_owned()], 1).expect("a pair").certificate)
            .collect();
        assert!(sentence(&format!("{CERTIFICATE}{many}"), KEY).contains("too many"));
    }

    #[test]
    fn what_the_engine_makes_of_a_chain_is_shown_once_and_said() {
        let twice = format!("{CERTIFICATE}\u{FFFD}{CERTIFICATE}\u{FFFD}");
        let server = Server::new(&twice, KEY).expect("a server");
        assert_eq!(server.facts.len(), 1);
        assert!(server.remarks()[0].contains("more than once"));
    }

    #[test]
    fn dates_are_remarked_upon() {
        let server = Server::new(CERTIFICATE, KEY).expect("a server");
        let (first, last) = (1_388_534_400, 2_019_686_400);
        for (time, part) in [
            (first - 1, "not valid yet on 2013-12-31 23:59"),
            (last - 60, "expires soon, on 2034-01-01"),
            (last + 1, "expired on 2034-01-01"),
        ] {
            let remarks = server.remarks_at(at(time));
            assert!(remarks[0].contains(part), "{remarks:?}");
        }
        let remarks = server.remarks_at(at(first));
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].contains("no alternative name"));
        let good = crate::tls::self_signed(&["localhost".to_owned()], 30).expect("a pair");
        assert_eq!(Server::new(&good.certificate, &good.key).expect("a server").remarks(), [""; 0]);
    }

    #[test]
    fn a_broken_chain_is_remarked_upon() {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Authority");
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = Issuer::new(authority.clone(), KeyPair::generate().expect("a key"));
        let top = authority.self_signed(issuer.key()).expect("a certificate");
        let key = KeyPair::generate().expect("a key");
        let own = CertificateParams::new(["localhost".to_owned()]).expect("names");
        let own = own.signed_by(&key, &issuer).expect("a certificate");
        let whole = Server::new(&format!("{}{}", own.pem(), top.pem()), &key.serialize_pem());
        assert_eq!(whole.expect("a server").remarks(), [""; 0]);
        let broken = Server::new(&format!("{}{OTHER}", own.pem()), &key.serialize_pem());
        let remarks = broken.expect("a server").remarks();
        assert!(remarks[0].contains("certificate 1 was not issued by certificate 2"), "{remarks:?}");
    }

    #[test]
    fn a_server_keeps_no_sessions_and_shows_no_key() {
        let server = Server::new(CERTIFICATE, KEY).expect("a server");
        let config = server.config();
        assert!(!config.session_storage.can_cache() && !config.ticketer.enabled());
        assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
        assert!(config.alpn_protocols.is_empty());
        assert_eq!(format!("{server:?}"), "Server { names: Some([\"localhost\"]), .. }");
    }
}
