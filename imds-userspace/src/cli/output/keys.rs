//! What a rotation of the keys came to.

use super::table::printable;
use crate::registry::view::KeysView;

/// Which tokens are good now, and which not; a line each.
pub(super) fn rotated(keys: &KeysView) -> String {
    let KeysView { key, previous, ended, next_rotation } = keys;
    let mut text = format!("key {key} signs from now on; tokens of key {previous} stay good\n");
    if let Some(ended) = ended {
        text += &format!("tokens of key {ended} are ended\n");
    }
    text + &format!("a further rotation ends no good token from {} on\n", printable(next_rotation))
}
