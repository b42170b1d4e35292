use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where callers come from, as far as they are counted: an IPv4 address, or an IPv6 network of 64 bits, which a host
/// commonly has to itself, and takes any address of. Each link has a link-local network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    address: IpAddr,
    zone: u32,
}

impl Origin {
    pub(super) fn of(address: SocketAddr) -> Self {
        match (address.ip().to_canonical(), address) {
            (IpAddr::V6(ip), SocketAddr::V6(address)) => {
                let network = Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64));
                Self { address: network.into(), zone: address.scope_id() }
            }
            (ip, _) => Self { address: ip, zone: 0 },
        }
    }
}
