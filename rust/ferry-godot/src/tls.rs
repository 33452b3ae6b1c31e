//! `FerryTLS`: certificates for scripts, in a line each.

use ferry_net::tls;
use godot::classes::file_access::ModeFlags;
use godot::classes::{CryptoKey, FileAccess, TlsOptions, X509Certificate};
use godot::global::Error;
use godot::prelude::*;

use crate::tls_options;

/// The names that a development server goes by.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate's file is a few KB; a chain has a few of them.
const LONGEST_FILE: u64 = 1 << 20;

/// Certificates for servers, as [TLSOptions].
///
/// For development, one that is made on the spot:
/// ```gdscript
/// var options := FerryTLS.self_signed()
/// server.create_server(9080, "*", options)
/// # A client that runs beside it trusts that very certificate:
/// client.create_client("wss://localhost:9080", TLSOptions.client(options.get_own_certificate()))
/// ```
///
/// For a server on the internet, the files that a certificate authority gives:
/// ```gdscript
/// server.create_server(443, "*", FerryTLS.load_server("/etc/certificates/fullchain.pem", "/etc/certificates/privkey.pem"))
/// # Later, when they were renewed; nobody is dropped:
/// server.set_tls_server_options(FerryTLS.load_server(...))
/// ```
#[derive(GodotClass)]
#[class(tool, no_init, base = RefCounted)]
pub(crate) struct FerryTLS {
    base: Base<RefCounted>,
}

#[godot_api]
impl FerryTLS {
    /// Makes a server's options with a new key and a certificate that is signed by itself, for development: it is valid for
    /// these host names and IP addresses, from yesterday on for so many days (1 to 36525). Nobody trusts it unless told to: a
    /// client takes [code]TLSOptions.client(options.get_own_certificate())[/code].
    ///
    /// Returns [code]null[/code], with an error, if a name is none or the days are out of their range.
    #[func]
    fn self_signed(
        #[opt(default = &PackedStringArray::from(OWN_NAMES.map(GString::from)))] names: PackedStringArray,
        #[opt(default = 30)] days: i64,
    ) -> Option<Gd<TlsOptions>> {
        reported(make(&names, days))
    }

    /// Makes a server's options from two PEM files: the certificate, followed by those that lead to a root, and its key. The
    /// paths may begin with [code]res://[/code] or [code]user://[/code], or be absolute.
    ///
    /// Returns [code]null[/code], with an error that says what is wrong, if a file cannot be read, has something else in it, or
    /// the key does not belong to the certificate.
    #[func]
    fn load_server(certificate_path: GString, key_path: GString) -> Option<Gd<TlsOptions>> {
        reported(load(&certificate_path, &key_path))
    }
}

fn reported(made: Result<Gd<TlsOptions>, String>) -> Option<Gd<TlsOptions>> {
    made.map_err(|text| godot_error!("{text}.")).ok()
}

fn make(names: &PackedStringArray, days: i64) -> Result<Gd<TlsOptions>, String> {
    // What is too much or too little is refused there.
    let days = u32::try_from(days).unwrap_or(0);
    let names: Vec<String> = names.as_slice().iter().map(|name| name.to_string().trim().to_owned()).collect();
    let pair = tls::self_signed(&names, days).map_err(|error| error.to_string())?;
    options(&pair.certificate, &pair.key)
}

fn load(certificate_path: &GString, key_path: &GString) -> Result<Gd<TlsOptions>, String> {
    let (certificates, key) = (read(certificate_path)?, read(key_path)?);
    let server = tls::Server::new(&certificates, &key)
        .map_err(|error| format!("{certificate_path} and {key_path} are of no use to a server: {error}"))?;
    for remark in server.remarks() {
        godot_warn!("{certificate_path}: {remark}.");
    }
    options(&certificates, &key)
}

fn read(path: &GString) -> Result<String, String> {
    let Some(mut file) = FileAccess::open(path, ModeFlags::READ) else {
        return Err(format!("{path} cannot be read: {:?}", FileAccess::get_open_error()));
    };
    let length = file.get_length();
    if length > LONGEST_FILE {
        return Err(format!("{path} is no PEM file: it has {length} bytes"));
    }
    let bytes = file.get_buffer(i64::try_from(length).unwrap_or(0));
    // A PEM file may have remarks in it, in whatever letters.
    Ok(String::from_utf8_lossy(bytes.as_slice()).into_owned())
}

/// The engine's own objects, for the engine's own classes take these options too.
fn options(certificates: &str, key: &str) -> Result<Gd<TlsOptions>, String> {
    let mut own_certificate = X509Certificate::new_gd();
    let mut own_key = CryptoKey::new_gd();
    if own_certificate.load_from_string(certificates) != Error::OK {
        return Err("The engine cannot read the certificate".to_owned());
    }
    if own_key.load_from_string(key) != Error::OK {
        return Err("The engine cannot read the key".to_owned());
    }
    tls_options::remember_text(&mut own_certificate, certificates);
    TlsOptions::server(&own_key, &own_certificate).ok_or_else(|| "The engine has no TLS".to_owned())
}
