use downhill_tensor::random::distributions::{Beta, Distribution, StandardNormal};
use downhill_tensor::{BatchMut, Scalar, Seed, Shape};
use rand::RngCore;

use crate::DataError;
use crate::permutation::{below, permute, uniform};

/// Random changes of images that leave their class as it is, made anew whenever an image is trained on.
///
/// Those that are set are made in this order: flips, the shift, noise, the cutout. Each is drawn for each image.
/// An image is (channels, height, width) as convolutions take it, or (height, width); all channels are changed alike,
/// but for noise. It is changed where it lies, without another buffer.
///
/// ```
/// use downhill_data::{Augmentation, Border};
/// use downhill_tensor::{Seed, Shape};
///
/// let augmentation = Augmentation::new().shift(4).border(Border::Reflect).flip_horizontal(0.5).noise(0.05).cutout(8);
/// let mut image = vec![0.5f32; 3 * 32 * 32];
/// augmentation.apply(&mut image, Shape::from([3, 32, 32]), &mut Seed(1).stream(0))?;
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    shift: usize,
    border: Border,
    fill: f64,
    horizontal: f64,
    vertical: f64,
    noise: f64,
    cutout: usize,
}

/// What moves in where an image has moved away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Border {
    /// The number of [`Augmentation::fill`].
    #[default]
    Fill,
    /// The row or column next to it, again and again.
    Edge,
    /// What lies as far inside of the image's edge, as in a mirror that lies on the outermost row or column.
    Reflect,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self::new()
    }
}

