//! `/etc/cordon/node.toml`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where it lies unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/cordon/node.toml";

/// Who this node is, and whom it proves that to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The gateway's address and port.
    pub gateway: SocketAddr,
    /// The name in the gateway's certificate.
    #[serde(default = "gateway_name")]
    pub gateway_name: String,
    /// This node's `identity` in the policy, a name in its certificate.
    pub identity: String,
    /// Whose certificate the gateway must have, as PEM.
    pub ca: PathBuf,
    /// This node's certificate, as PEM, with those between it and the authority.
    pub certificate: PathBuf,
    /// Its key, as PEM, which nobody else may read.
    pub key: PathBuf,
}

/// As `cordon pki init` names it.
fn gateway_name() -> String {
    "cordon-gateway".to_owned()
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file makes no sense.
    #[error("{} makes no sense", path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

impl Settings {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| SettingsError::Invalid {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_example_is_read_and_unknown_keys_are_refused() {
        let text = include_str!("../../packaging/cordon-node.toml");
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.gateway_name, "cordon-gateway");
        assert!(toml::from_str::<Settings>(&format!("{text}keys = \"/x\"\n")).is_err());
    }
}
