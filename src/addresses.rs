use std::net::IpAddr;

/// The addresses under which this machine can be reached by others: no loopback addresses, and none at all where they
/// cannot be found out.
///
/// Without the feature `net-info` these are the addresses that traffic to other networks leaves from, at most one of
/// each version; nothing is sent to find them. With it, they are those of every interface. Link-local IPv6 addresses
/// are among these, without a zone: a caller adds its own (`fe80::1%eth0`).
///
/// # Examples
///
/// ```
/// for address in leads_comm::my_ip_addresses() {
///     println!("connect to {address}");
/// }
/// ```
pub fn my_ip_addresses() -> Vec<IpAddr> {
    let mut addresses = find();
    addresses.retain(|address| !address.is_loopback() && !address.is_unspecified());
    addresses
}

#[cfg(feature = "net-info")]
fn find() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect()
}

#[cfg(not(feature = "net-info"))]
fn find() -> Vec<IpAddr> {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

    // Connecting a UDP socket sends nothing; it makes the system choose a route. The addresses are those reserved for
    // documentation (RFC 5737, RFC 3849).
    let routes: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    ];
    let local_ip = |(from, to): (IpAddr, IpAddr)| {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
        socket.connect(SocketAddr::new(to, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    routes.into_iter().filter_map(local_ip).collect()
}
