//! What ICE wants done outside: names looked up, streams to relays opened, mDNS asked. Each in a task of its own that answers
//! over one channel; all end with the connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::neighbours;
use crate::lookup;
use crate::tls;
use crate::webrtc::ice::{Token, Want};

/// Answers that may wait; streams are not read meanwhile.
const ANSWERS: usize = 64;

/// Messages that may wait to be written to one stream; more are lost, as datagrams may be.
const MESSAGES: usize = 512;

/// Bytes read from a stream at a time.
const PIECE: usize = 16 * 1024;

/// How long a relay may take to be connected to.
const CONNECT: Duration = Duration::from_secs(8);

/// Tasks of one connection at a time: names and streams of a few servers, names of the other end's candidates.
const MOST_TASKS: usize = 64;

/// What came of something.
pub(super) enum Answer {
    /// A name's addresses, or why there are none.
    Resolved(Token, Result<Vec<IpAddr>, String>),
    /// A stream stands, from this address.
    Opened(Token, SocketAddr),
    /// It has brought this.
    Bytes(Token, Bytes),
    /// It is gone, or was never made.
    Ended(Token, String),
}

/// What one connection has outside.
pub(super) struct Outside {
    trust: tls::Client,
    tell: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    tasks: HashMap<Token, Task>,
}

struct Task {
    abort: AbortHandle,
    /// Of a stream.
    write: Option<mpsc::Sender<Bytes>>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Outside {
    pub(super) fn new(trust: tls::Client) -> Self {
        let (tell, answers) = mpsc::channel(ANSWERS);
        Self { trust, tell, answers, tasks: HashMap::new() }
    }

    /// Waits for the next answer.
    pub(super) async fn answer(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            // The other end of the channel is ours, too.
            None => std::future::pending().await,
        }
    }

    /// The next answer, if there is one.
    pub(super) fn try_answer(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// An answer was heard: what it was of may be over.
    pub(super) fn note(&mut self, answer: &Answer) {
        if let Answer::Resolved(token, _) | Answer::Ended(token, _) = answer {
            self.tasks.remove(token);
        }
    }

    /// Begins something.
    pub(super) fn begin(&mut self, want: Want) {
        let tell = self.tell.clone();
        match want {
            Want::CloseStream { token } => {
                self.tasks.remove(&token);
            }
            _ if self.tasks.len() >= MOST_TASKS => {
                tracing::warn!("too much is asked for at once: {want:?} is not done");
            }
            Want::Resolve { token, name, is_mdns } => {
                let task = tokio::spawn(async move {
                    let found = if is_mdns { neighbours::ask(&name).await } else { ask_system(name).await };
                    // Whoever asked may have gone.
                    let _ = tell.send(Answer::Resolved(token, found)).await;
                });
                self.tasks.insert(token, Task { abort: task.abort_handle(), write: None });
            }
            Want::OpenStream { token, address, tls_name } => {
                let (write, written) = mpsc::channel(MESSAGES);
                let trust = self.trust.clone();
                let task = tokio::spawn(async move {
                    let why = stream(token, address, tls_name, &trust, written, &tell)
                        .await
                        .err()
                        .unwrap_or_default();
                    let _ = tell.send(Answer::Ended(token, why)).await;
                });
                self.tasks.insert(token, Task { abort: task.abort_handle(), write: Some(write) });
            }
        }
    }

    /// Sends a message on a stream. It is lost if too many wait.
    pub(super) fn write(&self, token: Token, bytes: &[u8]) {
        if let Some(write) = self.tasks.get(&token).and_then(|task| task.write.as_ref()) {
            let _ = write.try_send(Bytes::copy_from_slice(bytes));
        }
    }
}

async fn ask_system(name: String) -> Result<Vec<IpAddr>, String> {
    let found = lookup::found(name, 0).await?;
    Ok(found.into_iter().map(|address| address.ip()).collect())
}

/// Carries bytes until one side ends.
async fn stream(
    token: Token,
    address: SocketAddr,
    tls_name: Option<String>,
    trust: &tls::Client,
    written: mpsc::Receiver<Bytes>,
    tell: &mpsc::Sender<Answer>,
) -> Result<(), String> {
    let until = tokio::time::Instant::now() + CONNECT;
    let too_late = |_| "no answer".to_owned();
    let tcp = tokio::time::timeout_at(until, TcpStream::connect(address)).await.map_err(too_late)?;
    let tcp = tcp.map_err(|error| error.to_string())?;
    let _ = tcp.set_nodelay(true);
    let local = tcp.local_addr().map_err(|error| error.to_string())?;
    let Some(name) = tls_name else {
        // Whoever asked may have gone.
        let _ = tell.send(Answer::Opened(token, local)).await;
        return carry(token, tcp, written, tell).await;
    };
    let encrypted =
        tokio::time::timeout_at(until, tls::connect(trust, &name, tcp)).await.map_err(too_late)??;
    let _ = tell.send(Answer::Opened(token, local)).await;
    carry(token, encrypted, written, tell).await
}

async fn carry<S: AsyncRead + AsyncWrite>(
    token: Token,
    stream: S,
    mut written: mpsc::Receiver<Bytes>,
    tell: &mpsc::Sender<Answer>,
) -> Result<(), String> {
    let (mut read, mut write) = tokio::io::split(stream);
    let reading = async {
        let mut buffer = vec![0; PIECE];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) => return Err("the relay has closed the connection".to_owned()),
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    if tell.send(Answer::Bytes(token, bytes)).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    let writing = async {
        while let Some(bytes) = written.recv().await {
            if let Err(error) = write.write_all(&bytes).await {
                return Err(error.to_string());
            }
            if written.is_empty() {
                write.flush().await.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}
