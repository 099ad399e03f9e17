//! A connection to the gateway.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::protocol::{ALPN, FromGateway, FromNode, LONGEST, decode, encode};
use crate::settings::Settings;

/// How long the gateway may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate or a key.
    #[error("cannot use {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<pem::Error>,
    },
    /// Others can read the key.
    #[error("others may read {}: chmod 600 it", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
    },
    /// The gateway's name is no name.
    #[error("gateway_name is no DNS name")]
    Name(#[from] InvalidDnsNameError),
    /// Certificate and key do not fit, or the handshake failed.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
    /// The network.
    #[error("no connection to the gateway")]
    Io(#[from] io::Error),
    /// What it says is none of what a gateway says.
    #[error("the gateway speaks another protocol")]
    Protocol(#[from] serde_json::Error),
    /// The gateway ended the connection without a word.
    #[error("the gateway hung up")]
    HungUp,
    /// The gateway says no.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

/// Everything that a handshake needs.
#[derive(Clone, Debug)]
pub struct Client {
    gateway: SocketAddr,
    name: ServerName<'static>,
    identity: String,
    config: Arc<ClientConfig>,
}

/// A handshake that has succeeded, and a lease.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Client {
    /// Reads certificates and key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let Settings { gateway, gateway_name, identity, ca, certificate, key } = settings;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate)?;
        }
        if fs::metadata(key)?.permissions().mode() & 0o077 != 0 {
            return Err(ClientError::Readable { path: key.clone() });
        }
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Every connection proves everything again.
        config.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(gateway_name.clone())?;
        let (gateway, identity) = (*gateway, identity.clone());
        Ok(Self { gateway, name, identity, config: Arc::new(config) })
    }

    /// Connects and proves who this is; then there is a lease of so long.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(&self) -> Result<(Connection, Duration), ClientError> {
        let socket = TcpStream::connect_timeout(&self.gateway, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        let stream = BufReader::new(StreamOwned::new(tls, socket));
        let mut connection = Connection { stream };
        let hello = FromNode::Hello { identity: self.identity.clone() };
        let length = connection.ask(&hello)?;
        Ok((connection, length))
    }
}

impl Connection {
    /// Renews the lease; it has so long from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn renew(&mut self) -> Result<Duration, ClientError> {
        self.ask(&FromNode::Renew {})
    }

    /// Ends the lease.
    ///
    /// # Errors
    /// [`ClientError`]: then it ends by itself.
    pub fn bye(mut self) -> Result<(), ClientError> {
        self.say(&FromNode::Bye {})?;
        let tls = self.stream.get_mut();
        tls.conn.send_close_notify();
        tls.flush()?;
        // The gateway hangs up when it has heard it.
        let _ = tls.read(&mut [0]);
        Ok(())
    }

    fn ask(&mut self, question: &FromNode) -> Result<Duration, ClientError> {
        self.say(question)?;
        let mut line = Vec::new();
        self.stream.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(ClientError::HungUp);
        }
        match decode(&line)? {
            FromGateway::Lease { seconds } => Ok(Duration::from_secs(u64::from(seconds))),
            FromGateway::Refused { reason } => Err(ClientError::Refused { reason }),
        }
    }

    fn say(&mut self, what: &FromNode) -> Result<(), ClientError> {
        let stream = self.stream.get_mut();
        stream.write_all(&encode(what)?)?;
        stream.flush()?;
        Ok(())
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(failed(path))?;
    certificates.map(|certificate| certificate.map_err(failed(path))).collect()
}

fn failed(path: &Path) -> impl Fn(pem::Error) -> ClientError {
    move |source| ClientError::Pem { path: path.to_owned(), source: Box::new(source) }
}
