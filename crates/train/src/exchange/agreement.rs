//! What all ranks must have in common: results, errors, settings and weights.

use downhill_network::Network;
use downhill_tensor::Scalar;

use super::Exchange;
use crate::TrainError;

/// An error of ranks whose programs are not the same.
pub(crate) fn garbled() -> TrainError {
    TrainError::Exchange("a rank has sent what no rank of this version sends".into())
}

/// Brings a result to all ranks: that of this rank if all have one, and an error if any has.
pub(crate) fn agree<T: Scalar, R>(
    exchange: Option<&mut Exchange<'_, T>>,
    what: &str,
    own: Result<R, TrainError>,
) -> Result<R, TrainError> {
    let Some(exchange) = exchange else { return own };
    let (own, told) = match own {
        Ok(own) => (Some(own), Ok(Vec::new())),
        Err(error) => (None, Err(error)),
    };
    share(exchange, what, told)?;
    own.ok_or_else(garbled)
}

/// Returns the bytes of all ranks, or an error if any has one: that of this rank, unless another knows better what is to
/// blame.
pub(crate) fn share<T: Scalar>(
    exchange: &mut Exchange<'_, T>,
    what: &str,
    own: Result<Vec<u8>, TrainError>,
) -> Result<Vec<Vec<u8>>, TrainError> {
    let (mut told, knowledge) = match &own {
        Ok(bytes) => (bytes.clone(), 0),
        Err(error) => (error.to_string().into_bytes(), error.knowledge()),
    };
    told.push(knowledge);
    let mut all = exchange.gather(what, &told).map_err(TrainError::Exchange)?;
    let known: Vec<u8> = all.iter_mut().map(Vec::pop).collect::<Option<_>>().ok_or_else(garbled)?;
    let most = known.iter().copied().max().unwrap_or_default();
    match (own, known.iter().position(|&known| known == most)) {
        (Err(error), _) if knowledge == most => Err(error),
        (_, Some(rank)) if most > 0 => Err(TrainError::of_rank(rank, &all[rank])),
        _ => Ok(all),
    }
}

/// Checks that a fact about the run is the same on all ranks; each has a name and a text of any number of lines.
pub(crate) fn compare<T: Scalar>(exchange: &mut Exchange<'_, T>, facts: &[(&str, String)]) -> Result<(), TrainError> {
    let own: Vec<String> = facts.iter().map(|(name, value)| format!("{name}\x1f{value}")).collect();
    let all = exchange.gather("the version, the network, the data and the settings", own.join("\x1e").as_bytes());
    let all: Vec<String> =
        all.map_err(TrainError::Exchange)?.iter().map(|facts| String::from_utf8_lossy(facts).into_owned()).collect();
    let Some((first, others)) = all.split_first() else { return Ok(()) };
    match (1..).zip(others).find(|(_, other)| *other != first) {
        Some((rank, other)) => Err(TrainError::RanksDiffer { rank, difference: difference(first, other) }),
        None => Ok(()),
    }
}

/// Names the first fact that differs, by the first of its lines that does.
fn difference(first: &str, other: &str) -> String {
    let facts = |all: &str| -> Vec<(String, String)> {
        let fact = |fact: &str| fact.split_once('\x1f').map(|(name, value)| (name.to_owned(), value.to_owned()));
        all.split('\x1e').filter_map(fact).collect()
    };
    let (first, other) = (facts(first), facts(other));
    let find = |facts: &[(String, String)], name: &str| {
        facts.iter().find(|(known, _)| known == name).map_or("nothing".to_owned(), |(_, value)| value.clone())
    };
    for (name, _) in first.iter().chain(&other) {
        let (a, b) = (find(&first, name), find(&other, name));
        if a != b {
            let mut lines =
                a.lines().chain(std::iter::repeat("nothing")).zip(b.lines().chain(std::iter::repeat("nothing")));
            let (a, b) = lines.find(|(a, b)| a != b).unwrap_or_default();
            return format!("{name}: `{}` there and `{}` on rank 0", b.trim(), a.trim());
        }
    }
    "the order of its settings".into()
}

/// A checksum of the bits of numbers (FNV-1a over words of 64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(crate) fn word(self, word: u64) -> Self {
        // The fold brings high bits down, which a product alone moves only up.
        let mixed = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        Self(mixed ^ mixed >> 29)
    }

    pub(crate) fn numbers<T: Scalar>(self, numbers: &[T]) -> Self {
        numbers.iter().fold(self, |sum, x| sum.word(x.to_f64().to_bits()))
    }

    pub(crate) fn of<T: Scalar>(network: &Network<T>) -> Self {
        Self::EMPTY.numbers(network.parameters()).numbers(network.statistics())
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fact_that_differs_is_named_by_its_line() {
        let facts = |network: &str, rate: &str| format!("the network\x1f{network}\x1ethe learning rate\x1f{rate}");
        assert_eq!(difference(&facts("a\nb", "1"), &facts("a\nc", "2")), "the network: `c` there and `b` on rank 0");
        assert_eq!(difference(&facts("a", "1"), &facts("a\nb", "1")), "the network: `b` there and `nothing` on rank 0");
        let other = facts("a", "1") + "\x1eclipping\x1fnorm";
        assert_eq!(difference(&facts("a", "1"), &other), "clipping: `norm` there and `nothing` on rank 0");
    }

    #[test]
    fn a_checksum_tells_numbers_and_their_order_apart() {
        let of = |numbers: &[f64]| Checksum::EMPTY.numbers(numbers);
        assert_eq!(of(&[1.0, 2.0]), of(&[1.0, 2.0]));
        for other in
            [&[2.0, 1.0][..], &[1.0], &[1.0, 2.0, 0.0], &[-1.0, 2.0], &[1.0, f64::from_bits(2.0_f64.to_bits() + 1)]]
        {
            assert_ne!(of(&[1.0, 2.0]), of(other));
        }
    }
}
