//! Convolutions of images, in the three forms that a layer's passes need.
//!
//! Images lie (channels, height, width), batches of them one after another; a weight lies
//! (outputs, channels / groups, kernel height, kernel width).
//! As everywhere in the field the kernel is not flipped: these are cross-correlations.
//!
//! Every number of a result is one sum in one order, whatever part of the batch a thread computes,
//! so the bits do not depend on the number of threads.

use crate::{Scalar, reduce};

#[cfg(target_arch = "x86_64")]
mod direct;
mod portable;

/// This many terms of a weight's gradient make a block. The sums of blocks are added with what rounding takes from
/// them, so that errors do not grow with the number of pixels and examples.
const IN_TURN: usize = 512;

/// The convolution of images of one size: how many channels, and what each axis does.
///
/// With the output's shape at hand it also describes the transposed convolution:
/// that is its [`input_gradient`](Self::input_gradient).
///
/// ```
/// use downhill_tensor::convolution::{Axis, Convolution};
/// // Sums of two neighbours along the width, with a zero before the first.
/// let height = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, padding: 0 };
/// let width = Axis { input: 3, output: 3, kernel: 2, stride: 1, dilation: 1, padding: 1 };
/// let sums = Convolution::new(1, 1, 1, [height, width]).expect("the sizes fit");
/// let (x, weight, bias) = ([1.0, 2.0, 4.0], [1.0, 1.0], [0.5]);
/// let (mut y, mut scratch) = ([0.0; 3], vec![0.0; sums.scratch_len()]);
/// sums.forward(&x, &weight, Some(&bias), &mut y, &mut scratch);
/// assert_eq!(y, [1.5, 3.5, 6.5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    channels: usize,
    outputs: usize,
    groups: usize,
    axes: [Axis; 2],
}

/// One axis of a convolution: tap k of output o meets input o·stride + k·dilation − padding,
/// which counts as 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The length of the input.
    pub input: usize,
    /// The length of the output.
    pub output: usize,
    /// The number of taps.
    pub kernel: usize,
    /// From one output to the next, in inputs.
    pub stride: usize,
    /// From one tap to the next, in inputs.
    pub dilation: usize,
    /// The zeros before the first input. Those after the last follow from the output's length.
    pub padding: usize,
}

impl Axis {
    /// Sets each setting that makes no difference to 1; `None` if a size is 0 or overflows.
    fn checked(mut self) -> Option<Self> {
        if self.output == 1 {
            self.stride = 1;
        }
        if self.kernel == 1 {
            self.dilation = 1;
        }
        let least = [self.input, self.output, self.kernel, self.stride, self.dilation].into_iter().min()?;
        // Every place that is computed from these numbers is below their sum.
        let reach = (self.output - usize::from(least > 0)).checked_mul(self.stride)?;
        let span = (self.kernel - usize::from(least > 0)).checked_mul(self.dilation)?;
        let all = [reach, span, self.padding, self.input, self.stride];
        let sum = all.into_iter().try_fold(0usize, usize::checked_add)?;
        (least > 0 && sum < usize::MAX / 8).then_some(self)
    }
}

impl Convolution {
    /// Makes a convolution from `channels` to `outputs` channels, each in `groups` groups that do not meet,
    /// along the height and the width.
    ///
    /// `None` where a size is 0, the groups do not divide the channels, or the numbers are more than can be counted.
    #[must_use]
    pub fn new(channels: usize, outputs: usize, groups: usize, axes: [Axis; 2]) -> Option<Self> {
        let whole = channels.checked_rem(groups)? == 0 && outputs.checked_rem(groups)? == 0;
        if channels == 0 || outputs == 0 || !whole {
            return None;
        }
        let convolution = Self { channels, outputs, groups, axes: [axes[0].checked()?, axes[1].checked()?] };
        let count = |factors: &[usize]| factors.iter().try_fold(1usize, |product, &factor| product.checked_mul(factor));
        let [height, width] = convolution.axes;
        count(&[channels, height.input, width.input])?;
        count(&[outputs, height.output, width.output])?;
        count(&[outputs, channels / groups, height.kernel, width.kernel])?;
        (convolution.scratch_len() < isize::MAX as usize / 16).then_some(convolution)
    }

