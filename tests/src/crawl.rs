//! All that the service lists, read by curl.

use std::collections::BTreeMap;

use crate::http::TOKEN;
use crate::namespace::Namespace;

/// What ends each answer in curl's output: no page holds these two.
const END: [char; 2] = ['\u{1e}', '\u{1f}'];
/// How many answers one curl gives: its arguments stay far below what a command may have.
const AT_ONCE: usize = 500;

impl Namespace {
    /// Reads every page from `/` on, each listed name and what is below it; the pages by their paths, directories' with
    /// a slash. Fails unless each answers 200, directories with and without their slash.
    #[must_use]
    #[track_caller]
    pub fn crawl(&self, token: &str) -> BTreeMap<String, String> {
        let mut pages = BTreeMap::new();
        let mut level = vec!["/".to_owned()];
        while !level.is_empty() {
            let bodies = self.read_all(token, &level);
            let (directories, listings): (Vec<_>, Vec<_>) =
                level.iter().zip(&bodies).filter(|(path, _)| path.ends_with('/') && path.len() > 1).unzip();
            let bare: Vec<_> = directories.iter().map(|path| path.trim_end_matches('/').to_owned()).collect();
            for (path, (with, without)) in bare.iter().zip(listings.into_iter().zip(self.read_all(token, &bare))) {
                assert_eq!(with, &without, "{path} differs with a slash");
            }
            let below = level.iter().zip(&bodies).flat_map(|(path, body)| listed(path, body)).collect();
            pages.extend(level.into_iter().zip(bodies));
            level = below;
        }
        pages
    }

    /// The bodies at the paths, of which each must answer 200.
    #[track_caller]
    fn read_all(&self, token: &str, paths: &[String]) -> Vec<String> {
        let [field, end] = END;
        let header = format!("{TOKEN}: {token}");
        let summary = format!("{field}%{{http_code}}{end}");
        let options = ["--silent", "--noproxy", "*", "--globoff", "--location", "--max-time", "5"];
        let options = [&options[..], &["--header", &header, "--write-out", &summary]].concat();
        let mut bodies = Vec::new();
        for some in paths.chunks(AT_ONCE) {
            let urls: Vec<_> = some.iter().map(|path| format!("{}{path}", self.family.url())).collect();
            let urls: Vec<_> = urls.iter().map(String::as_str).collect();
            let output = self.run("curl", &[&options[..], &urls].concat());
            let answers: Vec<_> = output.stdout.split_terminator(end).collect();
            assert_eq!(answers.len(), some.len(), "{output:?}");
            for (path, answer) in some.iter().zip(answers) {
                let (body, status) = answer.rsplit_once(field).unwrap_or(("", answer));
                assert_eq!(status, "200", "{path} is listed");
                bodies.push(body.to_owned());
            }
        }
        bodies
    }
}

/// The paths of what a directory lists; nothing for a leaf.
fn listed(path: &str, body: &str) -> Vec<String> {
    if !path.ends_with('/') {
        return Vec::new();
    }
    let below = |name: &str| match path.matches('/').count() {
        // Versions, and what is in one, are listed without the slashes that they have.
        1 => format!("{path}{name}/"),
        2 if name != "user-data" => format!("{path}{name}/"),
        // A key's name is listed as `0=name`, and its directory is called `0/`.
        _ if path.ends_with("/public-keys/") => format!("{path}{}/", name.split('=').next().unwrap_or(name)),
        _ => format!("{path}{name}"),
    };
    body.lines().map(below).collect()
}
