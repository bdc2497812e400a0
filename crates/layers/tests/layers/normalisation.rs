//! Normalisations at their edges; their numbers are compared with PyTorch's in `parity.rs`.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use downhill_layers::{
    AllGather, Arrays, ArraysMut, Backward, BatchNorm, Bound, Forward, GroupNorm, Inputs, InputsMut, InstanceNorm,
    Layer, LayerNorm, Mode, RmsNorm, Streams,
};
use downhill_tensor::{Batch, BatchMut, Seed, Shape};
use ndarray::{Array2, array};

fn error(layer: &impl Layer, input: impl Into<Shape>) -> String {
    layer.signature(&[input.into()]).unwrap_err().to_string()
}

fn bound<L: Layer>(layer: L, input: impl Into<Shape>) -> Bound<L, f64> {
    layer.bind(input, Seed(1)).unwrap()
}

#[test]
fn running_statistics_keep_the_unbiased_variance() {
    // The biased variance of 1 and 3 is 1, the unbiased one 2.
    let mut norm = bound(BatchNorm::new(), [1]);
    assert_eq!(norm.statistics(), [0.0, 1.0, 0.0]);
    norm.forward([[1.0], [3.0]]).unwrap();
    assert_eq!(norm.statistics(), [0.0, 1.0, 0.0], "a pass alone changes nothing");
    norm.absorb_statistics();
    assert_eq!(norm.statistics(), [0.2, 1.1, 1.0]);
}

#[test]
fn running_statistics_are_right_after_a_million_batches() {
    // Each batch of two has the mean `mean` and the unbiased variance 0.5.
    let after = |norm: BatchNorm, batches: u32, mean: &dyn Fn(u32) -> f32| {
        let mut norm = norm.bind::<f32>([1], Seed(1)).unwrap();
        for batch in 0..batches {
            let mean = mean(batch);
            norm.forward([[mean - 0.5], [mean + 0.5]]).unwrap();
            norm.absorb_statistics();
        }
        [norm.statistics()[0], norm.statistics()[1]].map(f64::from)
    };
    let close = |found: [f64; 2], mean: f64, tolerance: f64| {
        assert!((found[0] / mean - 1.0).abs() < tolerance && (found[1] - 0.5).abs() < tolerance, "{found:?}");
    };
    let cumulative = || BatchNorm::new().cumulative_average();
    close(after(cumulative(), 1_000_000, &|_| 2.5), 2.5, 1e-7);
    close(after(cumulative(), 1_000_000, &|batch| if batch % 2 == 0 { 2.0 } else { 3.0 }), 2.5, 1e-4);
    close(after(BatchNorm::new(), 100_000, &|_| 2.5), 2.5, 1e-6);
    close(after(BatchNorm::new().momentum(1e-3), 100_000, &|_| 2.5), 2.5, 1e-4);
}

#[test]
fn columns_are_normalised_as_exactly_as_images() {
    // A mean of 66743 deviations over 16384 examples: one running f32 sum was two deviations off.
    let count = 16_384;
    let x: Vec<f32> = (0..count).map(|i| (66_743.0 + (f64::from(i) * 0.7).sin() * 1.41) as f32).collect();
    let wide = |x: f32| f64::from(x);
    let mean = x.iter().map(|&x| wide(x)).sum::<f64>() / f64::from(count);
    let variance = x.iter().map(|&x| (wide(x) - mean).powi(2)).sum::<f64>() / f64::from(count);
    for shape in [Shape::from([1]), [1, 8, 8].into()] {
        let mut norm = BatchNorm::new().bind::<f32>(shape, Seed(1)).unwrap();
        let batch = Array2::from_shape_vec((x.len() / shape.len(), shape.len()), x.clone()).unwrap();
        let y = norm.forward(&batch).unwrap();
        for (&y, &x) in y.iter().zip(&x) {
            let expected = (wide(x) - mean) / (variance + 1e-5).sqrt();
            // The mean is rounded to 2⁻⁷.
            assert!((wide(y) - expected).abs() < 0.005, "{shape}: {y} for {expected}");
        }
        norm.absorb_statistics();
        assert!((wide(norm.statistics()[0]) / (0.1 * mean) - 1.0).abs() < 1e-6);
        let unbiased = variance * f64::from(count) / f64::from(count - 1);
        assert!((wide(norm.statistics()[1]) - (0.9 + 0.1 * unbiased)).abs() < 1e-5);
    }
}

