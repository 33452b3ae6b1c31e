//! Why a TLS handshake failed, in a sentence for whoever runs that end.
//!
//! tokio-rustls hands over an `io::Error`: with rustls' own error in it, or without one if the connection ended. What the
//! network sent is only named, never quoted at length: names out of a certificate are shortened and cleaned.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use super::certificate::date;
use super::trust::WrongName;

/// So many names of a certificate are told.
const NAMES_TOLD: usize = 5;

/// So many letters of each.
const LETTERS_TOLD: usize = 100;

/// Which end one is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that connected.
    Client,
    /// The one that was connected to.
    Server,
}

impl End {
    const fn other(self) -> &'static str {
        match self {
            Self::Client => "the server",
            Self::Server => "the client",
        }
    }
}

/// Why a TLS handshake failed, seen from this end.
pub fn explain(error: &io::Error, end: End) -> String {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return fault(error, end);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => match end {
            End::Client => "the server hung up during the TLS handshake; it may not speak TLS".to_owned(),
            End::Server => {
                "the client hung up during the TLS handshake; it may not trust the certificate, or \
                            not speak TLS"
                    .to_owned()
            }
        },
        _ => format!("the connection failed during the TLS handshake: {error}"),
    }
}

fn fault(error: &Error, end: End) -> String {
    let other = end.other();
    match error {
        Error::InvalidCertificate(error) => refused(error),
        Error::NoCertificatesPresented => format!("{other} showed no certificate"),
        Error::AlertReceived(alert) => alerted(*alert, end),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => match end {
            End::Client => "the server's answer is not TLS at all; is it a server without TLS?".to_owned(),
            End::Server => "what the client sent is not TLS at all; does it connect without TLS?".to_owned(),
        },
        Error::PeerIncompatible(what) => nothing_in_common(what, end),
        Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
            "the client asked for a server by a name that no host can have (its common name override?)"
                .to_owned()
        }
        Error::InvalidMessage(what) => format!("{other} sent a broken TLS message: {what:?}"),
        Error::PeerMisbehaved(what) => format!("{other} broke the rules of TLS: {what:?}"),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            format!("{other} broke the rules of TLS: {error}")
        }
        Error::DecryptError | Error::PeerSentOversizedRecord => {
            format!("what {other} sent could not be decrypted: it was changed on the way, or is not TLS")
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}

/// What a client has against a server's certificate.
fn refused(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the server's certificate expired on {}; it is {} by this machine's clock",
            date(*not_after),
            date(*time)
        ),
        CertificateError::Expired => "the server's certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the server's certificate is not valid before {}; it is {} by this machine's clock",
            date(*not_before),
            date(*time)
        ),
        CertificateError::NotValidYet => "the server's certificate is not valid yet".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            wrong_name(&expected.to_str(), presented)
        }
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by nobody that is trusted here: \
             it is self-signed, or its issuer is unknown, or the server leaves out part of the chain"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "a signature of the server does not fit its certificate, or was made \
             with an RSA key of less than 2048 bits"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the server's certificate has a key or a signature of a kind that is not supported".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for servers".to_owned()
        }
        CertificateError::BadEncoding => "the server's certificate cannot be read".to_owned(),
        CertificateError::Revoked => "the server's certificate was revoked".to_owned(),
        CertificateError::Other(other) => match other.0.downcast_ref::<WrongName>() {
            Some(wrong) => wrong_name(&wrong.wanted, &wrong.presented),
            None => unusable(&other.to_string()),
        },
        _ => format!("the server's certificate cannot be used: {error}"),
    }
}

/// What webpki has against a certificate beyond what rustls has words for. Its own words are those of its source.
fn unusable(what: &str) -> String {
    let why = match what {
        "CaUsedAsEndEntity" => "it is an authority's, not a server's",
        "EndEntityUsedAsCa" => "it was signed with a certificate that may not sign others",
        "UnsupportedCertVersion" => "it is of an old version (only version 3 is supported)",
        "NameConstraintViolation" => "its issuer may not sign certificates for its names",
        "PathLenConstraintViolated" => "its issuer may not be that far from the authority",
        other => &clean(other),
    };
    format!("the server's certificate cannot be used: {why}")
}

fn wrong_name(wanted: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!("the server's certificate is for no name at all, not for {wanted}");
    }
    let told: Vec<String> = presented.iter().take(NAMES_TOLD).map(|name| clean(name)).collect();
    let more = presented.len().saturating_sub(NAMES_TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the server's certificate is for {}{more}, not for {}", told.join(", "), clean(wanted))
}

