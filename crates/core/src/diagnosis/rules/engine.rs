//! What the engine says of images and registries.

use super::{Kind, Phase, Rule, Sign};

use Phase::Engine;
use Sign::{Names, Says};

/// The rule of an image that a registry doesn't give.
pub(in super::super) const NO_IMAGE: &str = "no-image";

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "no-command",
        phases: &[Engine],
        signs: &[
            Names("exec: \"", "\": executable file not found"),
            Names("exec: \"", "\": stat "),
            Names("exec: \"", "\": permission denied"),
        ],
        kind: Kind::Command,
        cause: "{} is not in the image, or may not be run",
        advice: "Check that the command of the image exists there, is executable, and begins with `#!` if it is a script.",
    },
    Rule {
        name: "rate-limit",
        phases: &[Engine],
        signs: &[Says(&["toomanyrequests"]), Says(&["429 Too Many Requests"])],
        kind: Kind::Host,
        cause: "the image registry has had too many requests from this server",
        advice: "It passes within hours. Whoever runs the server can set `IMAGE_REGISTRY_PREFIX` to a mirror.",
    },
    Rule {
        name: NO_IMAGE,
        phases: &[Engine],
        signs: &[
            Says(&["manifest unknown"]),
            Says(&["pull access denied"]),
            Says(&["repository does not exist"]),
            Says(&["no such image"]),
            Says(&["manifest for ", "not found"]),
            Says(&[": not found"]),
            Says(&["401 Unauthorized"]),
            Says(&["403 Forbidden"]),
            Says(&["insufficient_scope"]),
            Says(&["no match for platform in manifest"]),
        ],
        kind: Kind::Host,
        cause: "the image is not in its registry, not for this processor, or needs a login",
        advice: "Correct its name and tag (which Ruby is meant stands in `.ruby-version` or `Gemfile`). Whoever runs the server can load a private one there by hand.",
    },
    Rule {
        name: "no-registry",
        phases: &[Engine],
        signs: &[
            Says(&["no such host"]),
            Says(&["i/o timeout"]),
            Says(&["TLS handshake timeout"]),
            Says(&["connection refused"]),
            Says(&["network is unreachable"]),
            Says(&["server misbehaving"]),
        ],
        kind: Kind::Host,
        cause: "the image's registry does not answer",
        advice: "Check the registry in the image's name, that the server reaches it, or load the image there by hand.",
    },
];
