//! Certificates and keys out of text, and sentences that name what was found where they should be.
//!
//! The text comes from the game: from a file, or out of the engine's objects. The engine's `X509Certificate` leaves the end
//! of a C string behind each certificate, which is U+FFFD by the time it gets here, so that and NUL are dropped.

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{MOST_TEXT, TlsError};

/// So many labels are named in a sentence; whoever gave a bundle of hundreds knows what it is.
const LABELS_NAMED: usize = 4;

/// All certificates of a text, in their order; one at least.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = clean(text)?;
    let mut certificates = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let position = certificates.len() + 1;
        let (kind, der) = section.map_err(|error| {
            TlsError::BadCertificate(format!("number {position} is damaged: {}", damage(&error)))
        })?;
        if kind == SectionKind::Certificate {
            certificates.push(CertificateDer::from(der));
        }
    }
    if certificates.is_empty() { Err(TlsError::NoCertificate(found(&text))) } else { Ok(certificates) }
}

/// The private key of a text.
pub(super) fn key(text: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = clean(text)?;
    if is_encrypted(&text) {
        return Err(TlsError::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(found(&text)),
        error => TlsError::BadKey(format!("it is damaged: {}", damage(&error))),
    })
}

fn clean(text: &str) -> Result<String, TlsError> {
    if text.len() > MOST_TEXT {
        return Err(TlsError::TooMuch(format!(
            "{} bytes are too many for certificates: {MOST_TEXT} at most",
            text.len()
        )));
    }
    Ok(text.replace(['\0', '\u{FFFD}', '\u{FEFF}'], ""))
}

/// A password is named in the label of newer files, and in a line below it of older ones.
fn is_encrypted(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        line == "-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || (line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    })
}

/// What a text is, if it is not what was asked for. Never quotes what is between the marks: it may be a key.
fn found(text: &str) -> String {
    if text.trim().is_empty() {
        return "it is empty".to_owned();
    }
    let mut labels = Vec::new();
    for line in text.lines() {
        let label = line.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        if let Some(label) = label
            && !labels.contains(&label)
        {
            labels.push(label);
        }
    }
    if labels.is_empty() {
        return "it is not PEM text (no \"-----BEGIN ...-----\" line)".to_owned();
    }
    let more = if labels.len() > LABELS_NAMED { " and others" } else { "" };
    labels.truncate(LABELS_NAMED);
    format!("it holds {}{more}", labels.join(", "))
}

/// The library's sentences quote the text, as numbers.
fn damage(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its \"-----END ...-----\" line is missing",
        pem::Error::IllegalSectionStart { .. } => "a \"-----BEGIN ...-----\" line is incomplete",
        pem::Error::Base64Decode(_) => "what is between its first and last line is not Base64",
        _ => "it is not PEM text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = include_str!("fixtures/godot.crt");
    const KEY: &str = include_str!("fixtures/godot.key");

    fn sentence<T>(result: Result<T, TlsError>) -> String {
        result.err().expect("an error").to_string()
    }

    #[test]
    fn what_the_engine_leaves_between_certificates_is_no_part_of_them() {
        let plain = certificates(CERTIFICATE).expect("one");
        let twice = format!("{CERTIFICATE}\u{FFFD}{CERTIFICATE}\0");
        assert_eq!(certificates(&twice).expect("two"), [plain[0].clone(), plain[0].clone()]);
        assert_eq!(certificates(&CERTIFICATE.replace('\n', "\r\n")).expect("as Windows writes it"), plain);
    }

    #[test]
    fn all_four_ways_to_write_a_key_are_read() {
        for (name, text) in [
            ("PKCS#1", KEY),
            ("PKCS#8", include_str!("fixtures/godot_pkcs8.key")),
            ("SEC1", include_str!("fixtures/sec1.key")),
        ] {
            assert!(key(text).is_ok(), "{name}");
        }
        assert!(key(&format!("{CERTIFICATE}{KEY}")).is_ok(), "a file with both");
    }

    #[test]
    fn a_key_with_a_password_says_so_in_both_ways_to_write_it() {
        for text in
            [include_str!("fixtures/encrypted_pkcs1.key"), include_str!("fixtures/encrypted_pkcs8.key")]
        {
            assert_eq!(key(text).err(), Some(TlsError::EncryptedKey));
        }
    }

    #[test]
    fn what_was_found_instead_is_named() {
        assert!(sentence(certificates("")).contains("it is empty"));
        assert!(sentence(certificates("hello")).contains("not PEM text"));
        assert!(sentence(certificates(KEY)).contains("it holds RSA PRIVATE KEY"));
        assert!(sentence(key(CERTIFICATE)).contains("it holds CERTIFICATE"));
        let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(sentence(key(ssh)).contains("OPENSSH PRIVATE KEY"));
    }

    #[test]
    fn damaged_text_says_where_and_never_quotes_a_key() {
        let cut = &CERTIFICATE[..CERTIFICATE.len() / 2];
        assert!(sentence(certificates(&format!("{CERTIFICATE}{cut}"))).contains("number 2"));
        assert!(sentence(certificates(&CERTIFICATE.replace("MII", "!!!"))).contains("not Base64"));
        let said = sentence(key(&KEY[..KEY.len() / 2]));
        assert!(said.contains("END"), "{said}");
        let secret = KEY.lines().nth(1).expect("a line");
        assert!(!said.contains(secret));
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        assert!(matches!(certificates(&" ".repeat(MOST_TEXT + 1)), Err(TlsError::TooMuch(_))));
    }
}
