//! How many connections this machine has to one of its own ports.
//!
//! nginx keeps no connection to an app beyond its request, so each is a request (or a WebSocket) under way, whichever worker,
//! old or new, it belongs to.

use std::io;

use preview_core::ids::HostPort;

/// Connections to the port on 127.0.0.1 that are established or being made.
pub(super) fn to(port: HostPort) -> io::Result<usize> {
    Ok(count(&std::fs::read_to_string("/proc/net/tcp")?, port))
}

/// Source of the format: `Documentation/networking/proc_net_tcp.rst` of Linux. The address is in the machine's byte order, the
/// port is not; 01 is ESTABLISHED and 02 SYN_SENT.
fn count(table: &str, port: HostPort) -> usize {
    let loopback = u32::from_ne_bytes([127, 0, 0, 1]);
    let remote = format!("{loopback:08X}:{:04X}", port.get());
    let to_port = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        fields.next() == Some(&remote) && matches!(fields.next(), Some("01" | "02"))
    };
    table.lines().filter(to_port).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_from_the_side_that_made_them() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let port = HostPort::new(address.port()).unwrap();
        assert_eq!(to(port).unwrap(), 0);
        let visitors = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
        let _accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
        assert_eq!(to(port).unwrap(), 2);
        drop(visitors);
        assert_eq!(to(port).unwrap(), 0);
    }
}
