//! Whole handshakes, a client's and a server's end in memory: what is trusted, and what each end is told if it is not.
//!
//! `fixtures/godot.*` and `fixtures/other_godot.*` came out of the engine (4.6.3), whose dates run from 2014 to 2034:
//! `Crypto.generate_self_signed_certificate(Crypto.generate_rsa(2048), "CN=localhost,O=Ferry,C=IT")`, each saved with
//! `save()`. The other keys there are OpenSSL's. What is made here is made with rcgen.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, HandshakeKind, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const GODOT: &str = include_str!("fixtures/godot.crt");
const GODOT_KEY: &str = include_str!("fixtures/godot.key");
const OTHER: &str = include_str!("fixtures/other_godot.crt");
const OTHER_KEY: &str = include_str!("fixtures/other_godot.key");

/// In the middle of the time for which the fixtures are good.
const NOW: u64 = 1_800_000_000;

const UNKNOWN_ISSUER: &str = "signed by nobody that is trusted here";
const UNKNOWN_CA: &str =
    "the client does not trust the certificate: it does not know who signed it (unknown CA)";

/// What came of a handshake: on each end, how it was made or why it was not.
#[derive(Debug)]
struct Outcome {
    client: Result<HandshakeKind, String>,
    server: Result<HandshakeKind, String>,
}

impl Outcome {
    #[track_caller]
    fn succeeded(&self) {
        assert!(self.client.is_ok() && self.server.is_ok(), "{self:?}");
    }

    #[track_caller]
    fn failed(&self, client: &str, server: &str) {
        for (result, part) in [(&self.client, client), (&self.server, server)] {
            assert!(result.as_ref().is_err_and(|why| why.contains(part)), "no {part:?} in {self:?}");
        }
    }
}

#[derive(Debug)]
struct Fixed(u64);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

fn options(trusted: &str) -> ClientOptions {
    ClientOptions { trusted: Some(trusted.to_owned()), ..ClientOptions::default() }
}

fn unsafe_options(trusted: Option<&str>) -> ClientOptions {
    ClientOptions { trusted: trusted.map(str::to_owned), verify: false, ..ClientOptions::default() }
}

fn godot() -> Arc<ServerConfig> {
    server(GODOT, GODOT_KEY)
}

fn server(certificates: &str, key: &str) -> Arc<ServerConfig> {
    Server::new(certificates, key).expect("a server").config()
}

fn config(client: &Client, now: u64) -> ClientConfig {
    let mut config = (*client.config().expect("a configuration")).clone();
    config.time_provider = Arc::new(Fixed(now));
    config
}

/// A client of these options goes to this host, at this time.
async fn visit_at(now: u64, options: &ClientOptions, host: &str, server: Arc<ServerConfig>) -> Outcome {
    let client = Client::new(options).expect("a client");
    let name = client.server_name(host).expect("a name");
    shake(config(&client, now), name, server).await
}

async fn visit(options: &ClientOptions, host: &str, server: Arc<ServerConfig>) -> Outcome {
    visit_at(NOW, options, host, server).await
}

async fn shake(client: ClientConfig, name: ServerName<'static>, server: Arc<ServerConfig>) -> Outcome {
    let (near, far) = duplex(64 * 1024);
    let connecting = async {
        let mut stream = TlsConnector::from(Arc::new(client))
            .connect(name, near)
            .await
            .map_err(|error| explain(&error, End::Client))?;
        stream.write_all(b"ping").await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
        assert_eq!(&answer, b"pong");
        Ok(stream.get_ref().1.handshake_kind().expect("it is over"))
    };
    let accepting = async {
        let mut stream =
            TlsAcceptor::from(server).accept(far).await.map_err(|error| explain(&error, End::Server))?;
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.map_err(|error| error.to_string())?;
        assert_eq!(&asked, b"ping");
        stream.write_all(b"pong").await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        Ok(stream.get_ref().1.handshake_kind().expect("it is over"))
    };
    let both = async { tokio::join!(connecting, accepting) };
    let (client, server) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("no end waits");
    Outcome { client, server }
}

/// Ends that know one version of TLS only.
fn only(version: &'static SupportedProtocolVersion, client: &Client) -> ClientConfig {
    let full = config(client, NOW);
    let verifier = trust::Verifier::new(trust::Trust::Anything, None, full.crypto_provider());
    ClientConfig::builder_with_provider(full.crypto_provider().clone())
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

fn server_of(
    version: &'static SupportedProtocolVersion,
    certificate: &str,
    key: &str,
    provider: CryptoProvider,
) -> Arc<ServerConfig> {
    let key = provider.key_provider.load_private_key(pem::key(key).expect("a key")).expect("a good key");
    // Not asked whether the key is the certificate's.
    let shown = CertifiedKey::new(pem::certificates(certificate).expect("one"), key);
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    Arc::new(config)
}

/// An authority, or a server's certificate that signs another, with the text of its certificate.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params
}

