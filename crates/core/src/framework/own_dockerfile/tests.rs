//! Dockerfiles as people and attackers write them.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> OwnDockerfile {
    OwnDockerfile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn user(text: &str) -> Option<String> {
    read(text).final_user().map(str::to_owned)
}

fn ports(text: &str) -> Vec<u16> {
    read(text).exposed_ports().into_iter().map(ContainerPort::get).collect()
}

#[test]
fn dockers_own_syntax_line_is_stripped() {
    for line in [
        "# syntax=docker/dockerfile:1",
        "#syntax = docker/dockerfile:1.7-labs",
        "# SYNTAX=docker.io/docker/dockerfile:1.4.0",
        "# syntax=docker/dockerfile:1@sha256:00ff",
    ] {
        let text = format!("{line}\n# escape=`\nFROM x\n");
        assert_eq!(read(&text).into_text(), "# escape=`\nFROM x\n", "{line}");
    }
    let plain = "FROM x\r\nRUN y\r\n";
    assert_eq!(read(plain).into_text(), plain);
}

#[test]
fn a_foreign_frontend_is_refused_wherever_one_might_look_for_it() {
    for text in [
        "# syntax=evil.example/frontend\nFROM x",
        "# syntax=docker/dockerfile-upstream:master\nFROM x",
        "# syntax=docker/dockerfile:2\nFROM x",
        "# syntax=docker/dockerfile:10\nFROM x",
        "# syntax=docker/dockerfile\nFROM x",
        "# syntax=docker.io.evil.example/docker/dockerfile:1\nFROM x",
        "#!/bin/sh\n# syntax=evil\nFROM x",
        "\n\n  #  Syntax  =  evil\nFROM x",
        "# escape=`\n# syntax=evil\nFROM x",
        "\u{FEFF}# syntax=evil\nFROM x",
        "# syntax=docker/dockerfile:1\n# syntax=evil\nFROM x",
    ] {
        assert!(matches!(OwnDockerfile::parse(text), Err(DockerfileError::ForeignSyntax(_))), "{text}");
    }
    for text in ["// syntax=evil\nFROM x", "{\"syntax\": \"evil\"}", "<?xml"] {
        assert_eq!(OwnDockerfile::parse(text).unwrap_err(), DockerfileError::UnknownInstruction(1), "{text}");
    }
    assert_eq!(read("# syntax=docker/dockerfile:1\n# syntax=docker/dockerfile:1\nFROM x").into_text(), "FROM x\n");
    // Behind the first instruction it is a comment like any other.
    assert!(OwnDockerfile::parse("FROM x\n# syntax=evil\n").is_ok());
}

#[test]
fn what_is_no_dockerfile_is_refused() {
    assert_eq!(OwnDockerfile::parse("").unwrap_err(), DockerfileError::NoStage);
    assert_eq!(OwnDockerfile::parse("# nothing\nARG A=1\n").unwrap_err(), DockerfileError::NoStage);
    let long = format!("FROM x\n{}", "#".repeat(MAX_BYTES));
    assert_eq!(OwnDockerfile::parse(&long).unwrap_err(), DockerfileError::TooLarge);
}

