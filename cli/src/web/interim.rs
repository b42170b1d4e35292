use super::*;
use leads_comm::transport::{self, Listener, Stream};
use leads_comm_websocket::WebSocketListener;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
#[derive(Default)]
struct Q {
    q: Mutex<(VecDeque<Box<dyn Stream>>, bool)>,
    c: Condvar,
}
#[derive(Clone)]
pub(crate) struct Door(Arc<Q>, Vec<String>);
struct L(Arc<Q>);
impl Listener for L {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        let mut s = self.0.q.lock();
        loop {
            if let Some(x) = s.0.pop_front() {
                return Ok(Some(x));
            }
            if s.1 {
                return Ok(None);
            }
            self.0.c.wait(&mut s);
        }
    }
    fn stop(&self) {
        self.0.q.lock().1 = true;
        self.0.c.notify_all();
    }
    fn name(&self) -> String {
        "door".into()
    }
}
pub(crate) fn door(subs: &[&str]) -> (Door, impl Listener) {
    let q = Arc::new(Q::default());
    let mut l = WebSocketListener::new(L(Arc::clone(&q)));
    for s in subs {
        l = l.subprotocol(*s);
    }
    (Door(q, subs.iter().map(|s| (*s).to_owned()).collect()), l)
}
pub(crate) struct Web {
    address: SocketAddr,
    sites: Vec<Box<dyn Site>>,
    doors: Vec<Door>,
}
impl Web {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, sites: vec![], doors: vec![] }
    }
    pub(crate) fn token(self, _: Option<Vec<u8>>) -> Self {
        self
    }
    pub(crate) fn site(mut self, s: impl Site) -> Self {
        self.sites.push(Box::new(s));
        self
    }
    pub(crate) fn door(mut self, d: Door) -> Self {
        self.doors.push(d);
        self
    }
    pub(crate) fn start(mut self) -> io::Result<Running> {
        let l = TcpListener::bind(self.address)?;
        self.address = l.local_addr()?;
        let address = self.address;
        let me = Arc::new(self);
        std::thread::spawn(move || {
            for c in l.incoming().flatten() {
                let me = Arc::clone(&me);
                std::thread::spawn(move || me.serve(c));
            }
        });
        Ok(Running { address })
    }
    fn serve(&self, mut c: TcpStream) {
        c.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut b = vec![0; 16384];
        let head = loop {
            let Ok(n) = c.peek(&mut b) else { return };
            if n == 0 {
                return;
            }
            if let Some(e) = b[..n].windows(4).position(|w| w == b"\r\n\r\n") {
                break String::from_utf8_lossy(&b[..e + 4]).into_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let lower = head.to_ascii_lowercase();
        if lower.contains("upgrade: websocket") {
            c.set_read_timeout(None).unwrap();
            for d in &self.doors {
                if d.1.iter().any(|s| head.contains(s)) {
                    let Ok(s) = transport::tcp::TcpStream::new(c) else { return };
                    d.0.q.lock().0.push_back(Box::new(s));
                    d.0.c.notify_all();
                    return;
                }
            }
            return;
        }
        c.read_exact(&mut vec![0; head.len()]).unwrap();
        let len = lower.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0usize);
        let mut body = vec![0; len];
        if c.read_exact(&mut body).is_err() {
            return;
        }
        let mut first = head.split(' ');
        let (m, t) = (first.next().unwrap_or(""), first.next().unwrap_or("/"));
        let (path, q) = t.split_once('?').unwrap_or((t, ""));
        let query = q.split('&').filter_map(|p| p.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        let r = Request {
            method: if m == "POST" { Method::Post } else { Method::Get },
            path: path.into(),
            query,
            origin: None,
            body,
        };
        let a = self.sites.iter().find_map(|s| s.answer(&r)).unwrap_or(Response {
            status: 404,
            content_type: "text/plain",
            headers: vec![],
            body: b"no\n".to_vec(),
        });
        let _ = write!(
            c,
            "HTTP/1.1 {} x\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
            a.status,
            a.content_type,
            a.body.len()
        );
        for (k, v) in &a.headers {
            let _ = write!(c, "{k}: {v}\r\n");
        }
        let _ = c.write_all(b"\r\n");
        let _ = c.write_all(&a.body);
    }
}
pub(crate) struct Running {
    address: SocketAddr,
}
impl Running {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
    pub(crate) fn close(&self) {}
}
