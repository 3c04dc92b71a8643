//! Two packets of one connection at once, on two processors: whichever is first, a token's answer has the hop limit, and
//! every packet is counted.

use std::fs::File;
use std::hint;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use imds_tests::family::Family;
use imds_tests::host::Host;
use imds_tests::http::{TTL, request};
use imds_tests::over_both_families;
use imds_tests::packet::Segment;
use imds_tests::tap::{PATIENCE, Tap};
use imds_tests::verdicts::TOKEN_PATH;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

over_both_families!(
    the_end_of_a_handshake_beside_a_put,
    two_reads_at_one_beginning_that_are_a_put_together,
    two_syns_of_one_port
);

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const FIRST_PORT: u16 = 1_024;
const WINDOW: u16 = 64_000;
const ISN: u32 = u32::MAX - 10;
const LIMIT: u8 = 5;
/// Rounds of a test, and of one whose connections may each keep a place for a while.
const ROUNDS: u16 = 1_500;
const FEW_ROUNDS: u16 = 100;
/// By how many steps one processor may begin later than the other.
const STEPS: usize = 64;

/// A frame for each of two processors.
type Pair = [Vec<u8>; 2];

/// A guest with a writer on each of two processors.
struct Racers<'a> {
    tap: Tap,
    sent: u64,
    pair: &'a Mutex<Pair>,
    round: &'a Barrier,
}

impl Racers<'_> {
    fn frame(&self, port: u16, seq: u32, ack: Option<u32>, payload: &[u8]) -> Vec<u8> {
        let segment = self.tap.packet(SOURCE, 64).tcp(port, 80, seq, WINDOW);
        let segment = match ack {
            Some(ack) => segment.ack(ack),
            None => segment.syn(),
        };
        let mut frame = Vec::new();
        segment.write(&mut frame, payload).expect("a Vec takes every frame");
        frame
    }

    fn send(&mut self, frame: &[u8]) {
        self.tap.send(frame);
        self.sent += 1;
    }

    /// Sends both at once.
    fn race(&mut self, pair: Pair) {
        *self.pair.lock().unwrap_or_else(PoisonError::into_inner) = pair;
        self.round.wait();
        self.round.wait();
        self.sent += 2;
    }

    #[track_caller]
    fn next(&mut self, port: u16) -> Segment {
        self.tap.receive_segment(port, PATIENCE).unwrap_or_else(|| panic!("nothing comes to port {port}"))
    }

    /// Ends the handshake of what is open: where the client's next byte stands, and what it acknowledges.
    #[track_caller]
    fn syn_ack(&mut self, port: u16) -> (u32, u32) {
        loop {
            let answer = self.next(port);
            if answer.syn {
                return (answer.ack, answer.seq.wrapping_add(1));
            }
        }
    }

    #[track_caller]
    fn connect(&mut self, port: u16) -> (u32, u32) {
        let syn = self.frame(port, ISN, None, &[]);
        self.send(&syn);
        self.syn_ack(port)
    }

    /// Takes what comes until the service's FIN: a token, and what follows it, has the hop limit. Whether there was one.
    #[track_caller]
    fn finish(&mut self, port: u16) -> bool {
        let mut token = false;
        loop {
            let segment = self.next(port);
            assert!(!segment.rst, "{segment:?}");
            let text = String::from_utf8_lossy(&segment.payload).to_ascii_lowercase();
            token |= text.contains(&TTL.to_ascii_lowercase());
            assert!(!(token && segment.carries()) || segment.ttl == LIMIT, "a token travels: {segment:?}");
            if segment.fin {
                // Of both its ends and of ours nothing is left.
                let mut reset = Vec::new();
                let packet = self.tap.packet(SOURCE, 64).tcp(port, 80, segment.ack, WINDOW).rst();
                packet.write(&mut reset, &[]).expect("a Vec takes every frame");
                self.send(&reset);
                return token;
            }
        }
    }
}

