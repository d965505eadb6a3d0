//! Names that nobody knows, hosts that nobody reaches, certificates that nobody trusts.

use super::{Kind, Phase, Rule, Sign};

use Phase::{Build, Engine};
use Sign::Says;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "not-trusted",
        phases: &[Build, Engine],
        signs: &[
            Says(&["SELF_SIGNED_CERT_IN_CHAIN"]),
            Says(&["DEPTH_ZERO_SELF_SIGNED_CERT"]),
            Says(&["UNABLE_TO_VERIFY_LEAF_SIGNATURE"]),
            Says(&["UNABLE_TO_GET_ISSUER_CERT"]),
            Says(&["self-signed certificate"]),
            Says(&["CERTIFICATE_VERIFY_FAILED"]),
            Says(&["certificate verify failed"]),
            Says(&["SSL certificate problem"]),
            Says(&["x509: "]),
        ],
        kind: Kind::Host,
        cause: "a registry shows a certificate that is not trusted",
        advice: "Behind a company's proxy, the base images need its certificate: point `IMAGE_REGISTRY_PREFIX` at images that have it, or \
                 copy it in the `Dockerfile`.",
    },
    Rule {
        name: "unreachable",
        phases: &[Build],
        signs: &[
            Says(&["npm", "code ENOTFOUND"]),
            Says(&["npm", "code EAI_AGAIN"]),
            Says(&["npm", "code ECONNREFUSED"]),
            Says(&["npm", "code ETIMEDOUT"]),
            Says(&["npm", "code ECONNRESET"]),
            Says(&["ERR_PNPM_META_FETCH_FAIL"]),
            Says(&["Failed to establish a new connection"]),
            Says(&["Could not resolve host"]),
            Says(&["Could not resolve '"]),
            Says(&["Temporary failure resolving"]),
            Says(&["dial tcp", "connection refused"]),
            Says(&["dial tcp", "no such host"]),
            Says(&["dial tcp", "i/o timeout"]),
        ],
        kind: Kind::Host,
        cause: "a registry could not be reached from the build",
        advice: "If that was for a moment, a comment `/preview redeploy` tries again. Otherwise check the registry's address in the \
                 repository, and that the server's firewall and proxy let builds reach it.",
    },
];
