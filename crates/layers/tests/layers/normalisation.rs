//! Normalisations at their edges; their numbers are compared with PyTorch's in `parity.rs`.

use downhill_layers::{BatchNorm, Bound, GroupNorm, InstanceNorm, Layer, LayerNorm, Mode, RmsNorm};
use downhill_tensor::{Seed, Shape};
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
    norm.forward(array![[1.0], [3.0]].view()).unwrap();
    assert_eq!(norm.statistics(), [0.0, 1.0, 0.0], "a pass alone changes nothing");
    norm.absorb_statistics();
    assert_eq!(norm.statistics(), [0.2, 1.1, 1.0]);
}

#[test]
fn a_cumulative_average_weighs_all_batches_alike() {
    let mut norm = bound(BatchNorm::new().with_cumulative_average(), [1, 2]);
    for x in [[1.0, 3.0], [5.0, 5.0], [0.0, 4.0]] {
        norm.forward(array![x].view()).unwrap();
        norm.absorb_statistics();
    }
    let [mean, variance, batches] = norm.statistics() else { panic!("three numbers") };
    assert!((mean - 3.0).abs() < 1e-15 && (variance - 10.0 / 3.0).abs() < 1e-15, "{mean} {variance}");
    assert_eq!(*batches, 3.0);
}

#[test]
fn evaluation_changes_no_statistics_and_takes_any_batch() {
    let mut norm = bound(BatchNorm::new().with_epsilon(0.0), [2]);
    norm.set_mode(Mode::Evaluation);
    norm.statistics_mut().copy_from_slice(&[1.0, -1.0, 4.0, 0.25, 7.0]);
    assert_eq!(norm.forward(array![[3.0, 0.0]].view()).unwrap(), array![[1.0, 2.0]]);
    assert_eq!(norm.backward(array![[1.0, 1.0]].view()).unwrap(), array![[0.5, 2.0]], "μ and σ are constants");
    assert_eq!(norm.gradient("weight").unwrap(), [1.0, 2.0]);
    norm.absorb_statistics();
    assert_eq!(norm.statistics(), [1.0, -1.0, 4.0, 0.25, 7.0]);
}

#[test]
fn one_value_per_channel_is_refused_in_training() {
    let mut norm = bound(BatchNorm::new(), [3]);
    let error = norm.forward(array![[1.0, 2.0, 3.0]].view()).unwrap_err().to_string();
    assert!(error.contains("at least 2 examples") && error.contains("has 1"), "{error}");
    let mut one_place = bound(BatchNorm::new(), [3, 1, 1]);
    assert!(one_place.forward(array![[1.0, 2.0, 3.0]].view()).is_err());
    let mut two_places = bound(BatchNorm::new(), [3, 2]);
    assert!(two_places.forward(array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]].view()).is_ok());
}

#[test]
fn an_empty_batch_gives_an_empty_output_and_no_gradient() {
    fn check<L: Layer>(layer: L) {
        let mut bound = bound(layer, [2, 3]);
        let nothing = Array2::zeros((0, 6));
        bound.forward(nothing.view()).unwrap();
        let before = bound.statistics().to_vec();
        bound.absorb_statistics();
        assert_eq!(bound.statistics(), before);
        assert_eq!(bound.backward(nothing.view()).unwrap(), nothing);
        assert!(bound.gradients().iter().all(|&gradient| gradient == 0.0));
    }
    check(BatchNorm::new());
    check(LayerNorm::new());
    check(RmsNorm::new());
    check(GroupNorm::new(2));
    check(InstanceNorm::new().with_affine());
}

