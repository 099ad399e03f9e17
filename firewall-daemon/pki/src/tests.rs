use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_the_owners_alone_and_nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pki");
    let mut authority = Authority::init(&path, 365).unwrap();
    let (certificate, key) =
        authority.issue("ct-1", "ct-1.radiology.example", Validity::days(30)).unwrap();
    let second = authority.issue("ct-1", "ct-1.radiology.example", Validity::days(30)).unwrap();
    assert_ne!(second.0, certificate);
    drop(authority);
    for (expected, path) in [
        (0o700, path.clone()),
        (0o700, path.join("nodes")),
        (0o600, path.join("ca.key")),
        (0o600, path.join("gateway.key")),
        (0o600, key),
        (0o644, certificate),
        (0o644, path.join("crl.pem")),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    let key = std::fs::read(path.join("ca.key")).unwrap();
    assert!(matches!(Authority::init(&path, 365), Err(PkiError::Exists { .. })));
    assert_eq!(std::fs::read(path.join("ca.key")).unwrap(), key);
}

#[test]
fn a_node_is_revoked_once_with_all_its_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = Authority::init(directory.path(), 365).unwrap();
    let list = std::fs::read(directory.path().join("crl.pem")).unwrap();
    for node in ["ct-1", "ct-1", "ct-2"] {
        authority.issue(node, node, Validity::days(30)).unwrap();
    }
    assert_eq!(authority.revoke("ct-1").unwrap().len(), 2);
    assert!(matches!(authority.revoke("ct-1"), Err(PkiError::Unknown { .. })));
    assert_ne!(std::fs::read(directory.path().join("crl.pem")).unwrap(), list);
    drop(authority);
    let authority = Authority::open(directory.path()).unwrap();
    let revoked: Vec<_> =
        authority.issued().iter().map(|issued| (&*issued.node, issued.revoked.is_some())).collect();
    assert_eq!(revoked, [("ct-1", true), ("ct-1", true), ("ct-2", false)]);
}

#[test]
fn names_and_times_that_make_no_sense_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Authority::init(directory.path(), 0), Err(PkiError::Days { .. })));
    let mut authority = Authority::init(directory.path(), 30).unwrap();
    for name in ["", "../ca", "a/b", "*.example", ".a", "a..b", "a b", "ct-1\n"] {
        let issued = authority.issue(name, "ct-1", Validity::days(1));
        assert!(matches!(issued, Err(PkiError::Name { .. })), "{name:?}");
        let issued = authority.issue("ct-1", name, Validity::days(1));
        assert!(matches!(issued, Err(PkiError::Name { .. })), "{name:?}");
    }
    let longer = authority.issue("ct-1", "ct-1", Validity::days(31));
    assert!(matches!(longer, Err(PkiError::Days { .. })));
    assert!(authority.issued().is_empty());
}

#[test]
fn an_interrupted_making_is_told_or_finished_and_loses_nothing() {
    let whole = tempfile::tempdir().unwrap();
    drop(Authority::init(whole.path(), 365).unwrap());
    let made = ["ca.key", "ca.crt", "gateway.key", "gateway.crt", "index.json", "crl.pem"];
    for length in 1..made.len() {
        let directory = tempfile::tempdir().unwrap();
        for file in &made[..length] {
            std::fs::copy(whole.path().join(file), directory.path().join(file)).unwrap();
        }
        let again = Authority::init(directory.path(), 365);
        if length < 5 {
            assert!(matches!(again, Err(PkiError::Unfinished { .. })), "{length}");
        } else {
            drop(again.unwrap());
            assert!(directory.path().join("crl.pem").exists());
            let again = Authority::init(directory.path(), 365);
            assert!(matches!(again, Err(PkiError::Exists { .. })));
        }
        for file in &made[..length.min(4)] {
            let bytes = std::fs::read(directory.path().join(file)).unwrap();
            assert_eq!(bytes, std::fs::read(whole.path().join(file)).unwrap(), "{file}");
        }
    }
}
