//! What the machine has not, or does not let: memory, disk, ports, rights.

use super::{Kind, Phase, Rule, Sign};

use Phase::{Build, Run};
use Sign::{Names, Says};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "heap",
        phases: &[Build, Run],
        signs: &[
            Says(&["JavaScript heap out of memory"]),
            Says(&["runtime: out of memory"]),
            Says(&["java.lang.OutOfMemoryError"]),
            Says(&["Allowed memory size of", "exhausted"]),
        ],
        kind: Kind::Command,
        cause: "a program ran out of memory",
        advice: "Let it use less memory, or raise `CONTAINER_MEMORY_MB` (of a build `BUILD_MEMORY_MB`) on the server.",
    },
    Rule {
        name: "disk-full",
        phases: &[Build, Run],
        signs: &[Says(&["ENOSPC"]), Says(&["No space left on device"]), Says(&["no space left on device"])],
        kind: Kind::File,
        cause: "there was no room left to write to",
        advice: "Let it write less: `/tmp` is small, and a container may fill `CONTAINER_DISK_MB`. If it is the server's own disk that \
                 is full, whoever runs the server has to make room.",
    },
    Rule {
        name: "read-only",
        phases: &[Run],
        signs: &[
            Names("EROFS: read-only file system, open '", "'"),
            Names("EROFS: read-only file system, mkdir '", "'"),
            Names("Read-only file system: '", "'"),
            Says(&["EROFS"]),
            Says(&["ead-only file system"]),
        ],
        kind: Kind::File,
        cause: "the app may not write {}: its image's files are read-only",
        advice: "Let it write below `/tmp`, or build it with a `Dockerfile` of the repository's own.",
    },
    Rule {
        name: "privileged-port",
        phases: &[Run],
        signs: &[
            Names("listen EACCES: permission denied 0.0.0.0:", ""),
            Names("listen EACCES: permission denied :::", ""),
            Says(&["listen tcp", "bind: permission denied"]),
            Says(&["socket.create_server", "Permission denied"]),
            Says(&["[Errno 13]", "while attempting to bind"]),
            Says(&["bind()", "Permission denied"]),
        ],
        kind: Kind::Port,
        cause: "the app may not listen on {}: ports below 1024 are for root, as whom it does not run",
        advice: "Let it listen on the port in its variable `PORT`, or on any above 1023 with `app_port` in `preview-config.yml`.",
    },
    Rule {
        name: "port-taken",
        phases: &[Run],
        signs: &[
            Names("EADDRINUSE: address already in use 0.0.0.0:", ""),
            Names("EADDRINUSE: address already in use :::", ""),
            Says(&["ddress already in use"]),
            Says(&["Only one usage of each socket address"]),
        ],
        kind: Kind::Port,
        cause: "something else in the app's container already listens on {}",
        advice: "Let one program listen there, once: look for a second start of the server, or a second server.",
    },
    Rule {
        name: "no-permission",
        phases: &[Build, Run],
        signs: &[
            Names("EACCES: permission denied, open '", "'"),
            Names("EACCES: permission denied, mkdir '", "'"),
            Names("EACCES: permission denied, scandir '", "'"),
            Names("EACCES: permission denied, unlink '", "'"),
            Names("PermissionError: [Errno 13] Permission denied: '", "'"),
            Names("open ", ": permission denied"),
            Names("mkdir ", ": permission denied"),
        ],
        kind: Kind::File,
        cause: "it may not use {}: it does not run as root",
        advice: "Let it write below `/tmp`, or let the `Dockerfile` give it the file: `COPY --chown=10001:10001` and `USER 10001:10001`.",
    },
];