/// y and dx of a layer in f32 and in f64, of the same numbers.
fn both_precisions(layer: &(impl Layer + Clone), shape: Shape, x: &Array2<f32>) -> [Vec<f64>; 4] {
    let mut narrow = layer.clone().bind::<f32>(shape, Seed(1)).unwrap();
    let mut wide = layer.clone().bind::<f64>(shape, Seed(1)).unwrap();
    let dy = x.mapv(|x| if x.is_sign_positive() { 0.5 } else { 1.0 });
    let y = narrow.forward(x).unwrap().mapv(f64::from);
    let dx = narrow.backward(&dy).unwrap().mapv(f64::from);
    let exact_y = wide.forward(x.mapv(f64::from).view()).unwrap();
    let exact_dx = wide.backward(dy.mapv(f64::from).view()).unwrap();
    [y, dx, exact_y, exact_dx].map(|each| each.into_raw_vec_and_offset().0)
}

#[test]
fn numbers_whose_squares_leave_the_precision_are_normalised() {
    fn check(layer: impl Layer + Clone, shape: impl Into<Shape>) {
        let shape = shape.into();
        let mut stream = Seed(6).stream(0);
        let plain = Array2::from_shape_simple_fn((8, shape.len()), || (2.0 * stream.uniform() - 0.8) as f32);
        for unit in [1e-25f32, 1e-18, 1.0, 1e18, 1e20, 1e30, 1e36] {
            let [y, dx, exact_y, exact_dx] = both_precisions(&layer, shape, &plain.mapv(|x| x * unit));
            let close = |what: &str, found: &[f64], exact: &[f64], size: f64| {
                for (found, exact) in found.iter().zip(exact) {
                    assert!((found - exact).abs() <= 1e-5 * size, "{what} of {layer:?} at {unit}: {found} for {exact}");
                }
            };
            close("y", &y, &exact_y, 1.0);
            close("dx", &dx, &exact_dx, 1.0 / f64::from(unit));
        }
    }
    for epsilon in [0.0, 1e-5] {
        check(BatchNorm::new().epsilon(epsilon), [3]);
        check(BatchNorm::new().epsilon(epsilon), [3, 4, 4]);
        check(LayerNorm::new().epsilon(epsilon), [5, 6]);
        check(GroupNorm::new(2).epsilon(epsilon), [4, 3]);
        check(GroupNorm::new(2).epsilon(epsilon), [8]);
        check(InstanceNorm::new().affine().epsilon(epsilon), [3, 7]);
        check(RmsNorm::new().epsilon(epsilon), [9]);
    }
    check(RmsNorm::new(), [9]);
}

#[test]
fn a_constant_becomes_the_bias_exactly() {
    fn check(layer: impl Layer, shape: impl Into<Shape>, examples: usize) {
        let shape = shape.into();
        let mut norm = layer.bind::<f32>(shape, Seed(1)).unwrap();
        for constant in [1234.567f32, 66_743.0, 101_325.02, 1_000_000.3] {
            let y = norm.forward(Array2::from_elem((examples, shape.len()), constant).view()).unwrap();
            assert!(y.iter().all(|&y| y == 0.0), "{constant}: {}", y[[0, 0]]);
        }
    }
    for examples in [3, 7, 4096, 66_743] {
        check(BatchNorm::new(), [1], examples);
        check(BatchNorm::new(), [2, 3], examples);
    }
    check(BatchNorm::new(), [33], 4096);
    check(LayerNorm::new(), [7], 2);
    check(LayerNorm::new(), [16_384], 1);
    check(GroupNorm::new(2), [6, 7], 2);
    check(InstanceNorm::new(), [2, 49], 2);
}

#[test]
fn a_cumulative_average_weighs_all_batches_alike() {
    let mut norm = bound(BatchNorm::new().cumulative_average(), [1, 2]);
    for x in [[1.0, 3.0], [5.0, 5.0], [0.0, 4.0]] {
        norm.forward([x]).unwrap();
        norm.absorb_statistics();
    }
    let [mean, variance, batches] = norm.statistics() else { panic!("three numbers") };
    assert!((mean - 3.0).abs() < 1e-15 && (variance - 10.0 / 3.0).abs() < 1e-15, "{mean} {variance}");
    assert_eq!(*batches, 3.0);
}

