//! Embeddings and positions at their edges; their numbers are compared with PyTorch's in `parity.rs`.

use downhill_layers::{Bound, Embedding, Layer, LearntPositions, RotaryPositions, SinusoidalPositions};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Init, Seed, Shape};
use ndarray::{Array2, array};

fn error(layer: &impl Layer, input: impl Into<Shape>) -> String {
    layer.signature(&[input.into()]).unwrap_err().to_string()
}

fn bound<L: Layer>(layer: L, input: impl Into<Shape>) -> Bound<L, f64> {
    layer.bind(input, Seed(1)).unwrap()
}

#[test]
fn an_embedding_starts_as_in_pytorch_with_zeros_for_the_padding() {
    let embedding = bound(Embedding::new(500, 40).padding(3), [1]);
    let weight = embedding.parameter("weight").unwrap();
    assert!(weight.index_axis(ndarray::Axis(0), 3).iter().all(|&w| w == 0.0));
    let rest = (weight.len() - 40) as f64;
    assert_eq!(weight.iter().filter(|&&w| w == 0.0).count(), 40);
    let mean = weight.iter().sum::<f64>() / rest;
    let variance = weight.iter().map(|w| w * w).sum::<f64>() / rest;
    assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
}

#[test]
fn the_padding_row_is_looked_up_and_gets_no_gradient() {
    let mut embedding = bound(Embedding::new(2, 1).padding(0), [3]);
    embedding.set("weight", [5.0, 7.0]).unwrap();
    assert_eq!(embedding.forward([[0.0, 1.0, 1.0]]).unwrap(), array![[5.0, 7.0, 7.0]]);
    let dx = embedding.backward([[1.0, 2.0, 3.0]]).unwrap();
    assert_eq!(dx, array![[0.0, 0.0, 0.0]], "places have no derivative");
    assert_eq!(embedding.gradient("weight").unwrap().flatten(), array![0.0, 5.0]);
}

#[test]
fn what_the_padding_row_is_given_is_not_read() {
    let mut embedding = bound(Embedding::new(2, 1).padding(0), [3]);
    embedding.forward([[0.0, 1.0, 1.0]]).unwrap();
    let dx = embedding.backward([[f64::NAN, 2.0, 3.0]]).unwrap();
    assert_eq!(dx, array![[0.0, 0.0, 0.0]]);
    assert_eq!(embedding.gradient("weight").unwrap().flatten(), array![0.0, 5.0]);
}

#[test]
fn a_number_that_is_not_in_the_table_is_refused_at_the_door() {
    let mut embedding = bound(Embedding::new(4, 2), [2]);
    for wrong in [4.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
        let text = embedding.forward([[0.0, wrong]]).unwrap_err().to_string();
        assert!(text.contains(&format!("number 1 of input 0 is {wrong}")) && text.contains("from 0 to 3"), "{text}");
    }
    embedding.forward([[0.0, 3.0]]).unwrap();
}

#[test]
fn gradients_are_the_same_bits_on_any_threads() {
    let run = || {
        let mut embedding = Embedding::new(700, 64).bind::<f32>([50], Seed(1)).unwrap();
        let mut stream = Seed(2).stream(0);
        let x = Array2::from_shape_simple_fn((40, 50), || (stream.uniform() * 700.0).floor() as f32);
        let dy = Array2::from_shape_simple_fn((40, 50 * 64), || stream.uniform() as f32);
        let y = embedding.forward(&x).unwrap();
        embedding.backward(&dy).unwrap();
        (y, embedding.gradients().to_vec())
    };
    let one = run();
    for threads in [2, 3] {
        assert_eq!(Threads::new(threads).unwrap().run(run), one);
    }
}