fn authority() -> IsCa {
    IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

fn top(name: &str, is_ca: IsCa) -> Signer {
    let mut params = params(name, is_ca);
    params.subject_alt_names = vec![dns("localhost")];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    Signer { issuer: Issuer::new(params, key), certificate }
}

impl Signer {
    fn sign(&self, params: CertificateParams) -> (Signer, String) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let text = key.serialize_pem();
        (Signer { issuer: Issuer::new(params, key), certificate }, text)
    }

    /// A server's certificate for these alternative names, and its key.
    fn server(&self, names: &[&str]) -> (String, String) {
        let mut params = params("localhost", IsCa::NoCa);
        params.subject_alt_names = names.iter().map(|name| dns(name)).collect();
        let (leaf, key) = self.sign(params);
        (leaf.certificate, key)
    }
}

#[tokio::test]
async fn a_certificate_that_the_engine_made_is_trusted_as_it_is() {
    visit(&options(GODOT), "localhost", godot()).await.succeeded();
    visit(&options(&format!("{OTHER}{GODOT}")), "LocalHost", godot()).await.succeeded();
    let pkcs8 = server(GODOT, include_str!("fixtures/godot_pkcs8.key"));
    visit(&options(GODOT), "localhost", pkcs8).await.succeeded();
}

#[tokio::test]
async fn old_and_new_tls_are_spoken() {
    let client = Client::new(&options(GODOT)).expect("a client");
    let name = client.server_name("localhost").expect("a name");
    for version in [&version::TLS12, &version::TLS13] {
        shake(only(version, &client), name.clone(), godot()).await.succeeded();
        let server = server_of(version, GODOT, GODOT_KEY, ring::default_provider());
        shake(config(&client, NOW), name.clone(), server).await.succeeded();
    }
}

#[tokio::test]
async fn another_name_is_told_to_both_ends() {
    let outcome = visit(&options(GODOT), "game.example", godot()).await;
    outcome.failed("is for localhost, not for game.example", "it is for another name");
    let outcome = visit(&options(GODOT), "127.0.0.1", godot()).await;
    outcome.failed("is for localhost, not for 127.0.0.1", "it is for another name");
    let ca = top("Authority", authority());
    let (certificate, key) = ca.server(&["a.example", "*.b.example"]);
    let server = server(&certificate, &key);
    let outcome = visit(&options(&ca.certificate), "localhost", server.clone()).await;
    outcome.failed("is for a.example, *.b.example, not for localhost", "it is for another name");
    visit(&options(&ca.certificate), "x.b.example", server).await.succeeded();
}

#[tokio::test]
async fn the_game_may_ask_for_another_name_than_the_hosts() {
    let named = |name: &str| ClientOptions { common_name: Some(name.to_owned()), ..options(GODOT) };
    visit(&named("localhost"), "127.0.0.1", godot()).await.succeeded();
    let outcome = visit(&named("game.example"), "localhost", godot()).await;
    outcome.failed("is for localhost, not for game.example", "it is for another name");
    let outcome = visit(&named("My Game"), "localhost", godot()).await;
    outcome.failed("is for localhost, not for My Game", "does not trust the certificate");
    let ca = top("Authority", authority());
    let (certificate, key) = ca.server(&["game.example"]);
    let named = ClientOptions { common_name: Some("game.example".to_owned()), ..options(&ca.certificate) };
    visit(&named, "10.0.0.1", server(&certificate, &key)).await.succeeded();
}

#[tokio::test]
async fn a_name_that_no_host_can_have_is_found_in_a_certificate() {
    let key = KeyPair::generate().expect("a key");
    let certificate = params("My Game", authority()).self_signed(&key).expect("a certificate").pem();
    let named = ClientOptions { common_name: Some("My Game".to_owned()), ..options(&certificate) };
    visit(&named, "localhost", server(&certificate, &key.serialize_pem())).await.succeeded();
}

