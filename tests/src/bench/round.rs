//! Rounds in which peers take turns, and what is made of their numbers.

use std::fmt;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rounds of each row.
    pub(super) rounds: usize,
    /// Whether all that matters is that it works.
    pub(super) quick: bool,
}

impl Extent {
    /// A measurement of so many rounds.
    #[must_use]
    pub const fn of(rounds: usize) -> Self {
        Self { rounds, quick: false }
    }

    /// The least that shows whether all of it works.
    #[must_use]
    pub const fn quick() -> Self {
        Self { rounds: 1, quick: true }
    }

    /// So many times as many rounds, but where all that matters is that it works.
    pub(super) const fn times(self, factor: usize) -> Self {
        if self.quick { self } else { Self { rounds: self.rounds * factor, ..self } }
    }

    /// How long a load lasts, in seconds.
    pub(super) const fn seconds(self) -> u32 {
        if self.quick { 1 } else { 2 }
    }

    /// Measures both sides in every round. Who comes first changes, so that neither gains by it.
    pub(super) fn alternate<T>(self, mut ours: impl FnMut() -> T, mut theirs: impl FnMut() -> T) -> Pairs<T> {
        let mut pairs = Vec::with_capacity(self.rounds);
        for round in 0..self.rounds {
            pairs.push(if round % 2 == 0 {
                let ours = ours();
                (ours, theirs())
            } else {
                let theirs = theirs();
                (ours(), theirs)
            });
        }
        Pairs(pairs)
    }
}

/// What both sides showed, round by round: ours and the peer's.
pub(super) struct Pairs<T>(pub(super) Vec<(T, T)>);

impl<T> Pairs<T> {
    /// A number of both sides, and of their ratio.
    pub(super) fn compare(&self, number: impl Fn(&T) -> f64) -> Comparison {
        let of = |side: fn(&(T, T)) -> &T| median(self.0.iter().map(|pair| number(side(pair))).collect());
        let mut ratios: Vec<_> = self.0.iter().map(|(ours, theirs)| number(ours) / number(theirs)).collect();
        ratios.sort_by(f64::total_cmp);
        Comparison {
            ours: of(|pair| &pair.0),
            theirs: of(|pair| &pair.1),
            least: ratios.first().copied().unwrap_or(f64::NAN),
            most: ratios.last().copied().unwrap_or(f64::NAN),
            ratio: median(ratios),
        }
    }
}

/// Medians of both sides, and of the rounds' ratios.
pub(super) struct Comparison {
    pub(super) ours: f64,
    pub(super) theirs: f64,
    ratio: f64,
    least: f64,
    most: f64,
}

impl Comparison {
    /// The ratio beside its aim, of what is better when it is more.
    pub(super) fn beside(&self, aim: f64) -> impl fmt::Display {
        self.told("at least", aim, self.ratio >= aim)
    }

    /// The ratio beside its aim, of what is better when it is less.
    pub(super) fn beside_at_most(&self, aim: f64) -> impl fmt::Display {
        self.told("at most", aim, self.ratio <= aim)
    }

    /// The ratio, where nothing is aimed at.
    pub(super) fn alone(&self) -> impl fmt::Display + use<> {
        let Self { ratio, least, most, .. } = self;
        format!("ratio {ratio:.2} ({least:.2} to {most:.2})")
    }

    fn told(&self, bound: &str, aim: f64, is_reached: bool) -> impl fmt::Display + use<> {
        format!("{}, aim {bound} {aim:.2}: {}", self.alone(), word(is_reached))
    }
}

/// What is said of an aim.
pub(super) const fn word(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "missed" }
}

/// The middle of some numbers, or the mean of the two in the middle.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.get(half) {
        Some(&upper) if numbers.len().is_multiple_of(2) => f64::midpoint(numbers[half - 1], upper),
        Some(&middle) => middle,
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn sides_take_turns_at_being_first() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                if name == 'o' { 3.0 } else { 2.0 }
            }
        };
        let pairs = Extent::of(3).alternate(side('o'), side('t'));
        assert_eq!(*order.borrow(), "ottoot");
        let compared = pairs.compare(|&number| number);
        assert_eq!((compared.ours, compared.theirs, compared.ratio), (3.0, 2.0, 1.5));
        assert!(compared.beside(1.5).to_string().ends_with("reached"));
        assert!(compared.beside(1.51).to_string().ends_with("missed"));
        assert!(compared.beside_at_most(1.5).to_string().ends_with("at most 1.50: reached"));
        assert!(compared.beside_at_most(1.49).to_string().ends_with("missed"));
    }
}
