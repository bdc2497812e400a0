//! Features that were never scaled or that give the target away, and neighbours with targets that are alike.

use super::Warning;

/// A feature is far from unit scale if its root mean square is above this: ten times that of a scaled one (LeCun,
/// Bottou, Orr and Müller 1998, "Efficient BackProp", section 4.3: mean 0 and covariances of about 1).
const LARGE: f64 = 10.0;

/// A feature is far from unit scale if its root mean square is below this. A rare category that is in the sample at all
/// has more.
const SMALL: f64 = 1e-3;

/// A feature tells the target if it explains all of its variance but this: what is left of a copy that is rounded to
/// about three digits.
const UNEXPLAINED: f64 = 2e-6;

/// The examples that a judgement takes at least.
const ENOUGH: usize = 50;

/// The examples that must have another value of a feature than most do: fewer can agree with the target by chance.
const ENOUGH_OTHERS: usize = 8;

/// The standard errors by which a relation must differ from none.
pub(super) const STANDARD_ERRORS: f64 = 2.0;

/// The most numbers that are read to compare targets with features, so that many of both cost no more than a few steps.
const MOST_READ: usize = 1 << 22;

/// The most products in the distances between neighbours: fewer examples are compared if they have many features.
const MOST_PRODUCTS: usize = 1 << 25;

/// The most numbers of a target that are compared with those of its neighbours.
const MOST_TARGETS: usize = 16;

/// Some examples of the training data.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) examples: usize,
    pub(super) inputs: Vec<Features>,
    pub(super) targets: Targets,
}

/// One input of the examples.
#[derive(Debug, Default)]
pub(super) struct Features {
    /// Which input of the network.
    pub(super) input: usize,
    /// Whether a normalisation comes before anything else.
    pub(super) is_normalised: bool,
    /// The names of the numbers; empty if they have none.
    pub(super) names: Vec<String>,
    /// The numbers of one example.
    pub(super) length: usize,
    /// Those of all examples, one after another.
    pub(super) values: Vec<f64>,
    /// The mean and the standard deviation of each number over the examples, once they are [measured](Sample::measure).
    pub(super) means: Vec<f64>,
    pub(super) deviations: Vec<f64>,
}

/// The targets of the examples, one after another.
#[derive(Debug)]
pub(super) enum Targets {
    Values(Vec<f64>),
    Classes(Vec<u32>),
}

impl Default for Targets {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

/// Mean and standard deviation of numbers.
fn moments(numbers: impl Iterator<Item = f64> + Clone, count: usize) -> (f64, f64) {
    let mean = numbers.clone().sum::<f64>() / count as f64;
    (mean, (numbers.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count as f64).sqrt())
}

impl Features {
    /// Σ f(x − mean, example) over the examples, for each feature; row by row, as the numbers lie in memory.
    fn sums(&self, means: &[f64], f: impl Fn(f64, usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.length];
        for (example, row) in self.values.chunks_exact(self.length.max(1)).enumerate() {
            let terms = row.iter().zip(means).map(|(x, mean)| f(x - mean, example));
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        sums
    }

    /// Pearson's correlation of each feature with targets of this mean and deviation; 0 if either is constant.
    fn correlations(&self, targets: &[f64], target_mean: f64, target_deviation: f64) -> Vec<f64> {
        let products = self.sums(&self.means, |x, example| x * (targets[example] - target_mean));
        let of = |(product, deviation): (f64, &f64)| {
            let scale = deviation * target_deviation * targets.len() as f64;
            if scale > 0.0 { product / scale } else { 0.0 }
        };
        products.into_iter().zip(&self.deviations).map(of).collect()
    }

    /// The share of the variance of each feature that is between classes: 1 if it is constant in each, as any code of the
    /// class is.
    fn explained_by_class(&self, classes: &[u32]) -> Vec<f64> {
        let (length, count) = (self.length.max(1), classes.iter().max().map_or(0, |&class| class as usize + 1));
        let (mut sums, mut numbers) = (vec![0.0; count * length], vec![0.0; count]);
        for (row, &class) in self.values.chunks_exact(length).zip(classes) {
            numbers[class as usize] += 1.0;
            let of_class = &mut sums[class as usize * length..][..length];
            of_class.iter_mut().zip(row).zip(&self.means).for_each(|((sum, x), mean)| *sum += x - mean);
        }
        let mut between = vec![0.0; length];
        for (of_class, number) in sums.chunks_exact(length).zip(numbers).filter(|(_, number)| *number > 0.0) {
            between.iter_mut().zip(of_class).for_each(|(between, sum)| *between += sum * sum / number);
        }
        let of = |(between, deviation): (f64, &f64)| {
            let all = deviation * deviation * classes.len() as f64;
            if all > 0.0 { between / all } else { 0.0 }
        };
        between.into_iter().zip(&self.deviations).map(of).collect()
    }

    fn column(&self, feature: usize) -> impl Iterator<Item = f64> + Clone {
        self.values.iter().copied().skip(feature).step_by(self.length.max(1))
    }

    /// The number of examples that don't have a feature's most frequent value.
    fn others(&self, feature: usize) -> usize {
        let mut sorted: Vec<f64> = self.column(feature).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let most = sorted.chunk_by(|a, b| a == b).map(<[f64]>::len).max().unwrap_or(0);
        sorted.len() - most
    }

    fn name(&self, feature: usize) -> Option<String> {
        self.names.get(feature).cloned()
    }
}

impl Sample {
    /// Takes the moments of all features, which what follows reads.
    pub(super) fn measure(&mut self) {
        let count = self.examples as f64;
        for features in &mut self.inputs {
            let over_count = |sum: f64| sum / count;
            features.means = features.sums(&vec![0.0; features.length], |x, _| x).into_iter().map(over_count).collect();
            let squares = features.sums(&features.means, |x, _| x * x).into_iter();
            features.deviations = squares.map(over_count).map(f64::sqrt).collect();
        }
    }

