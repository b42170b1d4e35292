//! The numbers as lines: a head, a row for each connection, and who has left last.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::column::{Column, LEAST, PEER, number, rate, short};
use super::rates::{Rated, Speeds};
use crate::numbers::message::{Departure, Numbers, State};

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const REVERSED: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// How many departures are shown at most.
const DEPARTURES: usize = 5;

const KEYS: &str = "o sort  r reverse  space pause  arrows scroll  q quit";

/// How they are shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) sort: Column,
    pub(super) reversed: bool,
    /// How many rows are above the screen.
    pub(super) scroll: usize,
    pub(super) paused: bool,
    pub(super) color: bool,
}

/// How much room there is, in columns and rows; unlimited where it is no screen.
pub(super) type Room = Option<(usize, usize)>;

impl View {
    /// All lines. `trouble` is why there are no newer numbers, if so.
    pub(super) fn lines(
        &mut self,
        shown: Option<(&Numbers, &Speeds)>,
        trouble: Option<&str>,
        room: Room,
    ) -> Vec<String> {
        let columns = room.map(|(columns, _)| columns);
        let mut lines = Vec::new();
        if let Some((numbers, speeds)) = shown {
            lines.extend(head(numbers, speeds).map(|line| fit(&line, columns)));
        }
        if let Some(trouble) = trouble {
            lines.push(self.styled(RED, fit(trouble, columns)));
        } else if shown.is_none() {
            lines.push(fit("waiting for numbers", columns));
        } else if room.is_some() {
            lines.push(self.styled(DIM, fit(&self.how(), columns)));
        }
        if let Some((numbers, speeds)) = shown {
            self.add_table(&mut lines, numbers, speeds, room);
        }
        if let Some((columns, rows)) = room {
            lines.truncate(rows.saturating_sub(1));
            lines.resize(rows.saturating_sub(1), String::new());
            lines.push(self.styled(DIM, fit(KEYS, Some(columns))));
        }
        lines
    }

    fn how(&self) -> String {
        let paused = if self.paused { "PAUSED, " } else { "" };
        format!("{paused}by {}{}", self.sort.name(), if self.reversed { ", reversed" } else { "" })
    }

    fn add_table(&mut self, lines: &mut Vec<String>, numbers: &Numbers, speeds: &Speeds, room: Room) {
        let columns = room.map(|(columns, _)| columns);
        let table = Table::that_fits(numbers, columns);
        lines.push(self.styled(REVERSED, fit(&table.heading(), columns)));
        let mut rows: Vec<Rated<'_>> = speeds.rated(numbers).collect();
        rows.sort_by(|one, other| self.sort.compare(one, other));
        if self.reversed {
            rows.reverse();
        }
        let departures = numbers.departures.len().min(DEPARTURES);
        // The departures with their heading, the line that says how many rows there are, and the keys.
        let free = room.map(|(_, height)| {
            let free = height.saturating_sub(lines.len() + 2);
            free.saturating_sub((departures + 1).min(free / 2))
        });
        let most = free.unwrap_or(usize::MAX).max(1);
        self.scroll = self.scroll.min(rows.len().saturating_sub(most));
        for rated in rows.iter().skip(self.scroll).take(most) {
            let line = fit(&table.line(rated), columns);
            lines.push(match rated.row.state {
                State::Stopped => self.styled(RED, line),
                State::Slow => self.styled(YELLOW, line),
                State::Live | State::Other => line,
            });
        }
        let total = rows.len() as u64 + numbers.left_out;
        if numbers.left_out > 0 || rows.len() > most {
            let (first, last) = (self.scroll + 1, (self.scroll + most).min(rows.len()));
            let left_out = match numbers.left_out {
                0 => String::new(),
                more => format!("; {} more are not listed by the service", number(more)),
            };
            lines.push(fit(&format!("{first} to {last} of {}{left_out}", number(total)), columns));
        }
        if departures > 0 {
            lines.push(self.styled(DIM, fit("last departures", columns)));
            lines.extend(numbers.departures.iter().take(departures).map(|departure| fit(&left(departure), columns)));
        }
    }

    fn styled(&self, style: &str, text: String) -> String {
        if self.color { format!("{style}{text}{PLAIN}") } else { text }
    }
}

