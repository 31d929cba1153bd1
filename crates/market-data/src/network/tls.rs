use std::env;
use std::path::Path;
use std::sync::Arc;

use forecastle_core::{Error, Result};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Makes the TLS settings: rustls with `ring`, trusting Mozilla's roots as they come with the
/// program and those of the file that `SSL_CERT_FILE` names.
///
/// The bundled roots serve containers and fresh machines that have none; the file serves
/// networks whose proxy signs with a certificate of its own.
pub(super) fn client_config() -> Result<ClientConfig> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // A file that is not there adds nothing, as in OpenSSL: build sandboxes name such files.
    if let Some(file) = env::var_os("SSL_CERT_FILE").filter(|file| Path::new(file).is_file()) {
        roots.add_parsable_certificates(certificates(Path::new(&file))?);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(Box::new(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<_, pem::Error> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    read.map_err(|error| {
        let requirement = "a readable file of PEM certificates";
        let value = format!("{} ({error})", file.display());
        Error::invalid_parameter("SSL_CERT_FILE", requirement, value)
    })
}

pub(super) fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Component { component: "the HTTP client", transient: false, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_roots_are_there() {
        assert!(webpki_roots::TLS_SERVER_ROOTS.len() > 50);
        client_config().unwrap();
    }

    #[test]
    fn a_missing_certificate_file_is_named() {
        let missing = tempfile::tempdir().unwrap().path().join("roots.pem");
        let message = certificates(&missing).unwrap_err().to_string();
        assert!(message.starts_with("parameter `SSL_CERT_FILE` must be"), "{message}");
        assert!(message.contains("roots.pem"), "{message}");
    }

    #[test]
    fn a_file_of_certificates_is_read_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let block = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, block.repeat(2)).unwrap();
        assert_eq!(certificates(&file).unwrap().len(), 2);
        std::fs::write(&file, block.replace("MAA=", "M*A=")).unwrap();
        assert!(certificates(&file).is_err());
    }
}
