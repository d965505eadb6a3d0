//! Small trees as starters of the frameworks make them, and what is detected in them; the Dockerfiles as snapshots.

use super::super::tests::{Case, Tree, dockerfile, told};
use super::requirement::Requirement;
use super::source::Source;

pub(super) const FASTAPI: (&str, &str) = ("main.py", "from fastapi import FastAPI\n\napp = FastAPI()\n");
pub(super) const FLASK: (&str, &str) = ("app.py", "from flask import Flask\n\napp = Flask(__name__)\n");
const MANAGE: (&str, &str) =
    ("manage.py", "import os\n\ndef main():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n");
const WSGI: (&str, &str) = (
    "mysite/wsgi.py",
    "import os\nos.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"mysite.settings\")\napplication = get_wsgi_application()\n",
);
const SETTINGS: (&str, &str) = ("mysite/settings.py", "STATIC_URL = 'static/'\n");
pub(super) const PEP_621: &str =
    "[project]\nname = \"app\"\ndependencies = [\"fastapi[standard]>=0.115\", \"psycopg[binary]\"]\n";
pub(super) const POETRY: &str =
    "[tool.poetry]\nname = \"app\"\n\n[tool.poetry.dependencies]\npython = \"^3.11\"\nFlask = \"^3.0\"\n";
pub(super) const PIPFILE: &str = "[packages]\nflask = \"*\"\n\n[dev-packages]\npytest = \"*\"\n";

