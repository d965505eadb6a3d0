//! Where an app listens: by the kernel's own table, and, where nobody may read that, by what its log says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The engine's own name server, which listens within every container's network.
const ENGINE_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
/// The state of a socket that listens, `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// The addresses that something listens on, from the text of `/proc/<pid>/net/tcp` or `tcp6`. What can't be read is left out.
///
/// Source: <https://docs.kernel.org/networking/proc_net_tcp.html>
pub fn listening(table: &str) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = table
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, state) = (words.next()?, words.nth(1)?);
            let (address, port) = local.split_once(':')?;
            let socket = SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?);
            (state == LISTEN && socket.ip() != ENGINE_DNS).then_some(socket)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// An address as the kernel prints it: words of 32 bits, each in the machine's order of bytes.
fn ip(hex: &str) -> Option<IpAddr> {
    let words: Vec<u32> = (0..hex.len() / 8)
        .map(|index| hex.get(index * 8..index * 8 + 8).and_then(|word| u32::from_str_radix(word, 16).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Some(Ipv4Addr::from(four).into()),
        Err(_) => {
            let six = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
            Some(six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4))
        }
    }
}

/// What a line begins to tell that says where a server listens, in lower case.
const PHRASES: [&str; 12] = [
    "listening",
    "running on",
    "running at",
    "running:",
    "started on port",
    "started server",
    "server started",
    "development server",
    "serving http",
    "serving at",
    "local:",
    "ready on",
];

/// Where an app says that it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) port: u16,
    /// Whether it says 127.0.0.1. `localhost` proves nothing: many say it that listen everywhere.
    pub(super) loopback: bool,
}

/// The last line of the log that says where the app listens.
pub(super) fn said<'a>(log: impl DoubleEndedIterator<Item = &'a str>) -> Option<Said> {
    log.rev().find_map(|line| {
        let line = line.to_ascii_lowercase();
        let at = PHRASES.iter().filter_map(|phrase| line.find(phrase)).min()?;
        place(&line[at..])
    })
}

fn place(text: &str) -> Option<Said> {
    let number = |text: &str| {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse().ok().filter(|port: &u16| *port != 0)
    };
    // An address and port; a time of day has colons too, but nothing of an address before them.
    for host in ["127.0.0.1:", "0.0.0.0:", "localhost:", "[::]:", "[::1]:", "*:", " :"] {
        if let Some(port) = text.split_once(host).and_then(|(_, rest)| number(rest)) {
            return Some(Said { port, loopback: host == "127.0.0.1:" });
        }
    }
    let (_, rest) = text.split_once("port")?;
    let rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    number(rest).map(|port| Said { port, loopback: text.contains("127.0.0.1") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read of a container in which node listens on 4000 and 127.0.0.1:9229, and the engine's name server too.
    const TCP: &str = include_str!("fixtures/proc/tcp");
    const TCP6: &str = include_str!("fixtures/proc/tcp6");

    fn sockets(table: &str) -> Vec<String> {
        listening(table).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_kernels_table_tells_who_listens() {
        assert_eq!(sockets(TCP), ["127.0.0.1:9229"]);
        assert_eq!(sockets(TCP6), ["[::]:4000"]);
    }

    #[test]
    fn what_is_no_table_tells_nothing() {
        for text in ["", "sl local_address", "0: zz:0FA0 0:0 0A", "0: 0:0FA0 0:0 0A", "0: 00000000:XXXX 0:0 0A"] {
            assert_eq!(listening(text), [], "{text}");
        }
    }

    #[test]
    fn a_line_of_a_log_tells_too() {
        for (line, port, loopback) in [
            ("Listening on port 4000", 4000, false),
            ("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", 8000, true),
            ("2026/11/29 11:07:00 listening on [::]:8090", 8090, false),
            ("Server listening on :8080", 8080, false),
            ("Serving HTTP on 0.0.0.0 port 9090 (http://0.0.0.0:9090/) ...", 9090, false),
            ("Tomcat started on port 8080 (http) with context path '/'", 8080, false),
            ("Application is running on: http://[::1]:4000", 4000, false),
            ("Now listening on: http://localhost:5000", 5000, false),
        ] {
            assert_eq!(said([line].into_iter()), Some(Said { port, loopback }), "{line}");
        }
        for line in ["listening", "support ticket 12", "12:30:15 listening", "running on empty: 4000", "port 99999999"]
        {
            assert_eq!(said([line].into_iter()), None, "{line}");
        }
    }
}
