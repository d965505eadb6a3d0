//! What a project asks for beyond its own manifest: another Python, its workspace, and packages in folders beside it.

use super::super::tests::{Tree, dockerfile, look, told};
use super::tests::{FASTAPI, FLASK, PEP_621, PIPFILE, POETRY};
use crate::trust::Trust;

#[test]
fn a_project_gets_the_python_that_it_asks_for() {
    let image = |tree: Tree| {
        let text = dockerfile(tree, "");
        text.lines().find_map(|line| line.strip_prefix("FROM ")?.strip_suffix(" AS dependencies")).unwrap().to_owned()
    };
    let flask = ("requirements.txt", "flask\n");
    assert_eq!(image(&[flask, FLASK, (".python-version", "3.9.18\n")]), "python:3.9-slim-bookworm");
    assert_eq!(image(&[flask, FLASK, ("runtime.txt", "python-3.11.9")]), "python:3.11-slim-bookworm");
    assert_eq!(image(&[flask, FLASK, (".python-version", "3.12\n")]), "python:3.12-slim-bookworm");
    let pipfile = format!("{PIPFILE}\n[requires]\npython_version = \"3.10\"\n");
    assert_eq!(image(&[("Pipfile", &pipfile), FLASK]), "python:3.10-slim-bookworm");
    // uv and Poetry would refuse a Python that the manifest doesn't allow.
    let uv = format!("{PEP_621}requires-python = \">=3.11\"\n");
    for (wish, expected) in [("3.13", 13), ("3.10", 12)] {
        let tree = [("pyproject.toml", uv.as_str()), ("uv.lock", ""), FASTAPI, (".python-version", wish)];
        assert_eq!(image(&tree), format!("python:3.{expected}-slim-bookworm"));
    }
    let told = told(&[flask, FLASK, (".python-version", "3.9\n")], "");
    assert!(told.ends_with("holds its `app`; pip; Python 3.9 by `.python-version`"), "{told}");
    // Nobody but pip reads TOML there.
    let project = [("pyproject.toml", PEP_621), FASTAPI, (".python-version", "3.10")];
    assert!(dockerfile(&project, "").contains("from pip._vendor import tomli as tomllib; print"));
}

#[test]
fn a_member_of_a_workspace_of_uv_is_installed_by_the_lock_file_above() {
    let root = (
        "pyproject.toml",
        "[tool.uv.workspace]\nmembers = [\"packages/*\"]\n\n[tool.uv.sources]\nstore = { workspace = true }\n",
    );
    let lock = ("uv.lock", "version = 1\n\n[[package]]\nname = \"fastapi\"\nversion = \"0.95.1\"\n");
    let api = ("packages/api/pyproject.toml", "[project]\nname = \"api\"\ndependencies = [\"fastapi\", \"Store\"]\n");
    let main = ("packages/api/src/main.py", FASTAPI.1);
    let store = ("packages/store/pyproject.toml", "[project]\nname = \"store\"\ndependencies = [\"asyncpg\"]\n");
    let tree = [root, lock, api, main, store];
    let config = "root: packages/api";
    assert_eq!(
        told(&tree, config),
        "fastapi 8000 10001:10001 postgres: `pyproject.toml` names `fastapi`, and `src/main.py` holds its `app`; uv by its \
         lock file, from its workspace"
    );
    assert!(look(&tree, config, Trust::Stranger).unwrap().context.is_all());
    insta::assert_snapshot!("dockerfile_in_a_workspace_of_uv", dockerfile(&tree, config));
    let above = [root, lock, api, main, store, (".python-version", "3.13\n")];
    assert!(dockerfile(&above, config).starts_with("FROM python:3.13-slim-bookworm"));
    let excluding =
        ("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"packages/*\"]\nexclude = [\"packages/api\"]\n");
    let found = look(&[excluding, lock, api, main, store], config, Trust::Stranger).unwrap();
    assert_eq!(found.context.as_str(), "packages/api");
}

#[test]
fn a_package_from_a_folder_beside_it_is_in_what_the_build_sees() {
    let poetry = POETRY.replace("Flask", "shared = { path = \"../shared\", develop = true }\nFlask");
    let uv = "[project]\nname = \"x\"\ndependencies = [\"flask\", \"shared\"]\n\n[tool.uv.sources]\nshared = { path = \"../shared\" }\n";
    let pipfile =
        format!("{PIPFILE}\n[packages.shared]\npath = \"../shared\"\n").replace("[dev-packages]\npytest = \"*\"\n", "");
    for (manifest, install) in [
        (("api/pyproject.toml", poetry.as_str()), "poetry install"),
        (("api/pyproject.toml", uv), "uv sync"),
        (("api/Pipfile", &pipfile), "pipenv install"),
        (("api/requirements.txt", "flask\n-e ../shared\n"), "pip install --requirement"),
        (
            ("api/requirements.txt", "flask\n-r ../../x/requirements.txt\nshared @ file:../shared\n"),
            "pip install --requirement",
        ),
    ] {
        let tree = [manifest, ("api/app.py", FLASK.1), ("shared/pyproject.toml", "[project]\nname = \"shared\"\n")];
        let found = look(&tree, "root: api", Trust::Stranger).unwrap();
        assert!(found.context.is_all(), "{manifest:?}");
        let (before, after) = found.dockerfile.split_once(&format!(" {install}")).unwrap();
        assert!(before.contains("COPY . .\nWORKDIR /app/api\nRUN"), "{before}");
        assert!(after.contains("COPY --chown=10001:10001 . .\nWORKDIR /app/api\n"), "{after}");
    }
    let within = [("api/requirements.txt", "flask\n-e ./shared\n"), ("api/app.py", FLASK.1)];
    assert_eq!(look(&within, "root: api", Trust::Stranger).unwrap().context.as_str(), "api");
}
