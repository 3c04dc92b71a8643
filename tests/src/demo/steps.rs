//! The steps, in their order: each one finds the stage as the one before has left it.

use super::report::Outcome;
use super::stage::{Player, REGION, Stage};
use crate::client::Curl;
use crate::credentials::{self, FIND_BY_BOTO3};

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

/// curl's exit code when it ran out of time.
const TIMED_OUT: i32 = 28;

/// A step of the demo.
pub(super) type Step = fn(&mut Stage) -> Outcome;

/// Every step with what it is called.
pub(super) const ALL: [(&str, Step); 18] = [
    ("A asks for a token", token),
    ("A reads its instance id with the token", read_with_token),
    ("B has the same address and reads its own", read_of_the_second),
    ("A reads without a token while HttpTokens is optional", read_while_optional),
    ("HttpTokens becomes required: the very next read of A without a token", read_while_required),
    ("A reads with its token while HttpTokens is required", read_with_token),
    ("A's token on B", token_of_another),
    ("HttpPutResponseHopLimit is 1: C, one hop behind A, asks for a token", token_one_hop_too_far),
    ("C reads with A's token all the same, since reads aren't limited", read_behind),
    ("HttpPutResponseHopLimit becomes 2: C asks for a token", token_two_hops),
    ("HttpEndpoint becomes disabled: A reads with its token", read_while_disabled),
    ("HttpEndpoint becomes enabled: A reads with its token", read_while_enabled),
    ("The daemon is killed: A reads without a token", read_without_daemon),
    ("The daemon is started again: A reads with its old token", read_after_restart),
    ("A reads without a token after that", read_without_token_after_restart),
    ("boto3 on B while HttpTokens is optional", boto3_while_optional),
    ("HttpTokens becomes required on B: boto3", boto3_while_required),
    ("B has used no read without a token for that", boto3_used_tokens),
];

/// What came of a read, in words.
fn answer(curl: &Curl) -> String {
    match (curl.status, curl.body.as_str()) {
        (0, _) => format!("no answer (curl's exit code {})", curl.code.unwrap_or_default()),
        (status, "") => status.to_string(),
        (status, body) => format!("{status} {body}"),
    }
}

fn token(stage: &mut Stage) -> Outcome {
    let curl = stage.first.guest.curl_token();
    let came = format!("{}, {} characters", curl.status, curl.body.len());
    stage.token = curl.body;
    Outcome::new("200, 56 characters", came)
}

fn read_with_token(stage: &mut Stage) -> Outcome {
    let Player { guest, id } = &stage.first;
    Outcome::new(format!("200 {id}"), answer(&guest.curl_with(&stage.token, INSTANCE_ID)))
}

fn read_of_the_second(stage: &mut Stage) -> Outcome {
    let Player { guest, id } = &stage.second;
    let token = guest.curl_token();
    Outcome::new(format!("200 {id}"), answer(&guest.curl_with(&token.body, INSTANCE_ID)))
}

fn read_while_optional(stage: &mut Stage) -> Outcome {
    let Player { guest, id } = &stage.first;
    let before = stage.host.stats(id).no_token();
    let curl = guest.curl(&[], INSTANCE_ID);
    let counted = stage.host.stats(id).no_token() - before;
    Outcome::new(format!("200 {id}, MetadataNoToken +1"), format!("{}, MetadataNoToken +{counted}", answer(&curl)))
}

fn read_while_required(stage: &mut Stage) -> Outcome {
    let Player { guest, id } = &stage.first;
    let before = stage.host.stats(id);
    stage.host.set(id, &["--http-tokens", "required"]);
    let curl = guest.curl(&[], INSTANCE_ID);
    let after = stage.host.stats(id);
    let name = "refused-token-missing";
    let came = format!(
        "{}, refused by the kernel +{}, requests at the daemon +{}",
        answer(&curl),
        after.kernel(name) - before.kernel(name),
        after.requests() - before.requests()
    );
    Outcome::new("401, refused by the kernel +1, requests at the daemon +0", came)
}

fn token_of_another(stage: &mut Stage) -> Outcome {
    Outcome::new("401", answer(&stage.second.guest.curl_with(&stage.token, INSTANCE_ID)))
}

fn token_one_hop_too_far(stage: &mut Stage) -> Outcome {
    let issued = || stage.host.stats(&stage.first.id).tokens_issued();
    let before = issued();
    let curl = stage.behind.curl_token();
    let connected = if curl.connected { "connected" } else { "not connected" };
    let sent = if curl.sent > 0 { "request sent" } else { "nothing sent" };
    let answered = if curl.code == Some(TIMED_OUT) { "no answer in 5 s".to_owned() } else { answer(&curl) };
    let came = format!("{connected}, {sent}, tokens issued +{}, {answered}", issued() - before);
    Outcome::new("connected, request sent, tokens issued +1, no answer in 5 s", came)
}

fn read_behind(stage: &mut Stage) -> Outcome {
    let curl = stage.behind.curl_with(&stage.token, INSTANCE_ID);
    Outcome::new(format!("200 {}", stage.first.id), answer(&curl))
}

fn token_two_hops(stage: &mut Stage) -> Outcome {
    stage.host.set(&stage.first.id, &["--http-put-response-hop-limit", "2"]);
    let curl = stage.behind.curl_token();
    Outcome::new("200, 56 characters", format!("{}, {} characters", curl.status, curl.body.len()))
}

fn read_while_disabled(stage: &mut Stage) -> Outcome {
    stage.host.set(&stage.first.id, &["--http-endpoint", "disabled"]);
    Outcome::new("403", answer(&stage.first.guest.curl_with(&stage.token, INSTANCE_ID)))
}

fn read_while_enabled(stage: &mut Stage) -> Outcome {
    stage.host.set(&stage.first.id, &["--http-endpoint", "enabled"]);
    read_with_token(stage)
}

fn read_without_daemon(stage: &mut Stage) -> Outcome {
    stage.host.kill();
    let curl = stage.first.guest.curl(&[], INSTANCE_ID);
    Outcome::new("no answer", if curl.status == 0 { "no answer".to_owned() } else { answer(&curl) })
}

fn read_after_restart(stage: &mut Stage) -> Outcome {
    stage.host.launch();
    read_with_token(stage)
}

fn read_without_token_after_restart(stage: &mut Stage) -> Outcome {
    Outcome::new("401", answer(&stage.first.guest.curl(&[], INSTANCE_ID)))
}

/// What boto3 finds on B, in words that name no secret.
fn boto3(stage: &Stage) -> Outcome {
    let found = stage.second.guest.python(FIND_BY_BOTO3);
    let expected = format!("region {REGION} and the role's credentials");
    let came = if found.stdout == credentials::found_by_boto3(REGION) {
        expected.clone()
    } else {
        format!("something else: {}", found.stderr.lines().last().unwrap_or("no error"))
    };
    Outcome::new(expected, came)
}

fn boto3_while_optional(stage: &mut Stage) -> Outcome {
    boto3(stage)
}

fn boto3_while_required(stage: &mut Stage) -> Outcome {
    stage.host.set(&stage.second.id, &["--http-tokens", "required"]);
    boto3(stage)
}

fn boto3_used_tokens(stage: &mut Stage) -> Outcome {
    let stats = stage.host.stats(&stage.second.id);
    let came = format!("MetadataNoToken {}, MetadataNoTokenRejected {}", stats.no_token(), stats.no_token_rejected());
    Outcome::new("MetadataNoToken 0, MetadataNoTokenRejected 0", came)
}
