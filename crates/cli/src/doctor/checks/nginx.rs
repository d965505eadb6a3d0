//! nginx, where it is the router.

use crate::doctor::{Check, Facts, Judgement};

pub(super) const CHECKS: [Check<Facts>; 2] = [
    Check {
        name: "nginx-config",
        looks_at: "nginx's configuration",
        judge: configuration,
        remedy: "`nginx -t` names file and line: correct it, then `systemctl reload nginx`",
    },
    Check {
        name: "nginx-include",
        looks_at: "whether nginx includes the previews' folder",
        judge: include,
        remedy: "put `include FOLDER/*.conf;` into the server block that previews live in, then `systemctl reload nginx`",
    },
];

const NOT_USED: &str = "ROUTER is not nginx";

fn configuration(facts: &Facts) -> Judgement {
    match facts.nginx.as_ref().map(|nginx| nginx.as_ref().map(|nginx| &nginx.test)) {
        Err(why) | Ok(Some(Err(why))) => Judgement::unknown(why),
        Ok(None) => Judgement::ok(NOT_USED),
        Ok(Some(Ok(None))) => Judgement::ok("nginx's own test passes"),
        Ok(Some(Ok(Some(why)))) => Judgement::problem(why),
    }
}

fn include(facts: &Facts) -> Judgement {
    let nginx = match &facts.nginx {
        Err(why) => return Judgement::unknown(why),
        Ok(None) => return Judgement::ok(NOT_USED),
        Ok(Some(nginx)) => nginx,
    };
    let folder = &nginx.config_dir;
    match &nginx.included {
        Err(why) => Judgement::unknown(why),
        Ok(true) => Judgement::ok(format!("{folder} is included")),
        Ok(false) => Judgement::problem(format!("{folder} is not included: nginx knows no preview")),
    }
}
