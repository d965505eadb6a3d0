//! Files of Python projects that mean something else than they look like.

use preview_fuzz::{holds, mutated};
use proptest::prelude::*;

use super::super::{BuildRules, MemoryFiles, detect, own_dockerfile};
use crate::base_images::BaseImages;
use crate::repo_config::RepoConfig;
use crate::trust::Trust;

const REQUIREMENTS: [&str; 3] = [
    "# app\n-r base.txt\nfastapi[standard]==0.95.1 ; python_version > '3.8' # server\nuvicorn \\\n    >=0.20\n-e .\n",
    "git+https://git.example/x.git#egg=x\nlib @ file:lib\nflask~=3.0,<4 --hash=sha256:00\n--find-links ./wheels\n-c ../limits.txt\n",
    "django>=5\nchannels\npsycopg[c]\nmysqlclient\n",
];
const SOURCES: [&str; 3] = [
    "\"\"\"docs\"\"\"\nfrom .db import x\n\napp: FastAPI = fastapi.FastAPI(\n    title='x',\n)\n",
    "def create_app(config: dict[str, int] = {}, *args, **more) -> Flask:\n    app = Flask(__name__)\n    return app\n",
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\napplication = get_wsgi_application()\nSTATIC_ROOT = 1\n",
];
const WORDS: [&str; 26] = [
    "fastapi",
    "flask",
    "django",
    "==",
    "<",
    "~=",
    "[",
    "]",
    ";",
    "#",
    "\\\n",
    "\n",
    "-r ",
    "-e ",
    "./",
    "../",
    "git+",
    "\"\"\"",
    "'''",
    "app = FastAPI(",
    "def create_app(",
    "DJANGO_SETTINGS_MODULE",
    "'",
    "\"",
    "\u{FEFF}",
    "é",
];

#[test]
fn python_projects() {
    let text = || (mutated(REQUIREMENTS, WORDS), mutated(SOURCES, WORDS));
    holds("Python projects", 4, text(), |(requirements, source)| {
        let places = ["main.py", "app/__init__.py", "manage.py", "mysite/wsgi.py", "mysite/settings.py"];
        let sources = places.map(|path| (path.to_owned(), source.clone()));
        let manifests = ["requirements.txt", "base.txt", "pyproject.toml", "Cargo.toml"];
        let manifests = manifests.map(|path| (path.to_owned(), requirements.clone()));
        let files = MemoryFiles::new(sources.into_iter().chain(manifests));
        let rules = BuildRules { base_images: BaseImages::public(), trust: Trust::Stranger };
        if let Ok(found) = detect(&files, &RepoConfig::default(), &rules) {
            let parsed = own_dockerfile::OwnDockerfile::parse(&found.dockerfile)
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(parsed.final_user(), Some("10001:10001"));
            prop_assert_eq!(found.dockerfile.matches("\nCMD ").count(), 1);
            prop_assert!(parsed.fetches_nothing().is_ok());
        }
        Ok(())
    });
}
