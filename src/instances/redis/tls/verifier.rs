//! Whether a server is who it should be: what its certificate is worth, and
//! whether the handshake was signed with that certificate's key.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use thiserror::Error;
use webpki::RawPublicKeyEntity;
use x509_parser::certificate::{Validity, X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser as _;
use x509_parser::x509::X509Version;

/// Looks at what a server shows in a handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Trust {
    /// Whoever answers, as the user asked.
    Anybody,
    /// Those that the authorities vouch for, and those that are among them.
    Authorities {
        given: Arc<[String]>,
        /// The chains of certificates. `None` if there is no authority.
        chains: Option<Arc<WebPkiServerVerifier>>,
    },
}

impl Verifier {
    /// Accepts every certificate, but no handshake that its key has not signed.
    pub(super) fn of_anybody(provider: &CryptoProvider) -> Self {
        Self {
            trust: Trust::Anybody,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    /// Accepts what these authorities vouch for, and what is itself among them.
    /// `None` if one of the texts has no certificate that can be used.
    pub(super) fn of_authorities(
        given: Arc<[String]>,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Self> {
        let roots = roots(&given)?;
        let chains = if roots.is_empty() {
            None
        } else {
            let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
            let builder = WebPkiServerVerifier::builder_with_provider(roots, provider);
            Some(builder.build().ok()?)
        };
        Some(Self {
            trust: Trust::Authorities { given, chains },
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

fn roots(authorities: &[String]) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    for text in authorities {
        let (added, _) = store.add_parsable_certificates(certificates(text)?);
        if added == 0 {
            return None;
        }
    }
    Some(store)
}

/// The certificates in a PEM text, if it is one with at least one.
pub(super) fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    certificates.ok().filter(|found| !found.is_empty())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Authorities { given, chains } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let chained = match chains {
            Some(chains) => chains.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let judged = chained
            .map(|_| ())
            .or_else(|refused| judge(given, end_entity, server_name, now, refused));
        match judged {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented,
                ..
            })) if presented.is_empty() => Err(Unfit::Nameless.into()),
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(key) = key_beyond_the_library(certificate)? else {
            return verify_tls12_signature(message, certificate, signed, &self.algorithms);
        };
        // TLS 1.2 names a kind of signature, which several kinds of keys can make.
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| Unfit::Unreadable)?;
        let schemes = self.algorithms.mapping.iter();
        let is_verified = schemes
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| {
                let verified = key.verify_signature(*algorithm, message, signed.signature());
                verified.is_ok()
            });
        if is_verified {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match key_beyond_the_library(certificate)? {
            None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
            Some(key) => {
                verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What to make of a certificate that no chain leads to, for this reason.
fn judge(
    given: &[String],
    der: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
    refused: Error,
) -> Result<(), Error> {
    let Some(certificate) = read(der) else {
        return Err(refused);
    };
    if certificate.version() == X509Version::V1 {
        return Err(Unfit::Version1.into());
    }
    if certificate.issuer().as_raw() != certificate.subject().as_raw() {
        // The library has no name of its own for it.
        let is_authority = refused.to_string().contains("CaUsedAsEndEntity");
        return Err(if is_authority {
            Unfit::Authority.into()
        } else {
            refused
        });
    }
    // The texts are read again: only who is refused comes here.
    let mut given = given.iter().filter_map(|text| certificates(text));
    if !given.any(|given| given.contains(der)) {
        return Err(CertificateError::UnknownIssuer.into());
    }
    // As an authority it can vouch for itself, which the chains don't allow.
    check_dates(certificate.validity(), now)?;
    verify_server_name(&ParsedCertificate::try_from(der)?, server_name)
}

fn check_dates(validity: &Validity, now: UnixTime) -> Result<(), CertificateError> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet)
    } else if validity.not_after.timestamp() < now {
        Err(CertificateError::Expired)
    } else {
        Ok(())
    }
}

/// A certificate of any version, whoever vouches for it: the TLS library reads
/// version 3 only. `None` where it is no certificate.
fn read<'der>(der: &'der CertificateDer<'_>) -> Option<X509Certificate<'der>> {
    // Nothing here asks for an extension, so that one that is odd does no harm.
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (_, certificate) = parser.parse(der).ok()?;
    Some(certificate)
}

/// The public key of a certificate that the TLS library does not read; `None` if
/// it does.
fn key_beyond_the_library<'der>(
    certificate: &'der CertificateDer<'_>,
) -> Result<Option<SubjectPublicKeyInfoDer<'der>>, Unfit> {
    if ParsedCertificate::try_from(certificate).is_ok() {
        return Ok(None);
    }
    let certificate = read(certificate).ok_or(Unfit::Unreadable)?;
    Ok(Some(certificate.tbs_certificate.subject_pki.raw.into()))
}

/// A certificate that Node takes and a connection of our own does not.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum Unfit {
    #[error(
        "the server's certificate is of X.509 version 1, as \"openssl x509 -req\" without \"-extfile\" \
         makes it, and that has no names of hosts; have one of version 3 made, with a \
         subjectAltName, or pass a client of ioredis or node-redis, which takes it"
    )]
    Version1,
    #[error(
        "the server's certificate has its host's name in the CN at most, which is not looked at; \
         have one made with a subjectAltName, or pass a client of ioredis or node-redis, which takes it"
    )]
    Nameless,
    #[error(
        "the server's certificate is an authority's own, which may vouch for others but not name a host; \
         have one made with basicConstraints=CA:FALSE, or pass a client of ioredis or node-redis, \
         which takes it"
    )]
    Authority,
    #[error(
        "the server's certificate can't be read, so that not even the handshake's signature can be \
         verified; have another one made, or pass a client of ioredis or node-redis"
    )]
    Unreadable,
}

impl Unfit {
    pub(super) fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
            _ => None,
        }
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        CertificateError::Other(OtherError(Arc::new(unfit))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_no_key() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x02\x30\x05",
            &[0x30; 64],
        ] {
            let der = der.into();
            let key = key_beyond_the_library(&der);
            assert!(matches!(key, Err(Unfit::Unreadable)), "{der:?}");
        }
    }
}