impl Augmentation {
    /// Changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { shift: 0, border: Border::Fill, fill: 0.0, horizontal: 0.0, vertical: 0.0, noise: 0.0, cutout: 0 }
    }

    /// Moves the image by up to `pixels` either way, along its height and its width, each distance equally likely.
    ///
    /// This is the random crop of the field: the image is padded by `pixels` on each side, and a part of its size is
    /// cut out. A distance is at most one pixel less than the image is long.
    #[doc(alias = "crop")]
    #[doc(alias = "padding")]
    #[must_use]
    pub fn shift(mut self, pixels: usize) -> Self {
        self.shift = pixels;
        self
    }

    /// Sets what moves in where the image has moved away; [`Border::Fill`] by default.
    #[must_use]
    pub fn border(mut self, border: Border) -> Self {
        self.border = border;
        self
    }

    /// Sets the number that [`Border::Fill`] and the cutout put in; 0 by default, the mean of a standardised image.
    #[must_use]
    pub fn fill(mut self, value: f64) -> Self {
        self.fill = value;
        self
    }

    /// Swaps left and right with this probability.
    #[must_use]
    pub fn flip_horizontal(mut self, probability: f64) -> Self {
        self.horizontal = probability;
        self
    }

    /// Swaps top and bottom with this probability.
    #[must_use]
    pub fn flip_vertical(mut self, probability: f64) -> Self {
        self.vertical = probability;
        self
    }

    /// Adds normal noise of this standard deviation to every number.
    #[must_use]
    pub fn noise(mut self, deviation: f64) -> Self {
        self.noise = deviation;
        self
    }

    /// Fills a square of this side around a pixel, of which each is equally likely (DeVries & Taylor 2017); what lies
    /// beyond the image is cut off.
    ///
    /// The pixel is the centre, or of an even side the one below and right of it.
    #[must_use]
    pub fn cutout(mut self, side: usize) -> Self {
        self.cutout = side;
        self
    }

    /// Changes one image in place.
    ///
    /// # Shapes
    /// `image`: (channels, height, width) or (height, width), which `shape` says.
    ///
    /// # Errors
    /// Returns an error if the shape is that of no image or of another number of numbers, a probability does not lie
    /// between 0 and 1, the noise is negative, or the noise or the number to fill with is not finite.
    pub fn apply<T: Scalar, R: RngCore>(&self, image: &mut [T], shape: Shape, random: &mut R) -> Result<(), DataError> {
        let (height, width) = self.check(image.len(), shape)?;
        self.change(image, height, width, random);
        Ok(())
    }

    /// Changes every image of a batch in place, each by a stream of its own of this seed: `seed.stream(i)` for image i.
    ///
    /// Derive the seed from the step or the epoch, so that an image changes anew: `seed.derive(step)`.
    ///
    /// # Shapes
    /// `images`: (examples, channels, height, width) or (examples, height, width).
    ///
    /// # Errors
    /// Returns the errors of [`apply`](Self::apply).
    pub fn apply_batch<T: Scalar>(&self, mut images: BatchMut<'_, T>, seed: Seed) -> Result<(), DataError> {
        let shape = images.shape();
        let (height, width) = self.check(shape.len(), shape)?;
        for (example, image) in images.slice().chunks_exact_mut(shape.len()).enumerate() {
            self.change(image, height, width, &mut seed.stream(example as u64));
        }
        Ok(())
    }

    /// Height and width of an image, if it is one.
    fn check(&self, length: usize, shape: Shape) -> Result<(usize, usize), DataError> {
        let probability = "a probability lies between 0 and 1";
        for (setting, value, rule, fits) in [
            ("flip_horizontal", self.horizontal, probability, (0.0..=1.0).contains(&self.horizontal)),
            ("flip_vertical", self.vertical, probability, (0.0..=1.0).contains(&self.vertical)),
            ("noise", self.noise, "a deviation is finite and not below 0", self.noise >= 0.0 && self.noise.is_finite()),
            ("fill", self.fill, "a pixel is finite", self.fill.is_finite()),
        ] {
            if !fits {
                return Err(DataError::Augmentation { setting, value, rule });
            }
        }
        match *shape.axes() {
            [_, height, width] | [height, width] if shape.len() == length && length > 0 => Ok((height, width)),
            [_, _, _] | [_, _] if shape.len() > 0 => Err(DataError::InputLength { length, shape }),
            _ => Err(DataError::ImageShape { shape }),
        }
    }

    fn change<T: Scalar, R: RngCore>(&self, image: &mut [T], height: usize, width: usize, random: &mut R) {
        let area = height * width;
        // A change that is not asked for draws nothing.
        if self.horizontal > 0.0 && uniform(random) < self.horizontal {
            image.chunks_exact_mut(width).for_each(<[T]>::reverse);
        }
        if self.vertical > 0.0 && uniform(random) < self.vertical {
            for channel in image.chunks_exact_mut(area) {
                let (above, below) = channel.split_at_mut(height / 2 * width);
                let upper = above.chunks_exact_mut(width);
                upper.zip(below.chunks_exact_mut(width).rev()).for_each(|(a, b)| a.swap_with_slice(b));
            }
        }
        if self.shift > 0 {
            let fill = (self.border, T::from_f64(self.fill));
            let (down, right) = (distance(self.shift, height, random), distance(self.shift, width, random));
            image.chunks_exact_mut(area).for_each(|channel| moved(channel, width, down, fill));
            image.chunks_exact_mut(width).for_each(|row| moved(row, 1, right, fill));
        }
        if self.noise > 0.0 {
            for x in image.iter_mut() {
                let normal: f64 = StandardNormal.sample(random);
                *x += T::from_f64(self.noise * normal);
            }
        }
        if self.cutout > 0 {
            let rows = window(self.cutout, height, random);
            let columns = window(self.cutout, width, random);
            for channel in image.chunks_exact_mut(area) {
                for row in channel.chunks_exact_mut(width).skip(rows.start).take(rows.len()) {
                    row.get_mut(columns.clone()).unwrap_or_default().fill(T::from_f64(self.fill));
                }
            }
        }
    }
}

/// A distance from −most to most, each equally likely, that leaves at least one of `length` where it can be seen.
fn distance<R: RngCore>(most: usize, length: usize, random: &mut R) -> isize {
    let most = most.min(length - 1);
    below(2 * most as u64 + 1, random) as isize - most as isize
}

/// The part of an axis that a square around one of its pixels covers.
fn window<R: RngCore>(side: usize, length: usize, random: &mut R) -> std::ops::Range<usize> {
    let centre = below(length as u64, random) as usize;
    centre.saturating_sub(side / 2)..centre.saturating_add(side.div_ceil(2)).min(length)
}