#[test]
fn evaluation_changes_no_statistics_and_takes_any_batch() {
    let mut norm = bound(BatchNorm::new().epsilon(0.0), [2]);
    norm.set_mode(Mode::Evaluation);
    norm.statistics_mut().copy_from_slice(&[1.0, -1.0, 4.0, 0.25, 7.0]);
    assert_eq!(norm.forward([[3.0, 0.0]]).unwrap(), array![[1.0, 2.0]]);
    assert_eq!(norm.backward([[1.0, 1.0]]).unwrap(), array![[0.5, 2.0]], "μ and σ are constants");
    assert_eq!(norm.gradient("weight").unwrap().flatten(), array![1.0, 2.0]);
    norm.absorb_statistics();
    assert_eq!(norm.statistics(), [1.0, -1.0, 4.0, 0.25, 7.0]);
}

#[test]
fn one_value_per_channel_is_refused_in_training() {
    let mut norm = bound(BatchNorm::new(), [3]);
    let error = norm.forward([[1.0, 2.0, 3.0]]).unwrap_err().to_string();
    assert!(error.contains("at least 2 examples") && error.contains("has 1"), "{error}");
    let mut one_place = bound(BatchNorm::new(), [3, 1, 1]);
    assert!(one_place.forward([[1.0, 2.0, 3.0]]).is_err());
    let mut two_places = bound(BatchNorm::new(), [3, 2]);
    assert!(two_places.forward([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]).is_ok());
}

#[test]
fn an_empty_batch_gives_an_empty_output_and_no_gradient() {
    fn check<L: Layer>(layer: L) {
        let mut bound = bound(layer, [2, 3]);
        let nothing = Array2::zeros((0, 6));
        bound.forward(&nothing).unwrap();
        let before = bound.statistics().to_vec();
        bound.absorb_statistics();
        assert_eq!(bound.statistics(), before);
        assert_eq!(bound.backward(&nothing).unwrap(), nothing);
        assert!(bound.gradients().iter().all(|&gradient| gradient == 0.0));
    }
    check(BatchNorm::new());
    check(LayerNorm::new());
    check(RmsNorm::new());
    check(GroupNorm::new(2));
    check(InstanceNorm::new().affine());
}

#[test]
fn constants_and_single_numbers_become_zero() {
    let x = array![[7.0, 7.0, 7.0, 7.0], [-1e6, -1e6, -1e6, -1e6]];
    let zeros = Array2::<f64>::zeros((2, 4));
    assert_eq!(bound(LayerNorm::new(), [4]).forward(&x).unwrap(), zeros);
    assert_eq!(bound(GroupNorm::new(2), [4]).forward(&x).unwrap(), zeros);
    assert_eq!(bound(InstanceNorm::new(), [2, 2]).forward(&x).unwrap(), zeros);
    assert_eq!(bound(BatchNorm::new(), [1, 4]).forward([[7.0, 7.0, 7.0, 7.0]]).unwrap(), array![[0.0; 4]]);
    // One feature: whatever it is, it becomes the bias, and has no derivative.
    let mut single = bound(LayerNorm::new(), [4, 1]);
    single.set("bias", [0.5]).unwrap();
    let y = single.forward([[1.0, -3.0, 1e9, 0.0]]).unwrap();
    assert_eq!(y, array![[0.5, 0.5, 0.5, 0.5]]);
    assert_eq!(single.backward(&y).unwrap(), array![[0.0, 0.0, 0.0, 0.0]]);
    assert_eq!(bound(RmsNorm::new(), [3]).forward([[0.0, 0.0, 0.0]]).unwrap(), array![[0.0; 3]]);
}

#[test]
fn a_number_that_is_none_stays_in_its_group() {
    let y = bound(LayerNorm::new(), [2]).forward([[1.0, f64::NAN], [1.0, 2.0]]).unwrap();
    assert!(y.row(0).iter().all(|y| y.is_nan()) && y.row(1).iter().all(|y| y.is_finite()));
}

#[test]
fn one_group_is_layer_normalisation_and_a_group_for_each_channel_is_instance_normalisation() {
    let x = array![[1.0, 2.5, -3.0, 4.0, 0.5, 6.0]];
    let all = |y: Array2<f64>| y.mapv(|y| (y * 1e12).round());
    let layer = bound(LayerNorm::new().axes(2).no_affine(), [2, 3]).forward(&x).unwrap();
    assert_eq!(all(bound(GroupNorm::new(1), [2, 3]).forward(&x).unwrap()), all(layer));
    let instance = bound(InstanceNorm::new(), [2, 3]).forward(&x).unwrap();
    assert_eq!(all(bound(GroupNorm::new(2), [2, 3]).forward(&x).unwrap()), all(instance));
}

