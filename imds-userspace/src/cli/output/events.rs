//! What became of packets and requests, as a table and as lines.

use super::table::{Look, lines, printable, text};
use crate::control::protocol::{EventView, EventsView};

/// What stands where nothing is known.
const NONE: &str = "-";

/// A line for each refusal and drop, the oldest first, and how many more there were.
pub(super) fn table(look: Look, view: &EventsView) -> String {
    let mut output = if view.events.is_empty() {
        "nothing was refused or dropped lately\n".to_owned()
    } else {
        let mut table = look.headed(&["Time", "Client", "Request", "User-Agent", "Reason", "What to change"]);
        for event in &view.events {
            table.add_row([
                text(&event.time),
                text(event.client.as_deref().unwrap_or(NONE)),
                text(&request(event)),
                text(event.user_agent.as_deref().unwrap_or(NONE)),
                text(&event.reason),
                text(event.advice.as_deref().unwrap_or(NONE)),
            ]);
        }
        lines(table)
    };
    if view.lost > 0 {
        output += &format!("{} more were not kept one by one; `imdsctl stats` counts all\n", view.lost);
    }
    output
}

/// One packet in a line.
pub(super) fn line(event: &EventView) -> String {
    let client = match (&event.client, event.port) {
        (Some(client), Some(port)) if client.contains(':') => format!("[{client}]:{port}"),
        (Some(client), Some(port)) => format!("{client}:{port}"),
        (Some(client), None) => client.clone(),
        (None, _) => NONE.to_owned(),
    };
    let mut line = format!("{}  {client}  {}  {}", event.time, event.reason, event.packet.as_deref().unwrap_or(NONE));
    if event.method.is_some() {
        line += &format!("  {}", request(event));
    }
    if let Some(agent) = &event.user_agent {
        line += &format!("  ({agent})");
    }
    printable(&line).into_owned() + "\n"
}

/// What was asked for, or what kind of packet it was.
fn request(event: &EventView) -> String {
    match (&event.method, &event.path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        (Some(method), None) => method.clone(),
        _ => event.packet.clone().unwrap_or_else(|| NONE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventView {
        EventView {
            time: "2030-01-01T00:00:00.000Z".to_owned(),
            by: "kernel".to_owned(),
            client: Some("10.0.0.1".to_owned()),
            port: Some(41_000),
            packet: Some("TCP PSH ACK, 150 bytes".to_owned()),
            method: Some("GET".to_owned()),
            path: Some("/latest/".to_owned()),
            user_agent: Some("curl/8".to_owned()),
            reason: "refused-token-missing".to_owned(),
            advice: Some("use IMDSv2".to_owned()),
        }
    }

    fn view(events: Vec<EventView>, lost: u64) -> EventsView {
        EventsView { instance_id: "i-1".to_owned(), events, lost, newest: 0 }
    }

    #[test]
    fn the_table_says_who_what_why_and_what_to_change() {
        let packet = EventView { method: None, path: None, user_agent: None, advice: None, client: None, ..event() };
        let text = table(Look { colour: false }, &view(vec![event(), packet], 0));
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(rows[0], ["Time", "Client", "Request", "User-Agent", "Reason", "What to change"]);
        assert_eq!(rows[1][1..], ["10.0.0.1", "GET /latest/", "curl/8", "refused-token-missing", "use IMDSv2"]);
        assert_eq!(rows[2][1..], ["-", "TCP PSH ACK, 150 bytes", "-", "refused-token-missing", "-"]);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn nothing_and_what_is_not_shown_are_said() {
        let text = table(Look { colour: false }, &view(vec![], 7));
        assert_eq!(
            text,
            "nothing was refused or dropped lately\n7 more were not kept one by one; `imdsctl stats` counts all\n"
        );
    }

    #[test]
    fn a_packet_is_one_line_that_steers_no_terminal() {
        let time = "2030-01-01T00:00:00.000Z";
        let expected = "10.0.0.1:41000  refused-token-missing  TCP PSH ACK, 150 bytes  GET /latest/  (curl/8)\n";
        assert_eq!(line(&event()), format!("{time}  {expected}"));
        let odd = EventView {
            client: Some("fd00::1".to_owned()),
            method: None,
            user_agent: Some("\n\x1b".to_owned()),
            ..event()
        };
        assert_eq!(
            line(&odd),
            format!("{time}  [fd00::1]:41000  refused-token-missing  TCP PSH ACK, 150 bytes  (\\n\\u{{1b}})\n")
        );
    }
}
