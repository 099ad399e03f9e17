//! The accounting server's socket.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::accounting::{Accounting, Answer, Client, Now};
use super::memory::{Memory, Moments};
use super::packet::LONGEST;
use super::{Counts, Refusal, Secret, SecretError, Statement};
use crate::config;
use crate::dataplane::clock::monotonic;

/// How often the log tells of refusals for the same reason.
const TOLD: Duration = Duration::from_secs(60);

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A client's secret.
    #[error("no secret for the RADIUS client \"{client}\"")]
    Secret {
        /// Which client.
        client: String,
        /// Why not.
        source: SecretError,
    },
    /// The address.
    #[error("cannot listen for RADIUS accounting on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl ListenError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Secret { source, .. } => source.hint(),
            Self::Bind { .. } => {
                "set [authentication.radius] listen to a free address of this machine".to_owned()
            }
        }
    }
}

/// The open socket.
#[derive(Debug)]
pub struct Listener {
    socket: UdpSocket,
    accounting: Accounting,
    memory: Option<Memory>,
}

impl Listener {
    /// Reads the secrets and opens the socket; within a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`], with a hint.
    pub async fn bind(settings: &config::Radius) -> Result<Self, ListenError> {
        let clients: Result<Vec<Client>, ListenError> =
            settings.clients.iter().map(client).collect();
        let address = settings.listen;
        let socket = UdpSocket::bind(address).await;
        let socket = socket.map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self { socket, accounting: Accounting::new(clients?), memory: None })
    }

    /// Believes nothing that a daemon before may have heard, and keeps what the next must not believe.
    #[must_use]
    pub fn remembering(mut self, memory: &Memory) -> Self {
        let heard = memory.read(self.accounting.clients(), now().wall);
        self.accounting.recall(&heard);
        self.memory = Some(memory.clone());
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What has been counted; stays up to date.
    pub fn counts(&self) -> Counts {
        self.accounting.counts()
    }

    /// Answers until nobody takes statements any more. A statement is kept before it is handed over,
    /// and handed over before its response is sent: what a client believes that we know, we know.
    pub async fn run(mut self, statements: mpsc::Sender<Statement>) {
        let mut kept = self.accounting.heard();
        let mut told = HashMap::new();
        // One byte more: a datagram that is longer does not pass for one that is not.
        let mut datagram = vec![0; LONGEST + 1];
        // Nothing is read before there is room for what it may say.
        while let Ok(room) = statements.reserve().await {
            let received = tokio::select! {
                received = self.socket.recv_from(&mut datagram) => received,
                () = statements.closed() => return,
            };
            let (length, from) = match received {
                Ok(received) => received,
                // A response has come to where nobody listens: the kernel tells us by the next call.
                Err(error) => {
                    tracing::debug!(%error, "the RADIUS socket was told of an error");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
            };
            let Answer { response, statement, refusal } =
                self.accounting.receive(&datagram[..length], from, now());
            if let Some(statement) = statement {
                self.keep(&mut kept).await;
                room.send(statement);
            }
            if let Some(response) = response
                && let Err(error) = self.socket.send_to(&response, from).await
            {
                tracing::debug!(%error, %from, "a RADIUS response was not sent");
            }
            if let Some(refusal) = refusal {
                self.tell(refusal, from, &mut told);
            }
        }
    }

    /// Says on disk until when clients were heard: at most once a second of each.
    async fn keep(&self, kept: &mut Moments) {
        let Some(memory) = self.memory.clone() else { return };
        let heard = self.accounting.heard();
        if heard != *kept {
            kept.clone_from(&heard);
            // The disk may be slow; whoever waits here waits for RADIUS alone.
            let _ = tokio::task::spawn_blocking(move || memory.write(heard)).await;
        }
    }

    /// A flood of bad packets must not become a flood of lines.
    fn tell(&self, refusal: Refusal, from: SocketAddr, told: &mut HashMap<Refusal, Duration>) {
        let now = monotonic();
        if told.get(&refusal).is_some_and(|last| now < *last + TOLD) {
            return;
        }
        told.insert(refusal, now);
        let (reason, count) = (refusal.name(), self.accounting.counts().refusals(refusal));
        tracing::warn!(%from, reason, count, "a RADIUS packet was refused");
    }
}

fn client(settings: &config::RadiusClient) -> Result<Client, ListenError> {
    let config::RadiusClient {
        name,
        address,
        secret_file,
        interim,
        require_message_authenticator,
        require_event_timestamp,
    } = settings;
    let secret = Secret::load(secret_file)
        .map_err(|source| ListenError::Secret { client: name.clone(), source })?;
    Ok(Client {
        name: Arc::from(name.as_str()),
        address: *address,
        secret,
        interim: *interim,
        require_message_authenticator: *require_message_authenticator,
        require_event_timestamp: *require_event_timestamp,
    })
}

fn now() -> Now {
    // Before 1970 nothing is recent.
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: monotonic(), wall }
}