#[tokio::test]
async fn dates_are_told_to_both_ends() {
    let (before, after) = (1_388_534_399, 2_019_686_401);
    let expired = "the client does not trust the certificate: it is expired or not yet valid";
    let outcome = visit_at(after, &options(GODOT), "localhost", godot()).await;
    outcome.failed("expired on 2034-01-01 00:00 UTC; it is 2034-01-01 00:00 UTC by", expired);
    let outcome = visit_at(before, &options(GODOT), "localhost", godot()).await;
    outcome.failed("not valid before 2014-01-01 00:00 UTC; it is 2013-12-31 23:59 UTC by", expired);
    // The same of a certificate that an authority signed.
    let ca = top("Authority", authority());
    let mut leaf = params("localhost", IsCa::NoCa);
    leaf.subject_alt_names = vec![dns("localhost")];
    leaf.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let (leaf, key) = ca.sign(leaf);
    let outcome = visit(&options(&ca.certificate), "localhost", server(&leaf.certificate, &key)).await;
    outcome.failed("expired on 2020-01-01 00:00 UTC", expired);
}

#[tokio::test]
async fn an_unknown_issuer_is_told_to_both_ends() {
    visit(&options(OTHER), "localhost", godot()).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
    visit(&ClientOptions::default(), "localhost", godot()).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
    let (certificate, key) = top("Authority", authority()).server(&["localhost"]);
    let server = server(&certificate, &key);
    visit(&options(GODOT), "localhost", server.clone()).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
    visit(&ClientOptions::default(), "localhost", server).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
}

#[tokio::test]
async fn a_chain_of_ones_own_is_followed() {
    let ca = top("Authority", authority());
    let (middle, _) = ca.sign(params("Middle", authority()));
    let (certificate, key) = middle.server(&["localhost"]);
    let whole = server(&format!("{certificate}{}", middle.certificate), &key);
    let to_the_top = server(&format!("{certificate}{}{}", middle.certificate, ca.certificate), &key);
    let alone = server(&certificate, &key);
    visit(&options(&ca.certificate), "localhost", whole.clone()).await.succeeded();
    visit(&options(&ca.certificate), "localhost", to_the_top).await.succeeded();
    visit(&options(&ca.certificate), "localhost", alone.clone()).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
    let both = format!("{}{}", ca.certificate, middle.certificate);
    visit(&options(&both), "localhost", alone.clone()).await.succeeded();
    visit(&options(&certificate), "localhost", alone).await.succeeded();
    let another = top("Authority", authority());
    visit(&options(&another.certificate), "localhost", whole).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
}

/// webpki takes any root that it is given at its word, also one that is no authority.
#[tokio::test]
async fn a_trusted_certificate_that_is_no_authoritys_signs_nothing() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let leaf = top("localhost", is_ca);
        let (certificate, key) = leaf.server(&["localhost"]);
        let rogue = server(&format!("{certificate}{}", leaf.certificate), &key);
        let outcome = visit(&options(&leaf.certificate), "localhost", rogue).await;
        outcome.failed("a certificate that may not sign others", "does not trust the certificate");
        // Nor if it does not show by whom.
        let rogue = server(&certificate, &key);
        visit(&options(&leaf.certificate), "localhost", rogue).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
    }
}

/// They call themselves an authority's, and the engine takes them at their word.
#[tokio::test]
async fn a_certificate_that_the_engine_made_may_sign_others() {
    let key = include_str!("fixtures/godot_pkcs8.key");
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(key, &rcgen::PKCS_RSA_SHA256).expect("a key");
    let mut own = params("localhost", authority());
    own.distinguished_name.push(DnType::OrganizationName, "Ferry");
    let country = rcgen::DnValue::PrintableString("IT".try_into().expect("letters"));
    own.distinguished_name.push(DnType::CountryName, country);
    let signer = Signer { issuer: Issuer::new(own, key), certificate: GODOT.to_owned() };
    let (certificate, key) = signer.server(&["game.example"]);
    visit(&options(GODOT), "game.example", server(&certificate, &key)).await.succeeded();
}

#[tokio::test]
async fn another_certificate_of_the_same_key_and_name_is_not_the_trusted_one() {
    let key = KeyPair::generate().expect("a key");
    let make = || {
        let mut params = params("localhost", IsCa::NoCa);
        params.serial_number =
            Some(KeyPair::generate().expect("a key").public_key_raw()[1..9].to_vec().into());
        params.self_signed(&key).expect("a certificate").pem()
    };
    let (trusted, shown) = (make(), make());
    assert_ne!(trusted, shown);
    let outcome = visit(&options(&trusted), "localhost", server(&shown, &key.serialize_pem())).await;
    outcome.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
}

