//! The lease server's socket.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use firewall_node::protocol::{self, ALPN, FromGateway, FromNode, LONGEST};
use rustls::pki_types::UnixTime;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gate::{Bounds, Gate, Ticket};
use super::held::{Held, Proof};
use super::trust::{Chain, Stamp, Trust, TrustError, has_name};
use super::{Reason, Refusal, Statement, Told, Verdict};
use crate::config;
use crate::dataplane::clock::monotonic;

/// Until handshake and hello are over, each.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long whoever decides may take.
const DECISION: Duration = Duration::from_secs(5);
/// How often the files are looked at: a revocation takes effect within a second.
const LOOK: Duration = Duration::from_millis(250);
/// Handshakes at the same time, each of which costs a signature.
const HANDSHAKES: usize = 64;
/// A node renews no more often.
const RENEWAL: Duration = Duration::from_millis(900);

/// The addresses that may prove something: those of the nodes that need such a lease.
pub type Allowed = watch::Receiver<Arc<HashSet<IpAddr>>>;

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Certificates, key or revocation list.
    #[error("[authentication.mtls] cannot be used")]
    Trust(#[from] TrustError),
    /// The address.
    #[error("cannot listen for nodes on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl ServeError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Trust(_) => {
                "name the files that `cordon pki init` has made, or a site's own: ca, crl, \
                 certificate and key, the key readable by root only"
            }
            Self::Bind { .. } => {
                "set [authentication.mtls] listen to a free address of this machine"
            }
        }
    }
}

/// The open socket.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    settings: config::Mtls,
    stamp: Stamp,
    trust: watch::Sender<Option<Trust>>,
    bounds: Bounds,
    held: Held,
}

/// What every connection needs.
#[derive(Debug)]
struct Desk {
    lease: Duration,
    trust: watch::Receiver<Option<Trust>>,
    allowed: Allowed,
    statements: mpsc::Sender<Told>,
    held: Held,
    handshakes: Semaphore,
}

impl Server {
    /// Reads certificates and opens the socket; within a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(settings: &config::Mtls) -> Result<Self, ServeError> {
        // Looked at before they are read: a change in between is seen.
        let stamp = Stamp::look(settings);
        let trust = watch::Sender::new(Some(Trust::load(settings)?));
        let address = settings.listen;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServeError::Bind { address, source })?;
        let (settings, bounds, held) = (settings.clone(), Bounds::default(), Held::default());
        Ok(Self { listener, settings, stamp, trust, bounds, held })
    }

    /// With other bounds.
    #[must_use]
    pub fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Goes on with what was proved to the daemon before, by identity. What counts no more ends as soon
    /// as it runs.
    #[must_use]
    pub fn holding(self, proofs: impl IntoIterator<Item = (Arc<str>, Proof)>) -> Self {
        for (identity, proof) in proofs {
            self.held.insert(&identity, proof);
        }
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether certificates can be checked; stays up to date.
    pub fn trust(&self) -> watch::Receiver<Option<Trust>> {
        self.trust.subscribe()
    }

    /// Serves until nobody takes statements any more.
    pub async fn run(self, allowed: Allowed, statements: mpsc::Sender<Told>) {
        let Self { listener, settings, mut stamp, trust, bounds, held } = self;
        let gate = Gate::new(bounds);
        let desk = Arc::new(Desk {
            lease: settings.lease,
            trust: trust.subscribe(),
            allowed,
            statements: statements.clone(),
            held,
            handshakes: Semaphore::new(HANDSHAKES),
        });
        desk.review().await;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = statements.closed() => return,
                _ = look.tick() => {
                    let now = Stamp::look(&settings);
                    if now != stamp {
                        stamp = now;
                        reload(&settings, &trust);
                        desk.review().await;
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => desk.receive(stream, peer, &gate),
                    Err(error) => {
                        tracing::warn!(%error, "a node's connection was not accepted");
                        sleep(Duration::from_millis(10)).await;
                    }
                },
            }
        }
    }
}

/// Where one of the files cannot be used, nothing is proved until it can: leases run out.
fn reload(settings: &config::Mtls, trust: &watch::Sender<Option<Trust>>) {
    let loaded = Trust::load(settings);
    match &loaded {
        Ok(_) => tracing::info!("certificates and revocation lists of nodes were read again"),
        Err(error) => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "no node can renew its lease");
        }
    }
    trust.send_replace(loaded.ok());
}

