use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::{Batch, Scalar};

use super::{Metric, Sum};

/// The scores and the relevances of the items of one query, and the query's weight.
struct Query {
    scores: Vec<f64>,
    relevances: Vec<f64>,
    weight: f64,
}

/// Reads each example as a query: its outputs are the scores of its items, and its targets their relevances, or the index
/// of the one item that is relevant. Queries of weight 0 or of an ignored index are left out.
fn queries<'a, T: Scalar>(
    metric: &'static str,
    meaning: Meaning,
    y: Batch<'a, T>,
    target: Target<'a, T>,
    weights: Option<&'a [T]>,
) -> Result<impl Iterator<Item = Query> + 'a, TargetError> {
    let (examples, items) = (y.examples(), y.shape().len());
    if items < 2 {
        return Err(TargetError::prediction(metric, "the scores of at least two items", y.shape()));
    }
    let expected = match target {
        Target::Classes(_) => examples,
        Target::Values(_) => examples * items,
    };
    if target.len() != expected {
        return Err(TargetError::count(expected, target.len()));
    }
    if let Some(weights) = weights
        && weights.len() != examples
    {
        let reason = format!("there are {} weights, but {examples} examples; give one weight for each", weights.len());
        return Err(TargetError::setting(metric, reason));
    }
    let is_ignored = move |class: u32| Some(class) == meaning.ignored_index;
    match target {
        Target::Classes(classes) => {
            let bad = |class: u32| class as usize >= items && !is_ignored(class);
            if let Some((example, &class)) = classes.iter().enumerate().find(|(_, class)| bad(**class)) {
                return Err(TargetError::class(example, class, items));
            }
        }
        Target::Values(values) => {
            let fits = |t: f64| t >= 0.0 && t.is_finite();
            if let Some((place, t)) = values.iter().enumerate().find(|(_, t)| !fits(t.to_f64())) {
                let (example, place, takes) =
                    (place / items, place % items, "relevances that are at least 0 and finite");
                let advice = "give items that are not relevant a relevance of 0";
                return Err(TargetError::domain(metric, takes, "target", example, place, t.to_f64(), advice));
            }
        }
    }
    let query = move |example: usize| {
        let here = example * items..(example + 1) * items;
        let relevances = match target {
            Target::Classes(classes) => {
                (0..items).map(|item| f64::from(u8::from(item == classes[example] as usize))).collect()
            }
            Target::Values(values) => values[here.clone()].iter().map(|t| t.to_f64()).collect(),
        };
        let ignored = matches!(target, Target::Classes(classes) if is_ignored(classes[example]));
        let weight = weights.map_or(1.0, |weights| weights[example].to_f64());
        let scores = y.slice()[here].iter().map(|y| y.to_f64()).collect();
        Query { scores, relevances, weight: if ignored { 0.0 } else { weight } }
    };
    Ok((0..examples).map(query).filter(|query| query.weight > 0.0))
}

