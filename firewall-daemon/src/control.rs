//! The control API's server: HTTP/1.1 with JSON over a Unix socket.
//!
//! The socket's mode is the first gate, `gate` the second. What is asked is done by an
//! [`Operator`]; what changes the firewall runs to its end even if the caller hangs up. Connections
//! cost a slot each, and when all are taken the oldest of the greediest user makes room, so that
//! nobody keeps an operator from a stop-all.

mod connections;
mod extract;
mod failure;
mod gate;
mod listener;
mod patient;
mod routes;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use firewall_control::{
    Caller, Counters, Event, FlowQuery, Flows, NodeQuery, NodeReport, Nodes, ReasonRequest,
    ReloadReport, ResumeRequest, Status, StopReport, StopRequest,
};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use self::connections::{Connections, Ticket};
pub use self::failure::Failure;
use self::gate::{Gate, Peer};
pub use self::listener::{BindError, Listener};
use self::patient::Patient;

/// How many connections are kept; each costs a descriptor and a few KiB.
const CONNECTIONS: usize = 4096;
/// Until a request's head must be there, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(15);
/// Until a reader must have taken something of what was written.
const WRITE: Duration = Duration::from_secs(10);
/// More than any request of ours needs.
const HEAD_BUFFER: usize = 16 * 1024;

/// Does what operators ask. Every method may be called at any time, from many tasks at once.
pub trait Operator: Send + Sync + 'static {
    /// How the firewall stands.
    fn status(&self) -> impl Future<Output = Result<Status, Failure>> + Send;

    /// What has been counted.
    fn counters(&self) -> impl Future<Output = Result<Counters, Failure>> + Send;

    /// The live flows; [`Failure::UnknownNode`] if the query names one.
    fn flows(&self, query: FlowQuery) -> impl Future<Output = Result<Flows, Failure>> + Send;

    /// The declared nodes.
    fn nodes(&self, query: NodeQuery) -> impl Future<Output = Result<Nodes, Failure>> + Send;

    /// What happened since then (or as far back as is kept), oldest first, and if `follow` what
    /// happens from now on. The stream ends when the sender is dropped; a sender must not wait for
    /// a slow follower, but leave events out and say so with an event of kind `lost`.
    fn events(
        &self,
        since: Option<Timestamp>,
        follow: bool,
    ) -> impl Future<Output = Result<mpsc::Receiver<Event>, Failure>> + Send;

    /// Activates what lies in the policy directory, or changes nothing.
    fn reload(&self, caller: Caller) -> impl Future<Output = Result<ReloadReport, Failure>> + Send;

    /// Latches and stops; answers when the kernel's word is read back.
    fn stop(
        &self,
        caller: Caller,
        request: StopRequest,
    ) -> impl Future<Output = Result<StopReport, Failure>> + Send;

    /// Lifts a stop.
    fn resume(
        &self,
        caller: Caller,
        request: ResumeRequest,
    ) -> impl Future<Output = Result<StopReport, Failure>> + Send;

    /// Cuts a node off.
    fn isolate(
        &self,
        caller: Caller,
        node: String,
        request: ReasonRequest,
    ) -> impl Future<Output = Result<NodeReport, Failure>> + Send;

    /// Lets a node back.
    fn release(
        &self,
        caller: Caller,
        node: String,
        request: ReasonRequest,
    ) -> impl Future<Output = Result<NodeReport, Failure>> + Send;

    /// Somebody came through the socket's mode and may still not command: for the record.
    fn denied(&self, caller: Caller) {
        tracing::warn!(%caller, "refused a caller who may not command");
    }
}

/// Answers on that socket until the future is dropped. Enforcement does not depend on it.
pub async fn serve<O: Operator>(listener: Listener, operator: Arc<O>) {
    let connections = Arc::new(Connections::new(connection_limit()));
    let server = Server::new(operator, Gate::new(listener.group()));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let ticket = connections.admit(peer.uid);
                let server = server.clone();
                tokio::spawn(async move { server.converse(stream, peer, ticket).await });
            }
            Err(error) => {
                // Out of descriptors or memory: make room, do not spin.
                tracing::warn!(%error, "cannot accept a connection to the control socket");
                connections.evict();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Holds one conversation over a stream that is no socket, whose other end is taken for root: what
/// tests speak to that have no caller the kernel could name.
pub async fn converse_as_root<O: Operator>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    operator: Arc<O>,
) {
    let root = Peer { uid: 0, gid: 0, pid: std::process::id() };
    let ticket = Arc::new(Connections::new(1)).admit(root.uid);
    let server = Server::new(operator, Gate::new(nix::unistd::Gid::from_raw(0)));
    server.converse(stream, root, ticket).await;
}

/// As many connections as descriptors allow; half of them stay free for everything else.
fn connection_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = 2 * CONNECTIONS as u64;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return CONNECTIONS / 8 };
    let raised = wanted.clamp(soft, hard.max(soft));
    let granted = match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    usize::try_from(granted / 2).unwrap_or(CONNECTIONS).min(CONNECTIONS)
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    routes: TowerToHyperService<Router>,
}

impl Server {
    fn new<O: Operator>(operator: Arc<O>, gate: Gate) -> Self {
        Self { routes: TowerToHyperService::new(routes::router(operator, gate)) }
    }

    /// One connection, until either side ends it or another needs its place.
    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: Peer,
        mut ticket: Ticket,
    ) {
        let activity = ticket.activity();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(activity.clone());
            self.routes.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BUFFER)
            .serve_connection(TokioIo::new(Patient::new(stream, WRITE)), service);
        tokio::select! {
            // A caller who breaks off is no news.
            _ = connection => {}
            () = ticket.evicted() => {}
        }
    }
}

#[cfg(test)]
mod tests;
