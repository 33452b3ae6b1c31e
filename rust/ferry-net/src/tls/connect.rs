//! A client's stream becomes an encrypted one.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Client, End, explain};
use crate::aside::{self, NoAnswer};

/// Shakes hands with the server of this name, or says in a sentence why that failed.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    trust: &Client,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, String> {
    let config = config(trust).await?;
    let name = trust.server_name(host).map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| explain(&error, End::Client))
}

async fn config(trust: &Client) -> Result<Arc<ClientConfig>, String> {
    let config = if trust.needs_system_store() {
        // Reading the system's certificates takes its time.
        let trust = trust.clone();
        let read = aside::wait_for("ferry-trust", move || trust.config()).await;
        read.map_err(|none| match none {
            NoAnswer::TooMany => "too many look-ups are under way to read the system's certificates beside",
            NoAnswer::Failed => "the system's certificates could not be read",
        })?
    } else {
        trust.config()
    };
    config.map_err(|error| error.to_string())
}
