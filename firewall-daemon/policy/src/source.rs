//! The policy's files, read once: every later step works on these texts and no others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::parallel::side_by_side;

/// The most text a policy directory may hold, in bytes; a million nodes fit.
const LARGEST: u64 = 512 << 20;

/// The `*.toml` files of a policy directory, in name order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
    digest: [u8; 32],
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name within the directory.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Why a policy directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not exist, or is something else.
    #[error("{} is not a directory", directory.display())]
    NotADirectory {
        /// The path that was asked for.
        directory: PathBuf,
    },
    /// It holds no `*.toml` file.
    #[error("{} holds no *.toml file", directory.display())]
    Empty {
        /// The path that was asked for.
        directory: PathBuf,
    },
    /// A `*.toml` entry is a directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The entry.
        path: PathBuf,
    },
    /// A file is not UTF-8, which TOML requires.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The files are larger than any policy.
    #[error("{} holds more than {} MiB of policy", directory.display(), LARGEST >> 20)]
    TooLarge {
        /// The path that was asked for.
        directory: PathBuf,
    },
    /// The operating system refused.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

impl Sources {
    /// Reads every `*.toml` file of a directory. Hidden files are left out, as editors keep theirs
    /// there.
    ///
    /// # Errors
    /// When the path is no directory, holds no such file, or one of them cannot be read as text.
    pub fn read(directory: &Path) -> Result<Self, ReadError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |error| ReadError::Unreadable { path, error }
        };
        match fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unreadable(directory)(error));
            }
            Ok(_) | Err(_) => {
                return Err(ReadError::NotADirectory { directory: directory.to_owned() });
            }
        }
        let mut listed = Vec::new();
        let mut size = 0;
        for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
            let entry = entry.map_err(unreadable(directory))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !name.ends_with(".toml") {
                continue;
            }
            let path = entry.path();
            let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
            if !metadata.is_file() {
                return Err(ReadError::NotAFile { path });
            }
            size += metadata.len();
            if size > LARGEST {
                return Err(ReadError::TooLarge { directory: directory.to_owned() });
            }
            listed.push((name, path));
        }
        if listed.is_empty() {
            return Err(ReadError::Empty { directory: directory.to_owned() });
        }
        let read = side_by_side(&listed, |_, (name, path)| {
            let bytes = fs::read(path).map_err(unreadable(path))?;
            let Ok(text) = String::from_utf8(bytes) else {
                return Err(ReadError::NotText { path: path.clone() });
            };
            let digest = Sha256::digest(&text).into();
            Ok((SourceFile { name: name.clone(), text }, digest))
        });
        read.into_iter().collect::<Result<_, _>>().map(Self::from_files)
    }

    /// From texts in memory, given as (name, text).
    pub fn from_texts<N, T>(texts: impl IntoIterator<Item = (N, T)>) -> Self
    where
        N: Into<String>,
        T: Into<String>,
    {
        let files = texts.into_iter().map(|(name, text)| {
            let (name, text) = (name.into(), text.into());
            let digest = Sha256::digest(&text).into();
            (SourceFile { name, text }, digest)
        });
        Self::from_files(files.collect())
    }

    /// The files, in name order.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// SHA-256 over the names and the SHA-256 of each content, in lower-case hexadecimal.
    pub fn hash(&self) -> String {
        hex(&self.digest)
    }

    /// SHA-256 over the names and the SHA-256 of each content.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn from_files(mut files: Vec<(SourceFile, [u8; 32])>) -> Self {
        files.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let mut hasher = Sha256::new();
        for (SourceFile { name, .. }, digest) in &files {
            // Lengths first: no two different directories hash the same bytes.
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(digest);
        }
        let files = files.into_iter().map(|(file, _)| file).collect();
        Self { files, digest: hasher.finalize().into() }
    }
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_name_order_and_hidden_ones_left_out() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["20-b.toml", "10-a.toml", ".swap.toml", "README.md"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let sources = Sources::read(directory.path()).unwrap();
        let names: Vec<_> = sources.files().iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["10-a.toml", "20-b.toml"]);
    }

    #[test]
    fn what_is_no_policy_directory_is_refused_in_plain_words() {
        let directory = tempfile::tempdir().unwrap();
        let read = |path: &Path| {
            let message = Sources::read(path).unwrap_err().to_string();
            message.replace(&directory.path().display().to_string(), "DIR")
        };
        assert_eq!(read(directory.path()), "DIR holds no *.toml file");
        assert_eq!(read(&directory.path().join("absent")), "DIR/absent is not a directory");
        let file = directory.path().join("a.toml");
        fs::write(&file, [0xff]).unwrap();
        assert_eq!(read(&file), "DIR/a.toml is not a directory");
        assert_eq!(read(directory.path()), "DIR/a.toml is not UTF-8 text");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(read(directory.path()), "DIR/a.toml is not a regular file");
    }

    #[test]
    fn the_hash_depends_on_names_contents_and_their_borders() {
        let hash = |texts: &[(&str, &str)]| Sources::from_texts(texts.iter().copied()).hash();
        let policy = hash(&[("a.toml", "x"), ("b.toml", "y")]);
        assert_eq!(policy, hash(&[("b.toml", "y"), ("a.toml", "x")]));
        assert_eq!(policy.len(), 64);
        assert_ne!(policy, hash(&[("a.toml", "y"), ("b.toml", "x")]));
        assert_ne!(hash(&[("a", "bc")]), hash(&[("ab", "c")]));
    }
}
