use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;
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
        store.write(other).expect("written");
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
    store.write(broken).expect("written");
    let text = store.load().expect_err("broken").to_string();
    assert!(text.contains("record i-0badbad0") && !text.contains("secret"), "{text}");
}
