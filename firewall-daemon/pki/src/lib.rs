//! A small certification authority, for sites that have none.
//!
//! Its directory holds `ca.crt`, `ca.key`, `crl.pem`, `gateway.crt`, `gateway.key`, and for every
//! certificate of a node `nodes/NAME-SERIAL.crt` and `.key`; `index.json` tells what was issued and
//! revoked. Nothing is ever overwritten but the revocation list and the index, and those at once.

mod directory;
mod make;

use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What the gateway's certificate says unless told otherwise.
pub const GATEWAY: &str = "cordon-gateway";

/// Why the authority does not do it.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// There is one already.
    #[error("there is an authority in {} already", path.display())]
    Exists {
        /// Its directory.
        path: PathBuf,
    },
    /// One was begun, and whoever made it was interrupted.
    #[error("the making of an authority in {} was interrupted", path.display())]
    Unfinished {
        /// Its directory.
        path: PathBuf,
    },
    /// Nobody can tell such a certificate apart from others.
    #[error("\"{name}\" cannot be a name: letters, digits, '-', '_' and '.', at most 63")]
    Name {
        /// The name.
        name: String,
    },
    /// A certificate that would be good for no time, or for longer than the authority.
    #[error("{days} days are not between 1 and {most}")]
    Days {
        /// How many.
        days: u32,
        /// At most.
        most: u32,
    },
    /// There is nothing to revoke.
    #[error("\"{node}\" has no certificate that could be revoked")]
    Unknown {
        /// The node.
        node: String,
    },
    /// The index is not what was written.
    #[error("the index of the authority makes no sense")]
    Index(#[from] serde_json::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The file system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// To do what.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A certificate that was issued. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Whose.
    pub node: String,
    /// The name in it: the node's `identity`.
    pub identity: String,
    /// Sixteen random bytes in hexadecimal.
    pub serial: String,
    /// From when.
    pub issued: i64,
    /// Until when.
    pub expires: i64,
    /// Since when not any more.
    pub revoked: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    /// The authority's own name.
    name: String,
    expires: i64,
    crl_number: u64,
    certificates: Vec<Issued>,
}

/// An authority and its directory, which nobody else changes meanwhile.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    index: Index,
    _lock: Flock<std::fs::File>,
}

/// How long certificates are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when.
    pub from: OffsetDateTime,
    /// Until when.
    pub until: OffsetDateTime,
}

/// The most days of an authority.
const AUTHORITY_DAYS: u32 = 36_500;

impl Validity {
    /// So many days from now on, and an hour before: clocks differ.
    pub fn days(days: u32) -> Self {
        let now = OffsetDateTime::now_utc();
        Self { from: now - time::Duration::HOUR, until: now + time::Duration::days(days.into()) }
    }
}

impl Authority {
    /// Makes an authority, a certificate for the gateway and an empty revocation list. One that lacks
    /// only the list, because its making was interrupted, gets it.
    ///
    /// # Errors
    /// [`PkiError`], if there is one already, among others.
    pub fn init(directory: &Path, days: u32) -> Result<Self, PkiError> {
        if !(1..=AUTHORITY_DAYS).contains(&days) {
            return Err(PkiError::Days { days, most: AUTHORITY_DAYS });
        }
        directory::make(directory)?;
        let lock = directory::lock(directory)?;
        let is_there = |file: &str| directory.join(file).exists();
        if is_there("index.json") {
            if is_there("crl.pem") {
                return Err(PkiError::Exists { path: directory.to_owned() });
            }
            drop(lock);
            let mut authority = Self::open(directory)?;
            authority.publish()?;
            return Ok(authority);
        }
        // Nothing was issued: the index comes before that. But a key may have been taken away.
        if ["ca.key", "ca.crt", "gateway.key", "gateway.crt"].into_iter().any(is_there) {
            return Err(PkiError::Unfinished { path: directory.to_owned() });
        }
        directory::make(&directory.join("nodes"))?;
        let validity = Validity::days(days);
        let name = format!("Cordon CA {}", &make::serial()?[..8]);
        let made = make::authority(&name, validity)?;
        directory::write_new(&directory.join("ca.key"), made.key.as_bytes(), 0o600)?;
        directory::write_new(&directory.join("ca.crt"), made.certificate.as_bytes(), 0o644)?;
        let expires = validity.until.unix_timestamp();
        let index = Index { name, expires, crl_number: 0, certificates: Vec::new() };
        let mut authority = Self { directory: directory.to_owned(), index, _lock: lock };
        let made = make::certificate(&authority.issuer()?, GATEWAY, make::Use::Gateway, validity)?;
        directory::write_new(&directory.join("gateway.key"), made.key.as_bytes(), 0o600)?;
        directory::write_new(&directory.join("gateway.crt"), made.certificate.as_bytes(), 0o644)?;
        authority.publish()?;
        Ok(authority)
    }

