//! Go: how programs are known, and what is generated for them.

use super::tests::{Case, MAIN, dockerfile, told};

#[test]
fn trees_of_go_modules() {
    let module = ("go.mod", "module example.com/x\n\ngo 1.24\n");
    let pq = ("go.mod", "module example.com/x\n\nrequire github.com/lib/pq v1.10.9\n");
    let cases: &[Case] = &[
        (&[module, ("main.go", MAIN)], "", "go 8080 10001:10001 none: `go.mod` with the program in `.`"),
        (&[pq, ("main.go", MAIN)], "", "go 8080 10001:10001 postgres: `go.mod` with the program in `.`"),
        (
            &[("go.mod", "module x\nrequire (\n\tgithub.com/jackc/pgx/v5 v5.7.1 // indirect\n)\n"), ("main.go", MAIN)],
            "app_port: 9090",
            "go 9090 10001:10001 postgres: `go.mod` with the program in `.`",
        ),
        (
            &[("go.mod", "module github.com/lib/pq-fork\nrequire github.com/lib/pqx v1.0.0\n"), ("main.go", MAIN)],
            "",
            "go 8080 10001:10001 none: `go.mod` with the program in `.`",
        ),
        (
            &[
                module,
                ("lib.go", "package x\n"),
                ("cmd/api/main.go", MAIN),
                ("cmd/internal/x.go", "package internal\n"),
            ],
            "",
            "go 8080 10001:10001 none: `go.mod` with the program in `cmd/api`",
        ),
        (
            &[module, ("cmd/worker/w.go", MAIN), ("cmd/api/main.go", MAIN)],
            "",
            "error: several Go programs: `./cmd/api`, `./cmd/worker`; choose one in `preview-config.yml`, such as \
             `app_entrypoint: ./cmd/api`",
        ),
        (
            &[module, ("cmd/worker/w.go", MAIN), ("cmd/api/main.go", MAIN)],
            "app_entrypoint: ./cmd/worker",
            "go 8080 10001:10001 none: `go.mod` with the program in `cmd/worker`",
        ),
        (
            &[module, ("cmd/worker/w.go", MAIN), ("cmd/api/main.go", MAIN)],
            "app_entrypoint: cmd/api/main.go",
            "go 8080 10001:10001 none: `go.mod` with the program in `cmd/api`",
        ),
        (
            &[module, ("main.go", MAIN), ("cmd/tool/main.go", MAIN)],
            "",
            "go 8080 10001:10001 none: `go.mod` with the program in `.`",
        ),
        (
            &[module, ("server/main.go", MAIN)],
            "app_entrypoint: server/",
            "go 8080 10001:10001 none: `go.mod` with the program in `server`",
        ),
        (
            &[module, ("server/main.go", MAIN)],
            "",
            "error: `go.mod` is there, but neither the root nor `cmd` nor a folder below it has a `package main`; there is one \
             in `./server`; name the program's folder in `preview-config.yml`, such as `app_entrypoint: ./server`",
        ),
        (
            &[module, ("server/main.go", MAIN)],
            "app_entrypoint: ./nowhere",
            "error: `app_entrypoint: nowhere` has no Go file with `package main`",
        ),
        (
            &[module, ("main.go", MAIN), ("cmd/tool/main.go", MAIN)],
            "app_entrypoint: server",
            "go 8080 10001:10001 none: `go.mod` with the program in `.`",
        ),
        (
            &[module, ("main.go", MAIN), ("server/lib.go", "package server\n")],
            "app_entrypoint: server",
            "error: `app_entrypoint: server` has no Go file with `package main`",
        ),
        (
            &[module, ("gen.go", "//go:build ignore\n\npackage main\n"), ("cmd/api/main.go", MAIN)],
            "",
            "go 8080 10001:10001 none: `go.mod` with the program in `cmd/api`",
        ),
        (
            &[pq, ("main.go", MAIN), ("vendor/modules.txt", "# github.com/lib/pq v1.10.9\n")],
            "",
            "go 8080 10001:10001 postgres: `go.mod` with the program in `.`, with its dependencies vendored",
        ),
        (
            &[("main.go", MAIN)],
            "framework: go",
            "error: `preview-config.yml` says `framework: go`, but there is no `go.mod`",
        ),
    ];
    for (tree, config, expected) in cases {
        assert_eq!(told(tree, config), *expected);
    }
}

#[test]
fn dockerfile_of_go() {
    let tree = [("go.mod", "module x\n\ngo 1.24\n"), ("go.sum", ""), ("cmd/api/main.go", MAIN)];
    insta::assert_snapshot!("dockerfile_of_go", dockerfile(&tree, ""));
    let tree = [("go.mod", "module x\n"), ("go.sum", ""), ("vendor/modules.txt", ""), ("main.go", MAIN)];
    insta::assert_snapshot!("dockerfile_of_go_vendored", dockerfile(&tree, ""));
}

#[test]
fn a_go_program_that_may_end_without_an_env_file_finds_an_empty_one_where_it_looks() {
    let main = |module: &'static str, of: &str| {
        let files = [("go.work", "go 1.24\n\nuse ./api\n"), (module, of), ("api/main.go", MAIN)];
        dockerfile(&files, "app_entrypoint: api\n")
    };
    let text = main("api/go.mod", "module x\n\nrequire github.com/joho/godotenv v1.5.1\n");
    let (empty, sources) =
        (text.find("COPY --from=build --chown=10001:10001 /out/env/ ./api/\n"), text.find(" . .\nCOPY --from"));
    // Before the sources, so that a file of theirs takes its place.
    assert!(empty.is_some() && empty < sources, "{text}");
    assert!(text.contains("-o /out/app . && install -D /dev/null /out/env/.env\n"), "{text}");
    assert!(!main("api/go.mod", "module x\n").contains(".env"), "nobody asks for one");
}
