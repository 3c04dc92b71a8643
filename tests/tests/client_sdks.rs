//! The AWS SDKs and the AWS CLI, as they are.

use imds_tests::credentials::{ACCESS_KEY_ID, SESSION_TOKEN};
use imds_tests::family::Family;
use imds_tests::over_both_families;
use imds_tests::situation::Situation::{Disabled, FarRequired, Optional, Required, TooFarOptional, TooFarRequired};
use imds_tests::situation::{BY_TOKENS, FALLS_BACK, FALLS_BACK_IN_VAIN, NO_WAY, Scene, found};

over_both_families!(boto3, javascript, rust, aws_cli);

const BOTO3: &str = include_str!("../clients/python/find.py");
const JAVASCRIPT: &str = include_str!("../clients/javascript/find.mjs");

fn boto3(family: Family) {
    let scene = Scene::new(family);
    let retried = "failed: RetriesExceededError";
    let nothing = found(retried, "none", "none", retried);
    scene.check(
        |guest| guest.python(BOTO3),
        &[
            (Optional, scene.everything(), BY_TOKENS),
            (Required, scene.everything(), BY_TOKENS),
            (Disabled, nothing.clone(), NO_WAY),
            (TooFarOptional, scene.everything(), FALLS_BACK),
            (TooFarRequired, nothing, FALLS_BACK_IN_VAIN),
            (FarRequired, scene.everything(), BY_TOKENS),
        ],
    );
}

fn javascript(family: Family) {
    let scene = Scene::new(family);
    let nothing = |why| found(why, why, "failed: Could not load credentials from any providers", why);
    scene.check(
        |guest| guest.javascript(JAVASCRIPT),
        &[
            (Optional, scene.everything(), BY_TOKENS),
            (Required, scene.everything(), BY_TOKENS),
            (Disabled, nothing("failed: 403"), NO_WAY),
            (TooFarOptional, scene.everything(), FALLS_BACK),
            (TooFarRequired, nothing("failed: 401"), FALLS_BACK_IN_VAIN),
            (FarRequired, scene.everything(), BY_TOKENS),
        ],
    );
}

fn rust(family: Family) {
    let scene = Scene::new(family);
    // It never reads without a token.
    let no_token = "failed: FailedToLoadToken";
    let nothing = |credentials| found(no_token, "none", credentials, no_token);
    let lost = "failed: CredentialsNotLoaded";
    scene.check(
        |guest| guest.rust(),
        &[
            (Optional, scene.everything(), BY_TOKENS),
            (Required, scene.everything(), BY_TOKENS),
            (Disabled, nothing("failed: ProviderError"), NO_WAY),
            (TooFarOptional, nothing(lost), BY_TOKENS),
            (TooFarRequired, nothing(lost), BY_TOKENS),
            (FarRequired, scene.everything(), BY_TOKENS),
        ],
    );
}

fn aws_cli(family: Family) {
    let scene = Scene::new(family);
    for (situation, finds, way) in [
        (Optional, true, BY_TOKENS),
        (Required, true, BY_TOKENS),
        (Disabled, false, NO_WAY),
        (TooFarOptional, true, FALLS_BACK),
        (TooFarRequired, false, FALLS_BACK_IN_VAIN),
        (FarRequired, true, BY_TOKENS),
    ] {
        // Signed with the role's credentials, and sent nowhere.
        let sign = ["s3", "presign", "s3://bucket/key", "--region", "eu-west-2"];
        let (signed, seen) = scene.play(situation, |guest| guest.aws(&sign));
        let names = |value: &str| signed.stdout.contains(value);
        let signs = names(&format!("X-Amz-Credential={ACCESS_KEY_ID}%2F")) && names(SESSION_TOKEN);
        assert_eq!((signs, seen), (finds, way), "{situation:?}: {signed:?}");
        if !finds {
            assert!(signed.stderr.contains("Unable to locate credentials"), "{situation:?}: {signed:?}");
        }
    }
}
