//! A gateway on loopback, and nodes that speak to it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firewall_daemon::auth::mtls::gate::Bounds;
use firewall_daemon::auth::mtls::server::Server;
use firewall_daemon::auth::mtls::{Reason, Refusal, Statement, Told, Verdict};
use firewall_daemon::config::Mtls;
use firewall_node::client::{Client, ClientError};
use firewall_node::settings::Settings;
use firewall_pki::{Authority, GATEWAY, Validity};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

pub(crate) const IDENTITY: &str = "ws-1.radiology.example";
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A gateway on loopback that grants a lease to whoever speaks as [`IDENTITY`].
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) allowed: watch::Sender<Arc<HashSet<IpAddr>>>,
    said: Arc<Mutex<Vec<Statement>>>,
    _runtime: Runtime,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::bounded(Bounds { of_an_address: 64, burst: 1000, ..Bounds::default() })
    }

    pub(crate) fn bounded(bounds: Bounds) -> Self {
        Self::listening(HERE, bounds, |_| {})
    }

    /// On that address, with what is in the directory of certificates changed so before.
    pub(crate) fn listening(on: IpAddr, bounds: Bounds, change: impl Fn(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pki = directory.path().join("pki");
        drop(Authority::init(&pki, 365).unwrap());
        change(&pki);
        let settings = Mtls {
            listen: (on, 0).into(),
            ca: pki.join("ca.crt"),
            crl: pki.join("crl.pem"),
            certificate: pki.join("gateway.crt"),
            key: pki.join("gateway.key"),
            lease: LEASE,
        };
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::bind(&settings)).unwrap().bounded(bounds);
        let address = SocketAddr::new(HERE, server.address().unwrap().port());
        let (allowed, allowed_receiver) = watch::channel(Arc::new(HashSet::from([HERE])));
        let (sender, mut statements) = mpsc::channel::<Told>(16);
        let said = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(server.run(allowed_receiver, sender));
        let log = Arc::clone(&said);
        runtime.spawn(async move {
            while let Some(Told { statement, answer }) = statements.recv().await {
                let verdict = match &statement {
                    Statement::Proven { identity, length, .. } if identity == IDENTITY => {
                        Verdict::Granted { length: *length }
                    }
                    Statement::Proven { .. }
                    | Statement::Ended { .. }
                    | Statement::Refused { .. } => Verdict::Refused(Refusal::Identity),
                };
                log.lock().unwrap().push(statement);
                // Nobody waits for the answer to an end.
                let _ = answer.send(verdict);
            }
        });
        Self { directory, address, allowed, said, _runtime: runtime }
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.directory.path().join("pki")
    }

    /// What a node with a certificate of that name and validity is configured with.
    pub(crate) fn node(&self, identity: &str, validity: Validity) -> Settings {
        let mut authority = Authority::open(&self.pki()).unwrap();
        let (certificate, key) = authority.issue("ws-1", identity, validity).unwrap();
        self.settings(identity, certificate, key)
    }

    pub(crate) fn settings(&self, identity: &str, certificate: PathBuf, key: PathBuf) -> Settings {
        Settings {
            gateway: self.address,
            gateway_name: GATEWAY.to_owned(),
            identity: identity.to_owned(),
            ca: self.pki().join("ca.crt"),
            certificate,
            key,
        }
    }

    pub(crate) fn said(&self) -> Vec<Statement> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until so many were refused; as whom and why.
    pub(crate) fn refused(&self, count: usize) -> Vec<(String, Refusal)> {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let said = self.said();
            let refused = said.iter().filter_map(|statement| match statement {
                Statement::Refused { identity, refusal, .. } => Some((identity.clone(), *refusal)),
                Statement::Ended { .. } | Statement::Proven { .. } => None,
            });
            let refused: Vec<_> = refused.collect();
            if refused.len() >= count || Instant::now() >= end {
                return refused;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until an identity's proof has ended.
    pub(crate) fn ended(&self, patience: Duration) -> Option<Reason> {
        let end = Instant::now() + patience;
        loop {
            let ended = self.said().iter().find_map(|statement| match statement {
                Statement::Ended { identity, reason, .. } if identity == IDENTITY => Some(*reason),
                Statement::Ended { .. } | Statement::Proven { .. } | Statement::Refused { .. } => {
                    None
                }
            });
            if ended.is_some() || Instant::now() >= end {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(crate) fn connect(settings: &Settings) -> Result<Duration, ClientError> {
    Client::new(settings).unwrap().connect().map(|(_, length)| length)
}

pub(crate) fn reason(result: Result<Duration, ClientError>) -> String {
    match result {
        Err(ClientError::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}
