//! The difference between what was asked for and what the kernel has, as a list of actions. Pure: nothing is done here.
//!
//! A slot is still an interface's if number, index and both generations are those of the record. Anything else is
//! released and newly assigned, with a new address generation, and with the token generation of what the instance keeps
//! or a new one: a restored store never brings old tokens back to life.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Assignment;
use super::slots::Slots;
use crate::dataplane::{Rules, SlotStatus};

/// Which interface of which instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The instance's id.
    pub instance_id: String,
    /// The interface's place in the instance's list, from 0.
    pub interface: usize,
}

/// What was asked for, of one interface.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// The slot it was given last.
    pub assignment: Option<Assignment>,
    /// The rules that its slot should have.
    pub rules: Rules,
}

/// One step from what is to what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take a slot from whoever has it; `owner` keeps what was counted on it.
    Release {
        /// The slot.
        slot: u16,
        /// Whose it was, when that can be proved.
        owner: Option<Owner>,
    },
    /// Give the slot of an interface that stays the rules that its instance has.
    SetRules {
        /// Whose it is.
        owner: Owner,
        /// The slot.
        slot: u16,
    },
    /// Go on with a slot.
    Keep {
        /// Its owner.
        owner: Owner,
        /// The slot as the kernel has it.
        status: SlotStatus,
    },
    /// The interface isn't there, or is another's: wait for it.
    Absent {
        /// Whose it is.
        owner: Owner,
    },
    /// Give an interface a slot.
    Assign {
        /// Whose it is.
        owner: Owner,
        /// The slot; `None` when all are taken.
        slot: Option<u16>,
    },
}

/// What to do, in this order: all releases first, all assignments last.
///
/// `statuses` is what the kernel has, `present` the index of each interface that is there, `slots` where the next free
/// slot is looked for.
#[must_use]
pub fn plan(wanted: &[Wanted], statuses: &[SlotStatus], present: &BTreeMap<String, u32>, slots: &Slots) -> Vec<Action> {
    // A second interface that leads to the same slot proves that nobody owns it.
    let mut found: BTreeMap<u16, Option<&SlotStatus>> = BTreeMap::new();
    for status in statuses {
        found.entry(status.slot).and_modify(|first| *first = None).or_insert(Some(status));
    }
    let mut owners = BTreeMap::new();
    let mut kept = BTreeSet::new();
    let mut led = BTreeSet::new();
    let mut keeps = Vec::new();
    let mut absent = Vec::new();
    let mut homeless = Vec::new();
    for Wanted { owner, name, assignment, rules } in wanted {
        let index = present.get(name).copied();
        let status = assignment.and_then(|given| {
            let status = found.get(&given.slot).copied().flatten()?;
            // Of two records that claim a slot, as a damaged store may have them, the first has it.
            (given.owns(status) && !owners.contains_key(&status.slot)).then_some(status)
        });
        if let Some(status) = status {
            owners.insert(status.slot, owner);
        }
        match (status, index) {
            (Some(status), Some(index)) if index == status.ifindex => {
                kept.insert(status.slot);
                led.insert(index);
                if status.rules != *rules {
                    keeps.push(Action::SetRules { owner: owner.clone(), slot: status.slot });
                }
                keeps.push(Action::Keep { owner: owner.clone(), status: status.clone() });
            }
            (_, None) => absent.push(Action::Absent { owner: owner.clone() }),
            (_, Some(index)) => homeless.push((owner, index)),
        }
    }
    // A slot that is released now rests until the next plan at least.
    let taken: BTreeSet<u16> = statuses.iter().map(|status| status.slot).collect();
    let mut releases = Vec::new();
    for &slot in taken.difference(&kept) {
        releases.push(Action::Release { slot, owner: owners.get(&slot).map(|&owner| owner.clone()) });
    }
    let mut given = taken;
    // An alternative name may lead to an interface that somebody has already: nobody is put in the place of another.
    let (homeless, late): (Vec<_>, Vec<_>) = homeless.into_iter().partition(|(_, index)| led.insert(*index));
    absent.extend(late.into_iter().map(|(owner, _)| Action::Absent { owner: owner.clone() }));
    let assigns = homeless.into_iter().map(|(owner, _)| {
        let slot = slots.free(&given);
        given.extend(slot);
        Action::Assign { owner: owner.clone(), slot }
    });
    releases.into_iter().chain(keeps).chain(absent).chain(assigns).collect()
}

#[cfg(test)]
mod tests {
    use imds_common::options::{HttpTokens, MetadataOptions, OptionsWord};

    use super::*;

    fn rules(tokens: HttpTokens) -> Rules {
        OptionsWord::new(&MetadataOptions { http_tokens: tokens, ..MetadataOptions::default() }, false).into()
    }

    fn owner(id: &str) -> Owner {
        Owner { instance_id: id.to_owned(), interface: 0 }
    }

    fn given(slot: u16, ifindex: u32, generation: u16) -> Assignment {
        Assignment { slot, ifindex, generation, token_generation: u64::from(generation) << 32 }
    }

    /// An instance behind an interface of its own name.
    fn wanted(id: &str, assignment: Option<Assignment>) -> Wanted {
        Wanted { owner: owner(id), name: id.to_owned(), assignment, rules: rules(HttpTokens::Optional) }
    }

    fn status(assignment: Assignment) -> SlotStatus {
        let Assignment { slot, ifindex, generation, token_generation } = assignment;
        SlotStatus { slot, ifindex, generation, token_generation, rules: rules(HttpTokens::Optional), xdp: None }
    }

