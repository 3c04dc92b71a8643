use std::fs;
use std::path::Path;
use std::process::Command;

use x509_cert::der::Decode as _;

use super::*;

const DOCUMENT: &str = "{\n  \"instanceId\" : \"i-0123456789abcdef0\"\n}";

fn identity() -> Identity {
    sample::authority().sign(DOCUMENT.to_owned()).expect("signed")
}

fn trusted() -> Certificates {
    Certificates::from_pem(&[sample::RSA, sample::DSA].concat()).expect("two certificates")
}

fn claims(identity: &Identity) -> [(Claim, &str); 3] {
    [(Claim::Signature, &identity.signature), (Claim::Pkcs7, &identity.pkcs7), (Claim::Rsa2048, &identity.rsa2048)]
}

/// Runs a line of the documentation in a directory; what it prints.
fn openssl(directory: &Path, line: &str) -> Result<String, String> {
    let output = Command::new("sh").args(["-c", line]).current_dir(directory).output().expect("sh runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn signatures_are_the_same_bytes_every_time() {
    let identity = identity();
    assert_eq!(identity.document, DOCUMENT);
    assert_eq!(sample::authority().sign(DOCUMENT.to_owned()).expect("signed"), identity);
    for (claim, text) in claims(&identity) {
        assert!(!text.ends_with('\n') && text.lines().all(|line| line.len() <= 64), "{}", claim.name());
    }
}

#[test]
fn each_signature_is_good_for_its_document_alone() {
    let (identity, trusted) = (identity(), trusted());
    for (claim, text) in claims(&identity) {
        let name = claim.name();
        assert_eq!(trusted.verify(claim, DOCUMENT.as_bytes(), text), Ok(()), "{name}");
        let armoured = format!("-----BEGIN PKCS7-----\n{text}\n-----END PKCS7-----\n");
        assert_eq!(trusted.verify(claim, DOCUMENT.as_bytes(), &armoured), Ok(()), "{name}");
        let other = format!("{DOCUMENT}\n");
        let wrong = if claim == Claim::Signature { VerifyError::Bad } else { VerifyError::OtherDocument };
        assert_eq!(trusted.verify(claim, other.as_bytes(), text), Err(wrong), "{name}");
        assert_eq!(trusted.verify(claim, DOCUMENT.as_bytes(), "no base64!"), Err(VerifyError::Encoding), "{name}");
    }
    assert_eq!(trusted.verify(Claim::Rsa2048, DOCUMENT.as_bytes(), &identity.pkcs7), Err(VerifyError::Message));
    assert_eq!(trusted.verify(Claim::Pkcs7, DOCUMENT.as_bytes(), &identity.rsa2048), Err(VerifyError::Message));
    assert_eq!(trusted.verify(Claim::Pkcs7, DOCUMENT.as_bytes(), &identity.signature), Err(VerifyError::Message));
}

#[test]
fn no_altered_byte_of_a_message_is_good() {
    let (identity, trusted) = (identity(), trusted());
    for (claim, text) in [(Claim::Pkcs7, &identity.pkcs7), (Claim::Rsa2048, &identity.rsa2048)] {
        let bytes = armour::decode(text).expect("base64");
        let read = signed_data::Opened::read(claim.algorithm(), &bytes).expect("a message");
        let length = read.signature.len();
        // The signature's own bytes cost a computation each, so only some of them; nothing stands behind them.
        let signature = (bytes.len() - length..bytes.len()).step_by(length / 8);
        for place in (0..bytes.len() - length).step_by(3).chain(signature) {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let altered = armour::encode(&altered);
            // What names algorithms and versions isn't covered; then the document and its digest are as they were.
            if trusted.verify(claim, DOCUMENT.as_bytes(), &altered).is_ok() {
                let read = signed_data::Opened::read(claim.algorithm(), &armour::decode(&altered).expect("base64"));
                let read = read.expect("a good message is one");
                assert!(read.document == DOCUMENT.as_bytes() && read.covers_document(claim.algorithm()), "{place}");
            }
        }
        assert!(!read.document.is_empty() && read.covers_document(claim.algorithm()));
    }
}

#[test]
fn a_message_without_the_digest_of_its_document_is_bad() {
    // A good signature over the attributes of another document, beside this one.
    let other = sample::authority().sign(DOCUMENT.replace("abcdef0", "abcdef1")).expect("signed");
    for (claim, text) in [(Claim::Pkcs7, &other.pkcs7), (Claim::Rsa2048, &other.rsa2048)] {
        let bytes = armour::decode(text).expect("base64");
        let at = bytes.windows(8).position(|window| window == b"abcdef1\"").expect("the document is in it");
        let mut swapped = bytes;
        swapped[at + 6] = b'0';
        let swapped = armour::encode(&swapped);
        assert_eq!(trusted().verify(claim, DOCUMENT.as_bytes(), &swapped), Err(VerifyError::Bad), "{}", claim.name());
    }
}

#[test]
fn nobody_else_signs() {
    let identity = identity();
    let (rsa, dsa) = (Certificates::from_pem(sample::RSA), Certificates::from_pem(sample::DSA));
    let (rsa, dsa) = (rsa.expect("a certificate"), dsa.expect("a certificate"));
    let check = |trusted: &Certificates, claim, text: &str| trusted.verify(claim, DOCUMENT.as_bytes(), text);
    assert_eq!(check(&rsa, Claim::Pkcs7, &identity.pkcs7), Err(VerifyError::NoCertificate(Algorithm::DsaSha1)));
    assert_eq!(
        check(&dsa, Claim::Signature, &identity.signature),
        Err(VerifyError::NoCertificate(Algorithm::RsaSha256))
    );
    let stranger = Signer::generate(Algorithm::RsaSha256).expect("a key");
    let strangers = Certificates::from_pem(stranger.certificate_pem()).expect("a certificate");
    assert_eq!(check(&strangers, Claim::Signature, &identity.signature), Err(VerifyError::Bad));
    assert_eq!(check(&strangers, Claim::Rsa2048, &identity.rsa2048), Err(VerifyError::OtherSigner));
    // Signed by the stranger under the known certificate's name.
    let known = Signer::from_pem(Algorithm::RsaSha256, sample::RSA).expect("a good key");
    let posed = signed_data::seal(&stranger, DOCUMENT.as_bytes()).expect("sealed");
    let name = |signer: &Signer| {
        let certificate = signer.certificate().tbs_certificate();
        (certificate.issuer().clone(), certificate.serial_number().clone())
    };
    let mut message: cms::signed_data::SignedData =
        cms::content_info::ContentInfo::from_der(&posed).expect("a message").content.decode_as().expect("signed data");
    let mut info = message.signer_infos.0.as_slice()[0].clone();
    let (issuer, serial_number) = name(&known);
    info.sid = cms::signed_data::SignerIdentifier::IssuerAndSerialNumber(cms::cert::IssuerAndSerialNumber {
        issuer,
        serial_number,
    });
    message.signer_infos = vec![info].try_into().expect("one");
    let content = x509_cert::der::Any::encode_from(&message).expect("encoded");
    let posed =
        cms::content_info::ContentInfo { content_type: x509_cert::der::oid::db::rfc5911::ID_SIGNED_DATA, content };
    let posed = armour::encode(&x509_cert::der::Encode::to_der(&posed).expect("encoded"));
    assert_eq!(check(&rsa, Claim::Rsa2048, &posed), Err(VerifyError::Bad));
}

#[test]
fn new_keys_are_read_back_and_sign() {
    for algorithm in [Algorithm::RsaSha256, Algorithm::DsaSha1] {
        let made = Signer::generate(algorithm).expect("a key");
        let read = Signer::from_pem(algorithm, &made.to_pem().expect("written")).expect("read back");
        assert_eq!(read.certificate_pem(), made.certificate_pem());
        let message = b"message";
        assert_eq!(read.sign(message).expect("signed"), made.sign(message).expect("signed"));
        // OpenSSL takes the certificate for what it is: signed by its own key, without an end.
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("c.pem"), made.certificate_pem()).expect("written");
        let shown = openssl(directory.path(), "openssl x509 -in c.pem -noout -text -certopt no_pubkey,no_sigdump");
        let shown = shown.expect("a certificate");
        for words in [format!("CN = imdsd instance identity ({algorithm})"), "Not After : Dec 31 23:59:59 9999".into()]
        {
            assert!(shown.contains(&words), "{words}: {shown}");
        }
        openssl(directory.path(), "openssl verify -no-CApath -CAfile c.pem -check_ss_sig -auth_level 0 c.pem")
            .expect("signed by its own key");
    }
}

