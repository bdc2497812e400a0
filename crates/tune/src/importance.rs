//! Permutation importance of columns.

use downhill_data::{DataError, Dataset};
use downhill_losses::Loss;
use downhill_network::Network;
use downhill_tensor::{Scalar, Seed, Stream};
use downhill_train::{Metric, NO_METRICS, TrainError, evaluate};

/// A measure of what each column of a table contributes: how much worse a network judges if the column's numbers are
/// shuffled among the examples.
///
/// Columns are the numbers of the first input. Columns that belong together, such as those of one category, are shuffled
/// together if they are named as a [`group`](Self::group). What a column is worth depends on the others: of two that say
/// the same, each can be replaced by the other, and both seem worth little. Judge on data that the network was not trained
/// on, unless it is to be seen what it has learnt by heart.
///
/// Source: Breiman 2001; Fisher, Rudin and Dominici 2019; as scikit-learn's `permutation_importance`.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::Affine;
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::Network;
/// use downhill_tensor::Seed;
/// use downhill_tune::PermutationImportance;
/// use ndarray::array;
///
/// // y = 2 a, whatever b is.
/// let data = Dataset::from_array(array![[0.0, 5.0], [1.0, 3.0], [2.0, 4.0], [3.0, 1.0]], array![0.0, 2.0, 4.0, 6.0])?;
/// let data = data.with_feature_names(["a", "b"])?;
/// let mut network = Network::<f64>::build([2], Affine::new(1), Seed(1))?;
/// network.parameters_mut().copy_from_slice(&[2.0, 0.0, 0.0]);
///
/// let importances = PermutationImportance::new().repeats(20).measure(&network, &MeanSquaredError::new(), &data)?;
/// let [a, b] = &importances.columns[..] else { return Err("there are two columns".into()) };
/// assert_eq!(a.name, "a");
/// assert!(a.mean > 1.0);
/// assert_eq!((b.mean, b.deviation), (0.0, 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationImportance {
    repeats: u64,
    seed: Seed,
    groups: Vec<(String, Vec<usize>)>,
}

impl Default for PermutationImportance {
    fn default() -> Self {
        Self { repeats: 5, seed: Seed(0), groups: Vec::new() }
    }
}

/// What all columns contribute, in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Importances {
    /// The loss or the metric of the data as they are.
    pub score: f64,
    /// The columns that stand alone and the groups, each at the place of its first column.
    pub columns: Vec<Importance>,
}

/// What a column, or a group of columns, contributes.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Importance {
    /// The name of the group or of the column, or `column 3` if it has none.
    pub name: String,
    /// The columns, counted from 0.
    pub columns: Vec<usize>,
    /// By how much the score was worse on average: a loss larger, or a metric worse in its direction.
    pub mean: f64,
    /// The standard deviation of that over the repeats: the root of its mean squared distance from the mean.
    pub deviation: f64,
    /// By how much the score was worse at each repeat.
    pub repeats: Vec<f64>,
}

impl Importances {
    /// The columns and groups, those that contribute most first.
    #[must_use]
    pub fn ranked(&self) -> Vec<&Importance> {
        let mut ranked: Vec<&Importance> = self.columns.iter().collect();
        ranked.sort_by(|a, b| b.mean.total_cmp(&a.mean));
        ranked
    }
}

/// An error of measuring importances.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportanceError {
    /// The network can't be judged on the data.
    #[error(transparent)]
    Evaluation(#[from] TrainError),
    /// The data can't be shuffled.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There are no repeats.
    #[error("importances are measured with 0 repeats, but at least one is needed; set `repeats`")]
    NoRepeats,
    /// A group without columns.
    #[error("the group `{0}` has no columns; leave it out")]
    EmptyGroup(String),
    /// A group has a column that the data do not have.
    #[error("the group `{group}` has the column {column}, but the data have {columns} columns, counted from 0")]
    NoColumn {
        /// The name of the group.
        group: String,
        /// The column.
        column: usize,
        /// The number of columns of the data.
        columns: usize,
    },
    /// A column stands twice in the groups.
    #[error("the column {column} stands in the group `{first}` and again in `{second}`; name it once")]
    InTwoGroups {
        /// The column.
        column: usize,
        /// The group that has it first.
        first: String,
        /// The group that has it again, which may be the same.
        second: String,
    },
}

/// Columns that are shuffled together, with their name.
type Group = (String, Vec<usize>);

impl PermutationImportance {
    /// Measures every column alone, five times.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how often each column is shuffled anew; 5 unless set.
    #[must_use]
    pub fn repeats(mut self, repeats: u64) -> Self {
        self.repeats = repeats;
        self
    }

