//! What brings a Python app's database to the form that a commit expects: Django's own command, Alembic by the files that it keeps
//! at the root, or Flask-Migrate, which keeps Alembic's in a folder of its own and asks the app where its database is.

use crate::repo_config::AppCommand;

use super::super::{DetectError, FoundMigration, Framework, Project};
use super::manifest::Manifest;
use super::{django, found_app, library_of};

/// Where Flask-Migrate keeps its files, unless told otherwise.
const FLASK_MIGRATE: &str = "migrations";

pub(in super::super) fn find(
    project: Project<'_>,
    framework: Framework,
) -> Result<Option<FoundMigration>, DetectError> {
    if framework == Framework::Django {
        let manage = django::manage(project)?;
        return Ok(manage.map(|manage| found(&["python", &manage, "migrate", "--noinput"], there(&manage))));
    }
    let Some((library, manifest)) = library_of(project, |library| library.framework == framework)? else {
        return Ok(None);
    };
    if project.files.has("", "alembic.ini")? {
        let kept = match keeps_development(project, &manifest)? {
            true => "; the image keeps the packages for development for it",
            false => "",
        };
        return Ok(Some(found(&["alembic", "upgrade", "head"], there("alembic.ini") + kept)));
    }
    if manifest.names("flask-migrate") && project.files.has(FLASK_MIGRATE, "alembic.ini")? {
        let app = format!("FLASK_APP={}", found_app(project, library, &manifest)?.called());
        let reason = format!("`{}` names `flask-migrate`, which has its files in `{FLASK_MIGRATE}`", manifest.path);
        return Ok(Some(found(&["env", &app, "flask", "db", "upgrade"], reason)));
    }
    Ok(None)
}

/// Whether what migrates is only there if packages for development are in the image.
pub(super) fn keeps_development(project: Project<'_>, manifest: &Manifest) -> Result<bool, DetectError> {
    // Whoever says what migrates knows what it needs.
    Ok(project.config.migrate.is_none()
        && manifest.names_for_development("alembic")
        && project.files.has("", "alembic.ini")?)
}

fn there(path: &str) -> String {
    format!("the repository has `{path}`")
}

