//! Whether enforcement is in place, with nobody to ask but the BPF file system.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What the pins say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    /// The program is attached.
    InPlace {
        /// To how many ports.
        links: usize,
    },
    /// It is not.
    Absent,
    /// The caller may not look.
    Unreadable,
}

/// Looks at the pinned links.
pub(crate) fn enforcement(bpf_directory: &Path) -> Enforcement {
    match fs::read_dir(bpf_directory.join("links")) {
        Ok(entries) => match entries.count() {
            0 => Enforcement::Absent,
            links => Enforcement::InPlace { links },
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Enforcement::Absent,
        Err(_) => Enforcement::Unreadable,
    }
}

/// The same as half a sentence.
pub(crate) fn sentence(bpf_directory: &Path) -> String {
    match enforcement(bpf_directory) {
        Enforcement::InPlace { links: 1 } => {
            "enforcement is still in place on 1 port, with the last policy".to_owned()
        }
        Enforcement::InPlace { links } => {
            format!("enforcement is still in place on {links} ports, with the last policy")
        }
        Enforcement::Absent => {
            "enforcement is not in place: no program is attached, so nothing crosses a bridge"
                .to_owned()
        }
        Enforcement::Unreadable => {
            "whether enforcement is still in place only root can see from the pins".to_owned()
        }
    }
}
