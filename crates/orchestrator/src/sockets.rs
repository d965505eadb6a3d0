//! Sockets that were opened for us: systemd's socket activation. Whoever passes them on keeps them open while one process of
//! ours takes the other's place, so that nobody who comes meanwhile is turned away.
//!
//! Source: sd_listen_fds(3), <https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>

use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use crate::platform::listens;

/// The first descriptor that is passed on (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;
const API: &str = "api";
const ROUTER: &str = "router";
const ROUTER_TLS: &str = "router-tls";

/// What was passed on.
#[derive(Debug, Default)]
pub struct Passed {
    /// For the API.
    pub api: Option<TcpListener>,
    /// For visitors.
    pub router: Option<TcpListener>,
    /// For visitors who speak TLS.
    pub router_tls: Option<TcpListener>,
}

/// What was passed on can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSockets {
    /// The variables don't say what they should.
    #[error("{variable} is not what systemd's socket activation sets it to (sd_listen_fds(3))")]
    Variable {
        /// Which.
        variable: &'static str,
    },
    /// It is for nobody knows what.
    #[error(
        "a socket was passed on under the name `{name}`: set FileDescriptorName= of its unit to `api`, `router` or `router-tls`"
    )]
    Name {
        /// Its name.
        name: String,
    },
    /// There are two for the same.
    #[error("two sockets named `{name}` were passed on: give the unit one ListenStream= alone")]
    Twice {
        /// Their name.
        name: String,
    },
    /// It is something else.
    #[error(
        "what was passed on as `{name}` is no socket that listens for TCP connections: its unit needs ListenStream="
    )]
    Kind {
        /// Its name.
        name: String,
    },
}

impl Passed {
    /// Takes the sockets that our environment names, if they are for this process. They can be taken once.
    pub fn take() -> Result<Self, BadSockets> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let mut passed = Self::default();
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(passed);
        }
        let variable = |name: &str| std::env::var(name).ok();
        for (number, name) in named(std::process::id(), variable)? {
            let socket = adopt(number).ok_or_else(|| BadSockets::Kind { name: name.clone() })?;
            passed.put(name, socket)?;
        }
        Ok(passed)
    }

    /// Puts a socket where its name says.
    fn put(&mut self, name: String, socket: TcpListener) -> Result<(), BadSockets> {
        let place = match name.as_str() {
            API => &mut self.api,
            ROUTER => &mut self.router,
            ROUTER_TLS => &mut self.router_tls,
            _ => return Err(BadSockets::Name { name }),
        };
        match place.replace(socket) {
            Some(_) => Err(BadSockets::Twice { name }),
            None => Ok(()),
        }
    }
}

/// Numbers and names of the descriptors that were passed on to the process of this number.
fn named(me: u32, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<(RawFd, String)>, BadSockets> {
    let number = |name: &'static str| {
        let text = variable(name);
        text.map(|text| text.parse::<u32>().map_err(|_| BadSockets::Variable { variable: name })).transpose()
    };
    let (Some(for_whom), Some(count)) = (number("LISTEN_PID")?, number("LISTEN_FDS")?) else { return Ok(Vec::new()) };
    // Meant for a parent of ours, who forgot to take them out.
    if for_whom != me {
        return Ok(Vec::new());
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let name = |_| names.next().filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    let count = RawFd::try_from(count).map_err(|_| BadSockets::Variable { variable: "LISTEN_FDS" })?;
    let last = FIRST.checked_add(count).ok_or(BadSockets::Variable { variable: "LISTEN_FDS" })?;
    Ok((FIRST..last).zip((0..).map(name)).collect())
}

/// Makes a descriptor that was passed on our own, which no program that we start inherits; `None` when it is no listening socket.
fn adopt(number: RawFd) -> Option<TcpListener> {
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).ok()?;
    // SAFETY: it is open, as was just looked at; by the protocol, which names this process, it is ours alone; and it is taken
    // once, as `take` sees to.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let flags = fcntl_getfd(&socket).ok()?;
    fcntl_setfd(&socket, flags.union(FdFlags::CLOEXEC)).ok()?;
    let waits = listens(&socket);
    let listener = TcpListener::from(socket);
    // One of another family has no address of ours.
    (waits && listener.local_addr().is_ok()).then_some(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pid: &str, count: &str, names: Option<&str>) -> Result<Vec<(RawFd, String)>, BadSockets> {
        let names = names.map(str::to_owned);
        named(77, |name| match name {
            "LISTEN_PID" => Some(pid.to_owned()),
            "LISTEN_FDS" => Some(count.to_owned()),
            "LISTEN_FDNAMES" => names.clone(),
            _ => None,
        })
    }

    #[test]
    fn names_belong_to_descriptors_in_their_order() {
        let two = given("77", "2", Some("router:api")).unwrap();
        assert_eq!(two, [(3, "router".to_owned()), (4, "api".to_owned())]);
        assert_eq!(given("77", "1", None).unwrap(), [(3, "unknown".to_owned())]);
        assert_eq!(given("77", "2", Some("api")).unwrap()[1].1, "unknown");
        assert_eq!(given("77", "0", None).unwrap(), []);
    }

    #[test]
    fn each_name_has_its_place_and_one_socket() {
        let mut passed = Passed::default();
        let mut put = |name: &str| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = socket.local_addr().unwrap();
            passed.put(name.to_owned(), socket).map(|()| address)
        };
        let given = ["router-tls", "api", "router"].map(|name| put(name).unwrap());
        assert_eq!(put("tls"), Err(BadSockets::Name { name: "tls".to_owned() }));
        let of = |socket: &Option<TcpListener>| socket.as_ref().unwrap().local_addr().unwrap();
        assert_eq!([&passed.router_tls, &passed.api, &passed.router].map(of), given);
        let again = passed.put("router-tls".to_owned(), TcpListener::bind("127.0.0.1:0").unwrap());
        assert_eq!(again, Err(BadSockets::Twice { name: "router-tls".to_owned() }));
    }

    #[test]
    fn what_is_for_another_process_is_left_alone() {
        assert_eq!(given("78", "2", Some("router:api")).unwrap(), []);
        assert_eq!(named(77, |_| None).unwrap(), []);
    }

    #[test]
    fn nonsense_is_said() {
        assert_eq!(given("me", "2", None), Err(BadSockets::Variable { variable: "LISTEN_PID" }));
        for count in ["two", "-1", "4294967295", "2147483647"] {
            assert_eq!(given("77", count, None), Err(BadSockets::Variable { variable: "LISTEN_FDS" }), "{count}");
        }
    }
}
