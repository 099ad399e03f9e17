//! Files that the programs read: the latch, the configuration, captured frames, and who owns which
//! slot.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use firewall_common::image::SUBNETWORKS;
use firewall_control::{Caller, StopLevel};
use firewall_daemon::config::Config;
use firewall_daemon::dataplane::latch::{Latch, LatchedStop, Order};
use firewall_daemon::dataplane::slots;
use firewall_policy::explain::pcap;
use sha2::{Digest, Sha256};

/// A byte that says which file it is, and the file.
///
/// Panics unless a latch that can be read survives being written, a stop never loosens it, and a
/// file whose checksum does not match is never read; unless what a configuration says holds
/// together; unless captured frames lie within their file.
pub fn state(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => latch(file, false),
        1 => latch(&sealed(file), true),
        2 => config(file),
        3 => capture(file),
        _ => owners(file),
    }
}

/// With the checksum that belongs to it.
fn sealed(body: &[u8]) -> Vec<u8> {
    let digest = Sha256::digest(body);
    let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    [body, b"\n", sum.as_bytes(), b"\n"].concat()
}

fn latch(file: &[u8], is_sealed: bool) {
    let directory = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    let latch = Latch::new(directory.path());
    fs::write(directory.path().join("latch"), file).expect("write the latch");
    let Ok(mut latched) = latch.read() else { return };
    if !is_sealed {
        let body = file.strip_suffix(b"\n").expect("an end of line");
        let end = body.iter().rposition(|byte| *byte == b'\n').expect("a line");
        assert_eq!(file, sealed(&body[..end]), "its checksum does not match");
    }
    let name = latched.subnetworks.keys().next().cloned().unwrap_or_default();
    for (subnetwork, level) in [(None, StopLevel::Ordinary), (Some(&*name), StopLevel::Hard)] {
        let before = match subnetwork {
            None => latched.everything.as_ref().map(|stop| stop.level),
            Some(name) => latched.subnetworks.get(name).map(|stop| stop.level),
        };
        let order = Order {
            since: "2026-01-31T12:00:00Z".to_owned(),
            by: Caller::default(),
            reason: "a fire".to_owned(),
        };
        latched.tighten(subnetwork, &LatchedStop { level, order });
        let now = match subnetwork {
            None => latched.everything.as_ref().map(|stop| stop.level),
            Some(name) => latched.subnetworks.get(name).map(|stop| stop.level),
        };
        assert!(now >= before && now >= Some(level), "{before:?} became {now:?}");
    }
    latch.write(&latched).expect("write what was read");
    assert_eq!(latch.read().expect("read what was written"), latched);
}

fn config(file: &[u8]) {
    let Ok(text) = std::str::from_utf8(file) else { return };
    match Config::parse(text, Path::new("cordon.toml")) {
        Ok(config) => {
            let ports: Vec<_> = config.gateway.ports().collect();
            assert!(!ports.is_empty(), "a gateway without ports");
            for (index, port) in ports {
                assert_eq!(config.gateway.port(&port.name), Some(index), "{}", port.name);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "refused for nothing");
            drop(error.hint());
        }
    }
}

fn capture(file: &[u8]) {
    match pcap::read(file) {
        Ok(records) => {
            let total: usize = records.iter().map(|record| record.frame.len()).sum();
            // Each has 16 bytes in front.
            assert!(total + 16 * records.len() <= file.len(), "more frames than file");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "refused for nothing"),
    }
}

/// Any words may stand where the kernel keeps the hashes of names.
fn owners(file: &[u8]) {
    let words = file.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        AtomicU64::new(u64::from_le_bytes(word))
    });
    let words: Vec<_> = words.collect();
    let found = slots::find_in(&words, "radiology");
    assert!(found.is_none_or(|slot| usize::from(slot.0) < words.len()), "{found:?}");
    assert!(words.len() >= SUBNETWORKS as usize || found.is_none(), "{found:?} of too few");
}
