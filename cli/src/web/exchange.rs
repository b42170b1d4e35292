//! One connection: a request is read, judged and answered, and that is all.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use leads_comm::transport::tcp;
use leads_comm_websocket::{Upgrade, WebSocketStream};
use log::{debug, error};
use parking_lot::Mutex;

use super::guard::{self, Guard, Shown};
use super::request::{Head, LONGEST_HEAD, Method, Request, Verb};
use super::response::{Refused, Response};
use super::{Door, Site};

/// Within which a request has to be there.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// At what rate an answer has to be taken, in bytes per second; as much time as for a request comes on top.
const SLOWEST: usize = 8 * 1024;

/// For how long a caller that has been answered is seen out, and how much it may still send, in bytes: what it sends
/// meanwhile would make the system throw the answer away.
const A_MOMENT: Duration = Duration::from_secs(1);
const DISCARDED: usize = 256 * 1024;

/// From how many bytes on an answer is a large one.
const LARGE: usize = 1024 * 1024;

/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What is served, and to whom.
pub(super) struct Services {
    pub(super) guard: Guard,
    pub(super) sites: Vec<Box<dyn Site>>,
    pub(super) doors: Vec<Door>,
    pub(super) large: Large,
}

/// The large answers that wait to be taken: each is in memory until then, and slow callers may be many.
pub(super) struct Large {
    /// How many bytes they may have in all; one alone may have more.
    pub(super) most: usize,
    waiting: Mutex<usize>,
}

/// One of them, so long as this is there.
struct Waits<'a>(&'a Large, usize);

impl Large {
    pub(super) fn new(most: usize) -> Self {
        Self { most, waiting: Mutex::new(0) }
    }

    /// Counts an answer of so many bytes; `None` where that is too much.
    fn wait(&self, len: usize) -> Option<Waits<'_>> {
        let len = if len < LARGE { 0 } else { len };
        let mut waiting = self.waiting.lock();
        if len > 0 && *waiting > 0 && *waiting + len > self.most {
            return None;
        }
        *waiting += len;
        Some(Waits(self, len))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        *self.0.waiting.lock() -= self.1;
    }
}

/// What becomes of a request.
enum Reply<'a> {
    Answer(Response),
    /// A WebSocket: what is answered before its first frame, and who takes it.
    Door(Vec<u8>, &'a Door),
}

/// What has been asked for with a request, where it is known.
#[derive(Default)]
struct Asked {
    verb: Option<Verb>,
    path: String,
    /// A page of another origin that has been let in, and may read what is answered.
    foreign: Option<String>,
}

/// Serves one connection to its end, or to where a server of the library takes it.
pub(super) fn serve(services: &Services, socket: TcpStream) {
    let mut line = Line { socket: &socket, until: Instant::now() + REQUEST_TIME };
    let mut asked = Asked::default();
    let (reply, rest) = match line.read_head() {
        Ok(None) => return,
        Ok(Some((head, mut rest))) => (judge(services, &mut asked, &mut line, &head, &mut rest), rest),
        Err(refused) => (Err(refused), Vec::new()),
    };
    let mut reply = reply.unwrap_or_else(|refused| Reply::Answer(refused.into()));
    let mut waits = None;
    if let Reply::Answer(response) = &reply {
        waits = services.large.wait(response.body.len());
        if waits.is_none() {
            reply = Reply::Answer(Refused::new(503, "too much waits to be taken by others").into());
        }
    }
    let (status, taken_by) = match &reply {
        Reply::Answer(response) => (response.status, None),
        Reply::Door(_, door) => (101, Some(*door)),
    };
    let verb = asked.verb.map_or("?", Verb::name);
    debug!("{verb} {} {status}", asked.path.escape_debug());
    match (reply, taken_by) {
        (Reply::Door(answer, _), Some(door)) => {
            if let Err(error) = line.write(&[&answer]).and_then(|()| pass(socket, &rest, door)) {
                debug!("a WebSocket ends before it begins: {error}");
            }
        }
        (Reply::Answer(response), _) => line.answer(response, &asked),
        (Reply::Door(..), None) => {}
    }
    drop(waits);
}

/// What a request is answered, or who takes it. `rest` is what has come behind its head.
fn judge<'a>(
    services: &'a Services,
    asked: &mut Asked,
    line: &mut Line<'_>,
    head: &[u8],
    rest: &mut Vec<u8>,
) -> Result<Reply<'a>, Refused> {
    let bytes = head;
    let head = Head::parse(bytes)?;
    asked.verb = Some(head.verb);
    asked.path.clone_from(&head.path);
    let upgrade = head.upgrades.then(|| Upgrade::parse(bytes));
    let lets_in = |origin: &str| match &upgrade {
        Some(Ok(upgrade)) => services.door_for(upgrade).is_some_and(|(door, _)| door.lets_in(origin)),
        Some(Err(_)) => false,
        None => services.sites.iter().any(|site| site.lets_in(origin, &head.path)),
    };
    if services.guard.check_access(&head, lets_in)? {
        asked.foreign.clone_from(&head.origin);
    }
    if head.verb == Verb::Options {
        return preflight(&head, asked.foreign.is_some());
    }
    let shown = services.guard.check_token(&head)?;
    if let Some(upgrade) = upgrade {
        let upgrade = upgrade.map_err(|error| Refused::new(error.status(), "this is no way to ask for a WebSocket"))?;
        let (door, subprotocol) =
            services.door_for(&upgrade).ok_or(Refused::new(400, "no such subprotocol is spoken here"))?;
        if !door.has_room() {
            return Err(Refused::new(503, "too many ask at once"));
        }
        return Ok(Reply::Door(upgrade.answer(subprotocol), door));
    }
    let Head { verb, path, query, takes_html, body_len, .. } = head;
    let query = guard::without_token(query);
    if let (Shown::InQuery, Verb::Get, true, Some(cookie)) = (shown, verb, takes_html, services.guard.cookie()) {
        let response = Response::line(302, "302 Found: without the token, which the browser knows now");
        let location = guard::target(&path, &query);
        return Ok(Reply::Answer(response.header("Set-Cookie", cookie).header("Location", location)));
    }
    let method = if verb == Verb::Post { Method::Post } else { Method::Get };
    let body = line.read_body(std::mem::take(rest), body_len)?;
    let request = Request { method, path, query, origin: asked.foreign.clone(), body };
    services.answer(&request).map(Reply::Answer)
}

