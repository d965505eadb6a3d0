//! Which network a preview gets: a small one of our own range, because Docker's default pools end after some thirty.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Bits of a preview's network: 16 addresses, enough for eight services, two slots, a one-off and the gateway.
const PREVIEW_PREFIX: u8 = 28;

/// An IPv4 network in CIDR form, its host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as an IPv4 network of private addresses, like 10.222.0.0/16, with a prefix from 8 to 28")]
pub struct InvalidSubnet;

impl Subnet {
    /// Its first address.
    pub fn base(self) -> Ipv4Addr {
        self.base
    }

    /// How many previews' networks fit in.
    pub fn previews(self) -> u32 {
        1 << (PREVIEW_PREFIX - self.prefix)
    }

    /// The network of the preview with this number; `None` beyond the last.
    pub fn preview(self, number: u32) -> Option<Self> {
        let offset = number.checked_mul(1 << (32 - PREVIEW_PREFIX))?;
        let base = Ipv4Addr::from_bits(self.base.to_bits() + offset);
        (number < self.previews()).then_some(Self { base, prefix: PREVIEW_PREFIX })
    }

    /// The lowest number that is not taken and whose network is free; `None` when the range is used up.
    pub fn next_free(self, taken: &BTreeSet<u32>, is_free: impl Fn(Self) -> bool) -> Option<u32> {
        (0..self.previews()).find(|number| !taken.contains(number) && self.preview(*number).is_some_and(&is_free))
    }

    /// Whether any address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        let bits = 32 - u32::from(self.prefix.min(other.prefix));
        self.base.to_bits() >> bits == other.base.to_bits() >> bits
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;
    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let (base, prefix) = text.split_once('/').ok_or(InvalidSubnet)?;
        let base: Ipv4Addr = base.parse().map_err(|_| InvalidSubnet)?;
        let prefix: u8 = prefix.parse().map_err(|_| InvalidSubnet)?;
        let whole = (8..=PREVIEW_PREFIX).contains(&prefix) && base.to_bits() << prefix == 0;
        if whole && base.is_private() { Ok(Self { base, prefix }) } else { Err(InvalidSubnet) }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_get_neighbouring_networks() {
        let range: Subnet = "10.222.0.0/16".parse().unwrap();
        assert_eq!(range.previews(), 4096);
        assert_eq!(range.preview(0).unwrap().to_string(), "10.222.0.0/28");
        assert_eq!(range.preview(17).unwrap().to_string(), "10.222.1.16/28");
        assert_eq!(range.preview(4096), None);
        assert_eq!(range.next_free(&[0, 1, 3].into(), |_| true), Some(2));
        let foreign: Subnet = "10.222.0.32/27".parse().unwrap();
        assert_eq!(range.next_free(&[0, 1].into(), |network| !network.overlaps(foreign)), Some(4));
        let single: Subnet = "10.222.0.16/28".parse().unwrap();
        assert_eq!((single.previews(), single.next_free(&[0].into(), |_| true)), (1, None));
    }

    #[test]
    fn networks_that_are_not_private_or_not_whole_are_refused() {
        for bad in
            ["", "10.0.0.0", "8.8.0.0/16", "10.222.0.1/16", "10.0.0.0/33", "10.0.0.0/7", "10.0.0.0/x", "10.222.0.0/29"]
        {
            assert_eq!(bad.parse::<Subnet>(), Err(InvalidSubnet), "{bad}");
        }
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let (wide, narrow): (Subnet, Subnet) = ("10.0.0.0/8".parse().unwrap(), "10.222.0.0/16".parse().unwrap());
        let other: Subnet = "192.168.0.0/16".parse().unwrap();
        assert!(wide.overlaps(narrow) && narrow.overlaps(wide));
        assert!(!wide.overlaps(other) && !other.overlaps(narrow));
    }
}
