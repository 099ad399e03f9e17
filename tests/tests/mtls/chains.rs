//! A site's own authority, whose root signs an intermediate one that signs the nodes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use firewall_daemon::auth::mtls::gate::Bounds;
use firewall_daemon::auth::mtls::{Reason, Refusal};
use firewall_node::client::ClientError;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use super::bench::{Bench, HERE, IDENTITY, LEASE, connect};

/// Both authorities, and a node's certificate.
struct Site {
    root: Authority,
    between: Authority,
    node: String,
    key: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// The intermediate authority's.
const SERIAL: u64 = 7;

impl Site {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority("Site root", 1);
        let certificate = params.self_signed(&key).unwrap().pem();
        let root = Authority { issuer: Issuer::new(params, key), certificate };

        let key = KeyPair::generate().unwrap();
        let params = authority("Site nodes", SERIAL);
        let certificate = params.signed_by(&key, &root.issuer).unwrap().pem();
        let between = Authority { issuer: Issuer::new(params, key), certificate };

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([IDENTITY.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(9));
        let node = params.signed_by(&key, &between.issuer).unwrap().pem();
        Self { root, between, node, key: key.serialize_pem() }
    }

    /// A gateway that trusts the root, with these revocation lists.
    fn gateway(&self, lists: &str) -> Bench {
        let bounds = Bounds { of_an_address: 64, burst: 1000, ..Bounds::default() };
        Bench::listening(HERE, bounds, |pki| {
            // The gateway's own certificate stays: nodes know its authority.
            fs::copy(pki.join("ca.crt"), pki.join("own.crt")).unwrap();
            fs::write(pki.join("ca.crt"), &self.root.certificate).unwrap();
            fs::write(pki.join("crl.pem"), lists).unwrap();
        })
    }

    /// Whether the node gets a lease if it shows these certificates.
    fn connect(&self, bench: &Bench, shown: &str) -> Result<Duration, ClientError> {
        let directory = bench.directory.path();
        let (certificate, key) = (directory.join("node.crt"), directory.join("node.key"));
        fs::write(&certificate, shown).unwrap();
        fs::write(&key, &self.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut settings = bench.settings(IDENTITY, certificate, key);
        settings.ca = bench.pki().join("own.crt");
        connect(&settings)
    }

    fn chain(&self) -> String {
        format!("{}{}", self.node, self.between.certificate)
    }

    /// What both authorities say is revoked, until so many seconds from now.
    fn lists(&self, root: &[u64], between: &[u64], seconds: i64) -> String {
        self.root.list(root, seconds) + &self.between.list(between, seconds)
    }
}

fn authority(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

impl Authority {
    fn list(&self, revoked: &[u64], seconds: i64) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now - time::Duration::HOUR,
            next_update: now + time::Duration::seconds(seconds),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn a_node_of_an_intermediate_authority_shows_the_whole_chain() {
    let site = Site::new();
    let bench = site.gateway(&site.lists(&[], &[], 3600));
    assert_eq!(site.connect(&bench, &site.chain()).unwrap(), LEASE);
    // The gateway has the root alone.
    assert!(site.connect(&bench, &site.node).is_err());
    assert_eq!(bench.refused(1), [(String::new(), Refusal::Certificate)]);
}

#[test]
fn every_authority_of_the_chain_needs_its_revocation_list() {
    let site = Site::new();
    for lists in [site.root.list(&[], 3600), site.between.list(&[], 3600)] {
        let bench = site.gateway(&lists);
        assert!(site.connect(&bench, &site.chain()).is_err());
        assert_eq!(bench.refused(1), [(String::new(), Refusal::Certificate)]);
    }
}

#[test]
fn a_revoked_node_or_a_revoked_intermediate_authority_ends_the_lease() {
    for (root, between) in [(&[SERIAL][..], &[][..]), (&[], &[9])] {
        let site = Site::new();
        let bench = site.gateway(&site.lists(&[], &[], 3600));
        assert_eq!(site.connect(&bench, &site.chain()).unwrap(), LEASE);
        replace(&bench.pki().join("crl.pem"), &site.lists(root, between, 3600));
        let ended = bench.ended(Duration::from_secs(5));
        assert_eq!(ended, Some(Reason::Distrusted), "{root:?} {between:?}");
        assert!(site.connect(&bench, &site.chain()).is_err());
    }
}

#[test]
fn no_lease_outlasts_a_revocation_list_and_a_newer_one_mends_it() {
    let site = Site::new();
    let bench = site.gateway(&site.lists(&[], &[], 20));
    let length = site.connect(&bench, &site.chain()).unwrap();
    assert!((Duration::from_secs(5)..=Duration::from_secs(20)).contains(&length), "{length:?}");
    let list = bench.pki().join("crl.pem");
    replace(&list, &site.lists(&[], &[], -5));
    // Nothing is granted any more.
    let begun = Instant::now();
    while site.connect(&bench, &site.chain()).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    replace(&list, &site.lists(&[], &[], 3600));
    while site.connect(&bench, &site.chain()).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
