//! nginx: its own test of its configuration, and whether that includes our folder.

use preview_core::causes::with_causes;
use preview_exec::{ExecError, Limits, Program};
use preview_orchestrator::settings::Router;

use super::Known;
use crate::doctor::facts::{Look, Nginx};

pub(super) async fn look(settings: Known<'_>) -> Look<Option<Nginx>> {
    let Router::Nginx(nginx) = &settings?.router else { return Ok(None) };
    let config_dir = nginx.config_dir.display().to_string();
    // It prints all that it reads, if all of it is right. Where it may not read certificates, it says that it failed.
    let dumped = Program::new("nginx").arg("-T").limits(Limits::seconds(25).keeping(4 << 20)).run().await;
    let (test, included) = judge(dumped.map(|output| output.text()), &config_dir);
    Ok(Some(Nginx { config_dir, test, included }))
}

fn judge(dumped: Result<String, ExecError>, folder: &str) -> (Look<Option<String>>, Look<bool>) {
    match dumped {
        Ok(text) => (Ok(None), Ok(includes(&text, folder))),
        Err(error @ ExecError::Failed { .. }) => {
            let why = error.stderr().lines().filter(|line| line.contains("[emerg]")).collect::<Vec<_>>().join("; ");
            let why = if why.is_empty() { with_causes(&error) } else { why };
            if why.contains("Permission denied") {
                return (Err("only root may test nginx".to_owned()), Err("only root may read it all".to_owned()));
            }
            (Ok(Some(why)), Err("nginx's configuration is broken".to_owned()))
        }
        Err(error) => (Err(with_causes(&error)), Err(with_causes(&error))),
    }
}

/// Whether a line includes all of the folder's `.conf` files.
fn includes(configuration: &str, folder: &str) -> bool {
    let wanted = format!("{}/*.conf;", folder.trim_end_matches('/'));
    configuration.lines().any(|line| {
        let line = line.trim();
        line.strip_prefix("include").is_some_and(|rest| rest.trim() == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_include_counts_where_it_is_one() {
        let folder = "/etc/nginx/preview-configs";
        assert!(includes("server {\n    include /etc/nginx/preview-configs/*.conf;\n}", folder));
        assert!(includes("include  /etc/nginx/preview-configs/*.conf;", "/etc/nginx/preview-configs/"));
        for not in ["# include /etc/nginx/preview-configs/*.conf;", "include /etc/nginx/conf.d/*.conf;", ""] {
            assert!(!includes(not, folder), "{not}");
        }
    }

    #[tokio::test]
    async fn what_nginx_says_of_a_mistake_is_told_and_what_only_root_may_read_is_not_taken_for_one() {
        let ran = async |says: &str| {
            let script = format!("echo '{says}' >&2; exit 1");
            judge(Program::new("sh").args(["-c", &script]).run().await.map(|output| output.text()), "/x")
        };
        let (test, included) = ran("nginx: [emerg] unknown directive \"srever\" in /etc/nginx/nginx.conf:3").await;
        assert!(test.unwrap().unwrap().contains("nginx.conf:3") && included.is_err());
        let (test, _) = ran("nginx: [emerg] open() \"/etc/key.pem\" failed (13: Permission denied)").await;
        assert_eq!(test.unwrap_err(), "only root may test nginx");
    }
}
