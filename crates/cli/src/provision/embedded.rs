//! The files that make a server, as they are in the repository (`build.rs` puts them in), and laying them out for the programs that
//! read them.

use std::path::Path;

use crate::error::Failure;
use crate::installation::Home;

/// Every file, by its path in the repository.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Writes what is beneath a folder of the repository into a folder of the installation. What else is there stays.
pub(crate) fn lay_out(home: &Home, from: &str, to: &Path) -> Result<(), Failure> {
    home.make()?;
    for (path, content) in FILES {
        let Ok(path) = Path::new(path).strip_prefix(from) else { continue };
        let file = to.join(path);
        let written = || -> std::io::Result<()> {
            std::fs::create_dir_all(file.parent().unwrap_or(to))?;
            std::fs::write(&file, content)
        };
        written().map_err(|error| Failure::new(format!("{} could not be written", file.display())).because(&error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_programs_read_is_laid_out_as_it_is_in_the_repository() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        lay_out(&home, "terraform/digitalocean", &home.terraform()).unwrap();
        lay_out(&home, "ansible", &home.ansible()).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (file, of) in [
            ("terraform/main.tf", "terraform/digitalocean/main.tf"),
            ("ansible/site.yml", "ansible/site.yml"),
            ("ansible/roles/orchestrator/tasks/main.yml", "ansible/roles/orchestrator/tasks/main.yml"),
            ("ansible/roles/docker/files/plugins-of-debian-13", "ansible/roles/docker/files/plugins-of-debian-13"),
        ] {
            assert_eq!(std::fs::read(dir.path().join(file)).unwrap(), std::fs::read(root.join(of)).unwrap(), "{file}");
        }
        let no_program_leaves = |(path, _): &(&str, &[u8])| !path.contains("tfstate") && !path.contains(".terraform");
        assert!(FILES.iter().all(no_program_leaves));
    }
}
