use super::*;

/// A check.
type Check = fn(&str) -> Checked<'_>;

/// A field, under the name of its type in documents if it has one; values that it takes, and others.
pub(in crate::metadata) struct Case {
    pub(in crate::metadata) name: &'static str,
    check: Check,
    pub(in crate::metadata) good: Vec<String>,
    pub(in crate::metadata) bad: Vec<String>,
}

pub(in crate::metadata) fn cases() -> Vec<Case> {
    let long = "a".repeat(300);
    let cases: [(&'static str, Check, &[&str], &[&str]); 18] = [
        (
            "instance id",
            instance_id,
            &["i-1234abcd", "i-0123456789abcdef0"],
            &["", "i-", "i-1234ABCD", "i-1234567", "i-123456789", "1234abcd", "i-1234abcg", "i-1234abcd\n", &long],
        ),
        (
            "ImageId",
            image_id,
            &["ami-00000000000000000", "ami-debian-12"],
            &["", "ami-", "ami-A", "debian", "ami-a/b", &long],
        ),
        (
            "InstanceType",
            instance_type,
            &["t3.micro", "u-6tb1.56xlarge"],
            &["", "t3", ".micro", "t3.", "t3.mi cro", "T3.micro", &long],
        ),
        (
            "AvailabilityZone",
            availability_zone,
            &["us-east-1a", "us-west-2-lax-1a", "us-east-1-wl1-bos-wlz-1"],
            &[
                "",
                "a",
                "us-east-1",
                "us-east-1-wl1-",
                "us-east-1-2",
                "us-east-1-wl1/a-1",
                "us-east-a",
                "US-EAST-1A",
                "us-east-1\n",
                "us/east-1a",
                "1a",
                "-1a",
                &long,
            ],
        ),
        ("AccountId", account_id, &["000000000000"], &["", "12345678901", "1234567890123", "12345678901x"]),
        (
            "Hostname",
            hostname,
            &["a", "ip-10-0-0-1.ec2.internal"],
            &["", ".", "a..b", "-a", "a-", "a_b", "a b", "a\r\nb", &long],
        ),
        (
            "PublicHostname",
            public_hostname,
            &["", "ec2-1-2-3-4.compute-1.amazonaws.com"],
            &[" ", ".", "a..b", "-a", &long],
        ),
        ("RoleName", role, &["app", "a_b+c=d,e.f@g-h"], &["", "a/b", "a b", "ä", &long]),
        ("interface", interface, &["veth0", "tap-1.2"], &["", ".", "..", "a/b", "a b", "a\n", &long]),
        ("Name", name, &["eni-1", "Ab.c_d:e=f"], &["", ".", "..", "a/b", "a b", "ä", "a%", &long]),
        ("Line", line, &["a b", "ä/?#", &"ä".repeat(4096)], &["", "a\n", "a\u{7f}", &"a".repeat(4097)]),
        ("Lines", lines, &["a\r\n\tb"], &["", "a\0", &"a".repeat(16_385)]),
        (
            "Mac",
            mac,
            &["02:00:00:00:00:ff"],
            &["", "02:00:00:00:00", "02:00:00:00:00:FF", "2:0:0:0:0:1", "02-00-00-00-00-01"],
        ),
        (
            "Cidr",
            cidr,
            &["10.0.0.0/16", "fd00::/64", "0.0.0.0/0"],
            &["", "10.0.0.0", "10.0.0.0/33", "fd00::/129", "a/1", "10.0.0.0/+8"],
        ),
        (
            "KeyName",
            key_name,
            &["my-key", "a@b!", "a b", "a/b?c#d%", "~", &"k".repeat(255)],
            &["", " a", "a ", " ", "a\tb", "a\n", "ä", &long],
        ),
        (
            "Base64",
            base64,
            &["QQ==", "QUI=", "QUJD", "QU\nI=\n", "QUJDQUI="],
            &["", "\n", "Q", "QQ", "QQ=", "=", "QQ==QQ==", "QU-_", "QU I=", &"QUJD".repeat(4097)],
        ),
        ("TagKey", tag_key, &["Name", "a b/c", &"ä".repeat(128)], &["", "k\0", "k\n", &"k".repeat(129)]),
        ("TagValue", tag_value, &["", "a b", &"ä".repeat(256)], &["\n", "\u{85}", &"v".repeat(257)]),
    ];
    let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    cases.into_iter().map(|(name, check, good, bad)| Case { name, check, good: owned(good), bad: owned(bad) }).collect()
}

#[test]
fn fields_take_what_looks_right_and_nothing_else() {
    for Case { name, check, good, bad } in cases() {
        for value in &good {
            assert_eq!(check(value), Ok(value.as_str()), "{name}");
        }
        for value in &bad {
            let error = check(value).expect_err(value).to_string();
            assert!(error.contains(" is malformed: it is ") && !error.contains(char::is_control), "{error}");
        }
    }
}

#[test]
fn tags_are_as_many_as_ec2_takes() {
    let keys = |count, more: &[&'static str]| tag_count(std::iter::repeat_n("Name", count).chain(more.iter().copied()));
    assert_eq!(keys(50, &["aws:autoscaling:groupName", "aws:ec2:fleet-id"]), Ok(()));
    for more in ["aws", "AWS:a", "a:aws:"] {
        assert_eq!(keys(50, &[more]), Err(FieldError::TooManyTags { count: 51 }), "{more}");
    }
}

#[test]
fn credentials_are_checked_and_never_shown() {
    let good = Credentials {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "wJalr/secret".into(),
        token: "token+/=".into(),
        expiration: "2030-01-31T12:00:00Z".into(),
    };
    assert_eq!(credentials(&good), Ok(()));
    let bad = [
        Credentials { access_key_id: String::new(), ..good.clone() },
        Credentials { secret_access_key: "wJalr secret".into(), ..good.clone() },
        Credentials { token: "to\nken".into(), ..good.clone() },
    ];
    for (bad, member) in bad.iter().zip(["AccessKeyId", "SecretAccessKey", "Token"]) {
        let error = credentials(bad).expect_err(member);
        assert_eq!(error, FieldError::Credentials { member });
        assert!(!error.to_string().contains("wJalr") && !error.to_string().contains("to\n"), "{error}");
    }
    for expiration in ["", "tomorrow", "2030-02-30T00:00:00Z", "2030-01-31T12:00:00", "2030-01-31T12:00:00+00:00"] {
        let bad = Credentials { expiration: expiration.into(), ..good.clone() };
        assert_eq!(credentials(&bad), Err(FieldError::Expiration), "{expiration}");
    }
}

#[test]
fn user_data_is_base64_of_at_most_16_kib() {
    assert_eq!(user_data("aGk="), Ok(b"hi".to_vec()));
    assert_eq!(user_data(""), Ok(Vec::new()));
    for bad in ["aGk", "a Gk=", "_-==", "\n"] {
        assert_eq!(user_data(bad), Err(FieldError::UserDataEncoding), "{bad:?}");
    }
    let largest = BASE64_STANDARD.encode(vec![0; USER_DATA_MAX]);
    assert_eq!(user_data(&largest).map(|data| data.len()), Ok(USER_DATA_MAX));
    let larger = BASE64_STANDARD.encode(vec![0; USER_DATA_MAX + 1]);
    assert_eq!(user_data(&larger), Err(FieldError::UserDataTooLarge { bytes: USER_DATA_MAX + 1 }));
}
