//! `--leads-rc`: what LEADS's remote analyst answers, so that the page that LEADS hosts shows the vehicle.
//!
//! | Path | Answer, as JSON |
//! |---|---|
//! | `/` | its name |
//! | `/current` | the last frame, with `report_rate` and the forces on the four corners, `cfc_fl`, `cfc_fr`, `cfc_rl`, `cfc_rr` |
//! | `/time_stamp` | `t` of the last frames |
//! | `/time_lap`, `/hazard`, `/m1`, `/m3` | sends the vehicle that command: `"done"` |
//!
//! Source: `leads_vec_rc/cli.py` of ProjectNeura/LEADS at commit b81af78, and its answers to the same requests. What is
//! better here: `report_rate` is frames a second (there about 1000, whatever comes: the records of times give out their
//! own numbers); a frame without accelerations is shown (there it ends the connection for ten seconds), and so is one
//! with `NaN` (there `/current` fails from then on).
//!
//! Commands are sent by GET, because that is what the page does. A GET can be caused by any page that is open in the
//! browser, with an image; but not one that says that it comes from LEADS's page. So a command has to say that, and has
//! to be allowed.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{Commands, Sink};
use crate::recording::channels::python_object;
use crate::recording::clock::Clock;
use crate::web::{Method, Request, Response, Site};

/// Where LEADS's page comes from.
pub(crate) const ORIGIN: &str = "https://leads-vec-rc.projectneura.org";

/// The commands that have a path of their own.
const COMMANDS: [&str; 4] = ["time_lap", "hazard", "m1", "m3"];

/// Of how many frames the times are kept.
const MOST_TIMES: usize = 2000;

/// LEADS's defaults for a vehicle: metres, kilograms, and where its centre of mass is.
const CAR_WIDTH: f64 = 2.0;
const CAR_LENGTH: f64 = 1.0;
const CAR_MASS: f64 = 400.0;
const CAR_CENTER_OF_MASS: f64 = 0.25;

/// A quarter of the weight of a kilogram, as LEADS has it.
const QUARTER: f64 = 2.451_675;

/// What a frame has before there is one.
const ZEROS: [&str; 16] = [
    "brake",
    "forward_acceleration",
    "front_wheel_speed",
    "gps_ground_speed",
    "lateral_acceleration",
    "latitude",
    "longitude",
    "mileage",
    "pitch",
    "rear_wheel_speed",
    "roll",
    "speed",
    "steering_position",
    "throttle",
    "vertical_acceleration",
    "voltage",
];
const PROXIMITIES: [&str; 4] = ["front_proximity", "left_proximity", "rear_proximity", "right_proximity"];

/// What is answered, and whom commands go to.
pub(crate) struct Analyst {
    state: Arc<Mutex<State>>,
    /// Of the pages that may ask.
    origins: Vec<String>,
    commands: Option<Commands>,
}

struct State {
    /// Absent before the first frame.
    frame: Option<Map<String, Value>>,
    /// `t` of the last frames, as it is written there, and when they came, in nanoseconds since 1970.
    times: VecDeque<(Value, u64)>,
    /// When this began, in nanoseconds since 1970.
    began: u64,
}

/// The end at which frames come in.
pub(crate) struct AnalystSink {
    state: Arc<Mutex<State>>,
}

impl Analyst {
    /// Pages of these origins may ask, and send commands where there are any.
    pub(crate) fn new<'a>(origins: impl IntoIterator<Item = &'a str>, commands: Option<Commands>) -> Self {
        let state = State { frame: None, times: VecDeque::new(), began: Clock::start().started() };
        let origins = origins.into_iter().map(str::to_owned).collect();
        Self { state: Arc::new(Mutex::new(state)), origins, commands }
    }

    pub(crate) fn sink(&self) -> AnalystSink {
        AnalystSink { state: Arc::clone(&self.state) }
    }

    fn command(&self, name: &str, origin: Option<&str>) -> Response {
        // Where there is one, it has been let in.
        if origin.is_none() {
            return refusal("commands are taken from LEADS's page alone".into());
        }
        match &self.commands {
            None => refusal("no command is allowed".into()),
            Some(send) => match send(name) {
                Ok(()) => answer(200, &json!("done")),
                Err(why) => refusal(why),
            },
        }
    }
}

impl Sink for AnalystSink {
    fn message(&mut self, message: &[u8], time: u64) {
        let frame = serde_json::from_slice(message).ok().or_else(|| python_object(message, |_| "null"));
        let Some(frame) = frame else { return };
        // Other objects are not frames.
        let Some(t) = frame.get("t").filter(|t| t.is_number()).cloned() else { return };
        let mut state = self.state.lock();
        if state.times.len() == MOST_TIMES {
            state.times.pop_front();
        }
        state.times.push_back((t, time));
        state.frame = Some(frame);
    }

