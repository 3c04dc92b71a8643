//! What a client meets: an instance with all that clients ask for, in each mode, near and far.

use serde_json::{Value, json};

use crate::credentials::{self, ROLE};
use crate::family::Family;
use crate::guest::Guest;
use crate::host::Host;
use crate::names;
use crate::namespace::Namespace;
use crate::process::Output;

/// The instance's region.
pub const REGION: &str = "eu-west-2";
/// The instance's user data.
pub const USER_DATA: &str = "#cloud-config\nruncmd: [\"echo 'as it is' >> /root/first\"]\n\n";

/// What a client meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// Reads need no token.
    Optional,
    /// Reads need a token.
    Required,
    /// There is no service.
    Disabled,
    /// A hop further than a token travels, and reads need none.
    TooFarOptional,
    /// A hop further than a token travels, and reads need one.
    TooFarRequired,
    /// A hop further, as far as a token travels.
    FarRequired,
}

impl Situation {
    fn options(self) -> Vec<&'static str> {
        let (tokens, hops) = match self {
            // The others can't be set beside it.
            Self::Disabled => return vec!["--http-endpoint", "disabled"],
            Self::Optional | Self::TooFarOptional => ("optional", "1"),
            Self::Required | Self::TooFarRequired => ("required", "1"),
            Self::FarRequired => ("required", "2"),
        };
        vec!["--http-endpoint", "enabled", "--http-tokens", tokens, "--http-put-response-hop-limit", hops]
    }

    fn is_far(self) -> bool {
        matches!(self, Self::TooFarOptional | Self::TooFarRequired | Self::FarRequired)
    }
}

/// How a client got at what it found, by the instance's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// It was given tokens, whether they reached it or not.
    pub tokens: bool,
    /// It read without a token.
    pub without: bool,
    /// It was refused a read without a token.
    pub refused: bool,
}

/// It asked for tokens, which may never have reached it, and for nothing without one.
pub const BY_TOKENS: Way = Way { tokens: true, without: false, refused: false };
/// It asked for tokens that never reached it, and read without.
pub const FALLS_BACK: Way = Way { tokens: true, without: true, refused: false };
/// It asked for tokens that never reached it, and was refused without.
pub const FALLS_BACK_IN_VAIN: Way = Way { tokens: true, without: false, refused: true };
/// Not at all.
pub const NO_WAY: Way = Way { tokens: false, without: false, refused: false };

/// An instance document with every key that there is.
const EVERYTHING: &str = include_str!("../../docs/examples/everything.json");

/// Network interfaces of the instance: as many as the largest of EC2's have.
pub const INTERFACES: usize = 15;

/// A daemon and an instance that has all that there is, with the role, the user data and the region that are known here.
#[derive(Debug)]
pub struct Scene {
    // Removed from the far end on.
    behind: Namespace,
    guest: Guest,
    /// The daemon.
    pub host: Host,
    /// The instance's id.
    pub id: String,
}

impl Scene {
    /// Starts it, reached over a family.
    #[must_use]
    #[track_caller]
    pub fn new(family: Family) -> Self {
        let host = Host::start().over(family);
        let guest = Guest::on_veth("10.0.0.1").over(family);
        guest.reach_nothing_else();
        let document = names::file("document.json", document().to_string().as_bytes(), 0o600);
        let document = document.to_str().expect("a name in UTF-8");
        let arguments = ["--document", document, "--metadata-options", "InstanceMetadataTags=enabled"];
        let id = host.create(guest.interface(), &arguments);
        Self { behind: guest.client_behind(), guest, host, id }
    }

    /// Makes the situation; where the client is.
    #[track_caller]
    pub fn enter(&self, situation: Situation) -> &Namespace {
        self.host.set(&self.id, &situation.options());
        if situation.is_far() { &self.behind } else { &self.guest }
    }

    /// Lets a client run in a situation; what it did, and how.
    #[track_caller]
    pub fn play<T>(&self, situation: Situation, client: impl FnOnce(&Namespace) -> T) -> (T, Way) {
        let place = self.enter(situation);
        let before = self.host.stats(&self.id);
        let done = client(place);
        let after = self.host.stats(&self.id);
        let way = Way {
            tokens: after.tokens_issued() > before.tokens_issued(),
            without: after.no_token() > before.no_token(),
            refused: after.no_token_rejected() > before.no_token_rejected(),
        };
        (done, way)
    }

    /// Lets a client run in situations, and compares the JSON that it prints, and how it came by it.
    #[track_caller]
    pub fn check(&self, client: impl Fn(&Namespace) -> Output, expected: &[(Situation, Value, Way)]) {
        for (situation, found, way) in expected {
            let (output, seen) = self.play(*situation, &client);
            let json: Value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
            assert_eq!((&json, seen), (found, *way), "{situation:?}: {output:?}");
        }
    }

    /// All that a client can find, as they print it.
    #[must_use]
    pub fn everything(&self) -> Value {
        found(&self.id, REGION, &credentials(), USER_DATA)
    }
}

fn document() -> Value {
    let mut document: Value = serde_json::from_str(EVERYTHING).expect("JSON");
    let credentials: Value = serde_json::from_str(&credentials::document("")).expect("JSON");
    document["iam"]["role"] = ROLE.into();
    document["iam"]["credentials"] = credentials;
    document["user-data"]["text"] = USER_DATA.into();
    let interfaces = document["network"]["interfaces"].as_array_mut().expect("an array");
    for number in interfaces.len()..INTERFACES {
        let (mac, address) = (format!("02:00:00:00:01:{number:02x}"), format!("10.0.1.{}", 100 + number));
        interfaces.push(json!({ "mac": mac, "local-ipv4s": [address] }));
    }
    document
}

/// What clients print: what they found, or why not.
#[must_use]
pub fn found(id: &str, region: &str, credentials: &str, user_data: &str) -> Value {
    json!({ "instance-id": id, "region": region, "credentials": credentials, "user-data": user_data })
}

fn credentials() -> String {
    [credentials::ACCESS_KEY_ID, credentials::SECRET_ACCESS_KEY, credentials::SESSION_TOKEN].join(" ")
}