/// What a stranger wrote, fit for a log.
fn clean(text: &str) -> String {
    text.chars().take(LETTERS_TOLD).map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// What the other end said before it hung up.
fn alerted(alert: AlertDescription, end: End) -> String {
    use AlertDescription as Alert;
    let other = end.other();
    if end == End::Server {
        let why = match alert {
            Alert::UnknownCA => "it does not know who signed it (unknown CA)",
            Alert::CertificateExpired => "it is expired or not yet valid by the client's clock",
            Alert::BadCertificate => "it is for another name, or cannot be read (bad certificate)",
            Alert::UnsupportedCertificate => "it is of a kind that the client does not take",
            Alert::CertificateRevoked => "it was revoked",
            Alert::CertificateUnknown => "for a reason it does not tell (certificate unknown)",
            Alert::AccessDenied => "it was refused (access denied)",
            Alert::DecryptError => "a signature does not fit",
            _ => "",
        };
        if !why.is_empty() {
            return format!("the client does not trust the certificate: {why}");
        }
    }
    match alert {
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            format!("{other} finds no cipher or key that both ends know")
        }
        Alert::ProtocolVersion => {
            format!("{other} knows no version of TLS that this end knows (1.2 and 1.3)")
        }
        Alert::UnrecognisedName => format!("{other} does not go by this name"),
        Alert::CertificateRequired | Alert::NoCertificate => {
            format!("{other} wants a certificate of the client, which there is none of")
        }
        Alert::CloseNotify | Alert::UserCanceled => format!("{other} ended the TLS handshake"),
        Alert::InternalError => format!("{other} failed during the TLS handshake (internal error)"),
        _ => format!("{other} refused the TLS handshake: {alert:?}"),
    }
}

fn nothing_in_common(what: &PeerIncompatible, end: End) -> String {
    let other = end.other();
    match what {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            format!("{other} knows no version of TLS that this end knows (1.2 and 1.3)")
        }
        PeerIncompatible::NoSignatureSchemesInCommon => match end {
            End::Server => {
                "the client cannot use this kind of certificate: no signature in common".to_owned()
            }
            End::Client => "the server knows no kind of signature that this end knows".to_owned(),
        },
        PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon => {
            format!("{other} knows no cipher or key exchange that this end knows")
        }
        _ => format!("{other} does not know what this end needs of TLS: {what:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;
    use rustls::pki_types::ServerName;

    use super::*;

    fn said(error: impl Into<Error>, end: End) -> String {
        explain(&io::Error::new(io::ErrorKind::InvalidData, error.into()), end)
    }

    #[test]
    fn names_are_told_up_to_a_bound_and_without_tricks() {
        let presented: Vec<String> = (0..9).map(|number| format!("host{number}")).collect();
        let expected = ServerName::try_from("game.example").expect("a name");
        let error = CertificateError::NotValidForNameContext { expected, presented };
        assert_eq!(
            said(error, End::Client),
            "the server's certificate is for host0, host1, host2, host3, host4 and 4 more, not for game.example"
        );
        let tricky = WrongName {
            wanted: "My Game".into(),
            presented: vec!["a\n\u{1b}[31mb".into(), "c".repeat(9999)],
        };
        let sentence = said(CertificateError::Other(OtherError(Arc::new(tricky))), End::Client);
        assert!(sentence.contains("a??[31mb") && sentence.ends_with("not for My Game"), "{sentence}");
        assert!(sentence.len() < 300);
        assert!(wrong_name("a", &[]).contains("no name at all"));
    }

    #[test]
    fn an_end_that_hangs_up_is_no_other_fault() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe]
        {
            assert!(explain(&kind.into(), End::Client).contains("the server hung up"), "{kind}");
            assert!(explain(&kind.into(), End::Server).contains("the client hung up"), "{kind}");
        }
        let other = explain(&io::Error::other("the cable burnt"), End::Client);
        assert!(other.contains("the cable burnt"), "{other}");
    }

    #[test]
    fn what_a_client_says_of_the_certificate_is_told_to_the_server() {
        for (alert, part) in [
            (AlertDescription::UnknownCA, "unknown CA"),
            (AlertDescription::CertificateExpired, "expired"),
            (AlertDescription::BadCertificate, "another name"),
            (AlertDescription::CertificateUnknown, "certificate unknown"),
        ] {
            let sentence = said(Error::AlertReceived(alert), End::Server);
            assert!(sentence.starts_with("the client does not trust the certificate"), "{sentence}");
            assert!(sentence.contains(part), "{sentence}");
        }
        let sentence = said(Error::AlertReceived(AlertDescription::ProtocolVersion), End::Client);
        assert!(sentence.contains("the server knows no version"), "{sentence}");
        let unheard_of = said(Error::AlertReceived(AlertDescription::Unknown(200)), End::Client);
        assert!(unheard_of.contains("the server refused the TLS handshake"), "{unheard_of}");
    }

    #[test]
    fn no_explanation_is_empty() {
        for end in [End::Client, End::Server] {
            for byte in 0..=u8::MAX {
                assert!(!said(Error::AlertReceived(byte.into()), end).is_empty());
            }
        }
    }
}