    /// The axes, the height's first.
    #[must_use]
    pub fn axes(&self) -> [Axis; 2] {
        self.axes
    }

    /// The length of the passes' scratch space, whatever the number of examples.
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        if direct::takes(&self.flattened()) {
            return direct::scratch_len(&self.flattened());
        }
        portable::scratch_len(self)
    }

    /// yₒ = bₒ + Σ w·x: the sum over the channels of the group and the taps.
    ///
    /// # Shapes
    /// x is (examples, channels, height, width), y the same of the output; all of y is overwritten.
    ///
    /// # Panics
    /// If a slice has another length than the sizes say, or `scratch` is shorter than
    /// [`scratch_len`](Self::scratch_len); so do the others.
    pub fn forward<T: Scalar>(&self, x: &[T], weight: &[T], bias: Option<&[T]>, y: &mut [T], scratch: &mut [T]) {
        self.check(x, weight, bias.map(|bias| (bias, self.outputs)), y);
        #[cfg(target_arch = "x86_64")]
        if direct::takes(&self.flattened()) {
            return direct::forward()(&self.flattened(), x, weight, bias, y, scratch);
        }
        portable::forward(self, x, weight, bias, y, scratch);
    }

    /// dx = Σ w·dy over all outputs that an input has gone to, and a bias for each channel if there is one,
    /// which the transposed convolution needs.
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward), with a bias of (channels); all of dx is overwritten.
    pub fn input_gradient<T: Scalar>(
        &self,
        dy: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        dx: &mut [T],
        scratch: &mut [T],
    ) {
        self.check(dx, weight, bias.map(|bias| (bias, self.channels)), dy);
        #[cfg(target_arch = "x86_64")]
        if direct::takes(&self.flattened()) {
            return direct::input_gradient()(&self.flattened(), dy, weight, bias, dx, scratch);
        }
        portable::input_gradient(self, dy, weight, bias, dx, scratch);
    }

    /// dw = Σ x·dy over all examples and pixels, and db = Σ dy if it is asked for.
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward); all of `dweight` and `dbias` is overwritten.
    pub fn weight_gradient<T: Scalar>(
        &self,
        x: &[T],
        dy: &[T],
        dweight: &mut [T],
        dbias: Option<&mut [T]>,
        scratch: &mut [T],
    ) {
        self.check(x, dweight, dbias.as_deref().map(|bias| (bias, self.outputs)), dy);
        #[cfg(target_arch = "x86_64")]
        if direct::takes(&self.flattened()) {
            return direct::weight_gradient()(&self.flattened(), x, dy, dweight, dbias, scratch);
        }
        portable::weight_gradient(self, x, dy, dweight, scratch);
        if let Some(dbias) = dbias {
            reduce::channel_sums(dy, dbias, self.output_plane());
        }
    }

    fn check<T>(&self, x: &[T], weight: &[T], bias: Option<(&[T], usize)>, y: &[T]) {
        assert_eq!(weight.len(), self.outputs * self.group_sum(), "the weight of {self:?}");
        if let Some((bias, channels)) = bias {
            assert_eq!(bias.len(), channels, "the bias of {self:?}");
        }
        let examples = x.len() / self.input_len();
        assert_eq!(x.len(), examples * self.input_len(), "the input of {self:?}");
        assert_eq!(y.len(), examples * self.output_len(), "the output of {self:?}");
    }

    /// Turns images into one row if pixels do not meet: then rows have no ends to care about.
    #[cfg(target_arch = "x86_64")]
    fn flattened(mut self) -> Self {
        let alone = |axis: Axis| axis.kernel == 1 && axis.stride == 1 && axis.padding == 0 && axis.input == axis.output;
        if self.axes.into_iter().all(alone) {
            let [height, width] = &mut self.axes;
            (width.input, width.output) = (height.input * width.input, height.output * width.output);
            (height.input, height.output) = (1, 1);
        }
        self
    }

    fn input_plane(&self) -> usize {
        self.axes[0].input * self.axes[1].input
    }

    fn output_plane(&self) -> usize {
        self.axes[0].output * self.axes[1].output
    }

    fn input_len(&self) -> usize {
        self.channels * self.input_plane()
    }

    fn output_len(&self) -> usize {
        self.outputs * self.output_plane()
    }

    fn taps(&self) -> usize {
        self.axes[0].kernel * self.axes[1].kernel
    }

    /// The terms of an output's sum.
    fn group_sum(&self) -> usize {
        self.channels / self.groups * self.taps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Threads;
    use crate::{Seed, Stream};

    fn size(stream: &mut Stream, least: usize, most: usize) -> usize {
        least + (stream.uniform() * (most - least + 1) as f64) as usize
    }

    fn choose<C: Copy>(stream: &mut Stream, among: &[C]) -> C {
        among[size(stream, 0, among.len() - 1)]
    }

    fn numbers<T: Scalar>(len: usize, stream: &mut Stream) -> Vec<T> {
        (0..len).map(|_| T::from_f64(2.0 * stream.uniform() - 1.0)).collect()
    }

    /// Calls `visit` with the places of x, weight and y (within an example) that meet, and the channels of x and y.
    fn meet(of: &Convolution, mut visit: impl FnMut(usize, usize, usize)) {
        let [height, width] = of.axes;
        let (channels, outputs) = (of.channels / of.groups, of.outputs / of.groups);
        for output in 0..of.outputs {
            for channel in 0..channels {
                for (ky, kx) in (0..height.kernel).flat_map(|ky| (0..width.kernel).map(move |kx| (ky, kx))) {
                    let weight = ((output * channels + channel) * height.kernel + ky) * width.kernel + kx;
                    for (oy, ox) in (0..height.output).flat_map(|oy| (0..width.output).map(move |ox| (oy, ox))) {
                        let row = (oy * height.stride + ky * height.dilation).wrapping_sub(height.padding);
                        let column = (ox * width.stride + kx * width.dilation).wrapping_sub(width.padding);
                        if row < height.input && column < width.input {
                            let plane = output / outputs * channels + channel;
                            let x = (plane * height.input + row) * width.input + column;
                            visit(x, weight, (output * height.output + oy) * width.output + ox);
                        }
                    }
                }
            }
        }
    }

    /// y, dx (both with their bias), dw and db by plain loops in f64.
    struct Naive {
        y: Vec<f64>,
        dx: Vec<f64>,
        dweight: Vec<f64>,
        dbias: Vec<f64>,
    }

    struct Problem<T> {
        of: Convolution,
        x: Vec<T>,
        dy: Vec<T>,
        weight: Vec<T>,
        bias: Vec<T>,
        input_bias: Vec<T>,
    }

    impl<T: Scalar> Problem<T> {
        fn new(of: Convolution, examples: usize, key: u64) -> Self {
            let mut stream = Seed(17).stream(key);
            Self {
                x: numbers(examples * of.input_len(), &mut stream),
                dy: numbers(examples * of.output_len(), &mut stream),
                weight: numbers(of.outputs * of.group_sum(), &mut stream),
                bias: numbers(of.outputs, &mut stream),
                input_bias: numbers(of.channels, &mut stream),
                of,
            }
        }

        fn naive(&self) -> Naive {
            let of = &self.of;
            let start = |bias: &[T], plane: usize, len: usize| -> Vec<f64> {
                (0..len).map(|i| bias[i / plane % bias.len()].to_f64()).collect()
            };
            let mut naive = Naive {
                y: start(&self.bias, of.output_plane(), self.dy.len()),
                dx: start(&self.input_bias, of.input_plane(), self.x.len()),
                dweight: vec![0.0; self.weight.len()],
                dbias: vec![0.0; of.outputs],
            };
            for example in 0..self.x.len() / of.input_len() {
                let (of_x, of_y) = (example * of.input_len(), example * of.output_len());
                meet(of, |x, weight, y| {
                    let (x, y) = (of_x + x, of_y + y);
                    let (of_weight, dy) = (self.weight[weight].to_f64(), self.dy[y].to_f64());
                    naive.y[y] += self.x[x].to_f64() * of_weight;
                    naive.dx[x] += dy * of_weight;
                    naive.dweight[weight] += dy * self.x[x].to_f64();
                });
            }
            for (i, dy) in self.dy.iter().enumerate() {
                naive.dbias[i / of.output_plane() % of.outputs] += dy.to_f64();
            }
            naive
        }

        /// All results, one after the other: y, dx, dw, db, without biases if there are none.
        fn run(&self, passes: &Passes<T>, biased: bool) -> [Vec<T>; 4] {
            let nan = |len: usize| vec![T::NAN; len];
            let mut results = [nan(self.dy.len()), nan(self.x.len()), nan(self.weight.len()), nan(self.of.outputs)];
            let [y, dx, dweight, dbias] = &mut results;
            let mut scratch = nan(self.of.scratch_len().max(portable::scratch_len(&self.of)));
            (passes.forward)(&self.of, &self.x, &self.weight, biased.then_some(&self.bias), y, &mut scratch);
            scratch.fill(T::NAN);
            let bias = biased.then_some(&self.input_bias[..]);
            (passes.input_gradient)(&self.of, &self.dy, &self.weight, bias, dx, &mut scratch);
            scratch.fill(T::NAN);
            (passes.weight_gradient)(&self.of, &self.x, &self.dy, dweight, Some(dbias), &mut scratch);
            results
        }

        fn check(&self, passes: &Passes<T>, naive: &Naive) {
            let of = &self.of;
            let [y, dx, dweight, dbias] = self.run(passes, true);
            let pixels = self.dy.len() / of.outputs;
            close("y", of, &y, &naive.y, of.group_sum());
            close("dx", of, &dx, &naive.dx, of.outputs / of.groups * of.taps());
            close("dw", of, &dweight, &naive.dweight, pixels);
            close("db", of, &dbias, &naive.dbias, pixels);
            let [y, dx, ..] = self.run(passes, false);
            let without = |data: &[f64], bias: &[T], plane: usize| -> Vec<f64> {
                data.iter().enumerate().map(|(i, x)| x - bias[i / plane % bias.len()].to_f64()).collect()
            };
            close("y", of, &y, &without(&naive.y, &self.bias, of.output_plane()), of.group_sum());
            let dx_naive = without(&naive.dx, &self.input_bias, of.input_plane());
            close("dx", of, &dx, &dx_naive, of.outputs / of.groups * of.taps());
        }
    }

    fn close<T: Scalar>(what: &str, of: &Convolution, found: &[T], expected: &[f64], terms: usize) {
        let tolerance = 4.0 * T::EPSILON.to_f64() * (terms as f64 + 4.0);
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (found.to_f64() - expected).abs();
            assert!(error <= tolerance, "{what}[{i}] of {of:?}: {found}, not {expected}");
        }
    }

    type Pass<T> = fn(&Convolution, &[T], &[T], Option<&[T]>, &mut [T], &mut [T]);
    type WeightPass<T> = fn(&Convolution, &[T], &[T], &mut [T], Option<&mut [T]>, &mut [T]);

    /// The three passes by one way of computing them.
    struct Passes<T> {
        forward: Pass<T>,
        input_gradient: Pass<T>,
        weight_gradient: WeightPass<T>,
    }

    fn chosen<T: Scalar>() -> Passes<T> {
        Passes {
            forward: Convolution::forward,
            input_gradient: Convolution::input_gradient,
            weight_gradient: Convolution::weight_gradient,
        }
    }

    fn portable<T: Scalar>() -> Passes<T> {
        Passes {
            forward: portable::forward,
            input_gradient: portable::input_gradient,
            weight_gradient: |of, x, dy, dweight, dbias, scratch| {
                portable::weight_gradient(of, x, dy, dweight, scratch);
                reduce::channel_sums(dy, dbias.unwrap(), of.output_plane());
            },
        }
    }

    /// Compares every way of computing with plain loops.
    fn check<T: Scalar>(of: Convolution, examples: usize, key: u64) {
        let problem = Problem::<T>::new(of, examples, key);
        let naive = problem.naive();
        problem.check(&chosen(), &naive);
        problem.check(&portable(), &naive);
        #[cfg(target_arch = "x86_64")]
        if direct::takes(&of) {
            crate::lanes::pretend::ON.set(true);
            problem.check(&chosen(), &naive);
            crate::lanes::pretend::ON.set(false);
        }
    }

    fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, padding: [usize; 2]) -> Option<Axis> {
        let output = (input + padding[0] + padding[1]).checked_sub(dilation * (kernel - 1) + 1)? / stride + 1;
        Some(Axis { input, output, kernel, stride, dilation, padding: padding[0] })
    }

    /// Any axis of up to `most` inputs.
    fn any_axis(stream: &mut Stream, most: usize) -> Axis {
        loop {
            let (input, kernel) = (size(stream, 1, most), size(stream, 1, 5));
            let (stride, dilation) = (choose(stream, &[1, 1, 1, 2, 3]), choose(stream, &[1, 1, 2, 3]));
            let padding = [size(stream, 0, 4), size(stream, 0, 4)];
            if let Some(mut axis) = axis(input, kernel, stride, dilation, padding) {
                // A transposed convolution may leave out the last outputs.
                axis.output -= usize::from(axis.output > 1 && stream.uniform() < 0.2);
                return axis;
            }
        }
    }

    fn any(stream: &mut Stream) -> (Convolution, usize) {
        let groups = choose(stream, &[1, 1, 1, 2, 3, 8, 17]);
        let most = if groups > 3 { 2 } else { 18 };
        let (channels, outputs) = (groups * size(stream, 1, most.min(9)), groups * size(stream, 1, most));
        let most = choose(stream, &[1, 8, 20, 40]);
        let axes = [any_axis(stream, most.min(12)), any_axis(stream, most)];
        (Convolution::new(channels, outputs, groups, axes).unwrap(), size(stream, 1, 3))
    }

    #[test]
    fn equals_plain_loops_at_any_size() {
        let mut stream = Seed(5).stream(0);
        for key in 0..300 {
            let (of, examples) = any(&mut stream);
            check::<f32>(of, examples, key);
            check::<f64>(of, examples, key);
        }
    }

    fn plain(channels: usize, outputs: usize, side: usize, kernel: usize) -> Convolution {
        let axis = axis(side, kernel, 1, 1, [kernel / 2; 2]).unwrap();
        Convolution::new(channels, outputs, 1, [axis; 2]).unwrap()
    }

    #[test]
    fn equals_plain_loops_at_the_sizes_of_networks() {
        let twice = axis(20, 3, 2, 1, [1; 2]).unwrap();
        let long = axis(700, 9, 1, 1, [4; 2]).unwrap();
        let sizes = [
            plain(1, 16, 28, 3),
            plain(16, 32, 14, 3),
            plain(32, 40, 7, 3),
            plain(3, 8, 33, 7),
            plain(40, 24, 9, 1),
            Convolution::new(40, 64, 1, [twice; 2]).unwrap(),
            Convolution::new(48, 96, 2, [twice; 2]).unwrap(),
            Convolution::new(32, 34, 1, [plain(1, 1, 1, 1).axes[0], long]).unwrap(),
            Convolution::new(2, 5, 1, [long, plain(1, 1, 9, 3).axes[1]]).unwrap(),
        ];
        for (key, of) in sizes.into_iter().enumerate() {
            check::<f32>(of, 3, key as u64);
            check::<f64>(of, 2, key as u64);
        }
    }

    #[test]
    fn no_gradient_of_a_weight_loses_more_digits_the_more_terms_it_has() {
        // Added one after the other, a million of these are 1 % off.
        let one = |length: usize| axis(length, 1, 1, 1, [0; 2]).unwrap();
        let padded = |length: usize, kernel: usize| axis(length, kernel, 1, 1, [kernel / 2; 2]).unwrap();
        let sizes = [
            (Convolution::new(1, 1, 1, [one(1), one(1)]), 1 << 19),
            (Convolution::new(2, 3, 1, [one(1), one(3)]), 1 << 17),
            (Convolution::new(4, 4, 4, [one(1), one(1)]), 1 << 17),
            (Convolution::new(4, 8, 2, [one(2), one(2)]), 1 << 16),
            (Convolution::new(1, 600, 1, [one(1), one(1)]), 1 << 14),
            (Convolution::new(1, 1, 1, [one(1), one(1 << 19)]), 1),
            (Convolution::new(2, 2, 2, [one(1 << 9), one(1 << 9)]), 2),
            (Convolution::new(1, 2, 1, [padded(30, 3), padded(30, 3)]), 200),
        ];
        for (of, examples) in sizes {
            let of = of.unwrap();
            // All examples are the same.
            let of_examples = |examples: usize| Problem::<f32> {
                x: vec![1.0; examples * of.input_len()],
                dy: vec![0.1; examples * of.output_len()],
                ..Problem::new(of, 0, 0)
            };
            let (problem, naive) = (of_examples(examples), of_examples(1).naive());
            let exact: Vec<f64> = naive.dweight.iter().chain(&naive.dbias).map(|d| d * examples as f64).collect();
            let check = |passes: &Passes<f32>| {
                let (mut dweight, mut dbias) = (problem.weight.clone(), problem.bias.clone());
                let mut scratch = vec![f32::NAN; of.scratch_len().max(portable::scratch_len(&of))];
                let Problem { x, dy, .. } = &problem;
                (passes.weight_gradient)(&of, x, dy, &mut dweight, Some(&mut dbias), &mut scratch);
                for (found, exact) in dweight.iter().chain(&dbias).zip(&exact) {
                    let error = (f64::from(*found) / exact - 1.0).abs();
                    assert!(error < 1e-5, "{of:?}: {found} for {exact}, {error:e}");
                }
            };
            check(&chosen());
            check(&portable());
            #[cfg(target_arch = "x86_64")]
            {
                crate::lanes::pretend::ON.set(true);
                check(&chosen());
                crate::lanes::pretend::ON.set(false);
            }
        }
    }

    #[test]
    fn no_examples_give_nothing_and_a_gradient_of_zero() {
        let of = plain(2, 3, 5, 3);
        let problem = Problem::<f32>::new(of, 0, 0);
        let [y, dx, dweight, dbias] = problem.run(&chosen(), true);
        assert!(y.is_empty() && dx.is_empty());
        assert!(dweight.iter().chain(&dbias).all(|&d| d == 0.0));
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let depthwise = Convolution::new(32, 32, 32, plain(1, 1, 14, 3).axes).unwrap();
        let wide = Convolution::new(8, 300, 1, plain(1, 1, 9, 3).axes).unwrap();
        for (of, examples) in
            [(plain(1, 16, 28, 3), 137), (plain(16, 32, 14, 3), 21), (depthwise, 119), (wide, 29), (wide, 1)]
        {
            let problem = Problem::<f32>::new(of, examples, 3);
            let on = |threads| {
                let results = Threads::new(threads).unwrap().run(|| problem.run(&chosen(), true));
                results.map(|data| data.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            };
            let one = on(1);
            for threads in 2..=5 {
                assert!(on(threads) == one, "{of:?} on {threads} threads");
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let one = axis(5, 3, 1, 1, [1, 1]).unwrap();
        let with = |axis: Axis| Convolution::new(2, 2, 1, [axis, one]);
        assert!(with(one).is_some());
        assert!(with(Axis { kernel: 0, ..one }).is_none());
        assert!(with(Axis { output: 0, ..one }).is_none());
        assert!(with(Axis { stride: usize::MAX, ..one }).is_none());
        assert!(with(Axis { dilation: usize::MAX / 2, ..one }).is_none());
        assert!(with(Axis { input: 1 << 59, output: 1 << 59, ..one }).is_none());
        assert!(Convolution::new(2, 3, 2, [one; 2]).is_none(), "two groups do not divide three outputs");
        assert!(Convolution::new(2, 2, 0, [one; 2]).is_none());
        assert!(Convolution::new(0, 0, 1, [one; 2]).is_none());
    }
}