    fn run(wanted: &[Wanted], statuses: &[SlotStatus], present: &[(&str, u32)]) -> Vec<Action> {
        let present = present.iter().map(|&(name, index)| (name.to_owned(), index)).collect();
        plan(wanted, statuses, &present, &Slots::new(4, 1))
    }

    #[test]
    fn a_slot_that_is_still_its_owners_is_kept() {
        let a = given(1, 10, 7);
        let actions = run(&[wanted("a", Some(a))], &[status(a)], &[("a", 10)]);
        assert_eq!(actions, [Action::Keep { owner: owner("a"), status: status(a) }]);
    }

    #[test]
    fn other_rules_are_set_before_the_slot_is_kept() {
        let a = given(1, 10, 7);
        let wanted = Wanted { rules: rules(HttpTokens::Required), ..wanted("a", Some(a)) };
        assert_eq!(
            run(&[wanted], &[status(a)], &[("a", 10)]),
            [Action::SetRules { owner: owner("a"), slot: 1 }, Action::Keep { owner: owner("a"), status: status(a) }]
        );
    }

    #[test]
    fn a_new_interface_gets_a_free_slot() {
        assert_eq!(run(&[wanted("a", None)], &[], &[("a", 10)]), [Action::Assign { owner: owner("a"), slot: Some(1) }]);
    }

    #[test]
    fn a_slot_of_other_generations_is_nobodys_and_its_tokens_die() {
        let now = given(1, 10, 7);
        let stale = [
            given(1, 10, 8),
            Assignment { generation: 8, ..now },
            Assignment { token_generation: 1, ..now },
            Assignment { slot: 2, ..now },
        ];
        for stale in stale {
            assert_eq!(
                run(&[wanted("a", Some(stale))], &[status(now)], &[("a", 10)]),
                [Action::Release { slot: 1, owner: None }, Action::Assign { owner: owner("a"), slot: Some(2) }],
                "{stale:?}"
            );
        }
    }

    #[test]
    fn after_a_reboot_everything_is_assigned_anew() {
        let actions = run(&[wanted("a", Some(given(3, 10, 7)))], &[], &[("a", 10)]);
        assert_eq!(actions, [Action::Assign { owner: owner("a"), slot: Some(1) }]);
    }

    #[test]
    fn slots_without_a_record_are_released() {
        let actions = run(&[], &[status(given(2, 10, 7)), status(given(1, 11, 7))], &[]);
        assert_eq!(actions, [Action::Release { slot: 1, owner: None }, Action::Release { slot: 2, owner: None }]);
    }

    #[test]
    fn a_vanished_interface_gives_its_slot_back_and_keeps_its_counts() {
        let a = given(1, 10, 7);
        assert_eq!(
            run(&[wanted("a", Some(a))], &[status(a)], &[]),
            [Action::Release { slot: 1, owner: Some(owner("a")) }, Action::Absent { owner: owner("a") }]
        );
        assert_eq!(run(&[wanted("a", None)], &[], &[]), [Action::Absent { owner: owner("a") }]);
    }

    #[test]
    fn an_interface_that_came_back_under_another_index_is_assigned_anew_on_another_slot() {
        let a = given(1, 10, 7);
        assert_eq!(
            run(&[wanted("a", Some(a))], &[status(a)], &[("a", 12)]),
            [Action::Release { slot: 1, owner: Some(owner("a")) }, Action::Assign { owner: owner("a"), slot: Some(2) }]
        );
    }

    #[test]
    fn a_slot_and_an_interface_that_two_claim_go_to_the_first() {
        let a = given(1, 10, 7);
        let keep = Action::Keep { owner: owner("a"), status: status(a) };
        let other = Wanted { name: "a".to_owned(), ..wanted("b", Some(a)) };
        assert_eq!(
            run(&[wanted("a", Some(a)), other], &[status(a)], &[("a", 10)]),
            [keep.clone(), Action::Absent { owner: owner("b") }]
        );
        assert_eq!(
            run(&[wanted("0", None), wanted("a", Some(a))], &[status(a)], &[("a", 10), ("0", 10)]),
            [keep, Action::Absent { owner: owner("0") }]
        );
        assert_eq!(
            run(&[wanted("a", None), wanted("b", None)], &[], &[("a", 10), ("b", 10)]),
            [Action::Absent { owner: owner("b") }, Action::Assign { owner: owner("a"), slot: Some(1) }]
        );
    }

    #[test]
    fn a_slot_that_two_interfaces_lead_to_is_kept_by_none() {
        let a = given(1, 10, 7);
        let statuses = [status(a), SlotStatus { ifindex: 11, ..status(a) }];
        assert_eq!(
            run(&[wanted("a", Some(a))], &statuses, &[("a", 10)]),
            [Action::Release { slot: 1, owner: None }, Action::Assign { owner: owner("a"), slot: Some(2) }]
        );
    }

    #[test]
    fn two_new_interfaces_get_two_slots_and_a_third_too_many_gets_none() {
        let a = given(3, 10, 7);
        let actions = run(
            &[wanted("a", Some(a)), wanted("b", None), wanted("c", None), wanted("d", None)],
            &[status(a)],
            &[("a", 10), ("b", 11), ("c", 12), ("d", 13)],
        );
        let slots: Vec<_> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Assign { owner, slot } => Some((owner.instance_id.as_str(), *slot)),
                _ => None,
            })
            .collect();
        assert_eq!(slots, [("b", Some(1)), ("c", Some(2)), ("d", None)]);
    }
}