/// Moves blocks of numbers by fewer places than there are blocks, and fills the places that they leave.
fn moved<T: Scalar>(data: &mut [T], block: usize, by: isize, (border, fill): (Border, T)) {
    let (count, distance) = (data.len() / block, by.unsigned_abs());
    let kept = count - distance;
    // The block that each place now holds or is filled from.
    let (left, edge) = if by > 0 {
        data.copy_within(..kept * block, distance * block);
        (0..distance, distance)
    } else {
        data.copy_within(distance * block.., 0);
        (kept..count, kept - 1)
    };
    for place in left {
        let at = place * block..(place + 1) * block;
        let from = match border {
            Border::Fill => {
                data.get_mut(at).unwrap_or_default().fill(fill);
                continue;
            }
            Border::Edge => edge,
            // A long way out no block is left to reflect: the farthest comes again.
            Border::Reflect => (2 * edge).saturating_sub(place).min(count - 1),
        };
        data.copy_within(from * block..(from + 1) * block, at.start);
    }
}

/// Mixup (Zhang et al. 2018): each example of a batch becomes a weighted mean of itself and another, and so does its
/// target: x′ = λ x + (1 − λ) x₂ and y′ = λ y + (1 − λ) y₂ with λ from Beta(α, α).
///
/// Every example has a λ of its own, and its partner is drawn by a permutation of the batch, so that one may meet itself.
/// Targets are numbers, such as the rows of [`Dataset::one_hot_targets`](crate::Dataset::one_hot_targets); a network for
/// them takes a loss of soft targets.
/// Buffers are kept: batches after the first allocate nothing, unless they are larger.
///
/// ```
/// use downhill_data::Mixup;
/// use downhill_tensor::{BatchMut, Seed};
///
/// let (mut x, mut y) = (vec![0.0, 10.0], vec![1.0, 0.0, 0.0, 1.0]);
/// let mut mixup = Mixup::new(0.2);
/// let batch = (BatchMut::new(&mut x, 2, [1])?, BatchMut::new(&mut y, 2, [2])?);
/// mixup.apply(batch.0, batch.1, &mut Seed(3).stream(0))?;
/// assert!(y.chunks(2).zip(&x).all(|(y, x): (&[f64], &f64)| (y[1] - x / 10.0).abs() < 1e-12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mixup<T> {
    alpha: f64,
    /// The partner of each example.
    partners: Vec<usize>,
    /// The weight λ of each example.
    weights: Vec<f64>,
    /// The numbers as they were.
    copy: Vec<T>,
}

impl<T: Scalar> Mixup<T> {
    /// Mixes with weights from Beta(α, α): close to 0 and 1 for a small α, such as 0.2, and evenly spread for 1.
    #[must_use]
    pub fn new(alpha: f64) -> Self {
        Self { alpha, partners: Vec::new(), weights: Vec::new(), copy: Vec::new() }
    }

    /// Mixes a batch in place.
    ///
    /// # Shapes
    /// `inputs`: (examples, ...); `targets`: (examples, ...).
    ///
    /// # Errors
    /// Returns an error if α is not finite and above 0, or there are not as many targets as inputs.
    pub fn apply<R: RngCore>(
        &mut self,
        mut inputs: BatchMut<'_, T>,
        mut targets: BatchMut<'_, T>,
        random: &mut R,
    ) -> Result<(), DataError> {
        let examples = inputs.examples();
        if targets.examples() != examples {
            let (shape, got) = (targets.shape(), targets.slice().len());
            return Err(DataError::TargetLength { examples, shape, expected: examples * shape.len(), got });
        }
        let refuse = DataError::Augmentation {
            setting: "alpha",
            value: self.alpha,
            rule: "the parameter of a beta distribution is finite and larger than 0",
        };
        let beta = match Beta::new(self.alpha, self.alpha) {
            Ok(beta) if self.alpha.is_finite() => beta,
            _ => return Err(refuse),
        };
        self.partners.resize(examples, 0);
        permute(&mut self.partners, random);
        self.weights.clear();
        self.weights.extend((0..examples).map(|_| beta.sample(random)));
        self.mix(&mut inputs);
        self.mix(&mut targets);
        Ok(())
    }

