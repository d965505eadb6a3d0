//! A certificate with its key: the file that it is, and how long it is good.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use yasna::tags::TAG_UTCTIME;
use yasna::{ASN1Result, BERReader, BERReaderSeq, Tag};

/// A certificate that is served.
#[derive(Clone)]
pub struct Certificate {
    file: PathBuf,
    version: String,
    from: Timestamp,
    until: Timestamp,
    key: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("file", &self.file).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads key and chain, which stand in one text: so they can't be exchanged one without the other.
    ///
    /// # Errors
    /// When the text holds no certificate, no key, or two that don't belong together.
    pub(super) fn read(file: &Path, pem: &str) -> io::Result<Self> {
        let odd = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", file.display()));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|error| odd(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| odd(error.to_string()))?;
        let leaf = chain.first().ok_or_else(|| odd("it holds no certificate".to_owned()))?;
        let (from, until) = validity(leaf).ok_or_else(|| odd("no times can be read of its certificate".to_owned()))?;
        let version = hex::encode(&Sha256::digest(leaf)[..8]);
        let key = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| odd(error.to_string()))?;
        Ok(Self { file: file.to_owned(), version, from, until, key: Arc::new(key) })
    }

    /// The file, with key and chain.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Tells it from others for the same name.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When it ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// When it is renewed: once two thirds of its time are over.
    pub(super) fn renewal(&self) -> Timestamp {
        let third = SignedDuration::from_secs(self.until.duration_since(self.from).as_secs() / 3);
        self.until.checked_sub(third).unwrap_or(self.until)
    }

    /// What handshakes are done with.
    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }
}

/// From when and until when a certificate is good.
///
/// Source: RFC 5280, section 4.1: `TBSCertificate` begins with version, serial number, algorithm, issuer and validity.
fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let of_tbs = |tbs: &mut BERReaderSeq<'_, '_>| {
        tbs.read_optional(|version| version.read_tagged(Tag::context(0), |version| version.read_der()))?;
        let (_serial, _algorithm, _issuer) = (tbs.next().read_der()?, tbs.next().read_der()?, tbs.next().read_der()?);
        let times = tbs.next().read_sequence(|times| Ok((seconds(times.next())?, seconds(times.next())?)))?;
        rest(tbs).map(|()| times)
    };
    let read = yasna::parse_der(der, |certificate| {
        certificate.read_sequence(|parts| {
            let times = parts.next().read_sequence(of_tbs)?;
            rest(parts).map(|()| times)
        })
    });
    let (from, until) = read.ok()?;
    Some((Timestamp::from_second(from).ok()?, Timestamp::from_second(until).ok()?))
}

fn seconds(time: BERReader<'_, '_>) -> ASN1Result<i64> {
    match time.lookahead_tag()? {
        TAG_UTCTIME => Ok(time.read_utctime()?.datetime().unix_timestamp()),
        _ => Ok(time.read_generalized_time()?.datetime().unix_timestamp()),
    }
}

/// Reads over what nobody asks for.
fn rest(parts: &mut BERReaderSeq<'_, '_>) -> ASN1Result<()> {
    while parts.read_optional(|part| part.read_der())?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pem(from: (i32, u8, u8), until: (i32, u8, u8)) -> (String, String) {
        let mut params = CertificateParams::new(vec!["a.example.org".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        (key.serialize_pem(), params.self_signed(&key).unwrap().pem())
    }

    #[test]
    fn its_times_are_read_and_it_is_renewed_when_a_third_is_left() {
        let (key, chain) = pem((2026, 1, 1), (2026, 4, 1));
        let found = Certificate::read(Path::new("/x"), &format!("{key}{chain}")).unwrap();
        assert_eq!(found.until().to_string(), "2026-04-01T00:00:00Z");
        assert_eq!(found.renewal().to_string(), "2026-03-02T00:00:00Z");
        assert!(!format!("{found:?}").contains("PRIVATE"));
        // After 2049 certificates write the century out.
        let (key, chain) = pem((2049, 12, 31), (2051, 1, 1));
        let found = Certificate::read(Path::new("/x"), &format!("{key}{chain}")).unwrap();
        assert_eq!(found.until().to_string(), "2051-01-01T00:00:00Z");
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let ((key, chain), (other, _)) = (pem((2026, 1, 1), (2026, 4, 1)), pem((2026, 1, 1), (2026, 4, 1)));
        for text in ["", &key, &chain, &format!("{other}{chain}"), "-----BEGIN CERTIFICATE-----"] {
            assert!(Certificate::read(Path::new("/x"), text).is_err(), "{text}");
        }
    }
}
