//! Leases on disk: a daemon that starts again goes on with those of the one before. They are of one
//! boot, whose clock their ends are of; an end on disk may be earlier than the one in force, and never
//! is later.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Source;
use super::mtls::trust::Chain;
use super::sealed::Sealed;

/// A lease on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Whose.
    pub node: String,
    /// Who has seen the proof.
    pub source: Source,
    /// From which MAC.
    pub mac: Option<[u8; 6]>,
    /// The source's name for it.
    pub session: String,
    /// When it ends, since boot.
    pub until: Duration,
    /// Whether that is the end of its grace.
    pub in_grace: bool,
    /// Of what it was granted for.
    pub binding: u64,
    /// The certificates that it rests on, if it does: in DER, hexadecimal, the node's own first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chain")]
    pub chain: Option<Chain>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    boot: String,
    leases: Vec<Kept>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Store {
    file: Sealed,
    boot: String,
}

/// Which boot of the machine this is.
///
/// # Errors
/// Where the kernel does not say so.
pub fn boot() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(boot.trim().to_owned())
}

impl Store {
    /// In the daemon's state directory, of that boot.
    pub fn new(state_directory: &Path, boot: String) -> Self {
        Self { file: Sealed::new(state_directory.join("leases")), boot }
    }

    /// Of this boot.
    ///
    /// # Errors
    /// Where the kernel does not say which boot this is.
    pub fn of_this_boot(state_directory: &Path) -> io::Result<Self> {
        Ok(Self::new(state_directory, boot()?))
    }

    /// What is kept of this boot; nothing if there is no file, or if it is another boot's.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged: then nobody has a lease.
    pub fn read(&self) -> io::Result<Vec<Kept>> {
        let body: Option<Body> = self.file.read()?;
        Ok(body.filter(|body| body.boot == self.boot).map_or_else(Vec::new, |body| body.leases))
    }

    /// Replaces the file. It is not waited for the disk: what a crash of the machine loses is another
    /// boot's anyway.
    ///
    /// # Errors
    /// Where it cannot be written; the file before is then still there.
    pub fn write(&self, leases: Vec<Kept>) -> io::Result<()> {
        self.file.write(&Body { boot: self.boot.clone(), leases })
    }
}

mod chain {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Chain;
    use crate::auth::{from_hexadecimal, hexadecimal};

    pub(super) fn serialize<S: Serializer>(
        chain: &Option<Chain>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let certificates = chain.iter().flat_map(|chain| chain.iter());
        serializer.collect_seq(certificates.map(|each| hexadecimal(each)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Chain>, D::Error> {
        let certificates = Vec::<String>::deserialize(deserializer)?;
        let certificates = certificates.iter().map(|each| from_hexadecimal(each).map(Into::into));
        let chain: Option<Chain> = certificates.collect();
        chain.map(Some).ok_or_else(|| D::Error::custom("a certificate is not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn kept() -> Vec<Kept> {
        vec![Kept {
            node: "ct-1".to_owned(),
            source: Source::Dot1x(3),
            mac: Some([2, 0, 0, 0, 1, 1]),
            session: "a".to_owned(),
            until: Duration::from_millis(77_001),
            in_grace: false,
            binding: u64::MAX,
            chain: Some(Arc::new([vec![0x30, 0x82, 0xff].into(), vec![1].into()])),
        }]
    }

    #[test]
    fn leases_are_read_back_in_the_same_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "this".to_owned());
        assert_eq!(store.read().unwrap(), []);
        store.write(kept()).unwrap();
        assert_eq!(store.read().unwrap(), kept());
        let after = Store::new(directory.path(), "another".to_owned());
        assert_eq!(after.read().unwrap(), []);
    }

    #[test]
    fn certificates_are_kept_whole_or_the_file_is_damaged() {
        let kept = kept().remove(0);
        let text = serde_json::to_string(&kept).unwrap();
        assert!(text.contains(r#""chain":["3082ff","01"]"#), "{text}");
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
        for bad in ["308", "+1", "zz", "\u{e9}"] {
            let bad = text.replace("3082ff", bad);
            assert!(serde_json::from_str::<Kept>(&bad).is_err(), "{bad}");
        }
        let none = Kept { chain: None, ..kept };
        let text = serde_json::to_string(&none).unwrap();
        assert!(!text.contains("chain"), "{text}");
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), none);
    }

    #[test]
    fn damaged_leases_are_nobodys() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "this".to_owned());
        store.write(kept()).unwrap();
        let path = directory.path().join("leases");
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(store.read().is_err(), "byte {place}");
            fs::write(&path, &good[..place]).unwrap();
            assert!(store.read().is_err(), "cut to {place} bytes");
        }
    }
}
