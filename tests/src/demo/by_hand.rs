//! How to try it by hand, and how to end it.

use super::stage::Stage;
use crate::{environment, names, reaper};

/// Prints commands that work on the stage as it stands.
pub(super) fn explain(stage: &Stage) {
    let imdsctl = format!("{} --socket {}", environment::imdsctl().display(), stage.host.socket().display());
    let (a, b, c) = (stage.first.guest.name(), stage.second.guest.name(), stage.behind.name());
    let id = &stage.first.id;
    println!("\nAll of it stays up. A is in namespace {a}, B in {b}, C behind A in {c}. For example:");
    println!("  ip netns exec {a} curl -i http://169.254.169.254/latest/meta-data/");
    println!(
        "  TOKEN=$(ip netns exec {a} curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
         http://169.254.169.254/latest/api/token)"
    );
    println!(
        "  ip netns exec {a} curl -i -H \"X-aws-ec2-metadata-token: $TOKEN\" \
         http://169.254.169.254/latest/meta-data/instance-id"
    );
    println!("  {imdsctl} options set {id} --http-tokens optional");
    println!("  {imdsctl} stats --watch");
    println!("  tail -f {}", stage.host.log_file().display());
    println!("It is ended, with nothing left, by:");
    println!("  {}", reaper::script(names::root()).display());
}
