//! stub
use std::sync::Arc;
use tokio_rustls::rustls;
use rustls::pki_types::ServerName;
#[derive(Clone, Debug)]
pub struct Client;
#[derive(Clone, Debug)]
pub struct Server;
#[derive(Clone,Debug)]
pub struct TlsError(String);
impl std::fmt::Display for TlsError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) } }
pub enum End { Client, Server }
pub struct ClientOptions { pub trusted: Option<String>, pub common_name: Option<String>, pub verify: bool }
impl Client { pub fn new(_: &ClientOptions) -> Result<Self, TlsError> { Ok(Self) }
 pub fn config(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> { Err(TlsError(String::new())) }
 pub fn needs_system_store(&self) -> bool { false }
 pub fn server_name(&self, _: &str) -> Result<ServerName<'static>, TlsError> { Err(TlsError(String::new())) } }
impl Server { pub fn config(&self) -> Arc<rustls::ServerConfig> { todo!() } }
pub fn explain(e: &std::io::Error, _: End) -> String { e.to_string() }
