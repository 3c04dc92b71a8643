use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::Ordering;
use std::thread;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::metadata::document::{Document, PackedDocument};
use crate::metadata::patch;
use crate::registry::fake;

fn opened(scratch: &tempfile::TempDir) -> Store {
    Store::open(scratch.path()).expect("a good store")
}

fn refused(scratch: &tempfile::TempDir) -> StoreError {
    Store::open(scratch.path()).err().expect("refused")
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("scratch directory")
}

#[test]
fn a_store_holds_what_was_written_and_nobody_else_reads_it() {
    let scratch = scratch();
    let (one, two) = (fake::record("i-00000001", &["tap1"]), fake::record("i-00000002", &["tap2", "tap3"]));
    let store = opened(&scratch);
    assert!(store.load().expect("readable").records.is_empty());
    store.insert(&one, Some(b"\0user\xff"), 2).expect("written");
    store.insert(&two, None, 4).expect("written");
    let mut changed = two.clone();
    changed.interfaces.truncate(1);
    store.update([&changed], 5).expect("written");
    drop(store);

    let store = opened(&scratch);
    let contents = store.load().expect("readable");
    assert_eq!((contents.records, contents.next_slot), (vec![one, changed], 5));
    assert_eq!(store.user_data("i-00000001").expect("readable").as_deref(), Some(&b"\0user\xff"[..]));
    assert_eq!(store.user_data("i-00000002").expect("readable"), None);
    store.remove("i-00000001").expect("written");
    assert_eq!(store.user_data("i-00000001").expect("readable"), None);
    assert_eq!(store.load().expect("readable").records.len(), 1);
    assert_eq!(fs::metadata(scratch.path().join(FILE)).expect("there").mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let scratch = scratch();
    drop(opened(&scratch));
    let file = scratch.path().join(FILE);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("owner");
    drop(opened(&scratch));
    assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
}

#[test]
fn a_store_of_another_version_is_refused_by_both_versions() {
    for (version, way_out) in [(SCHEMA + 1, "move the file away"), (SCHEMA - 1, "Remove the file and create")] {
        let scratch = scratch();
        let store = opened(&scratch);
        let other = |transaction: &redb::WriteTransaction| {
            transaction.open_table(META)?.insert(SCHEMA_KEY, version)?;
            Ok(())
        };
        store.handle.write(other).expect("written");
        drop(store);
        let error = refused(&scratch);
        assert!(matches!(error, StoreError::Newer { found, .. } | StoreError::Older { found, .. } if found == version));
        let text = error.to_string();
        assert!(
            text.contains(&format!("schema version {version}")) && text.contains("knows 3") && text.contains(way_out),
            "{text}"
        );
    }
}

#[test]
fn a_store_in_use_is_refused() {
    let scratch = scratch();
    let _first = opened(&scratch);
    assert!(matches!(refused(&scratch), StoreError::InUse { .. }));
}

#[test]
fn a_damaged_store_is_named_and_left_as_it_is() {
    let whole = {
        let scratch = scratch();
        let store = opened(&scratch);
        for number in 0..50 {
            store.insert(&fake::record(&format!("i-{number:08x}"), &["tap1"]), Some(&[7; 900]), 1).expect("written");
        }
        drop(store);
        fs::read(scratch.path().join(FILE)).expect("readable")
    };
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at..at + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
        bytes
    };
    let record = whole.windows(10).rposition(|bytes| bytes == b"i-00000007").expect("in the file");
    let damaged = [b"not a store at all".to_vec(), whole[..whole.len() / 3].to_vec(), flipped(0), flipped(record)];
    for (number, bytes) in damaged.into_iter().enumerate() {
        let scratch = scratch();
        let file = scratch.path().join(FILE);
        fs::write(&file, &bytes).expect("scratch");
        let error = refused(&scratch);
        assert!(matches!(error, StoreError::Damaged { .. }), "{number}: {error}");
        let text = error.to_string();
        assert!(text.contains("imdsd.redb is damaged") && text.contains("move it away"), "{text}");
        assert_eq!(fs::read(&file).expect("readable"), bytes, "{number}: changed");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_named_without_its_content() {
    let scratch = scratch();
    let store = opened(&scratch);
    let broken = |transaction: &redb::WriteTransaction| {
        transaction.open_table(INSTANCES)?.insert("i-0badbad0", &br#"{"instance":"secret"}"#[..])?;
        Ok(())
    };
    store.handle.write(broken).expect("written");
    let text = store.load().expect_err("broken").to_string();
    assert!(text.contains("record i-0badbad0") && !text.contains("secret"), "{text}");
}

/// JSON of any form, some of it deeper than a document may be.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let below = leaf.prop_recursive(4, 32, 4, |below| {
        let member = (any::<String>(), below.clone());
        prop_oneof![
            proptest::collection::vec(below, 0..4).prop_map(Value::from),
            proptest::collection::vec(member, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    (below, 0..140_usize).prop_map(|(value, depth)| (0..depth).fold(value, |value, _| Value::from(vec![value])))
}

proptest! {
    #[test]
    fn what_a_document_takes_is_read_from_the_store_again(value in any_json(), at in 0..4_usize, by_path: bool) {
        let path = ["elastic-gpus/a", "elastic-inference/a/0", "elastic-gpus/a/b/c/d/e/f/g/h", "elastic-gpus/a/b"][at];
        let document = if by_path {
            patch::set(&json!({}), &json!({}), path, &value.to_string())
        } else {
            Document::parse(json!({ "elastic-gpus": { "a": value } }))
        };
        let Ok(document) = document else { return Ok(()) };
        let packed = PackedDocument::try_from(&document).expect("what is parsed can be packed");
        prop_assert_eq!(&packed.unpack(), &document);
        let mut record = fake::record("i-00000001", &["tap1"]);
        record.created_document = Some(packed.clone());
        record.instance.document = packed;
        let read: Record = serde_json::from_slice(&json(&record).expect("JSON")).expect("a record");
        prop_assert_eq!(read, record);
    }
}

#[test]
fn the_deepest_document_is_read_from_the_store_again() {
    let nested = |depth| (0..depth).fold(json!(1), |value, _| json!([value]));
    let gpu = |depth| Document::parse(json!({ "elastic-gpus": { "a": nested(depth) } }));
    let scratch = scratch();
    let store = opened(&scratch);
    let mut record = fake::record("i-00000001", &["tap1"]);
    record.instance.document = (&gpu(14).expect("just deep enough")).try_into().expect("packed");
    store.insert(&record, None, 1).expect("written");
    assert_eq!(store.load().expect("readable").records, [record]);
    for depth in [15, 121, 124, 127] {
        let error = gpu(depth).expect_err("too deep").to_string();
        assert!(error.contains("more than 16 levels deep"), "{error}");
    }
    let mut deeper = gpu(14).expect("just deep enough");
    deeper.elastic_gpus = Some([("a".to_owned().try_into().expect("a name"), nested(15))].into());
    assert!(PackedDocument::try_from(&deeper).is_err());
}

/// The store as it is after the disk has failed it.
fn fail(store: &Store) {
    store.handle.failed.store(true, Ordering::Release);
}

#[test]
fn a_store_that_failed_is_opened_again_but_not_all_the_time() {
    let scratch = scratch();
    let store = opened(&scratch);
    store.insert(&fake::record("i-00000001", &["tap1"]), Some(b"one"), 2).expect("written");
    fail(&store);
    assert_eq!(store.user_data("i-00000001").expect("readable").as_deref(), Some(&b"one"[..]));
    store.insert(&fake::record("i-00000002", &["tap2"]), None, 3).expect("written");
    fail(&store);
    let soon = [store.remove("i-00000001").err(), store.user_data("i-00000001").err()];
    assert!(soon.iter().all(|error| matches!(error, Some(StoreError::Closed { .. }))), "{soon:?}");
    thread::sleep(handle::PAUSE);
    store.remove("i-00000001").expect("written");
    drop(store);
    assert_eq!(opened(&scratch).load().expect("readable").records.len(), 1);
}

#[test]
fn a_store_that_holds_more_than_was_reported_stays_closed() {
    let scratch = scratch();
    let store = opened(&scratch);
    store.insert(&fake::record("i-00000001", &["tap1"]), None, 2).expect("written");
    // As if the last commit had been told as failed.
    store.handle.commits.fetch_sub(1, Ordering::AcqRel);
    for _ in 0..2 {
        fail(&store);
        let error = store.remove("i-00000001").expect_err("unknown contents");
        assert!(matches!(error, StoreError::Ahead { .. }) && error.to_string().contains("restart imdsd"), "{error}");
        thread::sleep(handle::PAUSE);
    }
    drop(store);
    assert_eq!(opened(&scratch).load().expect("readable").records.len(), 1);
}
