//! Certificates and lists. ECDSA on P-256: what every TLS implementation verifies.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use crate::{Issued, PkiError, Validity};

pub(crate) type Issuer = rcgen::Issuer<'static, KeyPair>;

/// A certificate and its key, as PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) serial: String,
}

/// What a certificate is good for. A node's does not make a gateway.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Gateway,
    Node,
}

pub(crate) fn authority(name: &str, validity: Validity) -> Result<Made, PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let serial = serial()?;
    let mut params = authority_params(name);
    params.not_before = validity.from;
    params.not_after = validity.until;
    params.serial_number = Some(number(&serial));
    let certificate = params.self_signed(&key)?.pem();
    Ok(Made { certificate, key: key.serialize_pem(), serial })
}

/// The authority, from its name and its key.
pub(crate) fn issuer(name: &str, key: &str) -> Result<Issuer, PkiError> {
    Ok(Issuer::new(authority_params(name), KeyPair::from_pem(key)?))
}

pub(crate) fn certificate(
    issuer: &Issuer,
    identity: &str,
    usage: Use,
    validity: Validity,
) -> Result<Made, PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let serial = serial()?;
    let mut params = CertificateParams::new([identity.to_owned()])?;
    params.distinguished_name = common_name(identity);
    params.not_before = validity.from;
    params.not_after = validity.until;
    params.serial_number = Some(number(&serial));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match usage {
        Use::Gateway => ExtendedKeyUsagePurpose::ServerAuth,
        Use::Node => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    let certificate = params.signed_by(&key, issuer)?.pem();
    Ok(Made { certificate, key: key.serialize_pem(), serial })
}

pub(crate) fn revocations(
    issuer: &Issuer,
    crl_number: u64,
    expires: i64,
    certificates: &[Issued],
) -> Result<String, PkiError> {
    let revoked = certificates.iter().filter_map(|issued| {
        Some(RevokedCertParams {
            serial_number: number(&issued.serial),
            revocation_time: moment(issued.revoked?),
            reason_code: Some(RevocationReason::Unspecified),
            invalidity_date: None,
        })
    });
    let params = CertificateRevocationListParams {
        this_update: OffsetDateTime::now_utc() - time::Duration::HOUR,
        next_update: moment(expires),
        crl_number: SerialNumber::from(crl_number),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(issuer)?.pem()?)
}

/// Sixteen random bytes, the first of them small: a serial number is positive (RFC 5280, 4.1.2.2).
pub(crate) fn serial() -> Result<String, PkiError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| PkiError::Io { action: "read", path: path.to_owned(), source })?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn number(serial: &str) -> SerialNumber {
    let digits = serial.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap_or_default());
    let bytes: Vec<u8> = digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    SerialNumber::from(bytes)
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