    /// Finds features that are far from unit scale, and names the furthest.
    pub(super) fn unscaled(&self) -> Option<Warning> {
        let mut worst: Option<(f64, Warning)> = None;
        let mut count = 0;
        for features in self.inputs.iter().filter(|features| !features.is_normalised && self.examples >= ENOUGH) {
            for feature in 0..features.length {
                let (mean, deviation) = (features.means[feature], features.deviations[feature]);
                let size = mean.hypot(deviation);
                let far = if size > LARGE { size } else { size.recip() };
                if size == 0.0 || (SMALL..=LARGE).contains(&size) || !size.is_finite() {
                    continue;
                }
                count += 1;
                if worst.as_ref().is_none_or(|(worst, _)| far > *worst) {
                    let (input, name) = (features.input, features.name(feature));
                    worst = Some((far, Warning::UnscaledFeatures { input, feature, name, mean, deviation, others: 0 }));
                }
            }
        }
        let (_, mut worst) = worst?;
        if let Warning::UnscaledFeatures { others, .. } = &mut worst {
            *others = count - 1;
        }
        Some(worst)
    }

    /// Finds the first target that a feature tells.
    ///
    /// A network of one feature learns a function of it and nothing else; and if most of several targets have
    /// their copies, as in an autoencoder, that is the task.
    pub(super) fn leakage(&self) -> Option<Warning> {
        let features: usize = self.inputs.iter().map(|features| features.length).sum();
        if self.examples < ENOUGH || features < 2 {
            return None;
        }
        match &self.targets {
            Targets::Classes(classes) if classes.len() == self.examples => {
                self.first(0, |features| features.explained_by_class(classes))
            }
            Targets::Classes(_) => None,
            Targets::Values(values) => {
                let each = values.len() / self.examples;
                let mut found = Vec::new();
                for target in 0..each.min(MOST_READ / (self.examples * features)) {
                    let targets: Vec<f64> = values.iter().copied().skip(target).step_by(each).collect();
                    let (mean, deviation) = moments(targets.iter().copied(), targets.len());
                    if deviation > 0.0 {
                        let explained = |features: &Features| {
                            let correlations = features.correlations(&targets, mean, deviation).into_iter();
                            correlations.map(|correlation| correlation * correlation).collect()
                        };
                        found.push(self.first(target, explained));
                    }
                }
                let is_task = found.len() > 1 && 2 * found.iter().flatten().count() > found.len();
                found.into_iter().flatten().next().filter(|_| !is_task)
            }
        }
    }

