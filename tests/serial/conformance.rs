//! What a transport has to do, a serial line does.

use std::sync::{Arc, Mutex};

use leads_comm::transport::conformance::Suite;
use leads_comm::transport::serial::{SerialConnector, SerialStream};
use leads_comm::transport::{Connector, Stream};

use crate::ports;
use crate::support::pty::Pair;

#[test]
fn streams() {
    let suite = Suite::new().ends(false).half_close(false).bulk(512 * 1024).holds(1024 * 1024);
    let suite =
        if cfg!(leads_comm_portable) { suite.try_write(false).poll_fd(false).wait_readable(false) } else { suite };
    // Kept open, as by a cable: neither end is told of the end of the other one.
    let cables = Arc::new(Mutex::new(Vec::new()));
    suite.check_streams(move || {
        let Pair { device, port, name } = Pair::open();
        cables.lock().unwrap().push((port, device.try_clone().unwrap()));
        let device = SerialStream::new(device, "client").unwrap();
        let port = SerialConnector::new().baud_rate(4_000_000).ports(ports([])).connect(&name).unwrap();
        assert!(!port.has_end() && !device.has_end());
        (port, Box::new(device) as Box<dyn Stream>)
    });
}