/// What the service is, and how much goes in and out.
fn head(numbers: &Numbers, speeds: &Speeds) -> [String; 2] {
    let up = numbers.uptime.map_or("not started".into(), |uptime| format!("up {}", span(uptime)));
    let plural = if numbers.connections == 1 { "" } else { "s" };
    let first = format!(
        "{} ({})  {up}  {} connection{plural}, {} so far, {} refused",
        numbers.name,
        numbers.role,
        number(numbers.connections),
        number(numbers.opened),
        number(numbers.refused),
    );
    let way = |at: usize| {
        let per_second = |values: Option<[f64; 2]>| values.map(|values| values[at]);
        let bytes = per_second(speeds.bytes).map_or("-".into(), |bytes| super::column::size(bytes as u64));
        format!("{} msg/s {bytes} B/s", rate(per_second(speeds.messages)))
    };
    [first, format!("in {}  out {}", way(0), way(1))]
}

/// Hours, minutes and seconds, and days before them.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let clock = format!("{}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match seconds / 86_400 {
        0 => clock,
        days => format!("{days}d {clock}"),
    }
}

fn left(departure: &Departure) -> String {
    let Departure { id, peer, ago, lasted, reason } = departure;
    format!("{:>6} ago  #{id} {peer} after {}: {reason}", short(*ago), short(*lasted))
}

/// The columns for which there is room, with their widths.
struct Table(Vec<(Column, usize)>);

impl Table {
    fn that_fits(numbers: &Numbers, room: Option<usize>) -> Self {
        let room = room.unwrap_or(usize::MAX);
        let mut columns: Vec<_> = Column::ALL.iter().map(|column| (*column, column.width())).collect();
        let total = |columns: &[(Column, usize)]| columns.iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
        for least in LEAST {
            if total(&columns) <= room {
                break;
            }
            columns.retain(|(column, _)| *column != least);
        }
        // What is left is for names.
        let longest = numbers.rows.iter().map(|row| row.peer.width()).max().unwrap_or(0).clamp(PEER.0, PEER.1);
        let spare = room.saturating_sub(total(&columns));
        if let Some((_, width)) = columns.iter_mut().find(|(column, _)| *column == Column::Peer) {
            *width = longest.min(width.saturating_add(spare));
        }
        Self(columns)
    }

    fn heading(&self) -> String {
        self.joined(Column::heading)
    }

    fn line(&self, rated: &Rated<'_>) -> String {
        self.joined(|column| column.cell(rated))
    }

    fn joined(&self, cell: impl Fn(Column) -> String) -> String {
        let cells = self.0.iter().map(|(column, width)| {
            let text = fit(&cell(*column), Some(*width));
            let spaces = " ".repeat(width - text.width());
            if column.is_left() { text + &spaces } else { spaces + &text }
        });
        cells.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }
}