#[test]
fn turned_pairs_keep_their_length_and_their_products_know_distances_only() {
    for positions in [RotaryPositions::new(), RotaryPositions::new().interleaved()] {
        let steps = 6;
        let mut rotary = bound(positions, [steps, 4]);
        let (query, key) = ([0.3, -1.0, 2.0, 0.7], [1.1, 0.4, -0.2, 0.9]);
        let repeat = |x: [f64; 4]| Array2::from_shape_vec((1, 4 * steps), x.repeat(steps)).unwrap();
        let queries = rotary.forward(repeat(query).view()).unwrap();
        let keys = rotary.forward(repeat(key).view()).unwrap();
        let dot = |p: usize, q: usize| -> f64 { (0..4).map(|i| queries[[0, 4 * p + i]] * keys[[0, 4 * q + i]]).sum() };
        for p in 1..steps {
            assert!((dot(p, p - 1) - dot(1, 0)).abs() < 1e-14, "{p}");
            let length: f64 = (0..4).map(|i| queries[[0, 4 * p + i]].powi(2)).sum();
            assert!((length - query.iter().map(|x| x * x).sum::<f64>()).abs() < 1e-14);
        }
        // The backward pass turns back.
        let back = rotary.backward(&keys).unwrap();
        assert!((&back - &repeat(key)).iter().all(|error| error.abs() < 1e-15));
    }
}

#[test]
fn far_positions_keep_their_digits_in_f32() {
    let steps = 20_000;
    let mut positions = SinusoidalPositions::new().bind::<f32>([steps, 2], Seed(0)).unwrap();
    let y = positions.forward(Array2::zeros((1, 2 * steps)).view()).unwrap();
    let last = (steps - 1) as f64;
    assert_eq!(y[[0, 2 * (steps - 1)]], last.sin() as f32);
    assert_eq!(y[[0, 2 * (steps - 1) + 1]], last.cos() as f32);
}

#[test]
fn empty_batches_and_sequences_give_empty_outputs() {
    let nothing = Array2::<f64>::zeros((0, 8));
    let mut learnt = bound(LearntPositions::new(), [2, 4]);
    assert_eq!(learnt.forward(&nothing).unwrap(), nothing);
    assert_eq!(learnt.backward(&nothing).unwrap(), nothing);
    assert!(learnt.gradients().iter().all(|&gradient| gradient == 0.0));
    let mut embedding = bound(Embedding::new(3, 4), [2]);
    assert_eq!(embedding.forward(Array2::zeros((0, 2)).view()).unwrap(), nothing);
    embedding.backward(&nothing).unwrap();
    assert!(embedding.gradients().iter().all(|&gradient| gradient == 0.0));
    let none = Array2::<f64>::zeros((3, 0));
    assert_eq!(bound(RotaryPositions::new(), [0, 4]).forward(&none).unwrap(), none);
    assert_eq!(bound(SinusoidalPositions::new(), [0, 4]).forward(&none).unwrap(), none);
    assert_eq!(bound(RotaryPositions::new(), [3, 0]).forward(&none).unwrap(), none);
}

#[test]
fn what_does_not_fit_is_told_in_sentences() {
    assert!(error(&Embedding::new(0, 3), [2]).contains("table of 0 vectors of 3 numbers"));
    assert!(error(&Embedding::new(3, 0), [2]).contains("at least 1 number"));
    assert!(error(&Embedding::new((1 << 24) + 1, 1), [2]).contains("from 1 to 16777216 vectors"));
    assert!(error(&Embedding::new(3, 2).padding(3), [2]).contains("row 3 is to be the padding"));
    assert!(error(&Embedding::new(3, 2), [1; 6]).contains("1x1x1x1x1x1 can't have one axis of 2 more"));
    let bad = Init::Normal { mean: 0.0, std: -1.0 };
    assert!(Embedding::new(3, 2).init(bad).signature(&[[1].into()]).is_err());
    assert!(LearntPositions::new().init(bad).signature(&[[1, 1].into()]).is_err());
    assert!(error(&LearntPositions::new(), [3]).contains("steps and features, but was given the shape 3"));
    assert!(error(&SinusoidalPositions::new(), [3, 2, 2]).contains("steps and features"));
    assert!(error(&RotaryPositions::new(), [4]).contains("perhaps heads"));
    assert!(error(&RotaryPositions::new(), [4, 3]).contains("must be even, but it is 3"));
    for base in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for text in
            [error(&SinusoidalPositions::new().base(base), [2, 2]), error(&RotaryPositions::new().base(base), [2, 2])]
        {
            assert!(text.contains(&format!("above 0, but is {base}")), "{text}");
        }
    }
}