/// What a browser asks before a page of another origin may ask for something out of the ordinary.
fn preflight(head: &Head, is_let_in: bool) -> Result<Reply<'static>, Refused> {
    if !is_let_in {
        return Err(Refused::new(405, "only GET, HEAD and POST are answered"));
    }
    let response = Response { status: 204, ..Response::new("text/plain", "") }
        .header("Access-Control-Allow-Methods", "GET, HEAD, POST")
        .header("Access-Control-Allow-Headers", "Authorization, Content-Type");
    Ok(Reply::Answer(match head.asks_for_network {
        true => response.header("Access-Control-Allow-Private-Network", "true"),
        false => response,
    }))
}

impl Services {
    fn answer(&self, request: &Request) -> Result<Response, Refused> {
        let answers = || self.sites.iter().find_map(|site| site.answer(request));
        match panic::catch_unwind(AssertUnwindSafe(answers)) {
            Ok(response) => Ok(response.ok_or(Refused::new(404, "there is no such page"))?.checked()),
            Err(_) => {
                error!("answering {} panicked", request.path.escape_debug());
                Err(Refused::new(500, "the service has failed"))
            }
        }
    }

    /// Who takes a WebSocket, and with which subprotocol.
    fn door_for(&self, upgrade: &Upgrade) -> Option<(&Door, Option<&str>)> {
        self.doors.iter().find_map(|door| {
            let spoken = door.subprotocols();
            if spoken.is_empty() {
                return upgrade.subprotocols().next().is_none().then_some((door, None));
            }
            upgrade.choose(&spoken).map(|chosen| (door, Some(chosen)))
        })
    }
}

/// Hands a socket on which frames come next to the server behind the door.
fn pass(socket: TcpStream, rest: &[u8], door: &Door) -> io::Result<()> {
    socket.set_read_timeout(None)?;
    socket.set_write_timeout(None)?;
    let stream = Box::new(tcp::TcpStream::new(socket)?);
    door.pass(Box::new(WebSocketStream::upgraded(stream, rest, &door.settings)));
    Ok(())
}

/// The head of a request, and what has come behind it.
type HeadAndRest = (Vec<u8>, Vec<u8>);

/// A socket whose every call is over in time.
struct Line<'a> {
    socket: &'a TcpStream,
    until: Instant,
}

impl Line<'_> {
    /// The head of a request; `None` from a caller that leaves without having said anything.
    fn read_head(&mut self) -> Result<Option<HeadAndRest>, Refused> {
        let mut head = Vec::new();
        loop {
            // The end may lie across two reads.
            let from = head.len().saturating_sub(HEAD_END.len() - 1);
            if self.read_more(&mut head)? == 0 {
                return if head.is_empty() { Ok(None) } else { Err(Refused::new(400, "the request is cut off")) };
            }
            let end = head[from..].windows(HEAD_END.len()).position(|window| window == HEAD_END);
            let len = end.map(|end| from + end + HEAD_END.len());
            if len.unwrap_or(head.len()) > LONGEST_HEAD {
                return Err(Refused::new(431, "the head of the request is longer than 16 KiB"));
            }
            if let Some(len) = len {
                let rest = head.split_off(len);
                return Ok(Some((head, rest)));
            }
        }
    }

    /// A body of so many bytes, of which some may have come already. What has come behind it is nothing.
    fn read_body(&mut self, mut body: Vec<u8>, len: usize) -> Result<Vec<u8>, Refused> {
        while body.len() < len {
            if self.read_more(&mut body)? == 0 {
                return Err(Refused::new(400, "the body is cut off"));
            }
        }
        body.truncate(len);
        Ok(body)
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut chunk = [0; 4096];
        loop {
            match self.read(&mut chunk) {
                Ok(count) => {
                    bytes.extend_from_slice(&chunk[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(Refused::new(408, "the request takes too long"));
                }
                // Nobody reads the answer.
                Err(_) => return Err(Refused::new(400, "the request is cut off")),
            }
        }
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(chunk).map_err(timed_out)
    }

    /// Writes all of it.
    fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                self.socket.set_write_timeout(Some(self.left()?))?;
                match self.socket.write(rest).map_err(timed_out) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn answer(&mut self, mut response: Response, asked: &Asked) {
        if let Some(origin) = &asked.foreign {
            response = response.header("Access-Control-Allow-Origin", origin).header("Vary", "Origin").checked();
        }
        let len = response.body.len();
        self.until = Instant::now() + REQUEST_TIME + Duration::from_secs((len / SLOWEST) as u64);
        let body = if asked.verb == Some(Verb::Head) { &[][..] } else { &response.body };
        if self.write(&[&response.head(), body]).is_ok() && self.socket.shutdown(Shutdown::Write).is_ok() {
            self.see_out();
        }
    }

    fn see_out(&mut self) {
        self.until = Instant::now() + A_MOMENT;
        let (mut discarded, mut chunk) = (0, [0; 4096]);
        while discarded < DISCARDED {
            match self.read(&mut chunk) {
                Ok(count @ 1..) => discarded += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

/// Systems have two names for it.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