/// The text, cut where it is wider than that.
fn fit(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|columns| text.width() > *columns) else { return text.to_owned() };
    let mut kept = String::new();
    let mut width = 0;
    for char in text.chars() {
        width += char.width().unwrap_or(0);
        if width >= columns {
            break;
        }
        kept.push(char);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(peers: &[(&str, &str)]) -> Numbers {
        let rows = peers.iter().enumerate().map(|(at, (peer, state))| {
            serde_json::json!({
                "id": at, "peer": peer, "state": state, "age_ms": 61_000, "policy": "drop_oldest", "conflate": true,
                "oldest_ms": 1200, "traffic": {
                    "received": {"messages": at * 10}, "written": {"messages": at * 100},
                    "queued_bytes": at * 1000, "peak_queued_bytes": 5000,
                    "dropped": {"messages": 7}, "conflated": {"messages": 8},
                },
            })
        });
        let departures = [serde_json::json!({
            "id": 9, "peer": "10.0.0.9:1", "ago_ms": 2000, "lasted_ms": 200_000, "reason": "the peer said goodbye",
        })];
        let message = serde_json::json!({
            "version": 1, "at_ms": 1000, "name": "127.0.0.1:16900", "role": "server", "left_out": 0,
            "service": {"uptime_ms": 3_723_000, "connections": peers.len(), "opened": 10,
                "callers_refused": {"max_connections": 2},
                "traffic": {"received": {"messages": 5, "bytes": 50}, "written": {"messages": 6, "bytes": 60}}},
            "connections": rows.collect::<Vec<_>>(), "departures": departures,
        });
        Numbers::read(message.to_string().as_bytes()).unwrap()
    }

    fn view() -> View {
        View { sort: Column::State, reversed: false, scroll: 0, paused: false, color: false }
    }

    fn shown(view: &mut View, numbers: &Numbers, room: Room) -> Vec<String> {
        let mut rates = super::super::rates::Rates::default();
        rates.next(numbers);
        let mut later = numbers.clone();
        later.at_ms += 2000;
        later.received.messages += 20;
        later.rows.iter_mut().for_each(|row| row.written += 5);
        let speeds = rates.next(&later);
        view.lines(Some((&later, &speeds)), None, room)
    }

    #[test]
    fn all_is_there_where_there_is_room() {
        let numbers = numbers(&[("10.0.0.1:5", "live"), ("10.0.0.2:6", "stopped"), ("10.0.0.3:7", "slow")]);
        assert_eq!(
            shown(&mut view(), &numbers, None),
            [
                "127.0.0.1:16900 (server)  up 1:02:03  3 connections, 10 so far, 2 refused",
                "in 10.0 msg/s 0 B/s  out 0.0 msg/s 0 B/s",
                "   ID PEER            STATE      AGE   IN/s  OUT/s QUEUED   PEAK DROPPED CONFLATED OLDEST POLICY",
                "    1 10.0.0.2:6      stopped  61.0s    0.0    2.5   1000   4.9k       7         8   1.2s drop_oldest+conflate",
                "    2 10.0.0.3:7      slow     61.0s    0.0    2.5   2.0k   4.9k       7         8   1.2s drop_oldest+conflate",
                "    0 10.0.0.1:5      live     61.0s    0.0    2.5      0   4.9k       7         8   1.2s drop_oldest+conflate",
                "last departures",
                "  2.0s ago  #9 10.0.0.9:1 after 3m20s: the peer said goodbye",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_has_what_matters() {
        let numbers = numbers(&[("10.0.0.1:51234", "live"), ("10.0.0.2:51235", "stopped")]);
        for (columns, headings) in [
            (100, "   ID PEER            STATE      AGE   IN/s  OUT/s QUEUED DROPPED CONFLATED OLDEST"),
            (80, "   ID PEER            STATE     IN/s  OUT/s QUEUED DROPPED CONFLATED OLDEST"),
            (40, "   ID PEER            STATE   QUEUED"),
            (24, "PEER            STATE"),
        ] {
            let lines = shown(&mut view(), &numbers, Some((columns, 24)));
            assert_eq!(lines[3], headings, "{columns}");
            assert!(lines[4].contains("stopped") && lines[5].contains("live"), "{lines:#?}");
            assert_eq!(lines.len(), 24);
        }
    }

    #[test]
    fn colour_is_never_alone() {
        let numbers = numbers(&[("a", "live"), ("b", "stopped"), ("c", "slow")]);
        let mut view = View { color: true, ..view() };
        let lines = shown(&mut view, &numbers, Some((80, 24)));
        assert!(lines[4].starts_with(RED) && lines[4].contains("stopped") && lines[4].ends_with(PLAIN));
        assert!(lines[5].starts_with(YELLOW) && lines[5].contains("slow"));
        assert!(!lines[6].contains('\x1b') && lines[6].contains("live"));
    }

    #[test]
    fn rows_are_sorted_and_scrolled() {
        let peers: Vec<_> = (0..50).map(|_| ("x", "live")).collect();
        let numbers = numbers(&peers);
        let mut view = View { sort: Column::Queued, ..view() };
        let lines = shown(&mut view, &numbers, Some((80, 24)));
        assert!(lines[4].starts_with("   49 x "), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "1 to 16 of 50"), "{lines:#?}");
        view.scroll = 1000;
        view.reversed = true;
        let lines = shown(&mut view, &numbers, Some((80, 24)));
        assert!(lines.iter().any(|line| line == "35 to 50 of 50"), "{lines:#?}");
        assert!(lines[4].starts_with("   34 x "), "{lines:#?}");
        assert_eq!(view.scroll, 34);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_or_has_a_control(names: Vec<String>, columns in 1_usize..200, rows in 1_usize..50) {
            let peers: Vec<_> = names.iter().map(|name| (&name[..], "live")).collect();
            let lines = shown(&mut view(), &numbers(&peers), Some((columns, rows)));
            prop_assert_eq!(lines.len(), rows);
            for line in lines {
                prop_assert!(line.width() <= columns, "{columns}: {line:?}");
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
