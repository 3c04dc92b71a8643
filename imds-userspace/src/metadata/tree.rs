//! The rendered tree: one buffer of bytes and a table of nodes, so that thousands of instances are cheap.
//!
//! A leaf may stand there for a time only, and from some version on. Listings are made of the same nodes when they are
//! asked for, so that what is listed is found.

mod planting;

use std::ops::Range;
use std::sync::Arc;

use imds_common::answer::DATE_LENGTH;

pub(super) use self::planting::Planting;
use super::bearer::{Bearer, ByBearer};
use super::categories;
use super::date::http_date;
use super::identity::{Identity, IdentityText};
use super::instance::Instance;
use super::live::Deliveries;
use super::target::{Target, spells};
use super::versions::{VERSIONS, Version};

/// A version's directories answer without their slash down to this depth (`/latest`, `/latest/meta-data`); those
/// below are redirected.
const SLASH_OPTIONAL_DEPTH: usize = 1;

/// Directories further below that answer without their slash all the same, as clients ask for them so and follow no
/// 301. `*` is any one name.
const SLASH_OPTIONAL: [&str; 4] = [
    // EC2's user guide reads it with plain curl, and so does fluent-bit.
    "meta-data/tags/instance",
    // The AWS SDK for Go 2 follows 307 and 308 alone. By it the VPC CNI reads both, and Amazon's ECS agent the first.
    "meta-data/network/interfaces/macs",
    "meta-data/network/interfaces/macs/*",
    // So does the CSI driver for EBS, which doesn't start without it.
    "meta-data/block-device-mapping",
];

/// An instance's tree, rendered once and read many times.
pub struct Tree {
    /// Names and bodies.
    text: Box<[u8]>,
    /// The root first; the children of a directory stand side by side, by name and by time.
    nodes: Box<[Node]>,
    /// When leaves are there that aren't always.
    periods: Box<[Period]>,
    /// What was signed, which others hold as well.
    identity: Option<Arc<Identity>>,
    /// What is replaced while the tree stays.
    credentials: ByBearer<Deliveries>,
    /// When the instance was last changed, as HTTP writes it.
    modified: [u8; DATE_LENGTH],
}

/// Seconds since 1970, the first in and the last out.
type Period = Range<u64>;

/// A stretch of the text.
#[derive(Clone, Copy)]
struct Stretch {
    start: u32,
    length: u32,
}

/// A name, and how its directory lists it, without a slash behind it: the name, and mostly nothing more. Every byte
/// counts: an instance has more than a hundred.
#[derive(Clone, Copy)]
struct Label {
    start: u32,
    /// The length of the name.
    name: u16,
    /// The length of all of it.
    whole: u16,
}

struct Node {
    label: Label,
    content: Content,
    since: Version,
    /// Place of its period, for a leaf that isn't always there.
    period: Option<u16>,
}

enum Content {
    /// Text in the tree.
    Text(Stretch),
    /// Text of the identity.
    Identity(IdentityText),
    /// User data, which is elsewhere.
    UserData,
    /// Credentials, which are replaced while the tree stays.
    Credentials(Bearer),
    /// Places of the nodes below.
    Directory(Range<u16>),
}

