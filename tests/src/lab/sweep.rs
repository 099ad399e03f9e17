//! What a test run leaves behind that was killed before it could drop its labs.

use std::{fs, path::Path};

use super::{bpffs, namespace};

/// What the names of all labs start with; the id of the process that made it comes next.
pub(super) const PREFIX: &str = "cordon-";

/// Removes the namespaces, mounts and directories of labs whose process is no more.
pub(super) fn sweep() {
    for name in names(Path::new(namespace::DIRECTORY)).filter(|name| is_abandoned(name)) {
        // Two test runs may sweep at once: whatever one of them finds gone is gone.
        let _swept_meanwhile = namespace::remove(&Path::new(namespace::DIRECTORY).join(name));
    }
    let directory = std::env::temp_dir();
    for name in names(&directory).filter(|name| is_abandoned(name)) {
        let lab = directory.join(name);
        let _not_mounted = bpffs::unmount(&lab.join("bpf"));
        let _swept_meanwhile = fs::remove_dir_all(&lab);
    }
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Whether `name` is `cordon-PID-NUMBER...` of a process that does not exist.
fn is_abandoned(name: &str) -> bool {
    let mut parts = name.strip_prefix(PREFIX).into_iter().flat_map(|rest| rest.split('-'));
    let process = parts.next().and_then(|part| part.parse::<u32>().ok());
    let number = parts.next().and_then(|part| part.parse::<u32>().ok());
    let made_by = process.filter(|_| number.is_some());
    made_by.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_lab_of_a_dead_process_made_is_abandoned() {
        // No process id is ever above 2^22.
        assert!(is_abandoned("cordon-4194305-0-near"));
        assert!(is_abandoned("cordon-4194305-12"));
        for name in ["cordon-1-0-near", "cordon-4194305", "cordon-4194305-x", "cordon", "4194305-0"]
        {
            assert!(!is_abandoned(name), "{name}");
        }
    }
}