#[test]
fn the_last_stage_says_who_runs() {
    let cases = [
        ("FROM x", None),
        ("FROM x\nUSER app", Some("app")),
        ("FROM x\nuser  1000:1000  ", Some("1000:1000")),
        ("FROM x\nUSER a\nUSER root", Some("root")),
        ("FROM x AS build\nUSER app\nFROM y\nCOPY --from=build / /", None),
        ("FROM x AS Base\nUSER app\nFROM base", Some("app")),
        ("FROM x AS a\nUSER app\nFROM a AS b\nFROM --platform=linux/amd64 b", Some("app")),
        ("ARG BASE=a\nFROM x AS a\nUSER app\nFROM ${BASE}", Some("app")),
        ("ARG BASE\nFROM x AS a\nUSER app\nFROM $BASE", None),
        ("FROM x\nARG UID=1001\nUSER ${UID}:$UID", Some("1001:1001")),
        ("ARG WHO=app\nFROM x\nARG WHO\nUSER $WHO", Some("app")),
        ("FROM x\nUSER $NOBODY", Some("")),
        ("FROM x\nRUN echo \\\n# a comment\n\n  USER root\nUSER app", Some("app")),
        ("FROM x\nUSER app\nRUN <<EOF\nUSER root\nEOF\n", Some("app")),
        ("FROM x\nUSER app\nRUN cat <<-'A' <<B\nUSER root\n\tA\nUSER root\nB\n", Some("app")),
        ("FROM x\nUSER app\nRUN echo $((1<<2))\nUSER other", Some("other")),
        ("# escape=`\nFROM x\nUSER app\nRUN a `\nUSER root\n", Some("app")),
        ("FROM x\nUSER app\n# USER root", Some("app")),
        ("FROM x\nUS\\\nER app", Some("app")),
    ];
    for (text, expected) in cases {
        assert_eq!(user(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn root_is_known_by_every_name() {
    for root in ["", "root", "0", "0:0", "root:app", "00", ":1000", " ", "-0", "+0", "-00:1000"] {
        assert!(runs_as_root(root), "{root:?}");
    }
    for other in ["app", "1000", "1000:0", "nonroot:nonroot", "rooty", "-1", "0x0", "a-0"] {
        assert!(!runs_as_root(other), "{other:?}");
    }
}

#[test]
fn exposed_ports_are_those_of_tcp_in_the_last_stage() {
    let cases: [(&str, &[u16]); 9] = [
        ("FROM x", &[]),
        ("FROM x\nEXPOSE 3000", &[3000]),
        ("FROM x\nexpose 53/udp 80/tcp 443/TCP", &[80, 443]),
        ("FROM x\nEXPOSE 9000-9010", &[9000]),
        ("FROM x\nENV PORT=5000\nEXPOSE $PORT", &[5000]),
        ("FROM x\nENV PORT 5000\nEXPOSE ${PORT}/tcp", &[5000]),
        ("FROM x\nARG PORT\nEXPOSE ${PORT:-7000} $PORT", &[7000]),
        ("FROM x AS a\nEXPOSE 1\nFROM y\nEXPOSE 2", &[2]),
        ("FROM x\nEXPOSE 0 70000 http", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(ports(text), expected, "{text}");
    }
}

#[test]
fn fetching_from_addresses_is_noticed() {
    for line in [
        "ADD http://h.example:3000/api/previews /x",
        "add --chown=1:1 https://x/y /x",
        "ADD git@github.com:a/b.git /x",
        "ADD git://x/y /x",
        "ADD [\"\\u0068ttp://x/\", \"/x\"]",
        "ADD --chown=a [\"http://x/\", \"/x\"]",
        "ADD a b \"ht\"tp://x/ /x",
        "ADD h\\ttp://x/ /x",
        "ADD \\\n  http://x/ \\\n  /x",
        "A\\\nDD ht\\\ntp://x /x",
        "ADD \\\n# comment\nhttp://x /x",
        "ARG U=http://x\nADD $U /x",
        "ADD ${U} /x",
        "ONBUILD ADD http://x/ /x",
        "onbuild add $X /x",
        "ONBUILD -- ADD http://x/ /x",
        "ADD --chown=\"1 \" [\"http\\u003a//x/\", \"/x\"]",
        "ADD [\"http\\u003a//x/\\ud800\", \"/x\"]",
        "ADD [\"http\\u003a//x/\", \"/x\"] and more",
        "RUN <<CMD\nADD http://x/ /x\nCMD",
        "RUN <<EOF\nA\\\nDD http://x/ /x\nEOF",
        "RUN echo \\\\\nADD http://x/ /x",
    ] {
        let found = read(&format!("FROM x\n{line}\n")).fetches_nothing();
        assert!(matches!(found, Err(DockerfileError::RemoteAdd(_))), "{line}");
    }
    for line in [
        "ADD . $HOME/app",
        "ADD a.tar.gz b /x/",
        "COPY http://x /x",
        "RUN curl http://x && echo ADD http://x /y",
        "# ADD http://x /x",
        "ADD [\"a b\", \"/x\"]",
        "LABEL a=\"ADD http://x /x\"",
    ] {
        assert_eq!(read(&format!("FROM x\n{line}\n")).fetches_nothing(), Ok(()), "{line}");
    }
    assert_eq!(read("FROM x\n\nADD http://x /x").fetches_nothing(), Err(DockerfileError::RemoteAdd(3)));
}

proptest! {
    /// However an address is cut by continuations and quotes, it is noticed.
    #[test]
    fn no_continuation_hides_an_address(at in prop::collection::btree_set(0usize..20, 0..6), heredoc: bool) {
        let whole = "ADD http://x.y/z /etc";
        let mut text = String::from(if heredoc { "FROM x\nRUN <<CMD\n" } else { "FROM x\n" });
        for (index, c) in whole.chars().enumerate() {
            text.push(c);
            if at.contains(&index) {
                text.push_str("\\\n");
            }
        }
        text.push_str("\nCMD\n");
        prop_assert!(read(&text).fetches_nothing().is_err(), "{}", text);
    }
}

#[test]
fn images_of_previews_are_nobodys_base() {
    for lines in [
        "FROM preview-deployer/org-secret-3:0123456789012345678901234567890123456789",
        "FROM docker.io/Preview-Deployer/org-secret-3",
        "FROM --platform=linux/amd64 preview-deployer/org-secret-3 AS a",
        "ARG IMAGE=preview-deployer/org-secret-3\nFROM $IMAGE",
        "ARG A=preview-\nARG B=deployer/org-secret-3\nFROM ${A}${B}",
        "ARG A=preview\nFROM ${A}-deployer/org-secret-3",
        "FROM ${A:-preview-deployer/org-secret-3}",
        "FROM ${A:-preview}-deployer/org-secret-3",
        "FROM preview-\\\ndeployer/org-secret-3",
        "FROM x\nCOPY --from=preview-deployer/org-secret-3 / /",
        "FROM x\nCOPY --from=\"preview-deployer/org-secret-3\" / /",
        "FROM x\nRUN --mount=type=bind,from=preview-deployer/org-secret-3,target=/x cp -r /x /y",
        "FROM x\nRUN --mount=type=cache,target=/x,from=prev\\iew-deployer/org-secret-3 ls",
        "FROM x\nONBUILD COPY --from=preview-deployer/org-secret-3 / /",
        // In an option it is the backslash, whatever the file says.
        "# escape=`\nFROM x\nCOPY --from=preview\\-deployer/org-secret-3 / /",
    ] {
        assert!(matches!(OwnDockerfile::parse(lines), Err(DockerfileError::ForeignPreview(_))), "{lines}");
    }
    for fine in
        ["FROM preview/app", "FROM x\nENV URL=https://example.org/preview-deployer/x", "FROM x AS preview-deployer"]
    {
        assert!(OwnDockerfile::parse(fine).is_ok(), "{fine}");
    }
}

#[test]
fn no_step_asks_for_the_hosts_network_or_rights() {
    for line in [
        "RUN --network=host curl http://127.0.0.1:3000/",
        "RUN --mount=type=cache,target=/x --network=host ls",
        "run --network=\"host\" ls",
        "RUN --network=ho\\\nst ls",
        "RUN --security=insecure mount /dev/sda1 /mnt",
        "ONBUILD RUN --network=host ls",
        "RUN --network=custom ls",
        "RUN --mount=\"type=cache,target=/a b\" --net\\work=host ls",
        "ONBUILD -- RUN --network=host ls",
    ] {
        let refused = OwnDockerfile::parse(&format!("FROM x\n{line}\n"));
        assert!(matches!(refused, Err(DockerfileError::Privilege(2))), "{line}: {refused:?}");
    }
    for line in
        ["RUN --network=none ls", "RUN --network=default ls", "RUN echo --network=host", "RUN --security=sandbox ls"]
    {
        assert!(OwnDockerfile::parse(&format!("FROM x\n{line}\n")).is_ok(), "{line}");
    }
}

#[test]
fn no_argument_steers_the_builder() {
    for line in [
        "ARG BUILDKIT_SYNTAX=evil.example/frontend",
        "arg buildkit_cache_mount_ns=other",
        "ARG A=1 BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
        "ARG \"BUILDKIT_SYNTAX\"=x",
        "ARG BUILDKIT\\\n_SYNTAX=x",
        "ONBUILD ARG BUILDKIT_INLINE_CACHE=1",
    ] {
        let refused = OwnDockerfile::parse(&format!("FROM x\n{line}\n"));
        assert!(matches!(refused, Err(DockerfileError::Steers(2))), "{line}: {refused:?}");
        let first = OwnDockerfile::parse(&format!("{line}\nFROM x\n"));
        assert!(matches!(first, Err(DockerfileError::Steers(1))), "{line}: {first:?}");
    }
    for line in ["ARG MY_BUILDKIT_SYNTAX=x", "ENV BUILDKIT_SYNTAX=x", "RUN echo BUILDKIT_SYNTAX", "ARG BUILDKIT=1"] {
        assert!(OwnDockerfile::parse(&format!("FROM x\n{line}\n")).is_ok(), "{line}");
    }
}

#[test]
fn what_is_long_is_read_quickly() {
    for text in [
        "RUN <<A\n".repeat(8_000),
        format!("{}\tA\n", "RUN <<A\n".repeat(7_000)),
        format!("{}A\n", "RUN <<A\n".repeat(7_000)),
        format!("RUN {}\n", "<<A ".repeat(15_000)),
        format!("RUN {}\n", "<<-A ".repeat(6_000)) + &"A\n".repeat(15_000),
        format!("RUN x {}\n", "\\\n".repeat(30_000)),
        "ADD $A /x\n".repeat(6_000),
        format!("ARG A=x\n{}ADD ${{A}} /x\n", "ARG A=$A$A\n".repeat(499)),
        format!("ENV A={}\nADD {} /x\n", "x".repeat(1_000), "$A".repeat(30_000)),
        format!("ENV A x\n{}", "ENV A $A$A\n".repeat(400)),
        format!("{}FROM x AS a\n{}", "ARG B=y\n".repeat(400), "FROM a AS a\nENV C=x\n".repeat(90)),
        "FROM x\n".repeat(9_000),
    ] {
        let text = format!("FROM x\n{text}");
        assert!(text.len() <= MAX_BYTES, "{}", text.len());
        let begun = std::time::Instant::now();
        drop(OwnDockerfile::parse(&text));
        assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}: {:.40}", begun.elapsed(), text);
    }
    for text in ["FROM x\n".repeat(101), format!("FROM x\n{}", "ARG A=1\n".repeat(501))] {
        assert_eq!(OwnDockerfile::parse(&text).unwrap_err(), DockerfileError::TooMuch);
    }
}

#[test]
fn the_documentation_tells_how_much_is_read() {
    let kilobytes = MAX_BYTES / 1024;
    let row = format!(
        "| a Dockerfile | {kilobytes} KB, {MAX_STAGES} stages, {MAX_VALUES} values of `ARG` and `ENV`, {MAX_HOSTS} hosts that it adds from, {MAX_IMAGES} images beside the official ones |"
    );
    crate::docs::has_line("docs/CONFIGURATION.md", &row);
}
