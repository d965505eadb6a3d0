//! Many at once: how much of the service anybody may take whom we don't know.
//!
//! [`Places`] bounds connections, [`Allowance`] requests, both in all and for each [`Source`]. Neither is asked about whoever
//! proves who they are: a token and a signature are never limited away.

mod allowance;
mod places;

use std::net::{IpAddr, Ipv6Addr};

pub(crate) use allowance::Allowance;
pub(crate) use places::{Place, Places};

/// Where requests come from, as far as it tells people apart: an IPv4 address, or the network of an IPv6 one, in which a single
/// person has as many addresses as they like (RFC 6177 gives a household a /64 at least).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

impl Source {
    /// This machine: its own programs, and whatever stands in front of us here and brings everybody's requests.
    fn is_this_machine(self) -> bool {
        self.0.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_or_a_network() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::2"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert!(source("::1").is_this_machine() && source("127.0.0.1").is_this_machine());
    }
}
