//! Padding and upsampling at their edges.

use downhill_layers::{Interpolation, Layer, Pad, PadMode, Upsample};
use downhill_tensor::{Seed, Shape, threads::Threads};
use ndarray::{Array2, array};

fn forward(layer: impl Layer, shape: impl Into<Shape>, x: &[f64]) -> Vec<f64> {
    let mut layer = layer.bind::<f64>(shape, Seed(0)).unwrap();
    layer.forward(Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap().view()).unwrap().into_iter().collect()
}

fn error(layer: &impl Layer, shape: impl Into<Shape>) -> String {
    layer.signature(&[shape.into()]).unwrap_err().to_string()
}

#[test]
fn every_mode_pads_as_far_as_it_can() {
    let x = [1.0, 2.0, 3.0];
    let pad = |before, behind, mode| forward(Pad::new([before, behind]).mode(mode), [3], &x);
    assert_eq!(pad(2, 2, PadMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
    assert_eq!(pad(3, 3, PadMode::Circular), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(pad(4, 1, PadMode::Replicate), [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
    assert_eq!(pad(1, 2, PadMode::Constant(-9.0)), [-9.0, 1.0, 2.0, 3.0, -9.0, -9.0]);
    assert_eq!(pad(0, 0, PadMode::Reflect), x);
}

#[test]
fn rows_are_padded_before_and_behind() {
    let pad = Pad::new([1, 0]).rows([1, 2]);
    let y = forward(pad.clone(), [2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(y[..12], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let mut pad = pad.mode(PadMode::Replicate).bind::<f64>([1, 2], Seed(0)).unwrap();
    pad.forward([[1.0, 2.0]]).unwrap();
    assert_eq!(pad.backward(Array2::ones((1, 12)).view()).unwrap(), array![[8.0, 4.0]]);
}

#[test]
fn what_is_not_a_number_goes_through_without_spreading() {
    let far = f64::INFINITY;
    let y = forward(Pad::new([1, 0]), [2], &[f64::NAN, far]);
    assert!(y[0] == 0.0 && y[1].is_nan() && y[2] == far);
    let y = forward(Upsample::new(2), [1, 1, 2], &[f64::NAN, far]);
    assert!(y[..2].iter().all(|y| y.is_nan()) && y[2..4] == [far, far]);
}

#[test]
fn lines_go_through_the_middle_of_pixels_or_through_the_corners() {
    let by = |interpolation| forward(Upsample::new([1.0, 2.0]).interpolation(interpolation), [1, 1, 2], &[0.0, 6.0]);
    assert_eq!(by(Interpolation::Nearest), [0.0, 0.0, 6.0, 6.0]);
    assert_eq!(by(Interpolation::Bilinear), [0.0, 1.5, 4.5, 6.0]);
    assert_eq!(by(Interpolation::BilinearAlignedCorners), [0.0, 2.0, 4.0, 6.0]);
    // A single number stands at the first corner.
    let one = Upsample::to_size(1);
    assert_eq!(
        forward(one.clone().interpolation(Interpolation::BilinearAlignedCorners), [1, 1, 2], &[0.0, 6.0]),
        [0.0]
    );
    assert_eq!(forward(one.interpolation(Interpolation::Bilinear), [1, 1, 2], &[0.0, 6.0]), [3.0]);
}

#[test]
fn a_factor_gives_whole_sizes_rounded_down() {
    let size = |factor: f64, rows| Upsample::new(factor).signature(&[[1, rows, 1].into()]).map(|s| s.output()[1]);
    assert_eq!((size(1.5, 3).unwrap(), size(2.0, 3).unwrap(), size(2.99, 1).unwrap()), (4, 6, 2));
    assert!(size(0.5, 3).is_err(), "the columns would vanish");
}

#[test]
fn threads_change_no_bit() {
    fn same(layer: impl Layer + Clone) {
        let run = |threads: usize| {
            Threads::new(threads).unwrap().run(|| {
                let mut stream = Seed(3).stream(0);
                let x = Array2::from_shape_fn((20, 3 * 30 * 31), |_| stream.uniform() as f32);
                let mut layer = layer.clone().bind::<f32>([3, 30, 31], Seed(0)).unwrap();
                let y = layer.forward(&x).unwrap();
                let dx = layer.backward(&y).unwrap();
                (y, dx)
            })
        };
        assert_eq!(run(1), run(3), "{layer:?}");
    }
    same(Pad::new([2, 3]).rows([1, 4]).mode(PadMode::Circular));
    same(Upsample::new(2));
    same(Upsample::new(1.7).interpolation(Interpolation::Bilinear));
}

#[test]
fn what_does_not_fit_is_an_error() {
    assert_eq!(
        error(&Pad::new([3, 0]).mode(PadMode::Reflect), [3]),
        "Pad: Reflect can give an axis of 3 at most 2 numbers at either end, but is asked for 3 and 0"
    );
    assert!(error(&Pad::new([0, 4]).mode(PadMode::Circular), [3]).contains("at most 3 numbers"));
    assert!(error(&Pad::new([0, 0]).rows([1, 0]), [3]).contains("rows and columns per example"));
    assert!(error(&Pad::new([1, 1]), []).contains("at least one axis"));
    assert!(error(&Pad::new([1, 1]), [3, 0]).contains("nothing to put numbers around"));
    assert!(error(&Pad::new([usize::MAX, 1]), [3]).contains("too many numbers"));
    assert!(error(&Pad::new([usize::MAX / 4, 1]), [8, 3]).contains("too many elements"));
    assert!(error(&Upsample::new(2), [3, 4]).contains("an image per example"));
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(error(&Upsample::new([1.0, factor]), [1, 2, 2]).contains(&format!("these are [1.0, {factor:?}]")));
    }
    assert!(error(&Upsample::to_size([0, 2]), [1, 2, 2]).contains("an axis of 2 can't become one of 0"));
    assert!(error(&Upsample::new(2), [1, 0, 2]).contains("an axis of 0"));
    assert!(error(&Upsample::new(1e18), [3, 4, 4]).contains("too many elements"));
}