    /// Opens one.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn open(directory: &Path) -> Result<Self, PkiError> {
        let path = directory.join("index.json");
        let bytes = directory::read(&path)?;
        drop(bytes);
        let lock = directory::lock(directory)?;
        // Again, as whoever had the lock has left it.
        let index = serde_json::from_slice(&directory::read(&path)?)?;
        Ok(Self { directory: directory.to_owned(), index, _lock: lock })
    }

    /// Issues a certificate to a node; answers where it and its key lie.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn issue(
        &mut self,
        node: &str,
        identity: &str,
        validity: Validity,
    ) -> Result<(PathBuf, PathBuf), PkiError> {
        for name in [node, identity] {
            if !is_name(name) {
                return Err(PkiError::Name { name: name.to_owned() });
            }
        }
        let expires = validity.until.unix_timestamp();
        if expires > self.index.expires {
            let left = (self.index.expires - OffsetDateTime::now_utc().unix_timestamp()) / 86_400;
            let asked = (expires - OffsetDateTime::now_utc().unix_timestamp()) / 86_400;
            let days = |days: i64| u32::try_from(days).unwrap_or(0);
            return Err(PkiError::Days { days: days(asked), most: days(left) });
        }
        let made = make::certificate(&self.issuer()?, identity, make::Use::Node, validity)?;
        let place = |end: &str| {
            self.directory.join("nodes").join(format!("{node}-{}.{end}", &made.serial[..8]))
        };
        let (certificate, key) = (place("crt"), place("key"));
        directory::write_new(&key, made.key.as_bytes(), 0o600)?;
        // In the index first: what exists can be revoked.
        self.index.certificates.push(Issued {
            node: node.to_owned(),
            identity: identity.to_owned(),
            serial: made.serial.clone(),
            issued: OffsetDateTime::now_utc().unix_timestamp(),
            expires,
            revoked: None,
        });
        self.save()?;
        directory::write_new(&certificate, made.certificate.as_bytes(), 0o644)?;
        Ok((certificate, key))
    }

    /// Revokes all certificates of a node; answers which.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn revoke(&mut self, node: &str) -> Result<Vec<Issued>, PkiError> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut revoked = Vec::new();
        for issued in &mut self.index.certificates {
            if issued.node == node && issued.revoked.is_none() {
                issued.revoked = Some(now);
                revoked.push(issued.clone());
            }
        }
        if revoked.is_empty() {
            return Err(PkiError::Unknown { node: node.to_owned() });
        }
        self.publish()?;
        Ok(revoked)
    }

    /// Everything that was issued to nodes, oldest first.
    pub fn issued(&self) -> &[Issued] {
        &self.index.certificates
    }

    /// Writes index and revocation list. The list is good as long as the authority: it lies on the
    /// machine that reads it, and one that ran out would let nobody prove anything.
    fn publish(&mut self) -> Result<(), PkiError> {
        self.index.crl_number += 1;
        let Index { name: _, expires, crl_number, certificates } = &self.index;
        let list = make::revocations(&self.issuer()?, *crl_number, *expires, certificates)?;
        self.save()?;
        directory::replace(&self.directory.join("crl.pem"), list.as_bytes(), 0o644)
    }

    fn save(&self) -> Result<(), PkiError> {
        let text = serde_json::to_vec_pretty(&self.index)?;
        directory::replace(&self.directory.join("index.json"), &text, 0o600)
    }

    fn issuer(&self) -> Result<make::Issuer, PkiError> {
        let key = directory::read(&self.directory.join("ca.key"))?;
        make::issuer(&self.index.name, &String::from_utf8_lossy(&key))
    }
}

/// As in policies, and as a DNS name.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = name.starts_with(['.', '-']) || name.ends_with(['.', '-']);
    (1..=63).contains(&name.len()) && name.bytes().all(is_plain) && !ends && !name.contains("..")
}

#[cfg(test)]
mod tests;
