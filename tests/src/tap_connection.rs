//! A TCP connection to the service over a tap, as simple as can be: nothing is ever repeated.

use crate::packet::Segment;
use crate::tap::{PATIENCE, Tap};

/// The service's port.
const PORT: u16 = 80;
/// The window that the guest offers, in bytes.
const WINDOW: u16 = 64_000;
/// The guest's first sequence number, close to where they wrap.
const FIRST: u32 = u32::MAX - 10;
/// The TTL of the guest's packets.
const TTL: u8 = 64;

/// A connection.
#[derive(Debug)]
pub struct TapConnection<'a> {
    tap: &'a mut Tap,
    source: [u8; 4],
    port: u16,
    seq: u32,
    ack: u32,
    /// Every segment that came.
    pub segments: Vec<Segment>,
}

impl<'a> TapConnection<'a> {
    /// Connects from an address and a port.
    #[must_use]
    #[track_caller]
    pub fn open(tap: &'a mut Tap, source: [u8; 4], port: u16) -> Self {
        let mut connection = Self { tap, source, port, seq: FIRST, ack: 0, segments: Vec::new() };
        connection.write(Mark::Syn, &[]);
        let answer = connection.next().expect("a SYN-ACK");
        assert!(answer.syn && answer.ack == FIRST.wrapping_add(1), "{answer:?}");
        connection.seq = answer.ack;
        connection.ack = answer.seq.wrapping_add(1);
        connection.write(Mark::None, &[]);
        connection
    }

    /// Where its next byte stands, and what it acknowledges.
    #[must_use]
    pub fn numbers(&self) -> (u32, u32) {
        (self.seq, self.ack)
    }

    /// Sends data.
    #[track_caller]
    pub fn send(&mut self, payload: &[u8]) {
        self.write(Mark::None, payload);
        self.seq = self.seq.wrapping_add(u32::try_from(payload.len()).expect("a segment"));
    }

    /// Sends again what was sent last.
    #[track_caller]
    pub fn send_again(&mut self, payload: &[u8]) {
        self.seq = self.seq.wrapping_sub(u32::try_from(payload.len()).expect("a segment"));
        self.send(payload);
    }

    /// Takes a segment's data, though not its FIN: what is sent from now on, were it nothing, acknowledges it.
    #[track_caller]
    pub fn take_data(&mut self, segment: &Segment) {
        self.ack = segment.seq.wrapping_add(u32::try_from(segment.payload.len()).expect("a segment"));
    }

    /// Takes what comes, and acknowledges nothing, until one is `wanted`.
    #[track_caller]
    pub fn receive_until(&mut self, what: &str, wanted: impl Fn(&Segment) -> bool) -> Segment {
        loop {
            let segment = self.next().unwrap_or_else(|| panic!("no {what} came; so far: {:?}", self.segments));
            if wanted(&segment) {
                return segment;
            }
        }
    }

    /// Takes what comes in order, and acknowledges it, until the service's FIN.
    #[track_caller]
    pub fn receive_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let segment = self.next().unwrap_or_else(|| panic!("no FIN came; so far: {:?}", self.segments));
            assert!(!segment.rst, "reset: {segment:?}");
            if segment.seq != self.ack || !segment.carries() {
                continue;
            }
            bytes.extend_from_slice(&segment.payload);
            let length = u32::try_from(segment.payload.len()).expect("a segment");
            self.ack = self.ack.wrapping_add(length + u32::from(segment.fin));
            if segment.fin {
                self.write(Mark::Fin, &[]);
                return bytes;
            }
            self.write(Mark::None, &[]);
        }
    }

    fn next(&mut self) -> Option<Segment> {
        let segment = self.tap.receive_segment(self.port, PATIENCE)?;
        self.segments.push(segment.clone());
        Some(segment)
    }

    fn write(&mut self, mark: Mark, payload: &[u8]) {
        let segment = self.tap.packet(self.source, TTL).tcp(self.port, PORT, self.seq, WINDOW);
        let segment = match mark {
            Mark::Syn => segment.syn(),
            Mark::Fin => segment.ack(self.ack).fin(),
            Mark::None => segment.ack(self.ack),
        };
        let mut frame = Vec::new();
        segment.write(&mut frame, payload).expect("a Vec takes every frame");
        self.tap.send(&frame);
    }
}

/// What a segment says beside its data.
#[derive(Clone, Copy)]
enum Mark {
    Syn,
    Fin,
    None,
}