    fn jump(&mut self) {
        self.state.lock().times.clear();
    }
}

impl State {
    fn current(&self) -> Value {
        let Some(mut frame) = self.frame.clone() else { return self.before_the_first().into() };
        let number = |name: &str| frame.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        let corner = CAR_MASS * QUARTER;
        let forward = CAR_MASS * number("forward_acceleration") * CAR_CENTER_OF_MASS * 0.5 / CAR_WIDTH;
        let lateral = CAR_MASS * number("lateral_acceleration") * CAR_CENTER_OF_MASS * 0.5 / CAR_LENGTH;
        let made = [
            ("report_rate", self.rate()),
            ("cfc_fl", corner + lateral - forward),
            ("cfc_fr", corner - lateral - forward),
            ("cfc_rl", corner + lateral + forward),
            ("cfc_rr", corner - lateral + forward),
        ];
        frame.extend(made.map(|(name, number)| (name.to_owned(), number.into())));
        frame.into()
    }

    fn before_the_first(&self) -> Map<String, Value> {
        let made = ["yaw", "report_rate", "cfc_fl", "cfc_fr", "cfc_rl", "cfc_rr"];
        let zeros = ZEROS.into_iter().chain(made).map(|name| (name.to_owned(), json!(0)));
        let proximities = PROXIMITIES.map(|name| (name.to_owned(), json!(-1)));
        let rest = [("gps_valid".to_owned(), json!(false)), ("t".to_owned(), json!(self.began / 1_000_000))];
        zeros.chain(proximities).chain(rest).collect()
    }

    /// Frames a second, as they came.
    fn rate(&self) -> f64 {
        match (self.times.front(), self.times.back()) {
            (Some((_, first)), Some((_, last))) if last > first => {
                (self.times.len() - 1) as f64 * 1e9 / (last - first) as f64
            }
            _ => 0.0,
        }
    }
}

impl Site for Analyst {
    fn answer(&self, request: &Request) -> Option<Response> {
        let path = request.path.as_str();
        let command = COMMANDS.into_iter().find(|command| path.strip_prefix('/') == Some(command));
        if !matches!(path, "/" | "/current" | "/time_stamp") && command.is_none() {
            return None;
        }
        if request.method != Method::Get {
            return Some(answer(405, &json!({ "detail": "Method Not Allowed" })));
        }
        Some(match (path, command) {
            (_, Some(command)) => self.command(command, request.origin.as_deref()),
            ("/current", _) => answer(200, &self.state.lock().current()),
            ("/time_stamp", _) => {
                let times: Vec<Value> = self.state.lock().times.iter().map(|(t, _)| t.clone()).collect();
                answer(200, &times.into())
            }
            _ => answer(200, &json!("LEADS VeC Remote Controller")),
        })
    }

    fn lets_in(&self, origin: &str, _: &str) -> bool {
        self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }
}

fn answer(status: u16, value: &Value) -> Response {
    Response { status, ..Response::json(value.to_string()) }
}

