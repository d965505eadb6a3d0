//! Single values of the file: what a scalar may be, and the short forms in which Compose packs several values into one.

use std::str::FromStr;
use std::time::Duration;

use crate::repo_config::ContainerPort;
use crate::repo_config::values::env_value;
use crate::yaml::{Node, Place, Value};

use super::super::own::{Command, InsidePath, OwnMount, Unfit, VolumeName};
use super::Reader;

/// A scalar with its variables replaced.
pub(super) fn plain(text: &str) -> Result<String, Unfit> {
    const VARIABLE: Unfit = Unfit(
        "variables of the server are not given to a preview",
        "write the value itself, `${NAME:-default}`, or `$$` for a dollar sign",
    );
    if env_value(text).is_err() {
        return Err(Unfit("control characters are not allowed", "remove them"));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (inner, after) = after.strip_prefix('{').and_then(|braced| braced.split_once('}')).ok_or(VARIABLE)?;
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').ok_or(VARIABLE)?;
        let default = inner[end..].strip_prefix(":-").or_else(|| inner[end..].strip_prefix('-')).ok_or(VARIABLE)?;
        let odd = end == 0 || inner.starts_with(|c: char| c.is_ascii_digit()) || default.contains(['$', '{']);
        if odd {
            return Err(VARIABLE);
        }
        out.push_str(default);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// `1m30s`, `500ms`.
fn duration(text: &str) -> Result<Duration, Unfit> {
    const ODD: Unfit = Unfit("this is no duration", "write it such as `30s` or `1m30s`");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or(ODD)?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let number: u64 = number.parse().ok().filter(|number| *number <= 1_000_000_000_000).ok_or(ODD)?;
        // There is no end to how often a unit may stand there.
        total = total.saturating_add(match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number * 60),
            "h" => Duration::from_secs(number * 3600),
            _ => return Err(ODD),
        });
        rest = after;
    }
    if text.is_empty() { Err(ODD) } else { Ok(total) }
}

/// What a list of ports says of the app: `[address:][host:]container[/protocol]`, of which the container's port is taken; none
/// for another protocol than TCP.
pub(super) fn container_port(text: &str) -> Result<Option<ContainerPort>, Unfit> {
    const ODD: Unfit = Unfit("this is not one port", "write the container's port, such as `3000`");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let port = ports.rsplit(':').next().unwrap_or_default();
    let port = port.parse().map_err(|_| ODD)?;
    Ok(protocol.eq_ignore_ascii_case("tcp").then_some(port))
}

/// `name:/path[:ro|rw]`
pub(super) fn short_mount(text: &str) -> Result<OwnMount, Unfit> {
    let mut parts = text.split(':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err(Unfit(
            "a volume without a name is lost with each container",
            "name it, such as `data:/var/lib/data`",
        ));
    };
    let read_only = match (parts.next(), parts.next()) {
        (None, _) | (Some("rw"), None) => false,
        (Some("ro"), None) => true,
        _ => return Err(Unfit("a mount's mode is `ro` or `rw`", "remove the rest")),
    };
    Ok(OwnMount { volume: source.parse::<VolumeName>()?, target: target.parse::<InsidePath>()?, read_only })
}

impl Reader {
    /// A scalar's text.
    pub(super) fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) => plain(text),
            _ => Err(Unfit("this must be one value", "see the Compose file reference")),
        };
        text.map_err(|unfit| self.unfit(node.place, path, unfit)).ok()
    }

    /// A value of a type of ours.
    pub(super) fn value<T: FromStr<Err = Unfit>>(&mut self, path: &str, node: &Node) -> Option<T> {
        self.made(path, node, str::parse)
    }

    /// What is made of a scalar.
    pub(super) fn made<T>(&mut self, path: &str, node: &Node, make: impl Fn(&str) -> Result<T, Unfit>) -> Option<T> {
        let text = self.text(path, node)?;
        self.fitting(node.place, path, make(&text))
    }

    /// What fits; what doesn't is refused.
    pub(super) fn fitting<T>(&mut self, place: Place, path: &str, made: Result<T, Unfit>) -> Option<T> {
        made.map_err(|unfit| self.unfit(place, path, unfit)).ok()
    }

    pub(super) fn boolean(&mut self, path: &str, node: &Node) -> Option<bool> {
        self.made(path, node, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Unfit("this must be `true` or `false`", "write one of them")),
        })
    }

    /// A duration, brought between two others.
    pub(super) fn duration(&mut self, path: &str, node: &Node, least: Duration, most: Duration) -> Option<Duration> {
        self.made(path, node, duration).map(|duration| duration.clamp(least, most))
    }

    /// The items of a list; one value counts as a list of it, and nothing as an empty one.
    pub(super) fn list<'a>(&mut self, path: &str, node: &'a Node) -> &'a [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Text(_) => std::slice::from_ref(node),
            Value::Null => &[],
            Value::Map(_) => {
                self.unfit(node.place, path, Unfit("this must be a list", "see the Compose file reference"));
                &[]
            }
        }
    }

    pub(super) fn words(&mut self, path: &str, node: &Node) -> Vec<String> {
        self.list(path, node).iter().filter_map(|word| self.text(path, word)).collect()
    }

    pub(super) fn command(&mut self, path: &str, node: &Node) -> Option<Command> {
        match &node.value {
            Value::Null => None,
            Value::Text(_) => self.text(path, node).map(Command::Line),
            _ => Some(Command::Words(self.words(path, node))),
        }
    }
}
