//! What the repository or its settings lack: scripts, files, modules, variables.

use super::{Kind, Phase, Rule, Sign};

use Phase::{Build, Run};
use Sign::{Above, Below, Names, NamesBeside, Says};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "missing-script",
        phases: &[Build, Run],
        signs: &[
            Names("Missing script: \"", "\""),
            Names("ERR_PNPM_NO_SCRIPT\u{2009}", ""),
            Names("ERR_PNPM_NO_SCRIPT  Missing script: ", ""),
            Names("error Command \"", "\" not found"),
            Says(&["ERR_PNPM_NO_SCRIPT"]),
        ],
        kind: Kind::Script,
        cause: "{} is not in `package.json`",
        advice: "Add it under `scripts` in `package.json`, or let `preview-config.yml` or the `Dockerfile` run what there is.",
    },
    Rule {
        name: "missing-env-file",
        phases: &[Run],
        signs: &[
            Says(&["Error loading .env file"]),
            Says(&["open .env: no such file or directory"]),
            Says(&["node: .env", ": not found"]),
            Says(&["ENOENT: no such file or directory, open '.env'"]),
            Says(&["ENOENT: no such file or directory, open '", "/.env'"]),
        ],
        kind: Kind::File,
        cause: "the app does not start without its file `.env`, which is not in the image",
        advice: "Let it start without one (Node.js: `--env-file-if-exists=.env`): what stands under `env` in `preview-config.yml` is in \
                 its environment already. Or let the build make an empty one: `build_commands: touch .env`.",
    },
    Rule {
        name: "missing-file",
        phases: &[Build, Run],
        signs: &[
            Names("Cannot find module '", "'"),
            Names("can't open file '", "'"),
            Names("ENOENT: no such file or directory, open '", "'"),
            Names("No such file or directory: '", "'"),
        ],
        kind: Kind::File,
        cause: "{} is not there",
        advice: "Let the build make it or the `Dockerfile` copy it (a `.dockerignore` may leave it out), or name the right one with \
                 `app_entrypoint` in `preview-config.yml`.",
    },
    Rule {
        name: "older-python",
        phases: &[Build, Run],
        signs: &[
            Says(&["No module named 'distutils"]),
            Says(&["No module named 'imp'"]),
            Says(&["No module named 'pkg_resources'"]),
            Says(&["No module named 'asyncore'"]),
            Says(&["No module named 'cgi'"]),
        ],
        kind: Kind::Module,
        cause: "a module is needed that newer versions of Python have no more (`distutils`, `imp`, `pkg_resources`)",
        advice: "Update the package that asks for it, or say an older Python in `.python-version`, such as `3.11`. `pkg_resources` is in \
                 the package `setuptools`, below version 81.",
    },
    Rule {
        name: "missing-module",
        phases: &[Build, Run],
        signs: &[
            Names("Cannot find module '", "'"),
            Names("Cannot find package '", "'"),
            Names("ModuleNotFoundError: No module named '", "'"),
            Names("cannot load such file -- ", ""),
            Names("ERR! Could not resolve \"", "\""),
        ],
        kind: Kind::Module,
        cause: "{} is needed, and is not among what was installed",
        advice: "Add it to the dependencies (those that are installed for production too, if the app needs it to run), and commit the \
                 lock file.",
    },
    Rule {
        name: "missing-command",
        phases: &[Build, Run],
        signs: &[
            Names("sh: 1: ", ": not found"),
            Names("exec: ", ": not found"),
            Names("bash: line 1: ", ": command not found"),
        ],
        kind: Kind::Command,
        cause: "{} is not in the image",
        advice: "Install it in the image: with npm a tool has to stand in `package.json`, and what runs the app among `dependencies`.",
    },
    Rule {
        name: "rails-key",
        phases: &[Build, Run],
        signs: &[
            Says(&["Missing encryption key to decrypt file with", "RAILS_MASTER_KEY"]),
            Says(&["Missing `secret_key_base` for"]),
            Says(&["ActiveSupport::MessageEncryptor::InvalidMessage"]),
        ],
        kind: Kind::Variable,
        cause: "Rails has no key that opens its credentials: `RAILS_MASTER_KEY` is not set, or is another repository's",
        advice: "Write `RAILS_MASTER_KEY: ${secret:RAILS_MASTER_KEY}` under `env` in `preview-config.yml`; whoever runs the server sets that \
                 secret to what `config/master.key` holds.",
    },
    Rule {
        name: "missing-variable",
        phases: &[Build, Run],
        signs: &[
            // Of two signs in one line the later one counts: it names the variable.
            Says(&[": NotPresent"]),
            Names("", " not set: NotPresent"),
            Names("", " is not set: NotPresent"),
            Names("", " must be set: NotPresent"),
            Names("key not found: \"", "\" (KeyError)"),
            Names("Could not resolve placeholder '", "'"),
            Names("UndefinedValueError: ", " not found"),
            Names("required key ", " missing value"),
            Names("Environment variable not found: ", "."),
            Names("issing required environment variable: ", ""),
            Names("issing environment variable: ", ""),
            Names("equired environment variable \"", "\""),
            Names("nvironment variable ", " is not set"),
            Names("nvironment variable ", " is required"),
            Names("Config validation error: ", ""),
            Names("Configuration key \"", "\" does not exist"),
            Names("env-var: \"", "\" is a required variable"),
            Names("Set the ", " environment variable"),
            NamesBeside("KeyError: '", "'", "os.environ["),
            Below("Missing environment variables:", ":"),
            Above("Field required [type=missing"),
        ],
        kind: Kind::Variable,
        cause: "{} is not set",
        advice: "Give it a value under `env` in `preview-config.yml`; what is secret stands there as `${secret:NAME}`, which whoever runs \
                 the server sets.",
    },
];