/// As LEADS's server says what is wrong.
fn refusal(why: String) -> Response {
    answer(403, &json!({ "detail": why }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::location;

    const SECOND: u64 = 1_000_000_000;

    fn analyst() -> Analyst {
        let commands: Commands = Arc::new(|command| match command {
            "m1" => Err("m1 is not allowed".into()),
            _ => Ok(()),
        });
        Analyst::new([ORIGIN], Some(commands))
    }

    fn ask(analyst: &Analyst, method: Method, path: &str, origin: Option<&str>) -> Option<(u16, Value)> {
        let origin = origin.map(str::to_owned);
        let request = Request { method, path: path.into(), query: Vec::new(), origin, body: Vec::new() };
        let response = analyst.answer(&request)?;
        assert_eq!(response.content_type, "application/json");
        Some((response.status, serde_json::from_slice(&response.body).unwrap()))
    }

    fn get(analyst: &Analyst, path: &str) -> Value {
        let (status, value) = ask(analyst, Method::Get, path, None).unwrap();
        assert_eq!(status, 200);
        value
    }

    /// What LEADS's own server has answered.
    #[test]
    fn before_the_first_frame_it_is_all_zero() {
        let analyst = analyst();
        assert_eq!(get(&analyst, "/"), "LEADS VeC Remote Controller");
        assert_eq!(get(&analyst, "/time_stamp"), json!([]));
        let mut expected = json!({
            "brake": 0, "forward_acceleration": 0, "front_proximity": -1, "front_wheel_speed": 0,
            "gps_ground_speed": 0, "gps_valid": false, "lateral_acceleration": 0, "latitude": 0,
            "left_proximity": -1, "longitude": 0, "mileage": 0, "pitch": 0, "rear_proximity": -1,
            "rear_wheel_speed": 0, "right_proximity": -1, "roll": 0, "speed": 0, "steering_position": 0,
            "throttle": 0, "vertical_acceleration": 0, "voltage": 0, "yaw": 0, "t": 0,
            "report_rate": 0, "cfc_fl": 0, "cfc_fr": 0, "cfc_rl": 0, "cfc_rr": 0,
        });
        let current = get(&analyst, "/current");
        // That of now.
        assert!(location::time_of(current.as_object().unwrap()).is_some());
        expected["t"] = current["t"].clone();
        assert_eq!(current, expected);
    }

    /// The corner forces are those that LEADS's own server has answered to this frame.
    #[test]
    fn the_last_frame_is_shown_with_what_is_made_of_it() {
        let analyst = analyst();
        let mut sink = analyst.sink();
        let t = 1_795_982_253_274_u64;
        for index in 0..5 {
            let frame = json!({
                "t": t + index * 20, "speed": index, "forward_acceleration": 1.5, "lateral_acceleration": -0.5,
            });
            sink.message(frame.to_string().as_bytes(), index * SECOND / 50);
        }
        let current = get(&analyst, "/current");
        let expected = json!({
            "t": 1_795_982_253_354_u64, "speed": 4, "forward_acceleration": 1.5, "lateral_acceleration": -0.5,
            "report_rate": 50.0, "cfc_fl": 918.17, "cfc_fr": 968.17, "cfc_rl": 993.17, "cfc_rr": 1043.17,
        });
        for (name, value) in expected.as_object().unwrap() {
            let (is, should) = (current[name].as_f64().unwrap(), value.as_f64().unwrap());
            assert!((is - should).abs() < 1e-9, "{name}: {is} {should}");
        }
        assert_eq!(get(&analyst, "/time_stamp"), json!([t, t + 20, t + 40, t + 60, t + 80]));
        sink.jump();
        assert_eq!(get(&analyst, "/time_stamp"), json!([]));
        assert_eq!(get(&analyst, "/current")["report_rate"], 0.0);
    }

    #[test]
    fn what_is_no_frame_changes_nothing() {
        let analyst = analyst();
        let mut sink = analyst.sink();
        sink.message(br#"{"t":1,"speed":NaN}"#, 0);
        for message in ["time_lap", "[1]", "{}", r#"{"t":"now"}"#, r#"{"t":null,"speed":1}"#, "{", "frvc:/9j/"] {
            sink.message(message.as_bytes(), 0);
        }
        sink.message(b"\xff", 0);
        let current = get(&analyst, "/current");
        assert_eq!((&current["t"], &current["speed"]), (&json!(1), &Value::Null));
    }

    #[test]
    fn times_are_bounded() {
        let analyst = analyst();
        let mut sink = analyst.sink();
        (0..MOST_TIMES as u64 + 10).for_each(|t| sink.message(json!({ "t": t }).to_string().as_bytes(), t));
        let times = get(&analyst, "/time_stamp");
        assert_eq!((times.as_array().unwrap().len(), &times[0]), (MOST_TIMES, &json!(10)));
    }

    #[test]
    fn commands_need_the_page_and_to_be_allowed() {
        let of = |analyst: &Analyst, path, origin| ask(analyst, Method::Get, path, origin).unwrap();
        let analyst = analyst();
        assert_eq!(of(&analyst, "/time_lap", Some(ORIGIN)), (200, json!("done")));
        assert_eq!(of(&analyst, "/m1", Some(ORIGIN)), (403, json!({ "detail": "m1 is not allowed" })));
        assert_eq!(of(&analyst, "/time_lap", None).0, 403);
        assert!(analyst.lets_in(ORIGIN, "/time_lap"));
        for origin in ["null", "https://evil.example", "http://leads-vec-rc.projectneura.org", ""] {
            assert!(!analyst.lets_in(origin, "/time_lap"), "{origin}");
        }
        let nobody = Analyst::new([ORIGIN], None);
        assert_eq!(of(&nobody, "/hazard", Some(ORIGIN)).0, 403);
        assert_eq!(ask(&analyst, Method::Post, "/hazard", Some(ORIGIN)).unwrap().0, 405);
        for path in ["/hazard/", "/m2", "/docs", "", "hazard"] {
            assert_eq!(ask(&analyst, Method::Get, path, Some(ORIGIN)), None, "{path}");
        }
    }
}
