//! The user fragment and password by which two ends know each other's checks (RFC 8839, section 5.4).

/// Lengths of our own: 48 and 144 random bits, where the standard asks for 24 and 128.
const FRAGMENT: usize = 8;
const PASSWORD: usize = 24;

/// The longest fragment taken from a peer. The standard allows 256 characters; browsers send 4. Both ends' fragments
/// stand in one STUN attribute, and the ICE crate writes no more than 128 bytes of it.
const MAX_FRAGMENT: usize = 100;
const MAX_PASSWORD: usize = 256;

/// The 64 characters that the standard allows: one for six random bits.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What stands in a session description as `ice-ufrag` and `ice-pwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    /// New ones, from the operating system's random bytes.
    pub(crate) fn random() -> Credentials {
        let mut bytes = [0; FRAGMENT + PASSWORD];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .expect("the operating system gives random bytes");
        let text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
        let (ufrag, password) = text.split_at(FRAGMENT);
        Credentials { ufrag: ufrag.to_owned(), password: password.to_owned() }
    }

    /// Whether they may come from a peer; if not, a sentence that says why.
    pub(crate) fn check(&self) -> Result<(), String> {
        let allowed =
            |text: &str| text.bytes().all(|byte| ALPHABET.contains(&byte) || byte == b'-' || byte == b'_');
        if !(4..=MAX_FRAGMENT).contains(&self.ufrag.len()) || !allowed(&self.ufrag) {
            return Err(format!(
                "the ice-ufrag is not of 4 to {MAX_FRAGMENT} letters, digits, plus signs and slashes"
            ));
        }
        if !(22..=MAX_PASSWORD).contains(&self.password.len()) || !allowed(&self.password) {
            return Err(format!(
                "the ice-pwd is not of 22 to {MAX_PASSWORD} letters, digits, plus signs and slashes"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_credentials_differ_and_pass_their_own_check() {
        let (one, other) = (Credentials::random(), Credentials::random());
        assert_ne!(one, other);
        one.check().expect("allowed");
    }

    #[test]
    fn what_a_check_could_not_carry_is_refused() {
        let good = Credentials::random();
        for ufrag in ["abc".to_owned(), "a".repeat(101), "ab:cd".to_owned(), "abc\n".to_owned()] {
            let bad = Credentials { ufrag, ..good.clone() };
            assert!(bad.check().expect_err("refused").contains("ice-ufrag"));
        }
        for password in ["short".to_owned(), "p".repeat(257), format!("{} ", "p".repeat(30))] {
            let bad = Credentials { password, ..good.clone() };
            assert!(bad.check().expect_err("refused").contains("ice-pwd"));
        }
    }
}