#[tokio::test]
async fn a_common_name_counts_under_an_authority_of_the_games_own_and_not_under_the_systems() {
    let ca = top("Authority", authority());
    let (leaf, key) = ca.sign(params("localhost", IsCa::NoCa));
    let server = server(&leaf.certificate, &key);
    visit(&options(&ca.certificate), "localhost", server.clone()).await.succeeded();
    let elsewhere = visit(&options(&ca.certificate), "elsewhere.example", server.clone()).await;
    elsewhere.failed("is for localhost", "another name");

    let client = Client::new(&options(&ca.certificate)).expect("a client");
    let full = config(&client, NOW);
    let mut system = rustls::RootCertStore::empty();
    system.add(CertificateDer::from_pem_slice(ca.certificate.as_bytes()).expect("PEM")).expect("a root");
    let verifier =
        trust::Verifier::new(trust::Trust::in_roots(Arc::new(system)), None, full.crypto_provider());
    let mut as_system = full.clone();
    as_system.dangerous().set_certificate_verifier(Arc::new(verifier));
    let name = client.server_name("localhost").expect("a name");
    let outcome = shake(as_system, name, server).await;
    outcome
        .failed("is for localhost (as common name only, not as alternative name), not for", "another name");
}

#[tokio::test]
async fn a_trusted_certificate_for_another_purpose_is_not_a_servers() {
    let key = KeyPair::generate().expect("a key");
    let mut params = params("localhost", IsCa::NoCa);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let outcome =
        visit(&options(&certificate), "localhost", server(&certificate, &key.serialize_pem())).await;
    outcome.failed("not meant for servers", "of a kind that the client does not take");
}

#[tokio::test]
async fn an_unsafe_client_takes_any_certificate_at_any_time() {
    let careless = unsafe_options(None);
    for (host, now) in
        [("localhost", NOW), ("game.example", NOW), ("10.0.0.1", 0), ("localhost", u64::MAX / 4)]
    {
        visit_at(now, &careless, host, godot()).await.succeeded();
    }
    visit(&careless, "localhost", server(OTHER, OTHER_KEY)).await.succeeded();
}

/// As in the engine: its documents say only that the name is never checked.
#[tokio::test]
async fn an_unsafe_client_that_names_certificates_checks_all_but_the_name() {
    let named = unsafe_options(Some(GODOT));
    visit(&named, "game.example", godot()).await.succeeded();
    visit(&named, "localhost", server(OTHER, OTHER_KEY)).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
    visit_at(0, &named, "localhost", godot()).await.failed("not valid before", "not yet valid");
    let ca = top("Authority", authority());
    let (certificate, key) = ca.server(&["a.example"]);
    let named = unsafe_options(Some(&ca.certificate));
    visit(&named, "b.example", server(&certificate, &key)).await.succeeded();
}

/// A certificate is public: only the key proves whose it is.
#[tokio::test]
async fn whoever_shows_a_certificate_without_its_key_is_never_believed() {
    for version in [&version::TLS12, &version::TLS13] {
        for options in [options(GODOT), unsafe_options(None), unsafe_options(Some(GODOT))] {
            let thief = server_of(version, GODOT, OTHER_KEY, ring::default_provider());
            let outcome = visit(&options, "localhost", thief).await;
            outcome.failed("a signature of the server does not fit", "a signature does not fit");
        }
    }
}

#[tokio::test]
async fn certificates_for_development_serve_names_and_addresses() {
    let names = ["localhost", "*.game.example", "127.0.0.1", "::1"].map(str::to_owned);
    let pair = self_signed(&names, 30).expect("a pair");
    let now = UnixTime::now().as_secs();
    let server = server(&pair.certificate, &pair.key);
    for host in ["localhost", "eu.game.example", "127.0.0.1", "[::1]"] {
        visit_at(now, &options(&pair.certificate), host, server.clone()).await.succeeded();
    }
    let outcome = visit_at(now, &options(&pair.certificate), "127.0.0.2", server.clone()).await;
    outcome.failed("is for localhost, *.game.example, 127.0.0.1, ::1, not for 127.0.0.2", "another name");
    visit_at(now, &ClientOptions::default(), "localhost", server).await.failed(UNKNOWN_ISSUER, UNKNOWN_CA);
}

#[tokio::test]
async fn keys_of_every_kind_serve() {
    let sec1 = (include_str!("fixtures/sec1.crt"), include_str!("fixtures/sec1.key"));
    visit(&options(sec1.0), "localhost", server(sec1.0, sec1.1)).await.succeeded();
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = params("localhost", IsCa::NoCa).self_signed(&key).expect("a certificate").pem();
        let server = server(&certificate, &key.serialize_pem());
        visit(&options(&certificate), "localhost", server).await.succeeded();
    }
}