    /// Sets the seed of the orders.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Shuffles these columns together, counted from 0, such as the one-hot columns of a category. Each example then keeps a
    /// combination that occurs.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>, columns: impl IntoIterator<Item = usize>) -> Self {
        self.groups.push((name.into(), columns.into_iter().collect()));
        self
    }

    /// Measures by the loss on `data`.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid, or if the data do not fit the network or the loss.
    pub fn measure<T: Scalar>(
        &self,
        network: &Network<T>,
        loss: &impl Loss,
        data: &Dataset<T>,
    ) -> Result<Importances, ImportanceError> {
        self.run(data, 1.0, |data| Ok(evaluate(network, loss, data, NO_METRICS)?.loss))
    }

    /// Measures by a metric on `data`, which reads the outputs as `loss` does.
    ///
    /// # Errors
    /// Returns the errors of [`measure`](Self::measure), and an error if the metric can't judge the data.
    pub fn measure_by<T: Scalar>(
        &self,
        mut metric: impl Metric<T>,
        network: &Network<T>,
        loss: &impl Loss,
        data: &Dataset<T>,
    ) -> Result<Importances, ImportanceError> {
        let sign = if metric.larger_is_better() { -1.0 } else { 1.0 };
        self.run(data, sign, |data| {
            evaluate(network, loss, data, [&mut metric])?;
            Ok(metric.value())
        })
    }

    /// `sign` is 1 if a larger score is a worse one, and -1 otherwise.
    fn run<T: Scalar>(
        &self,
        data: &Dataset<T>,
        sign: f64,
        mut score: impl FnMut(&Dataset<T>) -> Result<f64, TrainError>,
    ) -> Result<Importances, ImportanceError> {
        if self.repeats == 0 {
            return Err(ImportanceError::NoRepeats);
        }
        let groups = self.all_groups(data)?;
        let whole = score(data)?;
        let mut columns = Vec::new();
        for (name, together) in groups {
            let (first, mut repeats) = (together.iter().copied().min().unwrap_or(0), Vec::new());
            for repeat in 0..self.repeats {
                // A stream for each first column, so that the other groups do not matter.
                let mut stream = self.seed.derive(first as u64).stream(repeat);
                repeats.push(sign * (score(&shuffled(data, &together, &mut stream)?)? - whole));
            }
            let count = repeats.len() as f64;
            let mean = repeats.iter().sum::<f64>() / count;
            let variance = repeats.iter().map(|worse| (worse - mean).powi(2)).sum::<f64>() / count;
            columns.push(Importance { name, columns: together, mean, deviation: variance.sqrt(), repeats });
        }
        Ok(Importances { score: whole, columns })
    }

    /// The groups, and every other column alone, in the order of their first columns.
    fn all_groups<T: Scalar>(&self, data: &Dataset<T>) -> Result<Vec<Group>, ImportanceError> {
        let columns = data.input_shape().len();
        let mut group_of: Vec<Option<&str>> = vec![None; columns];
        for (group, together) in &self.groups {
            if together.is_empty() {
                return Err(ImportanceError::EmptyGroup(group.clone()));
            }
            for &column in together {
                match group_of.get_mut(column) {
                    None => return Err(ImportanceError::NoColumn { group: group.clone(), column, columns }),
                    Some(Some(first)) => {
                        let (first, second) = ((*first).to_owned(), group.clone());
                        return Err(ImportanceError::InTwoGroups { column, first, second });
                    }
                    Some(free) => *free = Some(group),
                }
            }
        }
        let names = data.feature_names();
        let name = |column: usize| names.get(column).cloned().unwrap_or_else(|| format!("column {column}"));
        let alone = (0..columns).filter(|&column| group_of[column].is_none());
        let mut groups: Vec<Group> = alone.map(|column| (name(column), vec![column])).collect();
        groups.extend(self.groups.iter().cloned());
        groups.sort_by_key(|(_, columns)| columns.iter().copied().min());
        Ok(groups)
    }
}

/// The data with the numbers of these columns in another order of examples.
fn shuffled<T: Scalar>(data: &Dataset<T>, columns: &[usize], stream: &mut Stream) -> Result<Dataset<T>, DataError> {
    // Fisher and Yates
    let mut order: Vec<usize> = (0..data.len()).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, ((stream.uniform() * (last + 1) as f64) as usize).min(last));
    }
    let (all, width, mut place) = (data.inputs(), data.input_shape().len(), 0);
    let mut moves = vec![false; width];
    columns.iter().for_each(|&column| moves[column] = true);
    data.clone().map_inputs(|x| {
        let (example, column) = (place / width, place % width);
        place += 1;
        if moves[column] { all.slice()[order[example] * width + column] } else { x }
    })
}
