//! The rendered tree.

use std::collections::BTreeMap;

use super::categories;
use super::identity::Identity;
use super::instance::Instance;
use super::page::{Leaf, Page};
use super::target::Target;

/// The directories below `/`, each with the same tree (behaviour.md section 5).
const VERSIONS: [&str; 30] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-07-09",
    "2022-09-24",
    "2024-04-11",
    "latest",
];

/// A version's directories answer without their slash down to this depth (`/latest`, `/latest/meta-data`); those
/// below are redirected.
const SLASH_OPTIONAL_DEPTH: usize = 1;

/// An instance's tree, rendered once and read many times.
#[derive(Debug)]
pub struct Tree {
    versions: Page,
    root: Directory,
}

/// What a target leads to.
#[derive(Debug)]
pub enum Lookup<'t> {
    /// A leaf.
    Leaf(&'t Leaf),
    /// A directory's listing.
    Directory(&'t Page),
    /// A directory that wants a slash behind its name: it is at `/<version>/<path>/`.
    Redirect {
        /// The version asked for.
        version: &'static str,
        /// The directory's path below it, without slashes around.
        path: &'t str,
    },
    /// Nothing.
    NotFound,
}

#[derive(Debug)]
struct Directory {
    path: String,
    listing: Page,
    children: BTreeMap<Box<[u8]>, Node>,
}

#[derive(Debug)]
enum Node {
    Directory(Directory),
    Leaf(Leaf),
}

impl Tree {
    /// Renders the tree of an instance; `tags` says whether its tags are in it (`InstanceMetadataTags`).
    ///
    /// A name that no target can spell (a tag key with a space, say) is left out: what is listed is found.
    #[must_use]
    pub fn render(instance: &Instance, identity: Option<&Identity>, user_data: Option<&[u8]>, tags: bool) -> Self {
        let modified = categories::unix_seconds(&instance.pending_time);
        let mut root = Directory::new(String::new());
        categories::leaves(instance, identity, user_data, tags, modified, |path, leaf| root.plant(path, leaf));
        root.list(modified);
        Self { versions: Page::text(VERSIONS.join("\n"), modified), root }
    }

    /// What a request's target leads to. Nothing is allocated.
    #[must_use]
    pub fn lookup(&self, target: &[u8]) -> Lookup<'_> {
        Target::new(target).map_or(Lookup::NotFound, |target| self.find(target))
    }

    fn find(&self, target: Target<'_>) -> Lookup<'_> {
        let mut names = target.names();
        let Some(asked) = names.next() else {
            return Lookup::Directory(&self.versions);
        };
        let Some(version) = VERSIONS.iter().find(|version| version.as_bytes() == asked) else {
            return Lookup::NotFound;
        };
        let mut directory = &self.root;
        let mut depth = 0;
        while let Some(name) = names.next() {
            match directory.children.get(name) {
                Some(Node::Directory(below)) => directory = below,
                Some(Node::Leaf(leaf)) if names.next().is_none() => return Lookup::Leaf(leaf),
                _ => return Lookup::NotFound,
            }
            depth += 1;
        }
        if depth <= SLASH_OPTIONAL_DEPTH || target.path.ends_with(b"/") {
            Lookup::Directory(&directory.listing)
        } else {
            Lookup::Redirect { version, path: &directory.path }
        }
    }
}

impl Directory {
    fn new(path: String) -> Self {
        Self { path, listing: Page::text("", None), children: BTreeMap::new() }
    }

    /// Puts a leaf at the path below, with the directories that lead to it.
    fn plant(&mut self, path: &[&str], leaf: Leaf) {
        if !path.iter().all(|name| is_spellable(name)) {
            return;
        }
        match path {
            [] => {}
            [name] => {
                self.children.insert(name.as_bytes().into(), Node::Leaf(leaf));
            }
            [name, rest @ ..] => {
                let below = if self.path.is_empty() { (*name).to_owned() } else { format!("{}/{name}", self.path) };
                let node = self.children.entry(name.as_bytes().into());
                if let Node::Directory(directory) = node.or_insert_with(|| Node::Directory(Self::new(below))) {
                    directory.plant(rest, leaf);
                }
            }
        }
    }

    /// Writes the listings: names joined by LF, none after the last, directories with a slash but for a version's.
    fn list(&mut self, modified: Option<u64>) {
        let slash = if self.path.is_empty() { "" } else { "/" };
        let mut listing = Vec::new();
        for (name, node) in &mut self.children {
            if !listing.is_empty() {
                listing.push(b'\n');
            }
            listing.extend_from_slice(name);
            if let Node::Directory(directory) = node {
                listing.extend_from_slice(slash.as_bytes());
                directory.list(modified);
            }
        }
        self.listing = Page::text(listing, modified);
    }
}

/// Whether a target can hold this name as one piece, and clients send it as it is: `.` and `..` they resolve.
fn is_spellable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'%');
    !matches!(name, "" | "." | "..") && name.bytes().all(plain)
}

#[cfg(test)]
mod tests;
