//! What a transport has to do, a serial line does.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::transport::{Connector, Stream};
use leads_comm_conformance::Suite;
use leads_comm_serial::{SerialConnector, SerialStream};

use crate::ports;
use crate::support::PATIENCE;
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

/// For a layer that has no use for the write that does not block. Only where the system tells.
#[test]
fn a_flush_blocks_until_what_is_written_is_on_its_way() {
    if cfg!(leads_comm_portable) {
        return;
    }
    for is_taken in [true, false] {
        let Pair { device, port, .. } = Pair::open();
        let device = SerialStream::new(device, "client").unwrap();
        let stream = Arc::new(SerialStream::new(port, "device").unwrap());
        // As much as the system keeps, which moves it from one buffer to the next for a moment.
        let mut refused = 0;
        while refused < 10 {
            match stream.try_write_vectored(&[IoSlice::new(&[b'x'; 900])]) {
                Ok(_) => refused = 0,
                Err(_) => refused += 1,
            }
            if refused > 0 {
                thread::sleep(Duration::from_millis(10));
            }
        }
        assert_eq!(stream.shutdown(Shutdown::Write).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let (flushed, flushing) = mpsc::channel();
        let writer = Arc::clone(&stream);
        thread::spawn(move || flushed.send(writer.flush()));
        assert!(flushing.recv_timeout(Duration::from_millis(100)).is_err(), "it has not been taken yet");
        if is_taken {
            thread::spawn(move || while device.read(&mut [0; 900]).is_ok_and(|count| count > 0) {});
            flushing.recv_timeout(PATIENCE).unwrap().unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        } else {
            stream.abort().unwrap();
            let ended = flushing.recv_timeout(PATIENCE).unwrap();
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
