//! The two ways to authenticate, as the API document describes them.

use poem_openapi::registry::{MetaSecurityScheme, Registry};

/// The name of the scheme for tokens in the API document.
pub(super) const BEARER: &str = "Bearer";

/// The name of the scheme for API keys in the API document.
pub(super) const API_KEY: &str = "ApiKey";

/// Adds both schemes to the API document.
pub(super) fn register(registry: &mut Registry) {
    let bearer = scheme(
        "http",
        "A JWT with `exp`, `sub` and `role` (user, agent, approver, admin), signed by HS256 or, \
         with `iss` and `aud`, by a configured identity provider (RS256, ES256, EdDSA). Never \
         beside a key.",
    );
    registry.create_security_scheme(
        BEARER,
        MetaSecurityScheme { scheme: Some("bearer"), bearer_format: Some("JWT"), ..bearer },
    );
    let key = scheme(
        "apiKey",
        "A key that the operator issued, in the configuration or as a managed key.",
    );
    registry.create_security_scheme(
        API_KEY,
        MetaSecurityScheme { name: Some("X-API-Key"), key_in: Some("header"), ..key },
    );
}

fn scheme(ty: &'static str, description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty,
        description: Some(description),
        name: None,
        key_in: None,
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}
