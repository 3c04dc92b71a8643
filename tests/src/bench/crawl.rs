//! The whole tree, as cloud-init reads it: every listing and every leaf, a connection each.

use std::fmt::Write;
use std::fs;
use std::time::Instant;

use super::round::Extent;
use super::stack::{Daemon, Replaced};
use crate::http::{Connection, TOKEN, request};
use crate::names;
use crate::namespace::Namespace;

const AIM: f64 = 1.0;
/// Where a crawl begins.
const ROOTS: [&str; 3] = ["/latest/meta-data/", "/latest/dynamic/instance-identity/", "/latest/user-data"];
/// The file that a directory's listing stands in, where files are served.
const LISTING: &str = ".listing";
/// Crawls of one measurement.
const CRAWLS: usize = 20;

/// Prints the row.
pub(super) fn measure(extent: &Extent) {
    let ours = Daemon::start();
    let token = ours.guest.token();
    let pages = crawl(&ours.guest, &token);
    let nginx = Replaced::start(1, &files(&pages));
    assert_eq!(crawl(&nginx.guest, &nginx.token), pages, "nginx doesn't serve the same tree");
    let crawls = if extent.quick { 1 } else { CRAWLS };
    let rate = |guest: &Namespace, token: &str| {
        let start = Instant::now();
        for _ in 0..crawls {
            pages.iter().for_each(|(path, body)| assert_eq!(&read(guest, token, path), body, "{path}"));
        }
        f64::from(u32::try_from(crawls).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64()
    };
    let pairs = extent.alternate(|| rate(&ours.guest, &token), || rate(&nginx.guest, &nginx.token));
    let compared = pairs.compare(|&rate| rate);
    println!("crawl: the whole tree, {} pages, a connection each, one after the other", pages.len());
    println!(
        "  imds {:.1} ms a crawl, {} serving files {:.1} ms; {}",
        1e3 / compared.ours,
        nginx.name(),
        1e3 / compared.theirs,
        compared.beside(AIM)
    );
}

fn read(guest: &Namespace, token: &str, path: &str) -> Vec<u8> {
    let answer =
        Connection::open(guest).and_then(|mut connection| connection.ask(&request("GET", path, &[(TOKEN, token)])));
    let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.head);
    answer.body
}

/// Reads everything that is listed; each page with its path.
fn crawl(guest: &Namespace, token: &str) -> Vec<(String, Vec<u8>)> {
    let mut pages = Vec::new();
    let mut waiting: Vec<String> = ROOTS.map(str::to_owned).into();
    while let Some(path) = waiting.pop() {
        if path.ends_with("user-data") && !is_there(guest, token, &path) {
            continue;
        }
        let body = read(guest, token, &path);
        if path.ends_with('/') {
            let listing = String::from_utf8_lossy(&body);
            // A key's name is listed as `0=name`, and its directory is called `0/`.
            let names = listing.lines().map(|name| match name.split_once('=') {
                Some((number, _)) => format!("{path}{number}/"),
                None => format!("{path}{name}"),
            });
            waiting.extend(names);
        }
        pages.push((path, body));
    }
    pages
}

fn is_there(guest: &Namespace, token: &str, path: &str) -> bool {
    guest.get(path, Some(token)).status == 200
}

/// Writes the pages as files; what makes nginx serve them.
fn files(pages: &[(String, Vec<u8>)]) -> String {
    let root = names::directory();
    for (path, body) in pages {
        let mut file = root.join(path.trim_start_matches('/'));
        if path.ends_with('/') {
            file.push(LISTING);
        }
        let parent = file.parent().expect("it is below the root");
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        names::write(&file, body, 0o600);
    }
    let mut location = String::new();
    let _ = write!(location, "root {}; location / {{ index {LISTING}; }}", root.display());
    location
}