#[test]
fn parameters_are_named_and_shaped_as_in_pytorch_and_start_at_one_and_zero() {
    fn check(layer: &impl Layer, input: impl Into<Shape>, expected: &[(&str, Shape)]) {
        let signature = layer.signature(&[input.into()]).unwrap();
        let found: Vec<_> = signature.parameters().iter().map(|p| (p.name.as_ref(), p.shape)).collect();
        assert_eq!(found, expected, "{layer:?}");
    }
    let both = |shape: Shape| [("weight", shape), ("bias", shape)];
    check(&BatchNorm::new(), [3, 4, 5], &both([3].into()));
    check(&BatchNorm::new().no_affine(), [3], &[]);
    check(&LayerNorm::new().axes(2), [3, 4, 5], &both([4, 5].into()));
    check(&LayerNorm::new().no_bias(), [3, 4, 5], &both([5].into())[..1]);
    check(&RmsNorm::new().axes(3), [3, 4, 5], &both([3, 4, 5].into())[..1]);
    check(&GroupNorm::new(3), [6, 4], &both([6].into()));
    check(&InstanceNorm::new(), [6, 4], &[]);
    assert_eq!(bound(LayerNorm::new(), [2]).parameters(), [1.0, 1.0, 0.0, 0.0]);
    let signature = BatchNorm::new().signature(&[[3, 4].into()]).unwrap();
    let names: Vec<_> = signature.statistics().iter().map(|statistic| statistic.name.as_ref()).collect();
    assert_eq!(names, ["running_mean", "running_var", "num_batches_tracked"]);
}

#[test]
fn settings_out_of_range_are_told_in_sentences() {
    for epsilon in [-1.0, f64::NAN, f64::INFINITY] {
        for text in [
            error(&BatchNorm::new().epsilon(epsilon), [2]),
            error(&LayerNorm::new().epsilon(epsilon), [2]),
            error(&RmsNorm::new().epsilon(epsilon), [2]),
            error(&GroupNorm::new(1).epsilon(epsilon), [2]),
            error(&InstanceNorm::new().epsilon(epsilon), [2, 2]),
        ] {
            assert!(text.contains(&format!("not negative, but is {epsilon}")), "{text}");
        }
    }
    assert!(error(&BatchNorm::new().momentum(1.5), [2]).contains("[0, 1], but is 1.5"));
    assert!(error(&BatchNorm::new().momentum(f64::NAN), [2]).contains("but is NaN"));
    assert_eq!(
        error(&GroupNorm::new(3), [4, 2]),
        "GroupNorm: 4 channels do not fall into 3 groups of equal size; take a number that divides them"
    );
    assert!(error(&GroupNorm::new(0), [4]).contains("into 0 groups"));
    for axes in [0, 3] {
        let text = error(&LayerNorm::new().axes(axes), [4, 2]);
        assert!(text.contains(&format!("the last {axes} axes, but an example of shape 4x2 has 2")), "{text}");
        assert!(error(&RmsNorm::new().axes(axes), [4, 2]).contains("has 2"));
    }
}

#[test]
fn shapes_that_do_not_fit_are_told_in_sentences() {
    assert!(error(&BatchNorm::new(), []).contains("first axis is the channels"));
    assert!(error(&GroupNorm::new(1), []).contains("first axis is the channels"));
    assert!(error(&InstanceNorm::new(), []).contains("at least one axis more"));
    assert!(error(&InstanceNorm::new(), [3]).contains("would always become 0"));
    assert!(error(&InstanceNorm::new(), [3, 1, 1]).contains("would always become 0"));
    assert!(error(&LayerNorm::new(), [3, 0]).contains("3x0 holds nothing to normalise"));
    assert!(error(&BatchNorm::new(), [0, 3]).contains("holds nothing to normalise"));
    let two: [Shape; 2] = [[2].into(), [2].into()];
    assert!(BatchNorm::new().signature(&two).unwrap_err().to_string().contains("exactly one input"));
}

/// A part of a batch on a thread of its own, which gives its numbers to the others.
#[derive(Debug)]
struct Part {
    rank: usize,
    shared: Arc<(Mutex<Vec<Vec<f64>>>, Barrier)>,
    all: Vec<f64>,
}

impl AllGather<f64> for Part {
    fn all_gather(&mut self, own: &[f64]) -> &[f64] {
        let (numbers, barrier) = &*self.shared;
        numbers.lock().unwrap()[self.rank] = own.to_vec();
        barrier.wait();
        self.all = numbers.lock().unwrap().concat();
        barrier.wait();
        &self.all
    }
}

/// What the passes over one part leave: y, dx, dθ and the running statistics.
type Left = [Vec<f64>; 4];

