//! A client's side: which servers it believes.
//!
//! Made on the game's thread of the engine's TLSOptions. If the game names no certificates, the system's are asked, which
//! takes tens of milliseconds the first time in a process: [`Client::config`] is then for a thread of its own.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::trust::{Trust, Verifier};
use super::{TlsError, pem, provider, settings};
use crate::address::without_brackets;

/// The system's authorities, read once.
static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// What a game asks of a server, as the engine's TLSOptions have it.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// PEM text of the certificates to trust, authorities' or the server's own; without it, the system's authorities.
    pub trusted: Option<String>,
    /// The name that the certificate must be for, if that is not the host's.
    pub common_name: Option<String>,
    /// Whether the server must prove who it is. If not, and certificates are named, their chain is checked all the same,
    /// as the engine does, and only the name is not; if none are named, anybody is believed.
    pub verify: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { trusted: None, common_name: None, verify: true }
    }
}

/// What a client believes. Clones share what has been made.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    common_name: Option<String>,
    /// At once, or when the system's authorities are known.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Client {
    /// Checks what the game gave. Reads no file.
    pub fn new(options: &ClientOptions) -> Result<Self, TlsError> {
        let common_name = options.common_name.clone().filter(|name| options.verify && !name.is_empty());
        let trust = match &options.trusted {
            Some(text) => Some(Trust::in_certificates(pem::certificates(text)?, options.verify)?),
            None if !options.verify => Some(Trust::Anything),
            None => None,
        };
        let config = OnceLock::new();
        if let Some(trust) = trust {
            let _ = config.set(make(trust, common_name.clone())?);
        }
        Ok(Self { inner: Arc::new(Inner { common_name, config }) })
    }

    /// What tokio-rustls wants. Slow while [`Self::needs_system_store`].
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = self.inner.config.get() {
            return Ok(config.clone());
        }
        let roots = SYSTEM.get_or_init(|| Arc::new(roots_of(ask_system()))).clone();
        let config = make(Trust::in_roots(roots), self.inner.common_name.clone())?;
        Ok(self.inner.config.get_or_init(|| config).clone())
    }

    /// Whether [`Self::config`] would read the system's authorities, which is slow: neither for the game's thread nor for
    /// the network's. Once any client of the process has, they are known.
    pub fn needs_system_store(&self) -> bool {
        self.inner.config.get().is_none() && SYSTEM.get().is_none()
    }

    /// The name to begin a handshake with: what the server is asked for (SNI) and what its certificate must be for.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        let named = self.inner.common_name.as_deref().map(ServerName::try_from);
        if let Some(Ok(name)) = named {
            return Ok(name.to_owned());
        }
        // A name that no host can have is for the certificate only; the server is asked for by its host.
        let bare = bare(host);
        ServerName::try_from(bare).map(|name| name.to_owned()).map_err(|_| TlsError::BadName(host.to_owned()))
    }
}

impl Default for Client {
    /// Believes those that the system's authorities vouch for.
    fn default() -> Self {
        Self { inner: Arc::new(Inner { common_name: None, config: OnceLock::new() }) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("common_name", &self.inner.common_name).finish_non_exhaustive()
    }
}

/// A host without what URLs put around it: brackets, an interface, the root's dot.
fn bare(host: &str) -> &str {
    let host = without_brackets(host);
    if let Some((address, _interface)) = host.split_once('%')
        && address.parse::<IpAddr>().is_ok()
    {
        return address;
    }
    host.strip_suffix('.').unwrap_or(host)
}

fn make(trust: Trust, common_name: Option<String>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let verifier = Verifier::new(trust, common_name, &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session would not look at the certificate again.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn ask_system() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!("some of the system's certificates could not be read: {error}");
    }
    found.certs
}

/// The authorities in a system's store, or Mozilla's if it has none (Android, a bare container).
fn roots_of(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(certificates);
    if ignored > 0 {
        tracing::debug!("{ignored} of the system's certificates were left out");
    }
    if roots.is_empty() {
        tracing::debug!("the system has no certificates; the built-in ones are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    const GODOT: &str = include_str!("fixtures/godot.crt");

    fn client(common_name: Option<&str>) -> Client {
        let common_name = common_name.map(str::to_owned);
        Client::new(&ClientOptions { trusted: Some(GODOT.to_owned()), common_name, verify: true })
            .expect("a client")
    }

    fn name(client: &Client, host: &str) -> String {
        client.server_name(host).expect("a name").to_str().into_owned()
    }

    #[test]
    fn hosts_are_taken_as_urls_write_them() {
        let client = client(None);
        for (host, expected) in [
            ("example.com", "example.com"),
            ("example.com.", "example.com"),
            ("my_host", "my_host"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%2]", "fe80::1"),
        ] {
            assert_eq!(name(&client, host), expected, "{host}");
        }
        for host in ["", "a b", "münchen.example", "[::1", "%", "-", ".."] {
            assert_eq!(client.server_name(host), Err(TlsError::BadName(host.to_owned())), "{host}");
        }
    }

    #[test]
    fn the_name_that_the_game_asks_for_is_also_what_the_server_is_asked_for() {
        assert_eq!(name(&client(Some("game.example")), "10.0.0.1"), "game.example");
        assert_eq!(name(&client(Some("")), "10.0.0.1"), "10.0.0.1");
        assert_eq!(name(&client(Some("My Game")), "example.com"), "example.com", "no host can be called so");
    }

    #[test]
    fn named_certificates_need_no_system_store() {
        assert!(!client(None).needs_system_store());
        assert!(client(None).config().is_ok());
        let careless = ClientOptions { verify: false, ..ClientOptions::default() };
        assert!(!Client::new(&careless).expect("a client").needs_system_store());
    }

    #[test]
    fn the_system_store_is_read_once_for_all() {
        let one = Client::new(&ClientOptions::default()).expect("a client");
        let first = one.config().expect("the system's or the built-in ones");
        assert!(Arc::ptr_eq(&first, &one.clone().config().expect("the same")));
        assert!(!one.needs_system_store());
        assert!(!Client::new(&ClientOptions::default()).expect("a client").needs_system_store());
    }

    #[test]
    fn a_system_without_certificates_gets_the_built_in_ones() {
        assert!(roots_of(Vec::new()).len() > 50);
        assert!(roots_of(vec![CertificateDer::from(vec![1, 2, 3])]).len() > 50);
    }

    #[test]
    fn a_client_neither_resumes_nor_sends_early() {
        let config = client(None).config().expect("a configuration");
        assert!(!config.enable_early_data);
        assert!(config.alpn_protocols.is_empty());
    }

    #[test]
    fn what_is_not_a_certificate_is_refused_at_once() {
        for (text, part) in [
            ("", "it is empty"),
            (include_str!("fixtures/godot.key"), "RSA PRIVATE KEY"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "number 1"),
        ] {
            let options = ClientOptions { trusted: Some(text.to_owned()), ..ClientOptions::default() };
            let said = Client::new(&options).expect_err("an error").to_string();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_read_among_others_is_left_out() {
        let text = format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{GODOT}");
        assert!(Client::new(&ClientOptions { trusted: Some(text), ..ClientOptions::default() }).is_ok());
    }
}
