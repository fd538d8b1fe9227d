//! TLS to a server: whom to trust, as whom to appear.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature,
    verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use thiserror::Error;

use super::certificate::Certificate;
use super::secret::Secret;

/// What a TLS connection needs, ready for use.
#[derive(Clone, Debug)]
pub struct Tls {
    settings: TlsSettings,
    pub(super) client: Arc<ClientConfig>,
}

/// How to trust a server and how to be trusted by it. Texts are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    /// The authorities that may vouch for the server. An entry may hold several
    /// certificates.
    pub authorities: Arc<[String]>,
    /// The client's certificate and the chain to it.
    pub certificate: Option<String>,
    /// The client certificate's private key.
    pub key: Option<Secret>,
    /// The name that the server's certificate must have, if not its host's.
    pub server_name: Option<String>,
    /// Whether any certificate will do: then the connection is encrypted to
    /// whoever answers.
    pub trust_anybody: bool,
}

/// Settings that no connection can be made with. None shows a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// An authority's text is no certificate.
    #[error("tls.ca holds no certificate in PEM form")]
    Authorities,
    /// The client's certificate is none.
    #[error("tls.cert is not a certificate in PEM form")]
    Certificate,
    /// The client's key is none.
    #[error("tls.key is not an unencrypted private key in PEM form")]
    Key,
    /// One without the other.
    #[error("tls.cert and tls.key go together; {missing} is missing")]
    Half {
        /// Which one isn't there.
        missing: &'static str,
    },
    /// A certificate and a key that don't belong together, or that the TLS
    /// library can't use.
    #[error("tls.cert and tls.key can't be used: {0}")]
    Identity(String),
    /// A name that no certificate can have.
    #[error("tls.servername is not a host's name or address")]
    ServerName,
}

impl Tls {
    /// Reads the certificates and the key.
    ///
    /// # Errors
    ///
    /// Which of the settings can't be used, and why.
    pub fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        if let Some(name) = &settings.server_name {
            ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName)?;
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Identity(error.to_string()))?;
        let builder = builder.dangerous();
        let builder = if settings.trust_anybody {
            builder.with_custom_certificate_verifier(Arc::new(TrustAnybody(provider)))
        } else {
            let verifier = Trust::new(Arc::clone(&settings.authorities), provider)?;
            builder.with_custom_certificate_verifier(Arc::new(verifier))
        };
        let client = match (&settings.certificate, &settings.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err(TlsError::Half { missing: "tls.key" }),
            (None, Some(_)) => {
                return Err(TlsError::Half {
                    missing: "tls.cert",
                });
            }
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate).ok_or(TlsError::Certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                    .map_err(|_| TlsError::Key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::Identity(error.to_string()))?
            }
        };
        Ok(Self {
            settings,
            client: Arc::new(client),
        })
    }

    /// The name the server must prove: the one asked for, or the host's.
    pub(super) fn name(&self, host: &str) -> Option<ServerName<'static>> {
        let name = self.settings.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).ok()
    }
}

fn roots(authorities: &[String]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for text in authorities {
        let (added, _) =
            store.add_parsable_certificates(certificates(text).ok_or(TlsError::Authorities)?);
        if added == 0 {
            return Err(TlsError::Authorities);
        }
    }
    Ok(store)
}

/// The certificates in a PEM text, if it is one with at least one.
fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    certificates.ok().filter(|found| !found.is_empty())
}

