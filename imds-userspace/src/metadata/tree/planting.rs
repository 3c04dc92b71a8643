//! A tree that is being made: leaves are planted one by one, then laid out in one buffer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use imds_common::answer::DATE_LENGTH;
use imds_common::request::HEAD_MAX;

use super::{Content, Label, Node, Period, Stretch, Tree};
use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::identity::{Identity, IdentityText};
use crate::metadata::live::Deliveries;
use crate::metadata::versions::Version;

/// Leaves by path.
#[derive(Default)]
pub(in crate::metadata) struct Planting {
    root: BTreeMap<Key, Sprout>,
}

/// A name, and the second from which it is there; in the order of listings.
type Key = (Rank, Box<str>, u64);

/// The digits of a number, which no other name comes before: so 2 is before 10.
type Rank = usize;

fn key(name: &str, from: u64) -> Key {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    (if is_number { name.len() } else { Rank::MAX }, name.into(), from)
}

struct Sprout {
    /// What stands behind its name in a listing.
    suffix: Box<str>,
    content: Growth,
}

enum Growth {
    Leaf { body: Body, since: Version, period: Option<Period> },
    Directory(BTreeMap<Key, Sprout>),
}

enum Body {
    Text(Box<str>),
    Identity(IdentityText),
    UserData,
    Credentials(Bearer),
}

impl Planting {
    /// A text that is always there. A path that no version has, or no target can spell, is left out.
    pub(in crate::metadata) fn text(&mut self, path: &[&str], body: &str) {
        self.leaf(path, Body::Text(body.into()), None);
    }

    /// A text that is there for a time.
    pub(in crate::metadata) fn text_during(&mut self, path: &[&str], body: &str, period: Period) {
        if !period.is_empty() {
            self.leaf(path, Body::Text(body.into()), Some(period));
        }
    }

    /// The place of the user data.
    pub(in crate::metadata) fn user_data(&mut self, path: &[&str]) {
        self.leaf(path, Body::UserData, None);
    }

    /// The place of a text of the identity.
    pub(in crate::metadata) fn identity(&mut self, path: &[&str], text: IdentityText) {
        self.leaf(path, Body::Identity(text), None);
    }

    /// The place of credentials.
    pub(in crate::metadata) fn credentials(&mut self, path: &[&str], bearer: Bearer) {
        self.leaf(path, Body::Credentials(bearer), None);
    }

    /// Lists a directory with something behind its name. Targets may use either.
    pub(in crate::metadata) fn label(&mut self, path: &[&str], suffix: &str) {
        let Some((name, above)) = path.split_last() else { return };
        let mut directory = &mut self.root;
        for name in above {
            match directory.get_mut(&key(name, 0)).map(|sprout| &mut sprout.content) {
                Some(Growth::Directory(below)) => directory = below,
                _ => return,
            }
        }
        if let Some(sprout) = directory.get_mut(&key(name, 0)) {
            sprout.suffix = suffix.into();
        }
    }

    fn leaf(&mut self, path: &[&str], body: Body, period: Option<Period>) {
        let (Some((name, above)), Some(since)) = (path.split_last(), Version::first_with(path)) else { return };
        if !path.iter().all(|name| is_spellable(name)) {
            return;
        }
        let mut directory = &mut self.root;
        for name in above {
            let below = || Sprout { suffix: Box::default(), content: Growth::Directory(BTreeMap::new()) };
            match &mut directory.entry(key(name, 0)).or_insert_with(below).content {
                Growth::Directory(below) => directory = below,
                Growth::Leaf { .. } => return,
            }
        }
        let from = period.as_ref().map_or(0, |period| period.start);
        let content = Growth::Leaf { body, since, period };
        directory.entry(key(name, from)).or_insert(Sprout { suffix: Box::default(), content });
    }

    /// Lays it out.
    pub(super) fn tree(
        self,
        identity: Option<Arc<Identity>>,
        credentials: ByBearer<Deliveries>,
        modified: [u8; DATE_LENGTH],
    ) -> Tree {
        let mut layout = Layout::default();
        let since = Version::first_with(&["user-data"]);
        let mut beds = VecDeque::from([(0, self.root)]);
        layout.nodes.extend(since.map(|since| Node {
            label: Label { start: 0, name: 0, whole: 0 },
            content: Content::Directory(0..0),
            since,
            period: None,
        }));
        while let Some((place, children)) = beds.pop_front() {
            let start = layout.nodes.len();
            for ((_, name, _), Sprout { suffix, content }) in children {
                let label = layout.label(&name, &suffix);
                let (content, since, period) = match content {
                    Growth::Leaf { body, since, period } => {
                        let content = match body {
                            Body::Text(text) => Content::Text(layout.write(&text)),
                            Body::Identity(text) => Content::Identity(text),
                            Body::UserData => Content::UserData,
                            Body::Credentials(bearer) => Content::Credentials(bearer),
                        };
                        (content, Some(since), period.map(|period| layout.period(period)))
                    }
                    Growth::Directory(below) => {
                        beds.push_back((layout.nodes.len(), below));
                        (Content::Directory(0..0), since, None)
                    }
                };
                layout.nodes.extend(since.map(|since| Node { label, content, since, period }));
            }
            let range = place_of(start)..place_of(layout.nodes.len());
            if let Some(node) = layout.nodes.get_mut(place) {
                node.content = Content::Directory(range);
            }
        }
        let Layout { text, nodes, periods, .. } = layout;
        Tree { text: text.into(), nodes: nodes.into(), periods: periods.into(), identity, credentials, modified }
    }
}

#[derive(Default)]
struct Layout {
    text: Vec<u8>,
    /// Where a text stands already: names and addresses come several times.
    written: HashMap<String, u32>,
    nodes: Vec<Node>,
    periods: Vec<Period>,
}

impl Layout {
    fn write(&mut self, text: &str) -> Stretch {
        let length = length_of(text.len());
        if let Some(&start) = self.written.get(text) {
            return Stretch { start, length };
        }
        let start = length_of(self.text.len());
        self.text.extend_from_slice(text.as_bytes());
        self.written.insert(text.to_owned(), start);
        Stretch { start, length }
    }

    fn label(&mut self, name: &str, suffix: &str) -> Label {
        let Stretch { start, length } = self.write(&[name, suffix].concat());
        // No name is longer than a head, and a key's whose own is has no other that a target can spell.
        let short = |length| u16::try_from(length).unwrap_or(u16::MAX);
        Label { start, name: short(length_of(name.len())), whole: short(length) }
    }

    fn period(&mut self, period: Range<u64>) -> u16 {
        self.periods.push(period);
        place_of(self.periods.len() - 1)
    }
}

/// The limits of a document and of an instance's interfaces keep a tree far below these: a node takes six bytes of the
/// document, or is one of the few that each interface has.
fn place_of(place: usize) -> u16 {
    u16::try_from(place).expect("fewer nodes than 65,536")
}

fn length_of(length: usize) -> u32 {
    u32::try_from(length).expect("fewer bytes than 4 GiB")
}

/// Whether a target can hold this name as one piece, and clients send it as it is: `.` and `..` they resolve.
fn is_spellable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'%');
    !matches!(name, "" | "." | "..") && name.len() < HEAD_MAX && name.bytes().all(plain)
}
