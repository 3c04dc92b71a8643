//! What became of packets and requests, as a table and as lines.

use imds_common::counters::Counter;

use super::table::{Look, lines, printable, text};
use crate::registry::view::{EventView, EventsView};

/// What stands where nothing is known.
const NONE: &str = "-";

/// Verdicts about who the sender is: there its MAC stands beside an address that need not be its own.
const ABOUT_SENDERS: [Counter; 2] = [Counter::DroppedForged, Counter::DroppedImpersonation];

/// A line for each refusal and drop, the oldest first, and how many more there were.
pub(super) fn table(look: Look, view: &EventsView) -> String {
    let mut output = if view.events.is_empty() {
        "nothing was refused or dropped lately\n".to_owned()
    } else {
        let mut table = look.headed(&["Time", "Client", "Request", "User-Agent", "Reason", "What to change"]);
        for event in &view.events {
            table.add_row([
                text(&event.time),
                text(&sender(event, event.client.as_deref().unwrap_or(NONE))),
                text(&request(event)),
                text(event.user_agent.as_deref().unwrap_or(NONE)),
                text(&event.reason),
                text(event.advice.as_deref().unwrap_or(NONE)),
            ]);
        }
        lines(table)
    };
    if view.lost > 0 {
        let since = if view.events.is_empty() { "were" } else { "since the first of these were" };
        output += &format!("{} more {since} not kept one by one; `imdsctl stats` counts all\n", view.lost);
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
    let client = sender(event, &client);
    let mut line = format!("{}  {client}  {}  {}", event.time, event.reason, event.packet.as_deref().unwrap_or(NONE));
    if event.method.is_some() {
        line += &format!("  {}", request(event));
    }
    if let Some(agent) = &event.user_agent {
        line += &format!("  ({agent})");
    }
    printable(&line).into_owned() + "\n"
}

/// A line where packets of a trace are missing, if so many are.
pub(super) fn gap(lost: u64) -> Option<String> {
    (lost > 0).then(|| format!("lost: {lost} packets, of which too many came at once; `imdsctl stats` counts all\n"))
}

/// A client, and its MAC where it matters.
fn sender(event: &EventView, client: &str) -> String {
    let about_sender = ABOUT_SENDERS.iter().any(|counter| counter.as_str() == event.reason);
    match &event.mac {
        Some(mac) if about_sender => format!("{client} ({mac})"),
        _ => client.to_owned(),
    }
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
            mac: Some("02:00:00:00:00:10".to_owned()),
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
        let text = table(Look { colour: false }, &view(vec![event()], 7));
        let last = text.lines().last().expect("there");
        assert_eq!(last, "7 more since the first of these were not kept one by one; `imdsctl stats` counts all");
        assert_eq!(gap(0), None);
        assert!(gap(7).is_some_and(|line| line.starts_with("lost: 7 packets, ") && line.ends_with('\n')));
    }

    #[test]
    fn a_forger_s_mac_stands_beside_the_address_that_it_claims() {
        let forged = EventView { reason: "dropped-forged".to_owned(), method: None, user_agent: None, ..event() };
        assert!(line(&forged).contains("  10.0.0.1:41000 (02:00:00:00:00:10)  dropped-forged  "), "{}", line(&forged));
        let unknown = EventView { client: None, ..forged };
        for text in [line(&unknown), table(Look { colour: false }, &view(vec![unknown], 0))] {
            assert!(text.contains("  - (02:00:00:00:00:10)  "), "{text}");
        }
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