#[test]
fn constants_and_single_numbers_become_zero() {
    let x = array![[7.0, 7.0, 7.0, 7.0], [-1e6, -1e6, -1e6, -1e6]];
    let zeros = Array2::<f64>::zeros((2, 4));
    assert_eq!(bound(LayerNorm::new(), [4]).forward(x.view()).unwrap(), zeros);
    assert_eq!(bound(GroupNorm::new(2), [4]).forward(x.view()).unwrap(), zeros);
    assert_eq!(bound(InstanceNorm::new(), [2, 2]).forward(x.view()).unwrap(), zeros);
    assert_eq!(bound(BatchNorm::new(), [1, 4]).forward(array![[7.0, 7.0, 7.0, 7.0]].view()).unwrap(), array![[0.0; 4]]);
    // One feature: whatever it is, it becomes the bias, and has no derivative.
    let mut single = bound(LayerNorm::new(), [4, 1]);
    single.set("bias", &[0.5]).unwrap();
    let y = single.forward(array![[1.0, -3.0, 1e9, 0.0]].view()).unwrap();
    assert_eq!(y, array![[0.5, 0.5, 0.5, 0.5]]);
    assert_eq!(single.backward(y.view()).unwrap(), array![[0.0, 0.0, 0.0, 0.0]]);
    assert_eq!(bound(RmsNorm::new(), [3]).forward(array![[0.0, 0.0, 0.0]].view()).unwrap(), array![[0.0; 3]]);
}

#[test]
fn a_number_that_is_none_stays_in_its_group() {
    let y = bound(LayerNorm::new(), [2]).forward(array![[1.0, f64::NAN], [1.0, 2.0]].view()).unwrap();
    assert!(y.row(0).iter().all(|y| y.is_nan()) && y.row(1).iter().all(|y| y.is_finite()));
}

#[test]
fn one_group_is_layer_normalisation_and_a_group_for_each_channel_is_instance_normalisation() {
    let x = array![[1.0, 2.5, -3.0, 4.0, 0.5, 6.0]];
    let all = |y: Array2<f64>| y.mapv(|y| (y * 1e12).round());
    let layer = bound(LayerNorm::new().with_axes(2).without_affine(), [2, 3]).forward(x.view()).unwrap();
    assert_eq!(all(bound(GroupNorm::new(1), [2, 3]).forward(x.view()).unwrap()), all(layer));
    let instance = bound(InstanceNorm::new(), [2, 3]).forward(x.view()).unwrap();
    assert_eq!(all(bound(GroupNorm::new(2), [2, 3]).forward(x.view()).unwrap()), all(instance));
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
    check(&BatchNorm::new().without_affine(), [3], &[]);
    check(&LayerNorm::new().with_axes(2), [3, 4, 5], &both([4, 5].into()));
    check(&LayerNorm::new().without_bias(), [3, 4, 5], &both([5].into())[..1]);
    check(&RmsNorm::new().with_axes(3), [3, 4, 5], &both([3, 4, 5].into())[..1]);
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
            error(&BatchNorm::new().with_epsilon(epsilon), [2]),
            error(&LayerNorm::new().with_epsilon(epsilon), [2]),
            error(&RmsNorm::new().with_epsilon(epsilon), [2]),
            error(&GroupNorm::new(1).with_epsilon(epsilon), [2]),
            error(&InstanceNorm::new().with_epsilon(epsilon), [2, 2]),
        ] {
            assert!(text.contains(&format!("not negative, but is {epsilon}")), "{text}");
        }
    }
    assert!(error(&BatchNorm::new().with_momentum(1.5), [2]).contains("[0, 1], but is 1.5"));
    assert!(error(&BatchNorm::new().with_momentum(f64::NAN), [2]).contains("but is NaN"));
    assert_eq!(
        error(&GroupNorm::new(3), [4, 2]),
        "GroupNorm: 4 channels do not fall into 3 groups of equal size; take a number that divides them"
    );
    assert!(error(&GroupNorm::new(0), [4]).contains("into 0 groups"));
    for axes in [0, 3] {
        let text = error(&LayerNorm::new().with_axes(axes), [4, 2]);
        assert!(text.contains(&format!("the last {axes} axes, but an example of shape 4x2 has 2")), "{text}");
        assert!(error(&RmsNorm::new().with_axes(axes), [4, 2]).contains("has 2"));
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