/// What a target leads to.
pub enum Lookup<'t, 'n> {
    /// A text.
    Text(&'t [u8]),
    /// The user data.
    UserData,
    /// Credentials, or why there are none.
    Credentials(&'t Deliveries),
    /// A directory's listing.
    Directory(Listing<'t>),
    /// A directory that wants a slash behind its name: it is at the names of this target.
    Redirect(Target<'n>),
    /// Nothing.
    NotFound,
}

/// The moment of a request, and the version that it asks for.
#[derive(Clone, Copy)]
struct Sight {
    now: u64,
    version: Version,
}

impl std::fmt::Debug for Tree {
    /// Shows sizes alone: the text is the instance's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree")
            .field("bytes", &self.text.len())
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl Tree {
    /// Renders the tree of an instance, with its `identity` as it was signed; `tags` says whether its tags are in it (`InstanceMetadataTags`), `user_data`
    /// whether it has user data, and `credentials` are those that it gets.
    ///
    /// A name that no target can spell (a tag key with a space, say) is left out: what is listed is found.
    #[must_use]
    pub fn render(
        instance: &Instance,
        identity: Option<Arc<Identity>>,
        user_data: bool,
        tags: bool,
        credentials: ByBearer<Deliveries>,
    ) -> Self {
        let mut planting = Planting::default();
        categories::plant(instance, identity.is_some(), user_data, tags, &credentials, &mut planting);
        planting.tree(identity, credentials, http_date(instance.modified.unix()))
    }

    /// What a request's target leads to at a second counted from 1970. Nothing is allocated.
    #[must_use]
    pub fn lookup<'n>(&self, target: &'n [u8], now: u64) -> Lookup<'_, 'n> {
        Target::new(target).map_or(Lookup::NotFound, |target| self.find(target, now))
    }

    /// When the instance was last changed, as HTTP writes it.
    #[must_use]
    pub const fn modified(&self) -> &[u8; DATE_LENGTH] {
        &self.modified
    }

    fn find<'n>(&self, target: Target<'n>, now: u64) -> Lookup<'_, 'n> {
        let mut names = target.names();
        let Some(version) = names.next() else {
            return Lookup::Directory(Listing { tree: self, content: Listed::Versions });
        };
        let (Some(version), Some(root)) = (Version::named(version), self.nodes.first()) else {
            return Lookup::NotFound;
        };
        let sight = Sight { now, version };
        let mut directory = root;
        let mut depth = 0;
        for name in names.by_ref() {
            match self.child(directory, name, sight) {
                Some(node) => directory = node,
                None => return Lookup::NotFound,
            }
            depth += 1;
        }
        match &directory.content {
            Content::Text(body) => Lookup::Text(self.bytes(*body)),
            Content::Identity(text) => match &self.identity {
                Some(identity) => Lookup::Text(identity.text(*text).as_bytes()),
                None => Lookup::NotFound,
            },
            Content::UserData => Lookup::UserData,
            Content::Credentials(bearer) => self.credentials.of(*bearer).map_or(Lookup::NotFound, Lookup::Credentials),
            Content::Directory(children)
                if depth <= SLASH_OPTIONAL_DEPTH || target.path.ends_with(b"/") || is_slash_optional(&target) =>
            {
                let slash = if depth == 0 { "" } else { "/" };
                Lookup::Directory(Listing { tree: self, content: Listed::Children(children.clone(), sight, slash) })
            }
            Content::Directory(_) => Lookup::Redirect(target),
        }
    }

    /// The node whose name a piece of a path spells, or the label that stands for it in the listing (`0=my-key`).
    fn child(&self, node: &Node, piece: &[u8], sight: Sight) -> Option<&Node> {
        let Content::Directory(children) = &node.content else { return None };
        let named = |node: &&Node| spells(piece, self.name(node.label)) || spells(piece, self.label(node.label));
        self.below(children).iter().find(|node| named(node) && self.is_there(node, sight))
    }

    fn below(&self, children: &Range<u16>) -> &[Node] {
        self.nodes.get(usize::from(children.start)..usize::from(children.end)).unwrap_or_default()
    }

    /// Whether a leaf is there, or anything in a directory.
    fn is_there(&self, node: &Node, sight: Sight) -> bool {
        match &node.content {
            Content::Directory(children) => self.below(children).iter().any(|node| self.is_there(node, sight)),
            Content::Text(_) | Content::Identity(_) | Content::UserData | Content::Credentials(_) => {
                let period = node.period.and_then(|place| self.periods.get(usize::from(place)));
                node.since <= sight.version && period.is_none_or(|period| period.contains(&sight.now))
            }
        }
    }

    fn name(&self, Label { start, name, .. }: Label) -> &[u8] {
        self.bytes(Stretch { start, length: name.into() })
    }

    fn label(&self, Label { start, whole, .. }: Label) -> &[u8] {
        self.bytes(Stretch { start, length: whole.into() })
    }

    fn bytes(&self, stretch: Stretch) -> &[u8] {
        let start = stretch.start as usize;
        self.text.get(start..start + stretch.length as usize).unwrap_or_default()
    }
}

/// Whether a directory answers without its slash, though it is deep below a version.
fn is_slash_optional(target: &Target<'_>) -> bool {
    SLASH_OPTIONAL.iter().any(|path| {
        let mut names = path.split('/');
        let is_next = |piece| names.next().is_some_and(|name| name == "*" || spells(piece, name.as_bytes()));
        target.names().skip(1).all(is_next) && names.next().is_none()
    })
}

/// A directory's names.
pub struct Listing<'t> {
    tree: &'t Tree,
    content: Listed<'t>,
}

enum Listed<'t> {
    Versions,
    /// Of these nodes those in sight, directories with this behind them.
    Children(Range<u16>, Sight, &'t str),
}

impl Listing<'_> {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        let mut length = 0;
        self.pieces(|piece| length += piece.len());
        length
    }

    /// Writes it: names joined by LF, none after the last, directories with a slash but for a version's.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.pieces(|piece| out.extend_from_slice(piece));
    }

    fn pieces(&self, mut piece: impl FnMut(&[u8])) {
        let mut separator: &[u8] = b"";
        match &self.content {
            Listed::Versions => {
                for version in VERSIONS {
                    piece(separator);
                    piece(version.as_bytes());
                    separator = b"\n";
                }
            }
            Listed::Children(children, sight, slash) => {
                for node in self.tree.below(children).iter().filter(|node| self.tree.is_there(node, *sight)) {
                    piece(separator);
                    piece(self.tree.label(node.label));
                    if matches!(node.content, Content::Directory(_)) && node.label.whole == node.label.name {
                        piece(slash.as_bytes());
                    }
                    separator = b"\n";
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