#[test]
fn a_file_that_is_no_signer_is_refused_with_a_reason() {
    let certificate = |text: &str| armour::sections(text, "CERTIFICATE").next().expect("one").to_owned();
    let key = |text: &str| armour::sections(text, "PRIVATE KEY").next().expect("one").to_owned();
    let rsa = Algorithm::RsaSha256;
    let cases = [
        (rsa, String::new(), "no section PRIVATE KEY"),
        (rsa, sample::RSA.replace("PRIVATE KEY", "RSA PRIVATE KEY"), "no section PRIVATE KEY"),
        (rsa, key(sample::RSA), "no section CERTIFICATE"),
        (rsa, sample::DSA.to_owned(), "can't be read as one of RSA"),
        (Algorithm::DsaSha1, sample::RSA.to_owned(), "can't be read as one of DSA"),
        (rsa, key(sample::RSA) + "\n" + &certificate(sample::DSA), "of another key"),
        (rsa, sample::RSA.replacen("MII", "MIJ", 1), "can't be read as one of RSA"),
    ];
    for (algorithm, text, reason) in cases {
        let message = Signer::from_pem(algorithm, &text).expect_err(reason).to_string();
        assert!(message.contains(reason), "{message}");
        assert!(!message.contains(&key(sample::RSA)[40..60]), "{message}");
    }
    let signer = |text| Signer::from_pem(rsa, text).expect("a good key");
    let error = Authority::new(signer(sample::RSA), signer(sample::RSA)).expect_err("two of a kind");
    assert!(matches!(error, SignerError::Algorithm(Algorithm::DsaSha1)), "{error}");
    let shown = format!("{:?} {:?}", signer(sample::RSA), sample::authority());
    assert_eq!(shown, "Signer { .. } Authority { .. }");
}

#[test]
fn weak_keys_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let line = "openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=weak -keyout - -out -";
    let weak = openssl(directory.path(), line).expect("a key");
    let message = Signer::from_pem(Algorithm::RsaSha256, &weak).expect_err("weak").to_string();
    assert_eq!(message, "its RSA key has 1024 bits, 2048 to 4096 are taken");
}
