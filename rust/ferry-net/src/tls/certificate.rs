//! What a certificate says: names, dates, and what it may be used for.
//!
//! Only for the questions that webpki does not answer: whether a certificate that the game trusts as it is fits the host,
//! and sentences about one. The rules for names are the engine's (mbedTLS): alternative names count alone where there are
//! any, the common names otherwise; letters of either case; `*` stands for the first label, whole and alone; an address is
//! compared as a number with alternative names, and as text with a common name.
//!
//! A certificate may come from the network, so everything here may fail and nothing may panic.

use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{self, Any, DateTime, Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const FOR_SERVERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const FOR_ANYTHING: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Where a certificate says its version, if it does, and where its extensions are.
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };

/// What is read of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The names it is for, if it has alternative names at all.
    alternative_names: Option<Vec<AlternativeName>>,
    /// The names of its holder, which count where there are no alternative ones.
    common_names: Vec<String>,
    not_before: UnixTime,
    not_after: UnixTime,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    /// Whether it is an authority's, as it says itself.
    pub(super) is_authority: bool,
    /// Whether it may sign other certificates.
    pub(super) may_sign: bool,
    /// Whether it may be a server's.
    pub(super) is_for_servers: bool,
    /// Whether its key is of the kind that the engine's own TLS does not know.
    pub(super) is_ed25519: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AlternativeName {
    Dns(String),
    Ip(IpAddr),
}

impl Facts {
    /// Reads a certificate; a phrase if it cannot be read.
    pub(super) fn of(der: &CertificateDer<'_>) -> Result<Self, String> {
        let body = Body::read(der).map_err(|error| error.to_string())?;
        let constraints: Option<BasicConstraints> = body.extension().map_err(|error| error.to_string())?;
        let usage: Option<KeyUsage> = body.extension().map_err(|error| error.to_string())?;
        let purposes: Option<ExtendedKeyUsage> = body.extension().map_err(|error| error.to_string())?;
        let is_authority = constraints.is_some_and(|constraints| constraints.ca);
        let encoded = |name: &Name| name.to_der().map_err(|error| error.to_string());
        Ok(Self {
            alternative_names: alternative_names(&body),
            common_names: common_names(&body.subject),
            not_before: UnixTime::since_unix_epoch(body.validity.not_before.to_unix_duration()),
            not_after: UnixTime::since_unix_epoch(body.validity.not_after.to_unix_duration()),
            subject: encoded(&body.subject)?,
            issuer: encoded(&body.issuer)?,
            is_authority,
            may_sign: is_authority && usage.is_none_or(|usage| usage.key_cert_sign()),
            is_for_servers: purposes.is_none_or(|purposes| {
                purposes.0.iter().any(|purpose| *purpose == FOR_SERVERS || *purpose == FOR_ANYTHING)
            }),
            is_ed25519: body.key.algorithm.oid == ED25519,
        })
    }

    /// Whether its holder is its own issuer, by name.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether another certificate's holder issued it, by name.
    pub(super) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
    }

    /// Whether it is in date.
    pub(super) fn check_date(&self, now: UnixTime) -> Result<(), CertificateError> {
        if now < self.not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after: self.not_after });
        }
        Ok(())
    }

    /// When it ends.
    pub(super) fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether it has alternative names, which is where everybody but the engine looks for a host's name.
    pub(super) fn has_alternative_names(&self) -> bool {
        self.alternative_names.is_some()
    }

    /// Whether it is for this host: a name or an address.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let ip = host.parse::<IpAddr>().ok();
        match &self.alternative_names {
            Some(names) => names.iter().any(|name| match (name, ip) {
                (AlternativeName::Ip(own), Some(ip)) => own.to_canonical() == ip.to_canonical(),
                (AlternativeName::Dns(pattern), None) => fits(pattern, host),
                _ => false,
            }),
            None if ip.is_some() => self.common_names.iter().any(|name| name.eq_ignore_ascii_case(host)),
            None => self.common_names.iter().any(|name| fits(name, host)),
        }
    }

    /// The names it is for, for people.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.alternative_names {
            Some(names) => names
                .iter()
                .map(|name| match name {
                    AlternativeName::Dns(name) => name.clone(),
                    AlternativeName::Ip(ip) => ip.to_string(),
                })
                .collect(),
            None => self.common_names.clone(),
        }
    }
}

/// What is looked at of a certificate. x509-cert's own type also reads the serial number, and refuses one that is not
/// written in the shortest way; of those that the engine makes, one in 256 is not.
struct Body {
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfoOwned,
    extensions: Vec<Extension>,
}