/// The normalised discounted cumulative gain of rankings: how much relevance comes early, as a share of the best order's.
///
/// Each example is a query. Its outputs, at least two, are the scores of its items, and its targets are their
/// relevances, numbers from 0 on; or its target is a class, the index of the one item that is relevant. With the relevance r of
/// the item at each rank i, counted from 1, it is
///
/// ```math
/// \sum_i \frac{r_i}{\log_2 (i + 1)}
/// ```
///
/// divided by the same for the best order. Items of equal scores share the mean of their relevances. A query without a
/// relevant item counts 0, and it is not a number if a score is not a number.
///
/// Source: Järvelin and Kekäläinen 2002; ties: McSherry and Najork 2008; as scikit-learn's `ndcg_score`.
///
/// # Errors
/// Returns an error if a query has fewer than two items, if a relevance is negative or not finite, if there is not one
/// weight for each query, or if `top` is 0.
///
/// ```
/// use downhill_losses::Target;
/// use downhill_tensor::Batch;
/// use downhill_train::metrics::{Metric, Ndcg};
///
/// let mut ndcg = Ndcg::new();
/// ndcg.update(Batch::new(&[0.9, 0.5, 0.1], 1, [3])?, Target::Values(&[0.0, 1.0, 0.0]), None)?;
/// assert_eq!(Metric::<f64>::value(&ndcg), 1.0 / 3f64.log2());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Ndcg {
    top: Option<usize>,
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl Ndcg {
    /// Makes a metric of whole rankings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the first `ranks` of each ranking alone.
    #[must_use]
    pub fn top(mut self, ranks: usize) -> Self {
        self.top = Some(ranks);
        self
    }

    /// The discounted gain of relevances that are sorted into groups of equal scores.
    fn gain(&self, groups: &[(f64, f64)]) -> f64 {
        let (mut gain, mut first) = (0.0, 0);
        let mut rest = groups;
        while let [(score, _), ..] = rest {
            let tied = rest.iter().take_while(|(other, _)| other == score).count();
            let (group, after) = rest.split_at(tied.max(1));
            let ranks = first..(first + group.len()).min(self.top.unwrap_or(usize::MAX));
            let discounts: f64 = ranks.map(|rank| 1.0 / (rank as f64 + 2.0).log2()).sum();
            gain += group.iter().map(|(_, relevance)| relevance).sum::<f64>() / group.len() as f64 * discounts;
            first += group.len();
            rest = after;
        }
        gain
    }

    fn of(&self, query: &Query) -> f64 {
        if query.scores.iter().any(|score| score.is_nan()) {
            return f64::NAN;
        }
        let ranked = |by: &[f64]| {
            let mut items: Vec<(f64, f64)> = by.iter().copied().zip(query.relevances.iter().copied()).collect();
            items.sort_by(|a, b| b.0.total_cmp(&a.0));
            self.gain(&items)
        };
        let best = ranked(&query.relevances);
        if best == 0.0 { 0.0 } else { ranked(&query.scores) / best }
    }
}

