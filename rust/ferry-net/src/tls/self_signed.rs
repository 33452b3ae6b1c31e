//! A certificate for development: signed by nobody but itself, for the names that it is asked for.
//!
//! What it is made of is what every client accepts that trusts it: a P-256 key, alternative names, the purpose of a server,
//! no authority over other certificates. The engine's own clients take it as trusted chain, Ferry's too.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use rustls::pki_types::{ServerName, UnixTime};

use super::TlsError;
use crate::address::without_brackets;

/// Names for one certificate. It travels with every handshake.
pub const MOST_NAMES: usize = 100;

/// Days that a certificate may last: a century.
pub const MOST_DAYS: u32 = 36_525;

/// The longest common name that there may be (RFC 5280, ub-common-name).
const LONGEST_COMMON_NAME: usize = 64;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate and its key, as PEM text.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// Makes a certificate for these host names (`*.` may stand in front) and addresses, that is valid from yesterday, for
/// clocks that go wrong, until so many days from now. Browsers take no more than 398 days.
pub fn self_signed(names: &[String], days: u32) -> Result<Pair, TlsError> {
    self_signed_at(names, days, UnixTime::now())
}

pub(super) fn self_signed_at(names: &[String], days: u32, now: UnixTime) -> Result<Pair, TlsError> {
    if names.is_empty() || names.len() > MOST_NAMES {
        return Err(TlsError::NotMade(format!("1 to {MOST_NAMES} names are needed, not {}", names.len())));
    }
    if days == 0 || days > MOST_DAYS {
        return Err(TlsError::NotMade(format!("it may last 1 to {MOST_DAYS} days, not {days}")));
    }
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
    params.distinguished_name = DistinguishedName::new();
    let common_name = if names[0].len() > LONGEST_COMMON_NAME { "self-signed" } else { &names[0] };
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    params.not_before = now - DAY;
    params.not_after = now + DAY * days;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let failed = |error: rcgen::Error| TlsError::NotMade(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn alternative_name(name: &str) -> Result<SanType, TlsError> {
    if let Ok(ip) = without_brackets(name).parse::<IpAddr>() {
        return Ok(SanType::IpAddress(ip));
    }
    let wrong = || TlsError::BadName(name.to_owned());
    let host = name.strip_prefix("*.").unwrap_or(name);
    if !matches!(ServerName::try_from(host), Ok(ServerName::DnsName(_))) {
        return Err(wrong());
    }
    Ia5String::try_from(name).map(SanType::DnsName).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::super::certificate::Facts;
    use super::super::pem;
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_is_for_the_names_and_addresses_and_for_the_time_asked() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let later = |seconds: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000_u64.saturating_add_signed(seconds)))
        };
        let list = names(&["game.example", "*.game.example", "127.0.0.1", "[::1]"]);
        let pair = self_signed_at(&list, 30, now).expect("a pair");
        let facts = Facts::of(&pem::certificates(&pair.certificate).expect("one")[0]).expect("facts");
        assert_eq!(facts.names(), ["game.example", "*.game.example", "127.0.0.1", "::1"]);
        assert!(facts.is_self_issued() && facts.is_for_servers && !facts.is_authority);
        let day = 24 * 60 * 60;
        for (seconds, good) in
            [(-day - 1, false), (-day, true), (0, true), (30 * day, true), (30 * day + 1, false)]
        {
            assert_eq!(facts.check_date(later(seconds)).is_ok(), good, "{seconds}");
        }
        assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn each_has_a_key_of_its_own_and_shows_it_to_no_log() {
        let list = names(&["localhost"]);
        let pair = self_signed(&list, 1).expect("a pair");
        assert_ne!(pair.key, self_signed(&list, 1).expect("a pair").key);
        assert_eq!(format!("{pair:?}"), "Pair { .. }");
    }

    #[test]
    fn what_no_certificate_could_be_for_is_refused() {
        for list in [&[][..], &[""], &["a b"], &["münchen.example"], &["*"], &["*.10.0.0.1"], &["a.*.b"]] {
            assert!(self_signed(&names(list), 1).is_err(), "{list:?}");
        }
        let many = vec!["a".to_owned(); MOST_NAMES + 1];
        assert!(self_signed(&many, 1).is_err());
        assert!(self_signed(&many[1..], MOST_DAYS).is_ok());
        for days in [0, MOST_DAYS + 1, u32::MAX] {
            assert!(self_signed(&names(&["a"]), days).is_err(), "{days}");
        }
    }

    #[test]
    fn a_name_too_long_to_be_a_common_one_is_an_alternative_one() {
        let long = format!("{}.example", "a".repeat(60));
        let pair = self_signed(std::slice::from_ref(&long), 1).expect("a pair");
        let facts = Facts::of(&pem::certificates(&pair.certificate).expect("one")[0]).expect("facts");
        assert!(facts.is_for(&long));
    }
}
