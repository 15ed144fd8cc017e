//! TLS 1.3 with raw public keys (RFC 7250): no certificate, no name, no authority. A key is the identity.
//!
//! rustls keys its session tickets by the server's name, so the expected key is spelt as a name. It never goes out: the
//! extension that would carry it in the clear is off.

use crate::key::{from_spki, to_spki, TransportSecret};
use ainonymous_types::Bytes32;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{aws_lc_rs, verify_tls13_signature_with_raw_key, CryptoProvider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use std::sync::Arc;

/// Tickets kept for coming back without a round trip.
const TICKETS: usize = 256;

/// One side's TLS for answering.
pub(crate) fn server(secret: &TransportSecret, alpn: &[u8]) -> Result<rustls::ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = certified(secret, &provider)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey(provider)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    config.alpn_protocols = vec![alpn.to_vec()];
    // What may come before the handshake has ended is decided for each stream (`FrameReceiver::is_early`).
    config.max_early_data_size = u32::MAX;
    Ok(config)
}

/// One side's TLS for asking: whom it expects is said with each connection.
pub(crate) fn client(secret: &TransportSecret, alpn: &[u8]) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = certified(secret, &provider)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamedKey(provider)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_sni = false;
    config.enable_early_data = true;
    config.resumption = Resumption::in_memory_sessions(TICKETS);
    Ok(config)
}

/// How the expected key is spelt as a name: two labels, for one holds 63 characters at most.
pub(crate) fn name_of(key: &Bytes32) -> String {
    let hex = key.to_hex();
    let (left, right) = hex.split_at(32);
    format!("{left}.{right}.invalid")
}

/// The key that the other side has proved.
pub(crate) fn peer_key(identity: Option<Box<dyn std::any::Any>>) -> Option<Bytes32> {
    let chain = identity?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.first().and_then(|key| from_spki(key))
}

fn certified(secret: &TransportSecret, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let pkcs8 = secret.pkcs8();
    let der = PrivateKeyDer::Pkcs8(pkcs8.as_slice().into());
    let key = provider.key_provider.load_private_key(der.clone_key())?;
    let public = CertificateDer::from(to_spki(&secret.public()));
    Ok(Arc::new(CertifiedKey::new(vec![public], key)))
}

/// Accepts the key that the name spells.
#[derive(Debug)]
struct NamedKey(Arc<CryptoProvider>);

/// Accepts whoever proves any key: who may ask is decided above.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ServerCertVerifier for NamedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = from_spki(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if intermediates.is_empty() && server_name.to_str() == name_of(&key) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_raw(&self.0, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if intermediates.is_empty() && from_spki(end_entity).is_some() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::BadEncoding))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_raw(&self.0, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn verify_raw(
    provider: &CryptoProvider,
    message: &[u8],
    key: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = SubjectPublicKeyInfoDer::from(key.as_ref());
    verify_tls13_signature_with_raw_key(message, &spki, dss, &provider.signature_verification_algorithms)
}
