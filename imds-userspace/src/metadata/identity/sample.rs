//! Keys for tests, known and made by OpenSSL: making keys takes long, and known ones give known signatures.

use std::sync::{Arc, OnceLock};

use super::{Algorithm, Authority, Signer};

/// A key of RSA with its certificate.
pub(crate) const RSA: &str = include_str!("sample/rsa.pem");
/// A key of DSA with its certificate.
pub(crate) const DSA: &str = include_str!("sample/dsa.pem");

/// Who signs with them.
pub(crate) fn authority() -> Arc<Authority> {
    static AUTHORITY: OnceLock<Arc<Authority>> = OnceLock::new();
    Arc::clone(AUTHORITY.get_or_init(|| {
        let signer = |algorithm, text| Signer::from_pem(algorithm, text).expect("a good key");
        let authority = Authority::new(signer(Algorithm::RsaSha256, RSA), signer(Algorithm::DsaSha1, DSA));
        Arc::new(authority.expect("one of each"))
    }))
}