impl Body {
    fn read(der: &[u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let body = reader.sequence(|certificate: &mut SliceReader<'_>| {
            let body = certificate.sequence(Self::read_signed)?;
            let (_algorithm, _signature) = (AnyRef::decode(certificate)?, AnyRef::decode(certificate)?);
            der::Result::Ok(body)
        })?;
        reader.finish()?;
        Ok(body)
    }

    fn read_signed(reader: &mut SliceReader<'_>) -> der::Result<Self> {
        if AnyRef::decode(reader)?.tag() == VERSION {
            let _serial = AnyRef::decode(reader)?;
        }
        let _algorithm = AnyRef::decode(reader)?;
        let mut this = Self {
            issuer: Name::decode(reader)?,
            validity: Validity::decode(reader)?,
            subject: Name::decode(reader)?,
            key: SubjectPublicKeyInfoOwned::decode(reader)?,
            extensions: Vec::new(),
        };
        while !reader.is_finished() {
            let part = AnyRef::decode(reader)?;
            if part.tag() == EXTENSIONS {
                this.extensions = Vec::from_der(part.value())?;
            }
        }
        Ok(this)
    }

    /// An extension, if it is there.
    fn extension<'a, T: AssociatedOid + Decode<'a, Error = der::Error>>(&'a self) -> der::Result<Option<T>> {
        let found = self.extensions.iter().find(|extension| extension.extn_id == T::OID);
        found.map(|extension| T::from_der(extension.extn_value.as_bytes())).transpose()
    }
}

/// A name of a certificate, which may begin with a wildcard, and a host's name.
fn fits(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    if let Some(parent) = pattern.strip_prefix("*.") {
        // One label, and not an empty one.
        return host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent));
    }
    !pattern.is_empty() && pattern.eq_ignore_ascii_case(host)
}

/// The alternative names, if it has any. Those that cannot be read fit nothing, but are there.
fn alternative_names(body: &Body) -> Option<Vec<AlternativeName>> {
    let names = match body.extension::<SubjectAltName>() {
        Ok(None) => return None,
        Ok(Some(names)) => names.0,
        Err(_) => Vec::new(),
    };
    let name_of = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(AlternativeName::Dns(name.as_str().to_owned())),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).map(AlternativeName::Ip),
        _ => None,
    };
    Some(names.iter().filter_map(name_of).collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn common_names(subject: &Name) -> Vec<String> {
    subject.iter().filter(|part| part.oid == COMMON_NAME).filter_map(|part| text(&part.value)).collect()
}

/// The kinds of strings that hold ASCII or UTF-8; the others have been out of use for decades. A NUL within is a trick:
/// programs that stop there read another name.
fn text(value: &Any) -> Option<String> {
    let kinds = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String, Tag::TeletexString];
    let text = kinds.contains(&value.tag()).then(|| std::str::from_utf8(value.value()).ok()).flatten()?;
    (!text.contains('\0')).then(|| text.to_owned())
}