/// Writes its frame of each pair, at the same moment as the other: a little earlier or later from round to round.
fn write(mut tap: &File, cpu: usize, number: usize, pair: &Mutex<Pair>, round: &Barrier, arrived: &AtomicUsize) {
    let mut alone = CpuSet::new();
    alone.set(cpu);
    sched_setaffinity(None, &alone).unwrap_or_else(|error| panic!("no thread on processor {cpu}: {error}"));
    for count in 1.. {
        round.wait();
        let frame = pair.lock().unwrap_or_else(PoisonError::into_inner)[number].clone();
        if frame.is_empty() {
            return;
        }
        arrived.fetch_add(1, Ordering::SeqCst);
        // Where both share a processor, the other needs it.
        let mut spun = 0_u32;
        while arrived.load(Ordering::SeqCst) < 2 * count {
            spun += 1;
            if spun.is_multiple_of(10_000) {
                thread::yield_now();
            }
            hint::spin_loop();
        }
        let later = count % STEPS;
        (0..if count / STEPS % 2 == number { later } else { 0 }).for_each(|_| hint::spin_loop());
        let written = tap.write(&frame).unwrap_or_else(|error| panic!("the tap takes no frame: {error}"));
        assert_eq!(written, frame.len());
        round.wait();
    }
}

/// The processors that this thread may use, the first and the last.
fn two_cpus() -> [usize; 2] {
    let allowed = sched_getaffinity(None).expect("every thread has processors");
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let first = cpus.next().expect("every thread has a processor");
    [first, cpus.next_back().unwrap_or(first)]
}

/// Plays rounds, each on a port of its own.
fn play(family: Family, rounds: u16, act: impl Fn(&mut Racers<'_>, u16)) {
    let (host, tap) = (Host::start().over(family), Tap::new().over(family));
    let id = host.create(tap.interface(), &[]);
    host.set(&id, &["--http-put-response-hop-limit", &LIMIT.to_string()]);
    let (pair, round, arrived) = (Mutex::default(), Barrier::new(3), AtomicUsize::new(0));
    let file = tap.file();
    thread::scope(|scope| {
        for (number, cpu) in two_cpus().into_iter().enumerate() {
            let (file, pair, round, arrived) = (&file, &pair, &round, &arrived);
            scope.spawn(move || write(file, cpu, number, pair, round, arrived));
        }
        let mut racers = Racers { tap, sent: 0, pair: &pair, round: &round };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (FIRST_PORT..).take(rounds.into()).for_each(|port| act(&mut racers, port));
            let stats = host.stats(&id);
            let counted = stats.kernel("delivered") + stats.kernel_sum("dropped-");
            assert_eq!(counted, racers.sent, "each packet is counted once");
        }));
        // Empty frames end the writers.
        *pair.lock().unwrap_or_else(PoisonError::into_inner) = Pair::default();
        round.wait();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn put() -> Vec<u8> {
    request("PUT", TOKEN_PATH, &[(TTL, "60")])
}

/// The service's TCP cuts off the byte that it has.
fn the_end_of_a_handshake_beside_a_put(family: Family) {
    play(family, ROUNDS, |racers, port| {
        let (seq, ack) = racers.connect(port);
        let early = [b"x".as_slice(), &put()].concat();
        let pair =
            [racers.frame(port, seq, Some(ack), &[]), racers.frame(port, seq.wrapping_sub(1), Some(ack), &early)];
        racers.race(pair);
        assert!(racers.finish(port), "the service takes the PUT");
    });
}

/// The longer one's end is a PUT to whoever has the shorter one.
fn two_reads_at_one_beginning_that_are_a_put_together(family: Family) {
    const BEFORE: &str = "GET /latest/ HTTP/1.1\r\nPad: ";
    let shorter = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(BEFORE.len() - "GET / HTTP/1.1\r\n\r\n".len()));
    let put = String::from_utf8(put()).expect("text").replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let longer = format!("{BEFORE}{put}");
    play(family, ROUNDS, |racers, port| {
        let (seq, ack) = racers.connect(port);
        let end = racers.frame(port, seq, Some(ack), &[]);
        racers.send(&end);
        let pair = [&shorter, &longer].map(|read| racers.frame(port, seq, Some(ack), read.as_bytes()));
        racers.race(pair);
        racers.finish(port);
    });
}

/// The service takes one of them; nobody but it knows which.
fn two_syns_of_one_port(family: Family) {
    /// Outside of the other's window, so that the service only asks about it.
    const FAR: u32 = 1 << 30;
    play(family, FEW_ROUNDS, |racers, port| {
        let pair = [ISN, ISN.wrapping_add(FAR)].map(|isn| racers.frame(port, isn, None, &[]));
        racers.race(pair);
        let (seq, ack) = racers.syn_ack(port);
        let frame = racers.frame(port, seq, Some(ack), &put());
        racers.send(&frame);
        assert!(racers.finish(port), "the service takes the PUT");
    });
}
