//! Whether a server's certificate is to be trusted: the one place where that is decided.
//!
//! In this order:
//! 1. A client that verifies nothing takes any certificate.
//! 2. A certificate that is, byte for byte, one of those that the game named is good if it is in date, may be a server's,
//!    and is for the host (or for the name that the game asks for instead). It need not be signed by anybody. This is the
//!    door for the engine's own certificates: they call themselves an authority's and have only a common name, so webpki
//!    has two grounds to refuse them.
//! 3. Everything else is webpki's matter, with the authorities among the named certificates, or the system's, as roots. What
//!    is named but is no authority's is no root: its key signs nothing for us (webpki itself would not ask). For what an
//!    authority of the game's own has signed, a common name counts where there is no alternative one, as in the engine.
//!
//! The signature that proves that the server holds the certificate's key is always verified. As in the engine, a client
//! that is unsafe but names certificates has the chain checked and only the name not.
//!
//! Called by rustls on the network thread with what the network sent; time is an argument.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::TlsError;
use super::certificate::Facts;

/// What a client believes.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// Whatever is shown.
    Anything,
    /// What these vouch for.
    These {
        /// Certificates that may be shown as they are.
        exact: Vec<(CertificateDer<'static>, Facts)>,
        /// Authorities.
        roots: Arc<RootCertStore>,
        /// Whether the certificate must be for the host.
        names_count: bool,
        /// Whether a name may stand in the old place.
        common_names_count: bool,
    },
}

impl Trust {
    /// In the certificates that a game named. Those that cannot be read are left out, as the engine does, if others can.
    pub(super) fn in_certificates(
        certificates: Vec<CertificateDer<'static>>,
        names_count: bool,
    ) -> Result<Self, TlsError> {
        let mut exact = Vec::new();
        let mut roots = RootCertStore::empty();
        let mut unreadable = None;
        for (index, certificate) in certificates.into_iter().enumerate() {
            match Facts::of(&certificate) {
                Ok(facts) => {
                    if facts.may_sign
                        && let Err(error) = roots.add(certificate.clone())
                    {
                        tracing::debug!("trusted certificate {} can be no root: {error}", index + 1);
                    }
                    exact.push((certificate, facts));
                }
                Err(why) => unreadable = Some(format!("number {}: {why}", index + 1)),
            }
        }
        match unreadable {
            Some(why) if exact.is_empty() => return Err(TlsError::BadCertificate(why)),
            Some(why) => tracing::warn!("a trusted certificate cannot be read and is left out: {why}"),
            None => {}
        }
        Ok(Self::These { exact, roots: Arc::new(roots), names_count, common_names_count: true })
    }

    /// In the authorities of the system.
    pub(super) fn in_roots(roots: Arc<RootCertStore>) -> Self {
        Self::These { exact: Vec::new(), roots, names_count: true, common_names_count: false }
    }
}

/// Asks [`Trust`] for rustls.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    /// The name that a certificate must be for, if not the host's.
    common_name: Option<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(trust: Trust, common_name: Option<String>, provider: &CryptoProvider) -> Self {
        Self { trust, common_name, algorithms: provider.signature_verification_algorithms }
    }

    fn check(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let Trust::These { exact, roots, names_count, common_names_count } = &self.trust else {
            return Ok(());
        };
        if let Some((_, facts)) = exact.iter().find(|(certificate, _)| certificate == shown) {
            return self.check_exact(facts, host, *names_count, now);
        }
        let parsed = ParsedCertificate::try_from(shown)?;
        // webpki's word for this is that an authority's certificate was shown, which helps nobody.
        if Facts::of(shown).is_ok_and(|facts| facts.is_authority && facts.is_self_issued()) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
            .map_err(in_words_of_trust)?;
        if !names_count {
            return Ok(());
        }
        let wanted = self.common_name.as_deref().map_or_else(
            || Some(host.clone()),
            |name| ServerName::try_from(name).ok().map(|name| name.to_owned()),
        );
        if wanted.is_some_and(|name| verify_server_name(&parsed, &name).is_ok()) {
            return Ok(());
        }
        let facts = Facts::of(shown).ok();
        let in_the_old_place =
            |facts: &Facts| !facts.has_alternative_names() && facts.is_for(&self.wanted(host));
        if *common_names_count && facts.as_ref().is_some_and(in_the_old_place) {
            return Ok(());
        }
        Err(self.wrong_name(facts.as_ref(), host))
    }

    fn check_exact(
        &self,
        facts: &Facts,
        host: &ServerName<'_>,
        names_count: bool,
        now: UnixTime,
    ) -> Result<(), Error> {
        facts.check_date(now)?;
        if !facts.is_for_servers {
            return Err(CertificateError::InvalidPurpose.into());
        }
        if names_count && !facts.is_for(&self.wanted(host)) {
            return Err(self.wrong_name(Some(facts), host));
        }
        Ok(())
    }

    fn wanted(&self, host: &ServerName<'_>) -> String {
        self.common_name.clone().unwrap_or_else(|| host.to_str().into_owned())
    }

    fn wrong_name(&self, facts: Option<&Facts>, host: &ServerName<'_>) -> Error {
        let wanted = self.wanted(host);
        let mut presented = facts.map(Facts::names).unwrap_or_default();
        // Such a name counts only for those whom the game has named.
        if facts.is_some_and(|facts| !facts.has_alternative_names() && facts.is_for(&wanted)) {
            presented = presented.iter().map(|name| format!("{name} {ONLY_COMMON}")).collect();
        }
        match ServerName::try_from(wanted.as_str()) {
            Ok(name) => {
                CertificateError::NotValidForNameContext { expected: name.to_owned(), presented }.into()
            }
            Err(_) => {
                let wrong = WrongName { wanted, presented };
                CertificateError::Other(OtherError(Arc::new(wrong))).into()
            }
        }
    }
}

/// An authority of the same name, but of another key, has not signed it either: that the signature does not fit is only how
/// webpki found out.
fn in_words_of_trust(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => CertificateError::UnknownIssuer.into(),
        error => error,
    }
}

/// What is said of a name that would fit if it stood in the right place.
const ONLY_COMMON: &str = "(as common name only, not as alternative name)";

/// The certificate is not for the name that the game asks for, which no host could have.
#[derive(Debug)]
pub(super) struct WrongName {
    pub(super) wanted: String,
    pub(super) presented: Vec<String>,
}

impl fmt::Display for WrongName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "for {}, not for {}", self.presented.join(", "), self.wanted)
    }
}

impl std::error::Error for WrongName {}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
