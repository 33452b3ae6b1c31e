//! `TLSOptions`: as an argument that may be left out, since gdext takes default values of plain types only; and what they say,
//! as ferry-net takes it.

use ferry_net::tls::{Client, ClientOptions, Server};
use godot::classes::{CryptoKey, Engine, FileAccess, ProjectSettings, TlsOptions, X509Certificate};
use godot::meta::conv::ByValue;
use godot::meta::{FromGodot, GodotConvert, GodotImmutable, ToGodot};
use godot::prelude::*;

/// Where a certificate object keeps the text that it was made from.
const WHOLE_TEXT: &str = "ferry_certificates";

/// The project setting that names a file of trusted certificates.
const TRUST_SETTING: &str = "network/tls/certificate_bundle_override";

/// `TLSOptions`, or null.
#[derive(Clone, Debug)]
pub(crate) struct OptionalTlsOptions(Option<Gd<TlsOptions>>);

impl OptionalTlsOptions {
    pub(crate) const NONE: Self = Self(None);

    /// What a client is to trust: without options, whom the system trusts.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with them.
    pub(crate) fn client(&self) -> Result<Client, String> {
        let Some(options) = &self.0 else { return client(None, None, true) };
        if options.is_server() {
            return Err(
                "These TLSOptions are a server's: a client takes TLSOptions.client() or client_unsafe()."
                    .to_owned(),
            );
        }
        let trusted = options.get_trusted_ca_chain().map(|mut chain| text_of_certificate(&mut chain));
        if trusted.as_ref().is_some_and(|text| first_block_repeats(text)) {
            godot_warn!(
                "The engine tells only the first certificate of several, and the others are not trusted: load() them from a \
                 file, which Ferry reads itself."
            );
        }
        let name = options.get_common_name_override().to_string();
        client(trusted, Some(name), !options.is_unsafe_client())
    }

    /// What a server shows; `None` without options.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with them.
    pub(crate) fn server(&self) -> Result<Option<Server>, String> {
        self.0.as_ref().map(server).transpose()
    }
}

fn client(trusted: Option<String>, common_name: Option<String>, verify: bool) -> Result<Client, String> {
    // Who verifies nothing needs nobody to trust.
    let trusted = if verify { trusted.or_else(trusted_by_project) } else { trusted };
    Client::new(&ClientOptions { trusted, common_name, verify })
        .map_err(|error| format!("These TLSOptions are of no use: {error}."))
}

/// What a server shows.
///
/// # Errors
///
/// A sentence that says what is wrong with the options.
pub(crate) fn server(options: &Gd<TlsOptions>) -> Result<Server, String> {
    if !options.is_server() {
        return Err("These TLSOptions are a client's: a server takes TLSOptions.server().".to_owned());
    }
    let certificates = options.get_own_certificate().map(|mut chain| text_of_certificate(&mut chain));
    let key = options.get_private_key().map(|mut key| text_of_key(&mut key));
    let (Some(certificates), Some(key)) = (certificates, key) else {
        return Err("These TLSOptions have no certificate or no key.".to_owned());
    };
    let server = Server::new(&certificates, &key)
        .map_err(|error| format!("These TLSOptions are of no use: {error}."))?;
    for remark in server.remarks() {
        godot_warn!("TLSOptions: {remark}.");
    }
    Ok(server)
}

/// Remembers the whole text of a certificate object that this library made.
pub(crate) fn remember_text(certificate: &mut Gd<X509Certificate>, text: &str) {
    certificate.set_meta(WHOLE_TEXT, &text.to_variant());
}

/// All certificates of an object. It is the engine that reads and writes them, and what it writes is the first one, as many
/// times as there are others. So the text is taken from where it came from, if that still is that text.
fn text_of_certificate(certificate: &mut Gd<X509Certificate>) -> String {
    let written = written(certificate);
    let first = first_block(&written);
    let is_remembered = certificate.has_meta(WHOLE_TEXT);
    let remembered =
        is_remembered.then(|| certificate.get_meta(WHOLE_TEXT).try_to::<GString>().ok()).flatten();
    let path = certificate.get_path();
    let read = (!path.is_empty()).then(|| FileAccess::get_file_as_string(&path));
    let whole = remembered.into_iter().chain(read).map(|text| text.to_string());
    if let Some(whole) = whole.into_iter().find(|whole| !first.is_empty() && first_block(whole) == first) {
        return whole;
    }
    written
}

/// As the engine writes it. It counts the zeros at the end of its texts as letters, and prints an error for each, which would
/// tell a game's author of a fault that is none.
fn written(certificate: &mut Gd<X509Certificate>) -> String {
    let mut engine = Engine::singleton();
    let was_printing = engine.is_printing_error_messages();
    engine.set_print_error_messages(false);
    let text = certificate.save_to_string().to_string();
    engine.set_print_error_messages(was_printing);
    text
}

const BLOCK_END: &str = "-----END CERTIFICATE-----";

/// The first certificate's base64, without line ends.
fn first_block(pem: &str) -> String {
    let body = pem.split_once("-----BEGIN CERTIFICATE-----").and_then(|(_, rest)| rest.split_once(BLOCK_END));
    body.map_or_else(String::new, |(body, _)| body.split_whitespace().collect())
}

/// Whether the engine has left out others.
fn first_block_repeats(pem: &str) -> bool {
    let second = pem.split_once(BLOCK_END).map(|(_, rest)| first_block(rest)).unwrap_or_default();
    !second.is_empty() && second == first_block(pem)
}

/// The certificates that this project trusts instead of the system's: a setting that the engine's own TLS heeds.
fn trusted_by_project() -> Option<String> {
    let settings = ProjectSettings::singleton();
    let path = settings
        .get_setting_ex(TRUST_SETTING)
        .done()
        .try_to::<GString>()
        .ok()
        .filter(|path| !path.is_empty())?;
    let text = FileAccess::get_file_as_string(&path).to_string();
    if text.is_empty() {
        godot_error!("{TRUST_SETTING}: nothing can be read from {path}.");
        return None;
    }
    Some(text)
}

fn text_of_key(key: &mut Gd<CryptoKey>) -> String {
    key.save_to_string_ex().public_only(false).done().to_string()
}

impl GodotConvert for OptionalTlsOptions {
    type Via = Option<Gd<TlsOptions>>;

    fn godot_shape() -> godot::meta::shape::GodotShape {
        Self::Via::godot_shape()
    }
}

impl ToGodot for OptionalTlsOptions {
    type Pass = ByValue;

    fn to_godot(&self) -> Self::Via {
        self.0.clone()
    }
}

impl FromGodot for OptionalTlsOptions {
    fn try_from_godot(via: Self::Via) -> Result<Self, ConvertError> {
        Ok(Self(via))
    }
}

// SAFETY: the only default value there is of it is `NONE`, which holds nothing that could be shared.
unsafe impl GodotImmutable for OptionalTlsOptions {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n{BLOCK_END}\n")
    }

    #[test]
    fn the_first_certificate_is_told_whatever_its_lines() {
        assert_eq!(first_block(&format!("a remark\n{}", pem("MIIB\r\nxyz"))), "MIIBxyz");
        assert_eq!(first_block("no certificate"), "");
    }

    #[test]
    fn a_chain_that_the_engine_has_cut_is_noticed() {
        assert!(first_block_repeats(&format!("{}{}", pem("one"), pem("one"))));
        assert!(!first_block_repeats(&format!("{}{}", pem("one"), pem("two"))));
        assert!(!first_block_repeats(&pem("one")) && !first_block_repeats(""));
    }
}
