//! `top` at work: what a monitor says, as a table that is drawn again and again, printed, or passed on.
//!
//! ```text
//!   monitor ──▶ client ──▶ newest message ──┐
//!   keys, the end, a terminal that is back ─┴─▶ main thread ──▶ numbers ──▶ rates ──▶ table ──▶ screen or stdout
//! ```

pub(crate) mod column;
mod keys;
mod rates;
mod table;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use leads_comm::{Callback, Connection, DisconnectReason, Error, Service};

use crate::console::{Failure, Keys, Screen, fail, on_stop, print, stop_when_unread, tell, wants_color};
use crate::endpoint::{self, Endpoint};
use crate::numbers::message::Numbers;
use column::Column;
use keys::Key;
use rates::{Rates, Speeds};
use table::View;

/// How many events may wait; whoever has more waits.
const WAITING: usize = 64;

/// How often it is looked whether the terminal has another size.
const TURN: Duration = Duration::from_millis(250);

/// How long a monitor may say nothing: it begins at once, and goes on each second.
const SILENCE: Duration = Duration::from_secs(3);

/// With how many messages states and rates are known.
const ENOUGH: usize = 3;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) sort: Column,
    pub(crate) reversed: bool,
    pub(crate) once: bool,
    pub(crate) json: bool,
    pub(crate) no_color: bool,
}

/// What the main thread is told.
enum Event {
    Connected,
    Message(Vec<u8>),
    /// There is no connection, for this reason.
    Lost(String),
    Key(u8),
    /// The terminal may show something else.
    Redraw,
    Stop,
}

/// Looks at the monitor until that is ended.
pub(crate) fn run(endpoint: &Endpoint, options: &Options) -> Result<(), Failure> {
    let (tell_main, events) = sync_channel(WAITING);
    let screen = if options.once || options.json { None } else { Screen::start() };
    let (builder, place) = endpoint.client()?;
    let reports = Reports { events: tell_main.clone() };
    let builder = builder.callback(reports).closing(endpoint::closing());
    let client = match options.once {
        true => builder.build()?,
        false => builder.reconnect(endpoint::reconnect()).build()?,
    };
    let (stop, stopping) = (tell_main.clone(), client.clone());
    on_stop(move || {
        let _ = stop.try_send(Event::Stop);
        // The main thread may still be connecting.
        stopping.close();
    })?;
    stop_when_unread();
    let keys = screen.as_ref().map(|screen| read_keys(screen, &tell_main)).transpose()?.flatten();
    match client.start(&place, true) {
        Ok(()) | Err(Error::Closed) => {}
        Err(error) => return Err(error.into()),
    }
    let color = screen.is_some() && wants_color(options.no_color);
    let view = View { sort: options.sort, reversed: options.reversed, scroll: 0, paused: false, color };
    let mut top = Top {
        address: endpoint.monitored(),
        options,
        screen: screen.as_ref(),
        view,
        rates: Rates::default(),
        shown: None,
        newest: None,
        trouble: None,
        silent_since: None,
        has_spoken: false,
        messages: 0,
        size: (0, 0),
        is_drawn: false,
    };
    let outcome = top.look(&events);
    client.close();
    drop((keys, screen));
    outcome
}

/// Keys of the terminal, where there are any.
fn read_keys(screen: &Screen, tell: &SyncSender<Event>) -> Result<Option<Keys>, Failure> {
    let cannot = |error| fail(format!("cannot read keys: {error}"));
    let (struck, back) = (tell.clone(), tell.clone());
    let redraw = move |_| drop(back.try_send(Event::Redraw));
    let keys = Keys::read(move |key| drop(struck.send(Event::Key(key))), redraw.clone()).map_err(cannot)?;
    if keys.is_none() {
        screen.leaves_when_suspended(redraw).map_err(cannot)?;
    }
    Ok(keys)
}

/// Tells the main thread how the client fares.
struct Reports {
    events: SyncSender<Event>,
}

impl Reports {
    /// Waits while the main thread is behind, and with it the monitor's messages; not once that has ended.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Callback for Reports {
    fn on_connect(&self, _: &dyn Service, _: &Connection) {
        self.tell(Event::Connected);
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        self.tell(Event::Message(message.to_vec()));
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        self.tell(Event::Lost(format!("disconnected: {reason:#}")));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.tell(Event::Lost(format!("{error:#}")));
    }
}

/// What is known, and how it is shown.
struct Top<'a> {
    /// Of the monitor, for people.
    address: String,
    options: &'a Options,
    screen: Option<&'a Screen>,
    view: View,
    rates: Rates,
    shown: Option<(Numbers, Speeds)>,
    /// What has come during a pause.
    newest: Option<(Numbers, Speeds)>,
    /// Why there is no connection.
    trouble: Option<String>,
    /// Since when the monitor has said nothing, while there is a connection.
    silent_since: Option<Instant>,
    /// Whether it has said anything since there is one.
    has_spoken: bool,
    messages: usize,
    size: (usize, usize),
    /// Whether what is known is on the screen.
    is_drawn: bool,
}