/// A time, for people.
pub(super) fn date(time: UnixTime) -> String {
    let since = std::time::Duration::from_secs(time.as_secs());
    match DateTime::from_unix_duration(since) {
        Ok(date) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02} UTC",
            date.year(),
            date.month(),
            date.day(),
            date.hour(),
            date.minutes()
        ),
        // Beyond the year 9999.
        Err(_) => format!("{} s after 1970", time.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DnType, IsCa, KeyPair, SanType};
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made by the engine, 4.6.3: `Crypto.generate_self_signed_certificate(key, "CN=localhost,O=Ferry,C=IT")`.
    const GODOT: &str = include_str!("fixtures/godot.crt");

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn godot() -> Facts {
        Facts::of(&CertificateDer::from_pem_slice(GODOT.as_bytes()).expect("PEM")).expect("a certificate")
    }

    fn made(names: &[SanType], common_name: &str) -> Facts {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().expect("a key");
        Facts::of(params.self_signed(&key).expect("a certificate").der()).expect("facts")
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().expect("ASCII"))
    }

    #[test]
    fn a_certificate_made_by_the_engine_is_read() {
        let facts = godot();
        assert!(facts.is_authority && facts.may_sign && facts.is_self_issued() && facts.is_for_servers);
        assert!(!facts.has_alternative_names() && !facts.is_ed25519);
        assert_eq!(facts.names(), ["localhost"]);
        assert_eq!(date(facts.not_before), "2014-01-01 00:00 UTC");
        assert_eq!(date(facts.not_after), "2034-01-01 00:00 UTC");
    }

    /// The engine writes twenty random bytes as the serial number, also if the shortest way would be nineteen.
    #[test]
    fn a_serial_number_that_is_not_written_in_the_shortest_way_is_borne() {
        let odd = include_str!("fixtures/odd_serial.crt");
        let facts = Facts::of(&CertificateDer::from_pem_slice(odd.as_bytes()).expect("PEM"));
        assert_eq!(facts.expect("a certificate").names(), ["localhost"]);
    }

    #[test]
    fn dates_count_to_the_second() {
        let facts = godot();
        let (first, last) = (1_388_534_400, 2_019_686_400);
        assert!(matches!(
            facts.check_date(at(first - 1)),
            Err(CertificateError::NotValidYetContext { time, not_before })
                if time == at(first - 1) && not_before == at(first)
        ));
        assert_eq!(facts.check_date(at(first)), Ok(()));
        assert_eq!(facts.check_date(at(last)), Ok(()));
        assert!(matches!(
            facts.check_date(at(last + 1)),
            Err(CertificateError::ExpiredContext { not_after, .. }) if not_after == at(last)
        ));
    }

    #[test]
    fn without_alternative_names_the_common_name_counts() {
        let facts = godot();
        for host in ["localhost", "LOCALHOST", "localhost."] {
            assert!(facts.is_for(host), "{host}");
        }
        for host in ["", "local", "localhost.example.com", "127.0.0.1", "Ferry", "*"] {
            assert!(!facts.is_for(host), "{host}");
        }
        assert!(made(&[], "127.0.0.1").is_for("127.0.0.1"));
        assert!(made(&[], "My Game").is_for("my game"));
        assert!(made(&[], "*.example.com").is_for("a.example.com"));
        assert!(!made(&[], "*.0.0.1").is_for("127.0.0.1"), "an address has no labels");
        assert!(!made(&[], "").is_for(""));
    }

    #[test]
    fn with_alternative_names_the_common_name_does_not_count() {
        let facts = made(&[dns("game.example")], "localhost");
        assert!(facts.is_for("game.example"));
        assert!(!facts.is_for("localhost"));
        let only_an_address = made(&[SanType::IpAddress(IpAddr::from([10, 0, 0, 1]))], "localhost");
        assert!(!only_an_address.is_for("localhost"));
    }

    #[test]
    fn a_wildcard_stands_for_one_whole_label() {
        let facts = made(&[dns("*.Example.com")], "x");
        for host in ["a.example.com", "A.EXAMPLE.COM", "xn--a.example.com"] {
            assert!(facts.is_for(host), "{host}");
        }
        for host in ["example.com", ".example.com", "a.b.example.com", "aexample.com"] {
            assert!(!facts.is_for(host), "{host}");
        }
        for pattern in ["a*.example.com", "*", "a.*.com"] {
            assert!(!made(&[dns(pattern)], "x").is_for("ab.example.com"), "{pattern}");
        }
    }

    #[test]
    fn addresses_are_compared_as_numbers() {
        let facts = made(&[SanType::IpAddress("fe80::1".parse().expect("an address"))], "x");
        assert!(facts.is_for("fe80:0:0:0:0:0:0:1"));
        assert!(!facts.is_for("fe80::2"));
        assert_eq!(facts.names(), ["fe80::1"]);
        let four = made(&[SanType::IpAddress(IpAddr::from([10, 0, 0, 1]))], "x");
        assert!(four.is_for("10.0.0.1") && four.is_for("::ffff:10.0.0.1"));
        assert!(!made(&[dns("10.0.0.1")], "x").is_for("10.0.0.1"), "an address written as a name");
    }

    #[test]
    fn an_authority_whose_key_may_not_sign_does_not() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let facts = Facts::of(params.self_signed(&key).expect("a certificate").der()).expect("facts");
        assert!(facts.is_authority && !facts.may_sign);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_survived() {
        let der = CertificateDer::from_pem_slice(GODOT.as_bytes()).expect("PEM");
        for end in 0..der.len() {
            assert!(Facts::of(&CertificateDer::from(&der[..end])).is_err(), "cut at {end}");
        }
        for index in 0..der.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut bytes = der.to_vec();
                bytes[index] ^= flip;
                if let Ok(facts) = Facts::of(&CertificateDer::from(bytes)) {
                    let _ = (facts.is_for("localhost"), facts.names(), facts.check_date(at(0)));
                }
            }
        }
    }

    #[test]
    fn dates_far_away_have_words_too() {
        assert_eq!(date(at(0)), "1970-01-01 00:00 UTC");
        assert!(date(at(u64::MAX)).contains("1970"));
    }
}