    /// The first feature that explains a target, by the share of it that each of an input's features explains.
    fn first(&self, target: usize, explained: impl Fn(&Features) -> Vec<f64>) -> Option<Warning> {
        self.inputs.iter().find_map(|features| {
            let explained = explained(features);
            let feature = (0..features.length)
                .find(|&feature| explained[feature] > 1.0 - UNEXPLAINED && features.others(feature) >= ENOUGH_OTHERS)?;
            let (input, name, explained) = (features.input, features.name(feature), explained[feature].min(1.0));
            Some(Warning::Leakage { input, feature, name, target, explained })
        })
    }

    /// The number of examples of which nearest neighbours have targets that are no more alike than those of any two, if
    /// that can be told (Cover and Hart 1967, "Nearest neighbor pattern classification").
    pub(super) fn strangers(&self) -> Option<usize> {
        let features: usize = self.inputs.iter().map(|features| features.length).sum();
        let n = self.examples.min((MOST_PRODUCTS / features.max(1)).isqrt());
        if n < 2 * ENOUGH || features == 0 {
            return None;
        }
        let nearest = self.nearest(n);
        let is_related = match &self.targets {
            Targets::Classes(classes) if classes.len() == self.examples => {
                let classes = &classes[..n];
                let mut counts = vec![0.0; classes.iter().max().map_or(0, |&class| class as usize + 1)];
                classes.iter().for_each(|&class| counts[class as usize] += 1.0 / n as f64);
                let chance: f64 = counts.iter().map(|share: &f64| share * share).sum();
                let alike = nearest.iter().zip(classes).filter(|(near, class)| classes[**near] == **class).count();
                let error = (chance * (1.0 - chance) / n as f64).sqrt();
                alike as f64 / n as f64 > chance + STANDARD_ERRORS * error
            }
            Targets::Classes(_) => return None,
            Targets::Values(values) => {
                let each = (values.len() / self.examples).max(1);
                let of = |target: usize, example: usize| values.get(example * each + target).copied().unwrap_or(0.0);
                let related = |target: usize| {
                    let own: Vec<f64> = (0..n).map(|example| of(target, example)).collect();
                    let near: Vec<f64> = nearest.iter().map(|&example| of(target, example)).collect();
                    let (mean, deviation) = moments(own.iter().copied(), n);
                    correlation(&near, &own, mean, deviation) > STANDARD_ERRORS / (n as f64).sqrt()
                };
                (0..each.min(MOST_TARGETS)).any(related)
            }
        };
        (!is_related).then_some(n)
    }

    /// The nearest neighbour of each of the first `n` examples, with all features in standard deviations.
    fn nearest(&self, n: usize) -> Vec<usize> {
        let mut columns = Vec::new();
        for features in &self.inputs {
            for feature in (0..features.length).filter(|&feature| features.deviations[feature] > 0.0) {
                let (mean, deviation) = (features.means[feature], features.deviations[feature]);
                let scaled = features.column(feature).take(n).map(|x| ((x - mean) / deviation) as f32);
                columns.push(scaled.collect::<Vec<f32>>());
            }
        }
        let mut distances = vec![0.0; n];
        let mut nearest = |example: usize| {
            distances.fill(0.0);
            for column in &columns {
                let x = column[example];
                distances.iter_mut().zip(column).for_each(|(distance, y)| *distance += (x - y) * (x - y));
            }
            distances[example] = f32::INFINITY;
            let mut nearest = (f32::INFINITY, example);
            for (other, &distance) in distances.iter().enumerate() {
                if distance < nearest.0 {
                    nearest = (distance, other);
                }
            }
            nearest.1
        };
        (0..n).map(&mut nearest).collect()
    }
}

/// Pearson's correlation of `x` with targets of this mean and deviation; 0 if either is constant.
fn correlation(x: &[f64], targets: &[f64], target_mean: f64, target_deviation: f64) -> f64 {
    let (mean, deviation) = moments(x.iter().copied(), x.len());
    let product: f64 = x.iter().zip(targets).map(|(x, t)| (x - mean) * (t - target_mean)).sum();
    let scale = deviation * target_deviation * x.len() as f64;
    if scale > 0.0 { product / scale } else { 0.0 }
}