fn found(words: &[&str], reason: String) -> FoundMigration {
    FoundMigration { command: AppCommand::words(words.iter().copied()), reason }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{Tree, look};
    use crate::trust::Trust;

    const APP: (&str, &str) = ("app.py", "app = Flask(__name__)\n");
    const ALEMBIC: (&str, &str) = ("alembic.ini", "[alembic]\n");

    /// What migrates, and why; and what installs.
    fn told(tree: Tree, config: &str) -> (Option<(String, String)>, String) {
        let found = look(tree, config, Trust::Stranger).unwrap();
        let mut lines = found.dockerfile.lines().filter(|line| line.starts_with("RUN --mount"));
        let marks = [" sync", " install --", " --skip-lock"];
        let install = lines.find(|line| marks.iter().any(|mark| line.contains(mark))).unwrap();
        let install = install.splitn(3, ' ').nth(2).unwrap();
        (found.migration.map(|found| (found.command.shown(), found.reason)), install.to_owned())
    }

    #[test]
    fn alembic_is_in_the_image_wherever_it_is_named() {
        let uv = "[project]\nname = \"x\"\ndependencies = [\"flask\", \"psycopg2\"]\n[tool.uv]\npackage = false\n";
        let poetry = "[tool.poetry.dependencies]\nflask = \"3\"\npsycopg2 = \"2\"\n";
        let pipenv = "[packages]\nflask = \"*\"\npsycopg2 = \"*\"\n";
        let group = format!("{poetry}[tool.poetry.group.dev.dependencies]\nalembic = \"1\"\n");
        let optional = group.replace("dev", "x").replacen(
            "[tool.poetry.group",
            "[tool.poetry.group.x]\noptional = true\n[tool.poetry.group",
            1,
        );
        let main = uv.replace("\"flask\"", "\"flask\", \"alembic\"");
        let uv_dev = format!("{uv}[dependency-groups]\ndev = [\"alembic>=1\"]\n");
        // Whether the image keeps what is for development, and how that is installed.
        let cases = [
            ("pyproject.toml", uv_dev.clone(), true, "uv sync --no-install-project"),
            ("pyproject.toml", format!("{uv}dev-dependencies = [\"alembic\"]\n"), true, "uv sync --no-install-project"),
            ("pyproject.toml", main, false, "uv sync --no-dev --no-install-project"),
            ("pyproject.toml", group, true, "poetry install --no-root --no-ansi"),
            ("pyproject.toml", optional, false, "poetry install --only main --no-root --no-ansi"),
            (
                "pyproject.toml",
                format!("{poetry}alembic = \"1\"\n"),
                false,
                "poetry install --only main --no-root --no-ansi",
            ),
            ("Pipfile", format!("{pipenv}[dev-packages]\nalembic = \"*\"\n"), true, "pipenv install --skip-lock --dev"),
            ("Pipfile", format!("{pipenv}alembic = \"*\"\n"), false, "pipenv install --skip-lock"),
            (
                "requirements.txt",
                "flask\npsycopg2\nalembic\n".to_owned(),
                false,
                "pip install --requirement requirements.txt",
            ),
        ];
        for (path, text, kept, expected) in &cases {
            let (migration, install) = told(&[(path, text), APP, ALEMBIC], "");
            assert_eq!(install, *expected, "{text}");
            let kept = if *kept { "; the image keeps the packages for development for it" } else { "" };
            let reason = format!("the repository has `alembic.ini`{kept}");
            assert_eq!(migration, Some(("alembic upgrade head".to_owned(), reason)), "{text}");
        }
        // Nothing is kept for what is not run.
        let project = ("pyproject.toml", uv_dev.as_str());
        for (tree, config) in [(&[project, APP][..], ""), (&[project, APP, ALEMBIC], "migrate: none")] {
            assert_eq!(told(tree, config), (None, "uv sync --no-dev --no-install-project".to_owned()));
        }
    }

    #[test]
    fn flask_migrate_asks_the_app() {
        let requirements = ("requirements.txt", "Flask-Migrate\nflask\npymysql\n");
        let factory = ("shop/__init__.py", "def create_app():\n    return Flask()\n");
        let files = ("migrations/alembic.ini", "");
        let reason = "`requirements.txt` names `flask-migrate`, which has its files in `migrations`";
        for (app, target) in [(APP, "app:app"), (factory, "shop:create_app()")] {
            let (command, why) = told(&[requirements, files, app], "").0.unwrap();
            assert!(command.contains(target) && command.ends_with("flask db upgrade"), "{command}");
            assert_eq!(why, reason);
        }
        // Nothing to carry out, and nothing to do it with.
        assert_eq!(told(&[requirements, APP], "").0, None);
        assert_eq!(told(&[("requirements.txt", "flask\npymysql\n"), files, APP], "").0, None);
    }

    #[test]
    fn only_django_migrates_by_its_manage_py_wherever_that_is() {
        let django = ("requirements.txt", "django\npsycopg\n");
        let wsgi = ("site/mysite/wsgi.py", "application = get_wsgi_application()\n");
        let manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n";
        let inner = [django, ("site/manage.py", manage), wsgi];
        assert_eq!(told(&inner, "").0.unwrap().0, "python site/manage.py migrate --noinput");
        let outer = [django, ("manage.py", manage), ("mysite/wsgi.py", wsgi.1)];
        let (command, reason) = told(&outer, "").0.unwrap();
        assert_eq!(
            (command.as_str(), reason.as_str()),
            ("python manage.py migrate --noinput", "the repository has `manage.py`")
        );
        // Another one's script by that name.
        assert_eq!(told(&[("requirements.txt", "flask\npsycopg\n"), APP, ("manage.py", "")], "").0, None);
    }
}
