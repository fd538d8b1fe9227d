//! TLS to a server: whom to trust, as whom to appear.

mod verifier;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error};
use thiserror::Error;

use self::verifier::{Unfit, Verifier, certificates};
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
        let verifier = if settings.trust_anybody {
            Verifier::of_anybody(&provider)
        } else {
            Verifier::of_authorities(Arc::clone(&settings.authorities), &provider)
                .ok_or(TlsError::Authorities)?
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Identity(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
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

/// An error of a connection, with what to do about it if it is TLS's: that may name the host,
/// and is told as `shown` has it.
pub(super) fn explain(
    error: &std::io::Error,
    shown: impl FnOnce(&std::io::Error) -> String,
) -> String {
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
        format!("TLS: {}{hint}", shown(error))
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