#[tokio::test]
async fn no_session_is_resumed() {
    let client = Client::new(&options(GODOT)).expect("a client");
    let (config, server) = (config(&client, NOW), godot());
    for _ in 0..3 {
        let name = client.server_name("localhost").expect("a name");
        let outcome = shake(config.clone(), name, server.clone()).await;
        let full = |kind: &HandshakeKind| {
            matches!(kind, HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
        };
        assert!(outcome.client.as_ref().is_ok_and(full) && outcome.server.as_ref().is_ok_and(full));
    }
}

#[tokio::test]
async fn ends_without_a_version_or_cipher_in_common_say_so() {
    let client = Client::new(&unsafe_options(None)).expect("a client");
    let name = client.server_name("localhost").expect("a name");
    for (ours, theirs) in [(&version::TLS13, &version::TLS12), (&version::TLS12, &version::TLS13)] {
        let server = server_of(theirs, GODOT, GODOT_KEY, ring::default_provider());
        let outcome = shake(only(ours, &client), name.clone(), server).await;
        outcome.failed("the server knows no version of TLS", "the client knows no version of TLS");
    }
    let mut narrow = ring::default_provider();
    narrow.cipher_suites.retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut others = ring::default_provider();
    others.cipher_suites.retain(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let server = server_of(&version::TLS13, GODOT, GODOT_KEY, narrow);
    let verifier = trust::Verifier::new(trust::Trust::Anything, None, &others);
    let other = ClientConfig::builder_with_provider(Arc::new(others))
        .with_protocol_versions(&[&version::TLS13])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let outcome = shake(other, name, server).await;
    outcome.failed("the server finds no cipher", "the client knows no cipher");
}

async fn connect(near: DuplexStream) -> String {
    let client = Client::new(&options(GODOT)).expect("a client");
    let name = client.server_name("localhost").expect("a name");
    let connector = TlsConnector::from(client.config().expect("a configuration"));
    explain(&connector.connect(name, near).await.expect_err("no TLS there"), End::Client)
}

async fn accept(far: DuplexStream) -> String {
    explain(&TlsAcceptor::from(godot()).accept(far).await.expect_err("no TLS there"), End::Server)
}

#[tokio::test]
async fn what_is_not_tls_is_told_from_either_end() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x81\x05hello", &[0; 64], &[0x16; 64]] {
        let (near, mut far) = duplex(64 * 1024);
        far.write_all(answer).await.expect("room");
        let said = connect(near).await;
        assert!(said.contains("not TLS at all"), "{answer:?}: {said}");
    }
    for request in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"SSH-2.0-x\r\n", &[0; 64], &[0x16; 64]] {
        let (mut near, far) = duplex(64 * 1024);
        near.write_all(request).await.expect("room");
        let said = accept(far).await;
        assert!(said.contains("not TLS at all"), "{request:?}: {said}");
    }
}

#[tokio::test]
async fn who_hangs_up_is_told_from_either_end() {
    let (near, far) = duplex(64 * 1024);
    drop(far);
    assert!(connect(near).await.contains("the server hung up"));
    let (near, far) = duplex(64 * 1024);
    drop(near);
    assert!(accept(far).await.contains("the client hung up"));
    // In the middle of a message.
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(&[22, 3, 1, 1, 0, 1, 0, 0]).await.expect("room");
    drop(near);
    assert!(accept(far).await.contains("the client hung up"));
}

/// The engine sends its common name override as the name of the server that it asks for, whatever it is.
#[tokio::test]
async fn a_client_that_asks_for_an_impossible_name_is_told_apart() {
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(&hello_asking_for(b"My Game")).await.expect("room");
    let said = accept(far).await;
    assert!(said.contains("a name that no host can have"), "{said}");
}

/// A client's hello of TLS 1.2 that asks for this server.
fn hello_asking_for(name: &[u8]) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).expect("short").to_be_bytes();
    let mut server_name = vec![0, 0];
    server_name.extend(short(name.len() + 5));
    server_name.extend(short(name.len() + 3));
    server_name.push(0);
    server_name.extend(short(name.len()));
    server_name.extend(name);
    // Groups: x25519. Signatures: RSA-PSS with SHA-256.
    server_name.extend([0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 8, 4]);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    // No session, one cipher, no compression.
    body.extend([0, 0, 2, 0xC0, 0x2F, 1, 0]);
    body.extend(short(server_name.len()));
    body.extend(server_name);
    let mut message = vec![1, 0];
    message.extend(short(body.len()));
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(short(message.len()));
    record.extend(message);
    record
}
