//! Asks the daemon over its Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::endpoint::escape;
use crate::{
    Counters, Endpoint, ErrorBody, Event, EventQuery, FlowQuery, Flows, Method, NodeQuery,
    NodeReport, Nodes, ReasonRequest, ReloadReport, ResumeRequest, Status, StopReport, StopRequest,
};

/// Until the daemon must have taken the connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Until it must have answered; a reload compiles the policy and proves it first.
const ANSWER: Duration = Duration::from_secs(15);
const RELOAD: Duration = Duration::from_secs(300);

/// Why there is no answer, or not the one hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error("the daemon does not answer on {}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The daemon, or the socket's mode, refused.
    #[error("{}", body.error)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        body: Box<ErrorBody>,
    },
    /// The daemon broke off, or whoever answers is not our daemon.
    #[error("the daemon's answer cannot be understood")]
    Protocol(#[source] ProtocolError),
}

/// How an answer was not one.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Not HTTP/1.1, or cut off.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// Cannot be sent as a request.
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
    /// Not the JSON that was asked for.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A refusal without our error body.
    #[error("HTTP status {0}")]
    Status(u16),
}

impl<E: Into<ProtocolError>> From<E> for ClientError {
    fn from(error: E) -> Self {
        Self::Protocol(error.into())
    }
}

/// Talks to the daemon; every call is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the daemon that listens there.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How the firewall stands.
    ///
    /// # Errors
    /// See [`ClientError`]; the same for all methods.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get(Endpoint::Status.path()).await
    }

    /// What has been counted.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn counters(&self) -> Result<Counters, ClientError> {
        self.get(Endpoint::Counters.path()).await
    }

    /// The live flows.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn flows(&self, query: &FlowQuery) -> Result<Flows, ClientError> {
        let FlowQuery { node, subnetwork, limit } = query;
        let texts = [("node", node), ("subnetwork", subnetwork)];
        self.get(&with_query(Endpoint::Flows, parameters(texts, *limit))).await
    }

    /// The declared nodes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn nodes(&self, query: &NodeQuery) -> Result<Nodes, ClientError> {
        let NodeQuery { subnetwork, name, after, limit } = query;
        let texts = [("subnetwork", subnetwork), ("name", name), ("after", after)];
        self.get(&with_query(Endpoint::Nodes, parameters(texts, *limit))).await
    }

    /// What happened, oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, query: &EventQuery) -> Result<EventStream, ClientError> {
        let EventQuery { since, follow } = query;
        let since = since.as_ref().map(|since| format!("since={}", escape(since)));
        let follow = follow.then(|| "follow=1".to_owned());
        let path = with_query(Endpoint::Events, since.into_iter().chain(follow));
        let response = self.exchange(Method::Get, &path, Bytes::new(), ANSWER).await?;
        if response.status().is_success() {
            Ok(EventStream { body: response.into_body(), buffer: Vec::new() })
        } else {
            Err(refusal(response).await)
        }
    }

    /// Stops everything, or one subnetwork.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stop(&self, request: &StopRequest) -> Result<StopReport, ClientError> {
        self.post(Endpoint::StopAll.path(), Some(request), ANSWER).await
    }

    /// Lifts a stop.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn resume(&self, request: &ResumeRequest) -> Result<StopReport, ClientError> {
        self.post(Endpoint::Resume.path(), Some(request), ANSWER).await
    }

    /// Activates what lies in the policy directory.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reload(&self) -> Result<ReloadReport, ClientError> {
        self.post(Endpoint::Reload.path(), None::<&()>, RELOAD).await
    }

    /// Cuts a node off.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn isolate(
        &self,
        node: &str,
        request: &ReasonRequest,
    ) -> Result<NodeReport, ClientError> {
        self.post(&Endpoint::Isolate.path_of(node), Some(request), ANSWER).await
    }

    /// Lets a node back.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release(
        &self,
        node: &str,
        request: &ReasonRequest,
    ) -> Result<NodeReport, ClientError> {
        self.post(&Endpoint::Release.path_of(node), Some(request), ANSWER).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.exchange(Method::Get, path, Bytes::new(), ANSWER).await?;
        self.read(response, ANSWER).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: Option<&impl Serialize>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let body = match request {
            Some(request) => serde_json::to_vec(request)?,
            None => Vec::new(),
        };
        let response = self.exchange(Method::Post, path, body.into(), patience).await?;
        self.read(response, patience).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut builder = Request::builder().uri(path).header("host", "cordon");
        match method {
            Method::Get => builder = builder.method("GET"),
            Method::Post => {
                builder = builder.method("POST").header("content-type", "application/json");
            }
        }
        let request = builder.body(Full::new(body))?;
        let mut sender = self.connect().await?;
        match timeout(patience, sender.send_request(request)).await {
            Ok(response) => Ok(response?),
            Err(_) => Err(self.unreachable(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        match timeout(patience, response.into_body().collect()).await {
            Ok(body) => Ok(serde_json::from_slice(&body?.to_bytes())?),
            Err(_) => Err(self.unreachable(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let stream = match self.open().await {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ClientError::not_permitted(&self.socket));
            }
            Err(error) => return Err(self.unreachable(error)),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the exchange; what goes wrong shows there.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A full backlog answers `EAGAIN` at once (unix(7)); a daemon under load deserves a moment.
    async fn open(&self) -> io::Result<UnixStream> {
        let deadline = Instant::now() + CONNECT;
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(5)).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        ClientError::Unreachable { path: self.socket.clone(), source }
    }
}

impl ClientError {
    fn not_permitted(socket: &Path) -> Self {
        let body = ErrorBody {
            error: format!("you may not talk to the firewall ({})", socket.display()),
            hint: Some("join the group that owns the socket, or ask as root".to_owned()),
            code: crate::ErrorCode::Forbidden,
            diagnostics: Vec::new(),
        };
        Self::Refused { status: body.code.status(), body: Box::new(body) }
    }
}

fn parameters<const TEXTS: usize>(
    texts: [(&'static str, &Option<String>); TEXTS],
    limit: Option<u32>,
) -> impl Iterator<Item = String> {
    let texts =
        texts.map(|(name, text)| text.as_ref().map(|text| format!("{name}={}", escape(text))));
    texts.into_iter().flatten().chain(limit.map(|limit| format!("limit={limit}")))
}

fn with_query(endpoint: Endpoint, parameters: impl Iterator<Item = String>) -> String {
    parameters.fold(endpoint.path().to_owned(), |path, parameter| {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}{parameter}")
    })
}

async fn refusal(response: Response<Incoming>) -> ClientError {
    let status = response.status().as_u16();
    let body = match timeout(ANSWER, response.into_body().collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return error.into(),
        Err(_) => return ClientError::Protocol(ProtocolError::Status(status)),
    };
    match serde_json::from_slice(&body) {
        Ok(body) => ClientError::Refused { status, body: Box::new(body) },
        Err(_) => ClientError::Protocol(ProtocolError::Status(status)),
    }
}

/// Events as they come, oldest first.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    buffer: Vec<u8>,
}

impl EventStream {
    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] if the daemon breaks off or sends something else.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                // An empty line only says that the daemon is still there.
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(serde_json::from_slice(&line)?));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
