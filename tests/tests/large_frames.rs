//! Frames that programs can't be given by hand: several segments in one (GSO), with what they carry in other memory than
//! their headers.

use std::fs::File;
use std::io::Read;

use imds_tests::attachment::Attachment;
use imds_tests::family::Family;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::http::{Answer, TTL, request};
use imds_tests::in_each_attachment;
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, socket_with, sockopt::Timeout};

in_each_attachment!(
    families: requests_in_large_frames_get_what_the_daemon_says,
    the_kernel_refuses_a_large_frame_where_it_refuses_everything,
    a_large_frame_costs_as_many_packets_as_it_is_cut_into
);

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
/// Longest frame that holds one segment, in bytes.
const ONE_SEGMENT: usize = 1_514;
/// So many bytes of a head's are in one write: less than the client may send before the first acknowledgement.
const PADDING: usize = 13_000;
/// A budget that ten segments of them are over, and the other packets of an exchange aren't: nine may come at once.
const BUDGET: &str = "8";
/// The reader's buffer in bytes: side by side tests send, too.
const BUFFER: usize = 8 << 20;

/// A reader of everything that arrives at the host.
struct Reader(File);

impl Reader {
    fn start() -> Self {
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(eth::ALL));
        let socket = socket.unwrap_or_else(|error| panic!("no packet socket: {error}"));
        set_socket_recv_buffer_size_force(&socket, BUFFER).expect("root may");
        set_socket_timeout(&socket, Timeout::Recv, Some(std::time::Duration::from_millis(10))).expect("a time-out");
        Self(File::from(socket))
    }

    /// The longest of the frames from a MAC that arrived so far.
    fn longest_from(&mut self, mac: &str) -> usize {
        let mac: Vec<_> = mac.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
        let mut frame = vec![0; 65_536];
        let mut longest = 0;
        while let Ok(length) = self.0.read(&mut frame) {
            longest = if frame[6..].starts_with(&mac) { longest.max(length) } else { longest };
        }
        longest
    }
}

/// Sends a head that is longer than a segment, and sees that the programs got it in one frame; but where XDP in the
/// driver turns such frames off.
fn exchange(guest: &Guest, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let padding = "a".repeat(PADDING);
    let mut reader = Reader::start();
    let answer = guest.exchange(&request(method, path, &[headers, &[("X-Padding", &padding)]].concat()));
    let mac = guest.run("cat", &["/sys/class/net/eth0/address"]).stdout;
    let longest = reader.longest_from(mac.trim());
    let has_large = Attachment::current() != Some(Attachment::TcXdpDriver);
    assert_eq!(longest > ONE_SEGMENT, has_large, "{longest} bytes at most");
    answer
}

fn requests_in_large_frames_get_what_the_daemon_says(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth("10.0.0.1").over(family);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    assert_eq!(exchange(&guest, "GET", INSTANCE_ID, &[]).status, 401);
    let stats = host.stats(&id);
    assert_eq!((stats.kernel("refused-token-missing"), stats.daemon("refused-token-missing")), (0, 1));
    let token = exchange(&guest, "PUT", "/latest/api/token", &[(TTL, "60")]);
    assert_eq!((token.status, token.text().len()), (200, 56));
    let answer = exchange(&guest, "GET", INSTANCE_ID, &[(imds_tests::http::TOKEN, &token.text())]);
    assert_eq!((answer.status, answer.text()), (200, id));
}

fn the_kernel_refuses_a_large_frame_where_it_refuses_everything(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth("10.0.0.1").over(family);
    let id = host.create(guest.interface(), &[]);
    host.set(&id, &["--http-endpoint", "disabled"]);
    assert_eq!(exchange(&guest, "GET", INSTANCE_ID, &[]).status, 403);
    let stats = host.stats(&id);
    assert_eq!((stats.kernel("refused-endpoint-disabled"), stats.requests()), (1, 0));
}

fn a_large_frame_costs_as_many_packets_as_it_is_cut_into(family: Family) {
    let host = Host::start().over(family);
    let guest = Guest::on_veth("10.0.0.1").over(family);
    let id = host.create(guest.interface(), &["--packet-budget", BUDGET]);
    let answer = exchange(&guest, "GET", INSTANCE_ID, &[]);
    assert_eq!((answer.status, answer.text()), (200, id.clone()), "it is sent again, in smaller parts");
    assert!(host.stats(&id).kernel("dropped-budget") > 0);
}