impl<T: Scalar> Metric<T> for Ndcg {
    fn name(&self) -> String {
        self.top.map_or("ndcg".into(), |top| format!("ndcg at {top}"))
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { top: self.top, meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        if self.top == Some(0) {
            return Err(TargetError::setting("Ndcg", "top is 0, but at least the first rank must be looked at"));
        }
        for query in queries("Ndcg", self.meaning, y, target, weights)? {
            self.sum.add(query.weight * self.of(&query));
            self.weight.add(query.weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}

/// The mean reciprocal rank: the mean of 1 / rank of the first relevant item.
///
/// Queries are read as [`Ndcg`] reads them; an item is relevant if its relevance is above 0. Irrelevant items of the same
/// score come first, so that a network that scores all items the same gains nothing by it. A query without a relevant item
/// counts 0, and it is not a number if a score is not a number.
///
/// If one item of each query is relevant, it is scikit-learn's `label_ranking_average_precision_score`.
///
/// # Errors
/// Returns an error if a query has fewer than two items, if a relevance is negative or not finite, or if there is not one
/// weight for each query.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanReciprocalRank {
    meaning: Meaning,
    sum: Sum,
    weight: Sum,
}

impl MeanReciprocalRank {
    /// Makes a metric that has seen no queries yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: Scalar> Metric<T> for MeanReciprocalRank {
    fn name(&self) -> String {
        "mrr".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, meaning: Meaning) {
        *self = Self { meaning, ..Self::default() };
    }

    fn update(&mut self, y: Batch<'_, T>, target: Target<'_, T>, weights: Option<&[T]>) -> Result<(), TargetError> {
        for Query { scores, relevances, weight } in queries("MeanReciprocalRank", self.meaning, y, target, weights)? {
            let items = || scores.iter().zip(&relevances);
            let best = items().filter(|(_, relevance)| **relevance > 0.0).map(|(score, _)| *score).reduce(f64::max);
            let reciprocal = match best {
                _ if scores.iter().any(|score| score.is_nan()) => f64::NAN,
                None => 0.0,
                Some(best) => {
                    let before = items().filter(|(score, relevance)| **relevance == 0.0 && **score >= best).count();
                    1.0 / (before + 1) as f64
                }
            };
            self.sum.add(weight * reciprocal);
            self.weight.add(weight);
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        mut metric: impl Metric<f64>,
        y: &[f64],
        items: usize,
        target: Target<'_, f64>,
    ) -> Result<f64, TargetError> {
        metric.start(Meaning::default());
        metric.update(Batch::new(y, y.len() / items, [items]).unwrap(), target, None)?;
        Ok(metric.value())
    }

    #[test]
    fn ties_share_their_relevance_in_ndcg_and_gain_nothing_in_mrr() {
        let (y, t) = ([0.5, 0.5, 0.1], Target::Values(&[1.0, 0.0, 0.0]));
        let expected = (1.0 + 1.0 / 3f64.log2()) / 2.0;
        assert!((judge(Ndcg::new(), &y, 3, t).unwrap() - expected).abs() < 1e-15);
        assert_eq!(judge(Ndcg::new().top(1), &y, 3, t), Ok(0.5));
        assert_eq!(judge(MeanReciprocalRank::new(), &y, 3, t), Ok(0.5));
        assert_eq!(judge(MeanReciprocalRank::new(), &[0.0; 3], 3, t), Ok(1.0 / 3.0));
    }

    #[test]
    fn the_first_relevant_item_counts_and_a_class_is_one() {
        let y = [0.9, 0.8, 0.7, 0.1, 0.2, 0.3];
        assert_eq!(judge(MeanReciprocalRank::new(), &y, 3, Target::Classes(&[1, 1])), Ok(0.5));
        let relevances = Target::Values(&[0.0, 2.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(judge(MeanReciprocalRank::new(), &y, 3, relevances), Ok(0.25), "the second has no relevant item");
        assert!(judge(MeanReciprocalRank::new(), &[f64::NAN, 0.0], 2, Target::Classes(&[1])).unwrap().is_nan());
        assert!(judge(Ndcg::new(), &[f64::NAN, 0.0], 2, Target::Classes(&[1])).unwrap().is_nan());
    }

    #[test]
    fn an_ignored_query_does_not_count() {
        let mut metric = MeanReciprocalRank::new();
        Metric::<f64>::start(&mut metric, Meaning::default().ignored_index(Some(9)));
        let y = Batch::new(&[0.1, 0.2, 0.3, 0.4], 2, [2]).unwrap();
        metric.update(y, Target::Classes(&[1, 9]), None).unwrap();
        assert_eq!(Metric::<f64>::value(&metric), 1.0);
    }

    #[test]
    fn what_is_no_query_is_an_error() {
        let message = |items: usize, target: Target<'_, f64>| {
            judge(Ndcg::new(), &[0.1, 0.2], items, target).unwrap_err().to_string()
        };
        assert!(message(1, Target::Values(&[0.0, 1.0])).contains("at least two items"));
        assert!(message(2, Target::Values(&[0.0, -1.0])).contains("target 1 of example 0 is -1"));
        assert!(message(2, Target::Values(&[0.0])).contains("need 2 targets"));
        assert!(message(2, Target::Classes(&[2])).contains("class 2"));
        let y = Batch::new(&[0.1, 0.2], 1, [2]).unwrap();
        let error = Ndcg::new().update(y, Target::Classes(&[1]), Some(&[1.0, 1.0])).unwrap_err().to_string();
        assert!(error.contains("2 weights, but 1 examples"), "{error}");
        assert!(Ndcg::new().top(0).update(y, Target::Classes(&[1]), None).is_err());
    }
}