impl Desk {
    fn receive(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, gate: &Gate) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let admitted = gate.admit(peer.ip(), &self.allowed.borrow(), monotonic());
        match admitted {
            Ok(ticket) => drop(tokio::spawn(Arc::clone(self).attend(stream, peer, ticket))),
            Err(closed) => tracing::debug!(%peer, ?closed, "a connection was closed at once"),
        }
    }

    async fn attend(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, ticket: Ticket) {
        let ended = self.converse(stream, peer).await;
        if let Err(error) = ended {
            tracing::info!(%peer, %error, "a node's connection ended");
        }
        drop(ticket);
    }

    async fn converse(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let mut stream = match timeout(PATIENCE, self.shake_hands(stream)).await? {
            Err(error) if is_about_the_certificate(&error) => {
                self.refuse(String::new(), peer, Refusal::Certificate).await;
                return Err(error);
            }
            shaken => shaken?,
        };
        let chain = stream.get_ref().get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Chain = chain.iter().map(|each| each.clone().into_owned()).collect();
        let Some(FromNode::Hello { identity }) = timeout(PATIENCE, hear(&mut stream)).await??
        else {
            return Err(invalid("it did not say hello"));
        };
        let identity = identity.to_ascii_lowercase();
        loop {
            let at = monotonic();
            let length = match self.prove(&identity, &chain, peer).await {
                Verdict::Granted { length } => length,
                Verdict::Refused(refusal) => {
                    let reason = refusal.name().to_owned();
                    tracing::warn!(%peer, identity, reason, "a node was refused a lease");
                    say(&mut stream, &FromGateway::Refused { reason }).await?;
                    return stream.shutdown().await;
                }
            };
            let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
            say(&mut stream, &FromGateway::Lease { seconds }).await?;
            match timeout(length, hear(&mut stream)).await?? {
                Some(FromNode::Renew {}) if monotonic() >= at + RENEWAL => {}
                Some(FromNode::Renew {}) => return Err(invalid("it renews too often")),
                Some(FromNode::Hello { .. }) => return Err(invalid("it said hello twice")),
                Some(FromNode::Bye {}) => {
                    if self.held.remove(&identity, peer).is_some() {
                        self.end(identity, peer, Reason::Bye).await;
                    }
                    return stream.shutdown().await;
                }
                // It may be a cable: the lease goes on to its end.
                None => return Ok(()),
            }
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<BufReader<TlsStream<TcpStream>>> {
        // Never closed.
        let _permit = self.handshakes.acquire().await.map_err(io::Error::other)?;
        let config = self.trust.borrow().as_ref().map(Trust::config);
        let config = config.ok_or_else(|| invalid("certificates cannot be checked now"))?;
        stream.set_nodelay(true)?;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(ALPN) {
            Ok(BufReader::with_capacity(LONGEST, stream))
        } else {
            Err(invalid("it speaks another protocol"))
        }
    }

    async fn prove(&self, identity: &str, chain: &Chain, peer: SocketAddr) -> Verdict {
        let proved = match self.check(identity, chain, peer) {
            Ok(proved) => proved,
            Err(refusal) => {
                self.refuse(identity.to_owned(), peer, refusal).await;
                return Verdict::Refused(refusal);
            }
        };
        let now = monotonic();
        // Before it is granted: a revocation in between finds it.
        let proof = Proof { chain: Arc::clone(chain), peer, until: now + proved };
        self.held.insert(identity, proof);
        let identity = identity.to_owned();
        let statement = Statement::Proven {
            identity: identity.clone(),
            peer,
            length: proved,
            chain: Arc::clone(chain),
        };
        let verdict = match timeout(DECISION, self.ask(statement)).await {
            Ok(Some(Verdict::Granted { length })) if !length.is_zero() => {
                Verdict::Granted { length: length.min(proved) }
            }
            Ok(Some(Verdict::Refused(refusal))) => Verdict::Refused(refusal),
            Ok(Some(Verdict::Granted { .. }) | None) | Err(_) => {
                Verdict::Refused(Refusal::Unavailable)
            }
        };
        match verdict {
            Verdict::Granted { .. } => {}
            Verdict::Refused(_) => drop(self.held.remove(&identity, peer)),
        }
        verdict
    }

    /// For how long a proof counts. Looked at every time: a certificate that was good an hour ago may
    /// be revoked by now.
    fn check(&self, identity: &str, chain: &Chain, peer: SocketAddr) -> Result<Duration, Refusal> {
        if !self.allowed.borrow().contains(&peer.ip()) {
            return Err(Refusal::Address);
        }
        let trust = self.trust.borrow();
        let trust = trust.as_ref().ok_or(Refusal::Unavailable)?;
        if !has_name(chain, identity) {
            return Err(Refusal::Certificate);
        }
        let proved = trust.length(chain, UnixTime::now(), self.lease);
        if proved.is_zero() { Err(Refusal::Certificate) } else { Ok(proved) }
    }

    async fn ask(&self, statement: Statement) -> Option<Verdict> {
        let (answer, answered) = oneshot::channel();
        self.statements.send(Told { statement, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Ends what rests on certificates that do not count any more. While they cannot be checked, what
    /// was granted runs out.
    async fn review(&self) {
        let Some(trust) = self.trust.borrow().clone() else { return };
        let now = UnixTime::now();
        for (identity, peer) in
            self.held.review(monotonic(), |proof| trust.counts(&proof.chain, now))
        {
            self.end(identity, peer, Reason::Distrusted).await;
        }
    }

    async fn end(&self, identity: String, peer: SocketAddr, reason: Reason) {
        tracing::info!(%peer, identity, reason = reason.name(), "a node's lease ends");
        self.tell(Statement::Ended { identity, peer, reason }).await;
    }

    async fn refuse(&self, identity: String, peer: SocketAddr, refusal: Refusal) {
        self.tell(Statement::Refused { identity, peer, refusal }).await;
    }

    async fn tell(&self, statement: Statement) {
        let (answer, _) = oneshot::channel();
        // Whoever takes statements is gone: then the daemon is, too.
        let _ = self.statements.send(Told { statement, answer }).await;
    }
}

/// A line, or none if the connection has ended.
async fn hear(stream: &mut BufReader<TlsStream<TcpStream>>) -> io::Result<Option<FromNode>> {
    let mut line = Vec::new();
    stream.take(LONGEST as u64).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    protocol::decode(&line).map(Some).map_err(io::Error::from)
}

async fn say(stream: &mut BufReader<TlsStream<TcpStream>>, what: &FromGateway) -> io::Result<()> {
    let line = protocol::encode(what)?;
    let said = async {
        stream.write_all(&line).await?;
        stream.flush().await
    };
    // Whoever does not listen keeps no place.
    timeout(PATIENCE, said).await?
}

fn is_about_the_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
