//! The image that a repository's own CI makes of each commit.

use std::str::FromStr;

use crate::compose::own::ImageName;
use crate::ids::{CommitSha, PrNumber};

use super::values::InvalidValue;

/// The name of an image with places for what differs from commit to commit: `{sha}`, `{short_sha}`, `{pr}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTemplate(String);

impl ImageTemplate {
    /// The Dockerfile that makes this commit's image ours. Images without a registry of their own come from below `prefix`.
    pub fn dockerfile(&self, commit: &CommitSha, number: PrNumber, prefix: Option<&str>) -> Option<String> {
        let image = self.filled(commit.as_str(), commit.short(), &number.to_string()).ok()?;
        Some(image.dockerfile(prefix))
    }

    fn filled(&self, sha: &str, short_sha: &str, pr: &str) -> Result<ImageName, InvalidValue> {
        let text = self.0.replace("{sha}", sha).replace("{short_sha}", short_sha).replace("{pr}", pr);
        text.parse().map_err(|_| {
            InvalidValue(
                "must name an image with a tag, such as `ghcr.io/my-org/my-app:{sha}`: of Docker Hub or of a registry with a public name; \
                 `{sha}`, `{short_sha}` and `{pr}` are filled in",
            )
        })
    }
}

impl FromStr for ImageTemplate {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let template = Self(text.to_owned());
        template.filled(&"0".repeat(40), "0000000", "1")?;
        if text.contains("{sha}") || text.contains("{short_sha}") {
            Ok(template)
        } else {
            Err(InvalidValue("must have `{sha}` or `{short_sha}` in it: another commit is another image"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_fills_its_image_s_name() {
        let commit: CommitSha = "a5e1d0c2b3f4958677889900aabbccddeeff0011".parse().unwrap();
        let number = PrNumber::new(12).unwrap();
        let dockerfile =
            |text: &str, prefix| text.parse::<ImageTemplate>().unwrap().dockerfile(&commit, number, prefix);
        let own = "FROM ghcr.io/my-org/my-app:a5e1d0c2b3f4958677889900aabbccddeeff0011\n";
        assert_eq!(dockerfile("ghcr.io/my-org/my-app:{sha}", Some("mirror.example.com")).unwrap(), own);
        let hub = format!("FROM mirror.example.com/my-org/my-app:pr-12-{}\n", commit.short());
        assert_eq!(dockerfile("my-org/my-app:pr-{pr}-{short_sha}", Some("mirror.example.com")).unwrap(), hub);
    }

    #[test]
    fn nothing_but_the_name_of_another_image_for_each_commit_is_one() {
        for bad in [
            "app",
            "app:latest",
            "app:{pr}",
            "app:{sha}\nRUN x",
            "127.0.0.1:5000/app:{sha}",
            "app:{tag}",
            "preview-deployer/x:{sha}",
            "",
        ] {
            assert!(bad.parse::<ImageTemplate>().is_err(), "{bad}");
        }
    }
}
