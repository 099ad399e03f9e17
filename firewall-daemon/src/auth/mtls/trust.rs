//! Which certificates count.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use firewall_node::protocol::ALPN;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};

use super::list::next_update;
use crate::config;

/// Why no certificate counts.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A certificate, a key or a revocation list.
    #[error("cannot use {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<pem::Error>,
    },
    /// A file that must hold something.
    #[error("{} holds nothing of the kind", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the key.
    #[error("others may read {}: chmod 600 it", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
    },
    /// The file system.
    #[error("cannot look at the key")]
    Io(#[from] io::Error),
    /// Authorities and revocation lists make no sense together.
    #[error("cannot check certificates")]
    Verifier(#[from] VerifierBuilderError),
    /// The gateway's certificate and key make no sense together.
    #[error("cannot speak TLS")]
    Tls(#[from] rustls::Error),
}

/// Authorities, revocation lists and the gateway's own certificate, as they were read.
#[derive(Clone, Debug)]
pub struct Trust {
    /// When the first of the lists runs out, in time since 1970.
    lists_end: Option<Duration>,
    verifier: Arc<dyn ClientCertVerifier>,
    config: Arc<ServerConfig>,
}

/// A node's certificate, with those between it and the authority.
pub type Chain = Arc<[CertificateDer<'static>]>;

impl Trust {
    /// Reads everything. Without a revocation list that can be read nothing is trusted.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn load(settings: &config::Mtls) -> Result<Self, TrustError> {
        let config::Mtls { ca, crl, certificate, key, listen: _, lease: _ } = settings;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate)?;
        }
        let lists = CertificateRevocationListDer::pem_file_iter(crl).map_err(failed(crl))?;
        let lists: Result<Vec<_>, _> = lists.collect();
        let lists = lists.map_err(failed(crl))?;
        if lists.is_empty() {
            return Err(TrustError::Empty { path: crl.clone() });
        }
        let lists_end = lists.iter().filter_map(|list| next_update(list)).min();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .with_crls(lists)
                .enforce_revocation_expiration()
                .build()?;
        if fs::metadata(key)?.permissions().mode() & 0o077 != 0 {
            return Err(TrustError::Readable { path: key.clone() });
        }
        let own = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(own, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would show no certificate: nobody would look whether it was revoked.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { lists_end, verifier, config: Arc::new(config) })
    }

    /// For handshakes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// When the first of the revocation lists runs out, or has run out, in time since 1970: from then on
    /// nobody proves anything whose chain needs it.
    pub fn lists_end(&self) -> Option<Duration> {
        self.lists_end
    }

    /// Whether a chain counts at that time.
    pub fn counts(&self, chain: &[CertificateDer<'_>], at: UnixTime) -> bool {
        let Some((own, between)) = chain.split_first() else { return false };
        self.verifier.verify_client_cert(own, between, at).is_ok()
    }

    /// For how long a chain counts from that time on, in whole seconds, at most so long.
    pub fn length(&self, chain: &[CertificateDer<'_>], now: UnixTime, most: Duration) -> Duration {
        let counts = |seconds: u64| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() + seconds));
            self.counts(chain, at)
        };
        let (mut good, mut bad) = (0, most.as_secs());
        if !counts(good) {
            return Duration::ZERO;
        }
        if counts(bad) {
            return Duration::from_secs(bad);
        }
        // Only in the last moments of a certificate or a list is it worth looking for the end.
        while good + 1 < bad {
            let between = u64::midpoint(good, bad);
            if counts(between) { good = between } else { bad = between }
        }
        Duration::from_secs(good)
    }
}

/// Whether a certificate has that very DNS name. One with a `*` proves nothing about anybody.
pub fn has_name(chain: &[CertificateDer<'_>], name: &str) -> bool {
    let Some(own) = chain.first() else { return false };
    let Ok(own) = webpki::EndEntityCert::try_from(own) else { return false };
    !name.contains('*') && own.valid_dns_names().any(|other| other.eq_ignore_ascii_case(name))
}

/// What tells that one of the files is another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Option<(u64, u64, i64, i64)>>);

impl Stamp {
    /// Looks at the files.
    pub fn look(settings: &config::Mtls) -> Self {
        let config::Mtls { ca, crl, certificate, key, listen: _, lease: _ } = settings;
        let stamps = [ca, crl, certificate, key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
        });
        Self(stamps.into())
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(failed(path))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(failed(path))?;
    if certificates.is_empty() {
        return Err(TrustError::Empty { path: path.to_owned() });
    }
    Ok(certificates)
}

fn failed(path: &Path) -> impl Fn(pem::Error) -> TrustError {
    move |source| TrustError::Pem { path: path.to_owned(), source: Box::new(source) }
}