/// An error of a connection, with what to do about it if it is TLS's.
pub(super) fn explain(error: &std::io::Error) -> String {
    use rustls::AlertDescription;
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(unfit) = inner.and_then(Unfit::of) {
        return format!("TLS: {unfit}");
    }
    let hint = match inner {
        Some(Error::InvalidCertificate(reason)) => match reason {
            CertificateError::UnknownIssuer => {
                "; nobody trusted vouches for the server: give its authority in tls.ca"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "; the certificate is for another name: give it in tls.servername"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "; the server's certificate must be renewed, or the clock here is wrong"
            }
            _ => "",
        },
        Some(Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        )) => "; the server wants a client certificate it trusts: give tls.cert and tls.key",
        Some(Error::InvalidMessage(_)) => "; does the server speak TLS on this port?",
        _ => "",
    };
    if inner.is_some() {
        format!("TLS: {error}{hint}")
    } else {
        error.to_string()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Tls {}

impl Hash for Tls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.settings.hash(state);
    }
}

/// Accepts what the authorities vouch for, and what is itself among them.
#[derive(Debug)]
struct Trust {
    authorities: Arc<[String]>,
    /// The chains of certificates. `None` if there is no authority.
    chains: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    fn new(authorities: Arc<[String]>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let roots = roots(&authorities)?;
        let algorithms = provider.signature_verification_algorithms;
        let chains = if roots.is_empty() {
            None
        } else {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            Some(builder.build().map_err(|_| TlsError::Authorities)?)
        };
        Ok(Self {
            authorities,
            chains,
            algorithms,
        })
    }

    /// Whether it is one of those that were given. They are read again: only who
    /// is refused comes here.
    fn is_given(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut given = self
            .authorities
            .iter()
            .filter_map(|text| certificates(text));
        given.any(|given| given.contains(certificate))
    }

    /// What to make of a certificate that no chain leads to, for this reason.
    fn judge(
        &self,
        der: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
        refused: Error,
    ) -> Result<(), Error> {
        let Some(certificate) = Certificate::read(der) else {
            return Err(refused);
        };
        if certificate.is_version_1 {
            return Err(Unfit::Version1.into());
        }
        if !certificate.is_self_issued() {
            // The library has no name of its own for it.
            let is_authority = refused.to_string().contains("CaUsedAsEndEntity");
            return Err(if is_authority {
                Unfit::Authority.into()
            } else {
                refused
            });
        }
        if !self.is_given(der) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        // As an authority it can vouch for itself, which the chains don't allow.
        certificate.check_dates(now)?;
        verify_server_name(&ParsedCertificate::try_from(der)?, server_name)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chained = match &self.chains {
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
            .or_else(|refused| self.judge(end_entity, server_name, now, refused));
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
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate that Node takes and a connection of our own does not.
#[derive(Clone, Copy, Debug, Error)]
enum Unfit {
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
    fn of(error: &Error) -> Option<&Self> {
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

/// Accepts every certificate, as the user asked, but not a forged handshake.
#[derive(Debug)]
struct TrustAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// With whatever key the certificate has: the library itself reads version 3 only.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        let verified = verify_tls12_signature(message, certificate, signed, algorithms);
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verified;
        }
        let certificate = Certificate::read(certificate).ok_or(Unfit::Unreadable)?;
        let possible = algorithms.mapping.iter();
        let is_verified = possible
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == certificate.key_algorithm)
            .any(|algorithm| {
                let (key, signature) = (certificate.key_bits, signed.signature());
                algorithm.verify_signature(key, message, signature).is_ok()
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
        let algorithms = &self.0.signature_verification_algorithms;
        let verified = verify_tls13_signature(message, certificate, signed, algorithms);
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verified;
        }
        let certificate = Certificate::read(certificate).ok_or(Unfit::Unreadable)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.key);
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let authorities = |text: &str| TlsSettings {
            authorities: [text.to_owned()].into(),
            ..TlsSettings::default()
        };
        let refused = Tls::new(authorities("nonsense")).expect_err("no certificate");
        assert_eq!(refused, TlsError::Authorities);
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let half = TlsSettings {
            certificate: Some(String::new()),
            trust_anybody: true,
            ..TlsSettings::default()
        };
        let refused = Tls::new(half).expect_err("half an identity");
        assert_eq!(refused, TlsError::Half { missing: "tls.key" });
    }
}