fn passes(norm: BatchNorm, shape: Shape, x: &[f64], dy: &[f64], mut part: Option<Part>) -> Left {
    let (signature, examples) = (norm.signature(&[shape]).unwrap(), x.len() / shape.len());
    let nan = |len: usize| vec![f64::NAN; len];
    let (mut y, mut dx) = (nan(x.len()), nan(x.len()));
    let (mut theta, mut statistics) = (nan(signature.parameters_len()), nan(signature.statistics_len()));
    signature.start(&mut theta, Seed(1));
    signature.start_statistics(&mut statistics, Seed(1));
    let (mut dtheta, mut saved) = (nan(theta.len()), nan(signature.saved().len(examples)));
    let mut scratch = nan(signature.scratch_of_forward().len(examples));
    norm.forward(&mut Forward {
        x: Inputs::from(Batch::new(x, examples, shape).unwrap()),
        params: Arrays::new(&theta, signature.parameter_layout(), 0),
        y: BatchMut::new(&mut y, examples, shape).unwrap(),
        saved: ArraysMut::new(&mut saved, signature.saved(), examples),
        scratch: ArraysMut::new(&mut scratch, signature.scratch_of_forward(), examples),
        statistics: Arrays::new(&statistics, signature.statistic_layout(), 0),
        mode: Mode::Training { step: 0 },
        random: Streams::new(Seed(0), 0, 0),
        ranks: part.as_mut().map(|part| part as _),
    });
    let mut scratch = nan(signature.scratch_of_backward().len(examples));
    norm.backward(&mut Backward {
        x: Inputs::from(Batch::new(x, examples, shape).unwrap()),
        params: Arrays::new(&theta, signature.parameter_layout(), 0),
        y: Batch::absent(examples, shape),
        saved: Arrays::new(&saved, signature.saved(), examples),
        scratch: ArraysMut::new(&mut scratch, signature.scratch_of_backward(), examples),
        dy: Batch::new(dy, examples, shape).unwrap(),
        dx: InputsMut::from(BatchMut::new(&mut dx, examples, shape).unwrap()),
        dparams: ArraysMut::new(&mut dtheta, signature.parameter_layout(), 0),
        ranks: part.as_mut().map(|part| part as _),
    });
    let saved = Arrays::new(&saved, signature.saved(), examples);
    norm.absorb(saved, &mut ArraysMut::new(&mut statistics, signature.statistic_layout(), 0));
    [y, dx, dtheta, statistics]
}

#[test]
fn parts_of_a_batch_that_gather_are_normalised_as_the_whole() {
    let close = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{a} {b}");
        }
    };
    // Parts of one example too, whose own variance is 0.
    for (shape, sizes) in [(Shape::from([3]), [1, 5, 1]), ([2, 3, 2].into(), [4, 1, 2]), ([1].into(), [1, 1, 1])] {
        let mut stream = Seed(4).stream(0);
        let examples: usize = sizes.iter().sum();
        let mut numbers = || (0..examples * shape.len()).map(|i| stream.uniform() + i as f64 / 4.0).collect();
        let (x, dy): (Vec<f64>, Vec<f64>) = (numbers(), numbers());
        for norm in [BatchNorm::new(), BatchNorm::new().no_affine()] {
            let whole = passes(norm, shape, &x, &dy, None);
            let shared = Arc::new((Mutex::new(vec![Vec::new(); sizes.len()]), Barrier::new(sizes.len())));
            let parts: Vec<Left> = thread::scope(|scope| {
                let (mut x, mut dy) = (&x[..], &dy[..]);
                let mut threads = Vec::new();
                for (rank, size) in sizes.into_iter().enumerate() {
                    let ((own, rest), (down, below)) =
                        (x.split_at(size * shape.len()), dy.split_at(size * shape.len()));
                    (x, dy) = (rest, below);
                    let part = Part { rank, shared: Arc::clone(&shared), all: Vec::new() };
                    threads.push(scope.spawn(move || passes(norm, shape, own, down, Some(part))));
                }
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for (place, whole) in whole[..2].iter().enumerate() {
                close(&parts.iter().flat_map(|part| part[place].clone()).collect::<Vec<_>>(), whole);
            }
            let sum = |place: usize| parts.iter().map(|part| part[2][place]).sum::<f64>();
            close(&(0..whole[2].len()).map(sum).collect::<Vec<_>>(), &whole[2]);
            close(&parts[0][3], &whole[3]);
            assert!(parts.iter().all(|part| part[3] == parts[0][3]), "the running statistics of all parts");
        }
    }
}