impl Top<'_> {
    fn look(&mut self, events: &Receiver<Event>) -> Result<(), Failure> {
        let mut keys = keys::Keys::default();
        self.draw();
        loop {
            let event = match events.recv_timeout(TURN) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(since) = self.silent_since.filter(|since| since.elapsed() > SILENCE) {
                        self.misses_numbers(since)?;
                    }
                    if self.screen.is_some() && (!self.is_drawn || Screen::size() != self.size) {
                        self.draw();
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Connected => {
                    self.trouble = None;
                    self.silent_since = Some(Instant::now());
                    self.has_spoken = false;
                    self.rates.forget();
                    self.say("connected");
                    self.draw();
                }
                Event::Lost(why) => self.lost(why)?,
                Event::Message(message) => {
                    self.silent_since = Some(Instant::now());
                    (self.has_spoken, self.trouble) = (true, None);
                    self.messages += 1;
                    if self.take(&message)? {
                        return Ok(());
                    }
                }
                Event::Redraw => self.draw(),
                Event::Key(byte) => match keys.next(byte, self.size.1 / 2) {
                    Some(Key::Quit) => return Ok(()),
                    Some(key) => self.obey(key),
                    None => {}
                },
            }
        }
    }

    /// Shows a message; whether that was enough.
    fn take(&mut self, message: &[u8]) -> Result<bool, Failure> {
        let numbers = Numbers::read(message).map_err(|why| self.is_no_monitor(&why))?;
        if self.options.json {
            print(&[harmless(message).as_bytes(), b"\n"]);
            return Ok(self.options.once);
        }
        let speeds = self.rates.next(&numbers);
        let newest = Some((numbers, speeds));
        match self.view.paused {
            true => self.newest = newest,
            false => self.shown = newest,
        }
        if self.screen.is_some() {
            self.draw();
            return Ok(false);
        }
        // Not before rates are known, and states.
        if self.messages >= if self.options.once { ENOUGH } else { 2 } {
            self.print();
        }
        Ok(self.options.once && self.messages >= ENOUGH)
    }

    /// What is shown is old, though the connection is there: the service is stopped, or the way to it is cut.
    fn misses_numbers(&mut self, since: Instant) -> Result<(), Failure> {
        if !self.has_spoken {
            return Err(self.is_no_monitor("it says no line"));
        }
        let why = "no more numbers come";
        if self.options.once {
            return Err(fail(format!("{}: {why}", self.address)));
        }
        if self.trouble.is_none() {
            self.say(why);
        }
        let line = format!("{why}: none for {} s", since.elapsed().as_secs());
        if self.trouble.as_ref() != Some(&line) {
            self.trouble = Some(line);
            self.draw();
        }
        Ok(())
    }

    fn lost(&mut self, why: String) -> Result<(), Failure> {
        self.silent_since = None;
        if self.options.once {
            return Err(fail(format!("{}: {why}", self.address)));
        }
        let line = format!("connecting again: {why}");
        if self.trouble.as_ref() != Some(&line) {
            self.say(&line);
        }
        self.trouble = Some(line);
        self.draw();
        Ok(())
    }

    fn obey(&mut self, key: Key) {
        let view = &mut self.view;
        match key {
            Key::NextColumn => view.sort = view.sort.next(),
            Key::Reverse => view.reversed = !view.reversed,
            Key::Scroll(rows) => view.scroll = view.scroll.saturating_add_signed(rows),
            Key::Top => view.scroll = 0,
            Key::Pause => {
                view.paused = !view.paused;
                self.shown = self.newest.take().or(self.shown.take());
            }
            Key::Quit => {}
        }
        self.draw();
    }

    fn draw(&mut self) {
        let Some(screen) = self.screen else { return };
        self.size = Screen::size();
        let shown = self.shown.as_ref().map(|(numbers, speeds)| (numbers, speeds));
        self.is_drawn = screen.draw(&self.view.lines(shown, self.trouble.as_deref(), Some(self.size)));
    }

    fn print(&mut self) {
        let shown = self.shown.as_ref().map(|(numbers, speeds)| (numbers, speeds));
        let mut text = self.view.lines(shown, None, None).join("\n") + "\n";
        if !self.options.once {
            text.push('\n');
        }
        print(&[text.as_bytes()]);
    }

    /// Says it on stderr, where nothing is drawn.
    fn say(&self, what: &str) {
        if self.screen.is_none() && !self.options.once {
            tell(format_args!("{}: {what}", self.address));
        }
    }

    fn is_no_monitor(&self, why: &str) -> Failure {
        let hint = self
            .address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok()?.checked_add(leads_comm::Monitor::PORT_OFFSET));
        let hint = hint.map_or_else(String::new, |port| {
            format!("; if that is the port of the service itself, its numbers are on {port}")
        });
        fail(format!("{} is no monitor: {why}{hint} (or it wants a token)", self.address))
    }
}

/// The message, in which whatever a terminal would obey, or not show, is escaped as JSON has it. It has been read as
/// JSON, so that such a character is in a string.
fn harmless(message: &[u8]) -> String {
    let mut text = String::new();
    for char in String::from_utf8_lossy(message).chars() {
        match char {
            '\r' | '\n' | '\t' => text.push(' '),
            _ if crate::show::is_shown(char) => text.push(char),
            _ => {
                let mut units = [0; 2];
                char.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    text
}
