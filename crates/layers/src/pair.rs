/// One number for the rows of an image and one for its columns: from a single number, or from `[rows, columns]`.
///
/// ```
/// use downhill_layers::Pair;
/// assert_eq!(Pair::from(3), Pair::from([3, 3]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Pair<N = usize>(pub [N; 2]);

macro_rules! pair_from {
    ($($number:ident)*) => {
        $(
            impl From<$number> for Pair<$number> {
                fn from(both: $number) -> Self {
                    Self([both; 2])
                }
            }

            impl From<[$number; 2]> for Pair<$number> {
                fn from(pair: [$number; 2]) -> Self {
                    Self(pair)
                }
            }
        )*
    };
}

pair_from!(usize f64);

impl From<usize> for Pair<f64> {
    fn from(both: usize) -> Self {
        Self::from(both as f64)
    }
}