fn check(cases: &[Case]) {
    let found = cases.iter().map(|(tree, config, expected)| (told(tree, config), *expected));
    let wrong: Vec<String> = found
        .filter(|(found, expected)| found != expected)
        .map(|(found, expected)| format!("{found}\nnot {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn trees_by_package_manager() {
    let uv = format!("{PEP_621}\n[tool.uv]\npackage = false\n");
    let poetry_2 =
        PEP_621.replace("[project]", "[build-system]\nbuild-backend = \"poetry.core.masonry.api\"\n\n[project]");
    check(&[
        (
            &[("requirements.txt", "fastapi==0.115.0\nuvicorn\n"), FASTAPI],
            "",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `main.py` holds its `app`; pip",
        ),
        (
            &[("pyproject.toml", PEP_621), ("uv.lock", "version = 1\n"), FASTAPI],
            "",
            "fastapi 8000 10001:10001 postgres: `pyproject.toml` names `fastapi`, and `main.py` holds its `app`; uv by its \
             lock file",
        ),
        (
            &[("pyproject.toml", &uv), FASTAPI],
            "app_port: 9000",
            "fastapi 9000 10001:10001 postgres: `pyproject.toml` names `fastapi`, and `main.py` holds its `app`; uv without \
             a lock file, so versions may change between builds",
        ),
        (
            &[("pyproject.toml", PEP_621), FASTAPI],
            "",
            "fastapi 8000 10001:10001 postgres: `pyproject.toml` names `fastapi`, and `main.py` holds its `app`; pip without \
             a lock file, so versions may change between builds",
        ),
        (
            &[("pyproject.toml", POETRY), ("poetry.lock", "[metadata]\nlock-version = \"2.1\"\n"), FLASK],
            "",
            "flask 8000 10001:10001 none: `pyproject.toml` names `flask`, and `app.py` holds its `app`; Poetry by its \
             lock file",
        ),
        (
            &[("pyproject.toml", &poetry_2), FASTAPI],
            "",
            "fastapi 8000 10001:10001 postgres: `pyproject.toml` names `fastapi`, and `main.py` holds its `app`; Poetry \
             without a lock file, so versions may change between builds",
        ),
        (
            &[("Pipfile", PIPFILE), ("Pipfile.lock", "{\"default\": {}}"), FLASK],
            "",
            "flask 8000 10001:10001 none: `Pipfile` names `flask`, and `app.py` holds its `app`; Pipenv by its lock file",
        ),
        (
            &[("Pipfile", PIPFILE), FLASK],
            "",
            "flask 8000 10001:10001 none: `Pipfile` names `flask`, and `app.py` holds its `app`; Pipenv without a lock \
             file, so versions may change between builds",
        ),
        (
            &[
                (
                    "setup.cfg",
                    "[metadata]\nname = x\n[options]\ninstall_requires =\n    # the server\n    Flask>=2\n[flake8]\n",
                ),
                FLASK,
            ],
            "",
            "flask 8000 10001:10001 none: `setup.cfg` names `flask`, and `app.py` holds its `app`; pip without a lock \
             file, so versions may change between builds",
        ),
        (
            // Files for environments that share a base.
            &[
                ("requirements/production.txt", "-r base.txt\ngunicorn\n"),
                ("requirements/base.txt", "Flask>=3 # the server\n"),
                FLASK,
            ],
            "",
            "flask 8000 10001:10001 none: `requirements/production.txt` names `flask`, and `app.py` holds its `app`; pip",
        ),
        (
            // The file of a tool beside the one that counts.
            &[("requirements.txt", "mkdocs\n"), ("pyproject.toml", PEP_621), FASTAPI],
            "",
            "fastapi 8000 10001:10001 postgres: `pyproject.toml` names `fastapi`, and `main.py` holds its `app`; pip without \
             a lock file, so versions may change between builds",
        ),
        (
            &[("pyproject.toml", "[project\n"), FASTAPI],
            "",
            "error: `pyproject.toml` is not valid TOML (line 1, column 9)",
        ),
        (
            &[("Pipfile", PIPFILE), ("Pipfile.lock", "{\"default\": "), FLASK],
            "",
            "error: `Pipfile.lock` is not valid JSON (line 1, column 12)",
        ),
    ]);
}

#[test]
fn trees_of_fastapi_and_flask() {
    let fastapi = ("requirements.txt", "fastapi\n");
    let flask = ("requirements.txt", "Flask\nFlask-SQLAlchemy\n");
    let package = ("app/__init__.py", "");
    check(&[
        (
            &[
                fastapi,
                package,
                ("app/main.py", "from app.api import router\napp: FastAPI = fastapi.FastAPI(\n    title='x')\n"),
            ],
            "",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `app/main.py` holds its `app`; pip",
        ),
        (
            &[fastapi, ("src/shop/__init__.py", ""), ("src/shop/main.py", "api = FastAPI()\n")],
            "framework: python",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `src/shop/main.py` holds its `api`; pip",
        ),
        (
            &[
                fastapi,
                ("main.py", "\"\"\"\napp = FastAPI()\n\"\"\"\nfrom app import make\napplication = create_app()\n"),
            ],
            "",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `main.py` holds its `application`; pip",
        ),
        (
            &[
                fastapi,
                package,
                (
                    "app/main.py",
                    "def create_app(debug: bool = False) -> FastAPI:\n    app = FastAPI()\n    return app\n",
                ),
            ],
            "",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `app/main.py` makes it by `create_app`; \
             pip",
        ),
        (
            &[fastapi, ("src/api/server.py", "service = build()\n")],
            "",
            "error: `requirements.txt` names `fastapi`, but none of the usual files holds an app, such as `app = \
             FastAPI()`; name its file in `preview-config.yml`, such as `app_entrypoint: app/main.py`",
        ),
        (
            &[fastapi, ("src/api/server.py", "service = build()\n")],
            "app_entrypoint: src/api/server.py:service",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `src/api/server.py` holds its \
             `service`; pip",
        ),
        (
            &[fastapi, FASTAPI, package, ("app/main.py", "app = FastAPI()\nadmin = FastAPI()\n")],
            "app_entrypoint: app.main:admin",
            "fastapi 8000 10001:10001 none: `requirements.txt` names `fastapi`, and `app/main.py` holds its `admin`; pip",
        ),
        (
            &[fastapi, FASTAPI],
            "app_entrypoint: server/main.py",
            "error: `app_entrypoint: server/main.py` is no Python module of this repository",
        ),
        (
            &[flask, ("flaskr/__init__.py", "def create_app(test_config=None):\n    app = Flask(__name__)\n")],
            "",
            "flask 8000 10001:10001 none: `requirements.txt` names `flask`, and `flaskr/__init__.py` makes it by \
             `create_app`; pip",
        ),
        (
            // A factory that wants to be told something, and the file that tells it.
            &[
                flask,
                ("app/__init__.py", "def create_app(config_name):\n    app = Flask(__name__)\n"),
                ("run.py", "from app import create_app\n\napp = create_app('production')\n"),
            ],
            "",
            "flask 8000 10001:10001 none: `requirements.txt` names `flask`, and `run.py` holds its `app`; pip",
        ),
        (
            &[flask, ("microblog.py", "from app import db\napp = Flask(__name__)\n"), ("tests/test_app.py", FLASK.1)],
            "",
            "flask 8000 10001:10001 none: `requirements.txt` names `flask`, and `microblog.py` holds its `app`; pip",
        ),
        (
            &[flask, ("tests/app.py", FLASK.1)],
            "framework: flask",
            "error: `requirements.txt` names `flask`, but none of the usual files holds an app, such as `app = Flask()`; \
             name its file in `preview-config.yml`, such as `app_entrypoint: app/main.py`",
        ),
        (
            &[("requirements.txt", "starlette\nuvicorn\n"), ("main.py", "app = Starlette(debug=True)\n")],
            "",
            "python 8000 10001:10001 none: `requirements.txt` names `starlette`, and `main.py` holds its `app`; pip",
        ),
        (
            &[("requirements.txt", "requests\n"), FASTAPI],
            "framework: fastapi",
            "error: `preview-config.yml` says `framework: fastapi`, but there is no `fastapi` among the dependencies",
        ),
        (
            // Scripts in Python beside a server of another kind.
            &[
                ("requirements.txt", "requests\n"),
                ("package.json", r#"{"scripts": {"start": "node x.js"}}"#),
                ("package-lock.json", "{}"),
            ],
            "",
            "node 3000 node none: `package.json` is there, and its `start` script starts it; npm by its lock file",
        ),
    ]);
}

#[test]
fn trees_of_django() {
    let django = ("requirements.txt", "Django>=5.2\n");
    let packages = ("package.json", r#"{"scripts": {"start": "webpack serve"}}"#);
    let local = MANAGE.1.replace("mysite.settings", "config.settings.local");
    let production = WSGI.1.replace("mysite.settings", "config.settings.production");
    check(&[
        (
            &[django, MANAGE, WSGI, SETTINGS, packages],
            "",
            "django 8000 10001:10001 none: `manage.py` is there, `requirements.txt` names `django`, and `mysite/wsgi.py` \
             holds its `application`; pip",
        ),
        (
            // One that was made without the dot: a folder in a folder.
            &[django, ("mysite/manage.py", MANAGE.1), ("mysite/mysite/wsgi.py", WSGI.1)],
            "framework: python",
            "django 8000 10001:10001 none: `mysite/manage.py` is there, `requirements.txt` names `django`, and \
             `mysite/mysite/wsgi.py` holds its `application`; pip",
        ),
        (
            &[
                ("requirements/production.txt", "-r base.txt\n"),
                ("requirements/base.txt", "django\n"),
                ("manage.py", &local),
                ("config/wsgi.py", &production),
                ("config/settings/production.py", "STATIC_ROOT = 'x'\n"),
            ],
            "",
            "django 8000 10001:10001 none: `manage.py` is there, `requirements/production.txt` names `django`, and \
             `config/wsgi.py` holds its `application`; pip",
        ),
        (
            &[
                ("requirements.txt", "django\nchannels\n"),
                MANAGE,
                WSGI,
                ("mysite/asgi.py", "get_asgi_application()\napplication = ProtocolTypeRouter({})\n"),
            ],
            "",
            "django 8000 10001:10001 none: `manage.py` is there, `requirements.txt` names `django`, and `mysite/asgi.py` \
             holds its `application`; pip",
        ),
        (
            &[django, MANAGE, SETTINGS],
            "",
            "error: `manage.py` is there, but no `wsgi.py` beside its settings; name it in `preview-config.yml`, such as \
             `app_entrypoint: mysite/wsgi.py`",
        ),
        (
            &[django, ("a/manage.py", ""), ("b/manage.py", ""), ("b/b/wsgi.py", "")],
            "",
            "error: several Django projects: `a/manage.py`, `b/manage.py`; choose one in `preview-config.yml`, such as \
             `app_entrypoint: mysite/wsgi.py`",
        ),
        (
            &[django, ("a/manage.py", ""), ("b/manage.py", ""), ("b/b/wsgi.py", "")],
            "app_entrypoint: b/b/wsgi.py",
            "django 8000 10001:10001 none: `b/manage.py` is there, `requirements.txt` names `django`, and `b/b/wsgi.py` \
             holds its `application`; pip",
        ),
        (
            // A library for Django projects isn't one.
            &[("pyproject.toml", "[project]\ndependencies = [\"django\"]\n"), ("src/lib/__init__.py", "")],
            "framework: django",
            "error: `preview-config.yml` says `framework: django`, but there is no `manage.py` with `django` among the \
             dependencies",
        ),
    ]);
}

#[test]
fn dockerfiles_of_python() {
    let tree = [("requirements.txt", "fastapi\nuvicorn[standard]\npsycopg[binary]\n"), FASTAPI];
    insta::assert_snapshot!("dockerfile_of_fastapi_with_pip", dockerfile(&tree, ""));
    let tree = [("pyproject.toml", PEP_621), ("uv.lock", ""), ("src/app.py", FASTAPI.1)];
    insta::assert_snapshot!("dockerfile_of_fastapi_with_uv", dockerfile(&tree, ""));
    let tree = [
        ("pyproject.toml", POETRY),
        ("poetry.lock", "[[package]]\nname = \"psycopg2\"\nversion = \"2.9.10\"\n"),
        FLASK,
    ];
    insta::assert_snapshot!("dockerfile_of_flask_with_poetry", dockerfile(&tree, "app_port: 5000"));
    let factory = ("app/__init__.py", "def create_app():\n    return Flask(__name__)\n");
    let tree = [("Pipfile", PIPFILE), ("Pipfile.lock", "{}"), factory];
    insta::assert_snapshot!("dockerfile_of_flask_with_pipenv", dockerfile(&tree, ""));
    let statics = ("mysite/settings.py", "STATIC_ROOT = BASE_DIR / 'static'\n");
    let tree = [("requirements.txt", "django\ngunicorn\nmysqlclient\n"), MANAGE, WSGI, statics];
    insta::assert_snapshot!("dockerfile_of_django", dockerfile(&tree, ""));
}

#[test]
fn dockerfiles_of_python_use_nothing_that_an_old_engine_lacks() {
    let trees: [Tree; 2] = [
        &[("requirements.txt", "fastapi\n"), FASTAPI],
        &[("requirements.txt", "django\n"), MANAGE, WSGI, ("mysite/settings.py", "STATIC_ROOT = 1\n")],
    ];
    for tree in trees {
        let text = dockerfile(tree, "");
        assert!(!text.contains("<<") && !text.contains("--link") && !text.contains("syntax="), "{text}");
        let own = super::super::own_dockerfile::OwnDockerfile::parse(&text).unwrap();
        assert_eq!(own.final_user(), Some("10001:10001"), "{text}");
    }
}

#[test]
fn a_project_gets_the_python_without_which_its_package_manager_refuses() {
    let first = |text: &str, lock: &str| {
        let text = dockerfile(&[("pyproject.toml", text), (lock, ""), FASTAPI], "");
        let bases =
            text.lines().filter(|line| line.starts_with("FROM python")).map(|line| line.split(' ').nth(1).unwrap());
        let bases: Vec<String> = bases.map(str::to_owned).collect();
        assert!(bases.len() == 2 && bases[0] == bases[1], "{text}");
        bases[0].clone()
    };
    let project = |python: &str| format!("{PEP_621}requires-python = \"{python}\"\n");
    assert_eq!(first(&project(">=3.13"), "uv.lock"), "python:3.13-slim-bookworm");
    assert_eq!(first(&project(">=3.11"), "uv.lock"), "python:3.12-slim-bookworm");
    assert_eq!(first(&project(">=3.13,<4.0"), "poetry.lock"), "python:3.13-slim-bookworm");
    assert_eq!(first(&project(">=3.9,<3.12"), "README.md"), "python:3.11-slim-bookworm");
    let poetry = POETRY.replace("Flask", "fastapi").replace("^3.11", "~3.11");
    assert_eq!(first(&poetry, "poetry.lock"), "python:3.11-slim-bookworm");
    let told = told(&[("pyproject.toml", &project(">=3.13")), ("uv.lock", ""), FASTAPI], "");
    assert!(told.ends_with("uv by its lock file; Python 3.13, since `pyproject.toml` asks for it"), "{told}");
}

#[test]
fn what_pip_reads_is_copied_before_it() {
    let copies = |requirements: &str| {
        let base = ("requirements/base.txt", "fastapi\n-c ../limits.txt\n");
        let tree = [("requirements.txt", requirements), base, ("limits.txt", ""), FASTAPI];
        let text = dockerfile(&tree, "");
        let copies = text.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--"));
        copies.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(copies("fastapi\n"), ["COPY requirements.txt ./"]);
    let all = ["COPY requirements.txt limits.txt ./", "COPY requirements/base.txt ./requirements/"];
    assert_eq!(copies("-r requirements/base.txt\n"), all);
    assert_eq!(copies("--requirement=requirements/base.txt\n"), all);
    for whole in
        ["-e .\nfastapi", "fastapi\n./lib", "fastapi\nlib @ file:lib", "fastapi\n-f ./wheels", "fastapi\n-r ../x.txt"]
    {
        assert_eq!(copies(whole), ["COPY . ."], "{whole}");
    }
}

#[test]
fn an_app_is_told_its_path_where_it_understands_that() {
    let command = |requirements: &str| {
        let text = dockerfile(&[("requirements.txt", requirements), FASTAPI], "");
        text.lines().last().unwrap().to_owned()
    };
    for new in ["fastapi", "fastapi==0.115.1", "fastapi>=0.95", "fastapi<1", "fastapi~=0.110.0", "fastapi[all]==1.0"] {
        assert!(command(new).starts_with(r#"CMD ["sh","-c","exec uvicorn \"$@\" --root-path "#), "{new}");
    }
    for old in ["fastapi==0.95.0", "fastapi<0.109", "fastapi>=0.60,<=0.99", "fastapi~=0.95.0", "fastapi==0.68.*"] {
        assert!(command(old).starts_with(r#"CMD ["uvicorn","main:app","#), "{old}");
    }
    let locked = "[[package]]\nname = \"fastapi\"\nversion = \"0.95.2\"\n";
    let text = dockerfile(&[("pyproject.toml", PEP_621), ("uv.lock", locked), FASTAPI], "");
    assert!(text.contains(r#"CMD ["uvicorn","main:app""#), "{text}");
}

#[test]
fn modules_are_found_from_where_their_neighbours_are() {
    let path_and_target = |path: &str, text: &str, package: bool| {
        let init = path.rsplit_once('/').map(|(folder, _)| format!("{folder}/__init__.py")).filter(|_| package);
        let mut tree = vec![("requirements.txt", "flask\n"), (path, text)];
        tree.extend(init.as_deref().map(|init| (init, "")));
        let text = dockerfile(&tree, &format!("app_entrypoint: {path}"));
        let path = text.split("PYTHONPATH=/app/").nth(1).map_or("", |rest| rest.lines().next().unwrap());
        let target = text.split(r#""gunicorn",""#).nth(1).unwrap().split('"').next().unwrap();
        format!("{path} {target}")
    };
    assert_eq!(path_and_target("app/main.py", "app = Flask()", false), "app main:app");
    assert_eq!(path_and_target("app/main.py", "app = Flask()", true), " app.main:app");
    assert_eq!(path_and_target("app/main.py", "from app.db import x\napp = Flask()", false), " app.main:app");
    assert_eq!(path_and_target("app/main.py", "from .db import x\napp = Flask()", false), " app.main:app");
    assert_eq!(path_and_target("src/shop/web.py", "app = Flask()", true), "src shop.web:app");
    assert_eq!(path_and_target("src/web.py", "from src.db import x\napp = Flask()", false), " src.web:app");
    assert_eq!(path_and_target("my-shop/web.py", "app = Flask()", true), "my-shop web:app");
}

#[test]
fn nothing_of_a_repository_becomes_part_of_a_command() {
    for name in ["a b", "a;id", "$(id)", "a\"]\nRUN id", "ä"] {
        let text = format!("{name} = FastAPI()\n");
        let told = told(&[("requirements.txt", "fastapi\n"), ("main.py", &text)], "");
        assert!(told.starts_with("error: "), "{name}: {told}");
        let module = format!("{name}/main.py");
        let found = super::super::tests::told(&[("requirements.txt", "fastapi\n"), (&module, FASTAPI.1)], "");
        assert!(found.starts_with("error: "), "{name}: {found}");
        let settings = MANAGE.1.replace("mysite.settings", name);
        let statics = ("mysite/settings.py", "STATIC_ROOT = 1\n");
        let text = dockerfile(
            &[("requirements.txt", "django\n"), ("manage.py", &settings), ("mysite/wsgi.py", ""), statics],
            "",
        );
        assert!(!text.contains(name) && !text.contains("collectstatic"), "{name}: {text}");
        let file = format!("{name}.txt");
        let text = dockerfile(&[("requirements.txt", &format!("fastapi\n-r {file}\n")), (&file, "x\n"), FASTAPI], "");
        assert!(!text.contains(name), "{name}: {text}");
    }
}

#[test]
fn links_at_places_that_are_only_looked_at_are_passed_over() {
    use super::super::{BuildRules, MemoryFiles, detect};
    let files = MemoryFiles::new([("requirements.txt", "fastapi\n"), ("shop/main.py", FASTAPI.1)]);
    let files = files.with_link("app").with_link("main.py").with_link("src/api");
    let rules =
        BuildRules { base_images: crate::base_images::BaseImages::public(), trust: crate::trust::Trust::Stranger };
    let found = detect(&files, &crate::repo_config::RepoConfig::default(), &rules).unwrap();
    assert!(found.reason.contains("`shop/main.py`"), "{}", found.reason);
}

#[test]
fn requirements_are_read_as_pip_reads_them() {
    let told = |text: &str| {
        let read = Requirement::parse(text);
        format!("{} {:?} {:?} {} {}", read.name, read.extras, read.newest, read.in_tree, read.by_git)
    };
    let cases = [
        ("Flask_SQLAlchemy>=3", "flask-sqlalchemy [] None false false"),
        ("uvicorn[standard] == 0.30.1 ; python_version > '3.8'", "uvicorn [\"standard\"] Some((0, 30)) false false"),
        (
            "psycopg[binary,pool]>=3.2,<4 --hash=sha256:00",
            "psycopg [\"binary\", \"pool\"] Some((3, 18446744073709551615)) false false",
        ),
        ("zope.interface (<6.1)", "zope-interface [] Some((6, 0)) false false"),
        ("lib @ git+https://git.example/lib@v1", "lib [] None false true"),
        ("git+https://git.example/lib.git#egg=My_Lib", "my-lib [] None false true"),
        ("./lib", " [] None true false"),
        ("https://files.example/x-1.whl", " [] None false false"),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn values_of_settings_are_read_where_they_are_given() {
    let given = |text: &str| Source::new(text).given("DJANGO_SETTINGS_MODULE").map(str::to_owned);
    for text in [
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')",
        "os.environ[\"DJANGO_SETTINGS_MODULE\"] = \"a.b\"",
        "os.environ.setdefault(\n    \"DJANGO_SETTINGS_MODULE\",\n    \"a.b\",\n)",
    ] {
        assert_eq!(given(text).as_deref(), Some("a.b"), "{text}");
    }
    assert_eq!(given("os.environ.setdefault('DJANGO_SETTINGS_MODULE', settings)"), None);
    assert_eq!(given("'DJANGO_SETTINGS_MODULE' é"), None);
}
