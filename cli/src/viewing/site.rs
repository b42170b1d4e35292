//! What a browser is answered by HTTP. Each request has a thread of its own; none of them holds up the hub for longer
//! than it takes to make a list.

use std::fmt::Write;
use std::sync::Arc;

use leads_comm::stats::ServiceStats;
use leads_comm::{Client, Server};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::desk::{Desk, Refused};
use super::guests::{Guests, LeftOut};
use super::history::History;
use super::link::NotSent;
use super::protocol;
use super::saving::{self, Format};
use crate::numbers;
use crate::web::{Method, Request, Response, Site};

/// The paths that are no files of the page.
pub(crate) struct ViewSite {
    pub(crate) history: Arc<Mutex<History>>,
    pub(crate) desk: Arc<Desk>,
    /// The client of the vehicle.
    pub(crate) client: Option<Client>,
    /// Those who are served, by a name.
    pub(crate) servers: Vec<(&'static str, Server)>,
    /// Those who count what they are not sent.
    pub(crate) guests: Arc<Guests>,
    /// Taken by the one whose answer is large, so that there is one such at a time.
    pub(crate) large: Mutex<()>,
}

impl Site for ViewSite {
    fn answer(&self, request: &Request) -> Option<Response> {
        let answer = match (request.method, request.path.as_str()) {
            (Method::Get, "/history") => self.history(),
            (Method::Get, "/save") => self.save(request),
            (Method::Get, "/healthz") => self.health(),
            (Method::Get, "/stats") => self.stats(),
            (Method::Get, "/metrics") => self.metrics(),
            (Method::Post, "/command") => self.command(&request.body),
            (Method::Get, "/command") => {
                Response::line(405, "405 Method Not Allowed: a command is sent by POST").header("Allow", "POST")
            }
            _ => return None,
        };
        Some(answer)
    }
}

impl ViewSite {
    fn history(&self) -> Response {
        let _one = self.large.lock();
        let (seq, rows) = self.history.lock().rows();
        Response::json(protocol::history(seq, &rows))
    }

    fn save(&self, request: &Request) -> Response {
        let format = Format::named(request.value("format").unwrap_or("mcap"));
        let Some(format) = format else { return Response::line(400, "400 Bad Request: format is mcap or csv") };
        let _one = self.large.lock();
        let messages = self.history.lock().messages();
        match saving::file(format, &messages) {
            Ok(Some(file)) => {
                let name = jiff::Zoned::now().strftime("leads-%Y-%m-%d_%H-%M-%S");
                Response::download(format.content_type(), &format!("{name}.{}", format.extension()), file)
            }
            Ok(None) if messages.is_empty() => Response::line(404, "nothing has come yet"),
            Ok(None) => Response::line(404, "nothing has come that a CSV of LEADS has a place for"),
            Err(error) => Response::line(500, &format!("cannot make a file: {error}")),
        }
    }

    fn command(&self, body: &[u8]) -> Response {
        let said: Option<Value> = serde_json::from_slice(body).ok();
        let Some(name) = said.as_ref().and_then(|said| said.get("name")).and_then(Value::as_str) else {
            return answered(400, "the body is to be an object with a name");
        };
        match self.desk.command(name) {
            Ok(()) => Response::json(json!({ "ok": true }).to_string()),
            Err(refused) => {
                let status = match refused {
                    Refused::NotAllowed => 403,
                    Refused::NotSent(NotSent::NotConnected) => 503,
                    Refused::NotSent(NotSent::Failed(_)) => 500,
                };
                answered(status, &refused.text())
            }
        }
    }

    fn health(&self) -> Response {
        match self.desk.is_connected() {
            true => Response::line(200, "ok"),
            false => Response::line(503, "not connected"),
        }
    }

    fn stats(&self) -> Response {
        let services = self.services();
        let told: String = services.iter().map(|(name, stats)| format!("\"{name}\":{},", stats.to_json())).collect();
        Response::json(format!("{{{told}\"left_out\":{}}}", json_of(&self.guests.left_out())))
    }

    fn metrics(&self) -> Response {
        let text = numbers::prometheus(&self.services()) + &prometheus_of(&self.guests.left_out());
        Response::new(numbers::CONTENT_TYPE, text)
    }

    /// The numbers of all services that are at work here.
    fn services(&self) -> Vec<(&'static str, ServiceStats)> {
        let client = self.client.iter().map(|client| ("vehicle", client.stats()));
        client.chain(self.servers.iter().map(|(name, server)| (*name, server.stats()))).collect()
    }
}

fn json_of(left_out: &[LeftOut]) -> Value {
    let of = |counts: &[(&str, u64)]| -> Value {
        counts.iter().map(|(cause, number)| ((*cause).to_owned(), json!(number))).collect::<Map<_, _>>().into()
    };
    left_out.iter().map(|(to, counts)| ((*to).to_owned(), of(counts))).collect::<Map<_, _>>().into()
}

/// Also of those that have not occurred: a series begins at 0.
fn prometheus_of(left_out: &[LeftOut]) -> String {
    const NAME: &str = "leads_comm_view_left_out_total";
    let mut text =
        format!("# HELP {NAME} Messages not sent to those beside the page, by cause\n# TYPE {NAME} counter\n");
    for (to, counts) in left_out {
        for (cause, number) in counts {
            writeln!(text, "{NAME}{{to=\"{to}\",cause=\"{cause}\"}} {number}").expect("a String takes it");
        }
    }
    text
}

fn answered(status: u16, error: &str) -> Response {
    Response { status, ..Response::json(json!({ "ok": false, "error": error }).to_string()) }
}