    fn mix(&mut self, batch: &mut BatchMut<'_, T>) {
        let each = batch.shape().len().max(1);
        self.copy.clear();
        self.copy.extend_from_slice(batch.slice());
        let rows = batch.slice().chunks_exact_mut(each);
        for ((row, &partner), &weight) in rows.zip(&self.partners).zip(&self.weights) {
            let other = self.copy.get(partner * each..(partner + 1) * each).unwrap_or_default();
            for (x, other) in row.iter_mut().zip(other) {
                *x = T::from_f64(weight * x.to_f64() + (1.0 - weight) * other.to_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    /// Two channels of two rows and three columns: 1 to 12.
    fn image() -> Vec<f64> {
        (1..=12).map(f64::from).collect()
    }

    const SHAPE: [usize; 3] = [2, 2, 3];

    fn changed(augmentation: &Augmentation, seed: u64) -> Vec<f64> {
        let mut image = image();
        augmentation.apply(&mut image, Shape::from(SHAPE), &mut Seed(seed).stream(0)).unwrap();
        image
    }

    #[test]
    fn flips_swap_sides_of_every_channel() {
        let horizontal = Augmentation::new().flip_horizontal(1.0);
        assert_eq!(changed(&horizontal, 1), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0, 9.0, 8.0, 7.0, 12.0, 11.0, 10.0]);
        let vertical = Augmentation::new().flip_vertical(1.0);
        assert_eq!(changed(&vertical, 1), [4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 7.0, 8.0, 9.0]);
        let mut odd = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        vertical.apply(&mut odd, Shape::from([3, 2]), &mut Seed(1).stream(0)).unwrap();
        assert_eq!(odd, [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]);
    }

    #[test]
    fn flips_happen_as_often_as_asked_for() {
        for (both, p) in [(false, 0.3), (true, 0.3), (false, 0.5)] {
            let augmentation = Augmentation::new().flip_horizontal(p).flip_vertical(if both { 0.5 } else { 0.0 });
            let flipped = |seed| {
                let image = changed(&augmentation, seed);
                (image[0] > image[2], image[0].min(image[2]) > 3.0)
            };
            let (mut horizontal, mut vertical) = (0, 0);
            for seed in 0..4000 {
                let (h, v) = flipped(seed);
                (horizontal, vertical) = (horizontal + i32::from(h), vertical + i32::from(v));
            }
            // Four standard deviations are at most 127.
            assert!((f64::from(horizontal) - 4000.0 * p).abs() < 127.0, "{p}: {horizontal}");
            assert!((f64::from(vertical) - if both { 2000.0 } else { 0.0 }).abs() < 127.0, "{vertical}");
        }
    }

    #[test]
    fn blocks_move_and_borders_fill_what_they_leave() {
        let moved = |by, border| {
            let mut row = [1, 2, 3, 4, 5].map(f64::from);
            super::moved(&mut row, 1, by, (border, 9.0));
            row.map(|x| x as i32)
        };
        assert_eq!(moved(2, Border::Fill), [9, 9, 1, 2, 3]);
        assert_eq!(moved(-2, Border::Fill), [3, 4, 5, 9, 9]);
        assert_eq!(moved(2, Border::Edge), [1, 1, 1, 2, 3]);
        assert_eq!(moved(-3, Border::Edge), [4, 5, 5, 5, 5]);
        assert_eq!(moved(2, Border::Reflect), [3, 2, 1, 2, 3]);
        assert_eq!(moved(-2, Border::Reflect), [3, 4, 5, 4, 3]);
        // Beyond what is left to reflect, its last block again.
        assert_eq!(moved(4, Border::Reflect), [1, 1, 1, 1, 1]);
        assert_eq!(moved(-3, Border::Reflect), [4, 5, 4, 4, 4]);
        for border in [Border::Fill, Border::Edge, Border::Reflect] {
            assert_eq!(moved(0, border), [1, 2, 3, 4, 5]);
        }
        let mut rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        super::moved(&mut rows, 2, 1, (Border::Edge, 0.0));
        assert_eq!(rows, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn every_shift_is_equally_likely_and_moves_all_channels_alike() {
        let augmentation = Augmentation::new().shift(1).fill(-1.0);
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..9000 {
            let image = changed(&augmentation, seed);
            let (first, second) = image.split_at(6);
            assert!(first.iter().zip(second).all(|(a, b)| (*a == -1.0 && *b == -1.0) || a + 6.0 == *b));
            *counts.entry(first.iter().map(|&x| x as i32).collect::<Vec<_>>()).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 9);
        assert!(counts.contains_key(&vec![-1, -1, -1, -1, 1, 2]) && counts.contains_key(&vec![5, 6, -1, -1, -1, -1]));
        // The 99.99 % point of the chi-squared distribution with 8 degrees of freedom is 31.8.
        let chi_squared: f64 = counts.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_squared < 31.8, "{counts:?}");
    }

    #[test]
    fn noise_is_normal() {
        let mut image = vec![3.0; 40_000];
        let noise = Augmentation::new().noise(0.5);
        noise.apply(&mut image, Shape::from([200, 200]), &mut Seed(1).stream(0)).unwrap();
        let moment = |power: i32| image.iter().map(|x| ((x - 3.0) / 0.5_f64).powi(power)).sum::<f64>() / 4e4;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03 && moment(3).abs() < 0.05);
        assert!((moment(4) - 3.0).abs() < 0.2, "{}", moment(4));
    }

    #[test]
    fn a_cutout_is_a_square_of_every_channel_around_any_pixel() {
        let mut centres = vec![0_u32; 12];
        for (side, before, after) in [(1, 0, 0), (2, 1, 0), (3, 1, 1)] {
            for seed in 0..2000 {
                let mut image = vec![1.0; 2 * 12];
                let shape = Shape::from([2, 3, 4]);
                Augmentation::new().cutout(side).apply(&mut image, shape, &mut Seed(seed).stream(0)).unwrap();
                let (first, second) = image.split_at(12);
                assert_eq!(first, second);
                let covers = |row: usize, column: usize| {
                    (0..12).all(|i| {
                        let within = |at: usize, c: usize| at + before >= c && at <= c + after;
                        (first[i] == 0.0) == (within(i / 4, row) && within(i % 4, column))
                    })
                };
                let found = (0..12).filter(|i| covers(i / 4, i % 4)).collect::<Vec<_>>();
                assert!(!found.is_empty(), "{first:?}");
                if side == 1 {
                    centres[found[0]] += 1;
                }
            }
        }
        // The 99.99 % point of the chi-squared distribution with 11 degrees of freedom is 37.
        let expected = 2000.0 / 12.0;
        let chi_squared: f64 = centres.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        assert!(chi_squared < 37.0, "{centres:?}");
        assert_eq!(changed(&Augmentation::new().cutout(usize::MAX).fill(7.0), 1), [7.0; 12]);
    }

    #[test]
    fn a_seed_gives_the_same_bits_and_a_batch_is_its_images() {
        let augmentation =
            Augmentation::new().shift(1).border(Border::Reflect).flip_horizontal(0.5).noise(0.1).cutout(1);
        assert_eq!(changed(&augmentation, 5), changed(&augmentation, 5));
        assert_ne!(changed(&augmentation, 5), changed(&augmentation, 6));
        let mut batch = [image(), image(), image()].concat();
        augmentation.apply_batch(BatchMut::new(&mut batch, 3, SHAPE).unwrap(), Seed(4)).unwrap();
        for (i, together) in batch.chunks(12).enumerate() {
            let mut alone = image();
            augmentation.apply(&mut alone, Shape::from(SHAPE), &mut Seed(4).stream(i as u64)).unwrap();
            assert_eq!(alone, together);
        }
        assert_eq!(changed(&Augmentation::new(), 1), image());
        assert_eq!(Augmentation::default(), Augmentation::new());
    }

    #[test]
    fn what_is_no_image_or_no_setting_is_refused() {
        let message = |augmentation: Augmentation, length, shape: Shape| {
            let mut image = vec![0.0f32; length];
            augmentation.apply(&mut image, shape, &mut Seed(1).stream(0)).unwrap_err().to_string()
        };
        let (plain, shape) = (Augmentation::new(), Shape::from(SHAPE));
        assert_eq!(
            message(plain.clone(), 12, [12].into()),
            "examples of shape 12 are no images: they need axes (channels, height, width), none of length 0"
        );
        assert!(message(plain.clone(), 0, [0, 3].into()).contains("are no images"));
        assert!(message(plain.clone(), 11, shape).starts_with("11 numbers are not a whole number of examples"));
        assert_eq!(
            message(plain.clone().flip_horizontal(1.5), 12, shape),
            "the augmentation's `flip_horizontal` is 1.5, but a probability lies between 0 and 1"
        );
        for bad in [
            plain.clone().flip_vertical(f64::NAN),
            plain.clone().noise(-1.0),
            plain.clone().noise(f64::INFINITY),
            plain.clone().fill(f64::NAN),
        ] {
            assert!(message(bad, 12, shape).starts_with("the augmentation's"));
        }
        let large = plain.shift(usize::MAX).border(Border::Reflect).cutout(usize::MAX);
        large.apply(&mut [1.0f32], Shape::from([1, 1]), &mut Seed(1).stream(0)).unwrap();
    }

    fn mixed(alpha: f64, examples: usize, seed: u64) -> Result<(Vec<f64>, Vec<f64>), DataError> {
        let mut inputs: Vec<f64> = (0..examples).flat_map(|i| [i as f64, 10.0 * i as f64]).collect();
        let labels = (0..examples as u32).collect::<Vec<_>>();
        let set = Dataset::new(inputs.clone(), [2], labels)?.one_hot_targets()?;
        let mut targets = set.target_values().unwrap().slice().to_vec();
        let (x, y) = (BatchMut::new(&mut inputs, examples, [2]), BatchMut::new(&mut targets, examples, [examples]));
        Mixup::new(alpha).apply(x.unwrap(), y.unwrap(), &mut Seed(seed).stream(0))?;
        Ok((inputs, targets))
    }

    #[test]
    fn inputs_and_targets_are_mixed_alike() {
        let (inputs, targets) = mixed(1.0, 8, 2).unwrap();
        let mut mixed_ones = 0;
        for (i, (x, y)) in inputs.chunks(2).zip(targets.chunks(8)).enumerate() {
            assert!((y.iter().sum::<f64>() - 1.0).abs() < 1e-12 && y.iter().all(|y| *y >= 0.0));
            let expected: f64 = y.iter().enumerate().map(|(class, y)| class as f64 * y).sum();
            assert!((x[0] - expected).abs() < 1e-12 && (x[1] - 10.0 * expected).abs() < 1e-11);
            assert!(y.iter().filter(|y| **y > 0.0).count() <= 2 && y[i] > 0.0);
            mixed_ones += usize::from(y[i] < 1.0);
        }
        assert!(mixed_ones >= 4, "{targets:?}");
        assert_eq!(mixed(1.0, 8, 2).unwrap(), (inputs, targets));
        assert_ne!(mixed(1.0, 8, 3).unwrap(), mixed(1.0, 8, 2).unwrap());
    }

    #[test]
    fn weights_come_from_a_beta_distribution() {
        for (alpha, tolerance) in [(0.2, 0.01), (1.0, 0.008), (4.0, 0.004)] {
            let mut mixup = Mixup::<f64>::new(alpha);
            let (mut x, mut y) = (vec![0.0; 20_000], vec![0.0; 20_000]);
            let (x, y) = (BatchMut::new(&mut x, 20_000, [1]).unwrap(), BatchMut::new(&mut y, 20_000, [1]).unwrap());
            mixup.apply(x, y, &mut Seed(9).stream(0)).unwrap();
            let mean = mixup.weights.iter().sum::<f64>() / 2e4;
            let variance = mixup.weights.iter().map(|weight| (weight - mean).powi(2)).sum::<f64>() / 2e4;
            // The mean is 1/2, and the variance 1 / (4 (2α + 1)).
            assert!((mean - 0.5).abs() < 0.015, "{alpha}: {mean}");
            assert!((variance - 0.25 / (2.0 * alpha + 1.0)).abs() < tolerance, "{alpha}: {variance}");
        }
    }

    #[test]
    fn later_batches_use_the_same_buffers() {
        let mut mixup = Mixup::new(0.3);
        let mut place = None;
        for examples in [6, 6, 4, 6] {
            let (mut x, mut y) = (vec![1.0f32; 3 * examples], vec![1.0; examples]);
            let (x, y) = (BatchMut::new(&mut x, examples, [3]).unwrap(), BatchMut::new(&mut y, examples, []).unwrap());
            mixup.apply(x, y, &mut Seed(1).stream(0)).unwrap();
            let now = (mixup.copy.as_ptr(), mixup.partners.as_ptr(), mixup.weights.as_ptr());
            assert_eq!(*place.get_or_insert(now), now);
        }
    }

    #[test]
    fn what_can_not_be_mixed_is_refused() {
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let message = mixed(alpha, 3, 1).unwrap_err().to_string();
            assert!(message.starts_with(&format!("the augmentation's `alpha` is {alpha}, but the")), "{message}");
        }
        let (mut x, mut y) = ([0.0; 3], [0.0; 2]);
        let (x, y) = (BatchMut::new(&mut x, 3, [1]).unwrap(), BatchMut::new(&mut y, 2, [1]).unwrap());
        let message = Mixup::new(1.0).apply(x, y, &mut Seed(1).stream(0)).unwrap_err().to_string();
        assert_eq!(message, "2 targets were given, but 3 examples with targets of shape 1 ask for 3");
    }
}
