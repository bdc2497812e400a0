//! Sizes and fractions that no caller should ask for are errors, not panics or huge allocations.

use downhill_data::{
    Augmentation, Batches, Border, ChannelScaler, Dataset, MinMaxScaler, Mixup, PowerScaler, RobustScaler, Sampler,
    Scaler, StandardScaler, Targets, Windows, one_hot,
};
use downhill_tensor::{BatchMut, Seed, Shape, Stream};
use ndarray::Array2;

const SIZES: [usize; 9] = [0, 1, 2, 3, 7, usize::MAX / 3, usize::MAX / 2, usize::MAX - 1, usize::MAX];
const FRACTIONS: [f64; 10] = [f64::NAN, f64::INFINITY, -1.0, 0.0, -0.0, 5e-324, 0.5, 1.0 - f64::EPSILON, 1.0, 1e300];

fn any<T: Copy>(from: &[T], stream: &mut Stream) -> T {
    from[(stream.uniform() * from.len() as f64) as usize]
}

fn small(stream: &mut Stream) -> usize {
    (stream.uniform() * 9.0) as usize
}

fn targets(stream: &mut Stream) -> Targets<f32> {
    if stream.uniform() < 0.3 {
        return Targets::values(vec![1.0; small(stream)], [any(&SIZES, stream)]);
    }
    let labels = (0..small(stream)).map(|_| any(&[0, 0, 1, 1, 2, u32::MAX], stream)).collect();
    // Classes whose rows might just fit in memory are left out.
    Targets::classes(labels, any(&[0, 1, 2, 3, usize::MAX / 2, usize::MAX], stream))
}

#[test]
fn random_calls_with_odd_sizes_never_panic() {
    let mut stream = Seed(1).stream(0);
    let mut built = 0;
    for _ in 0..100_000 {
        let stream = &mut stream;
        let inputs = vec![0.5; small(stream)];
        let Ok(data) = Dataset::new(inputs, [any(&SIZES, stream)], targets(stream)) else { continue };
        built += 1;
        let (fraction, folds, seed) = (any(&FRACTIONS, stream), any(&SIZES, stream), Seed(any(&[0, u64::MAX], stream)));
        for parts in [data.split(fraction, seed), data.stratified_split(fraction, seed)] {
            assert!(parts.is_err() || parts.is_ok_and(|(a, b)| a.len() + b.len() == data.len()));
        }
        for rounds in [data.k_folds(folds, seed), data.stratified_k_folds(folds, seed)].into_iter().flatten() {
            assert!(folds <= data.len() && rounds.len() == folds);
            assert_eq!(rounds.map(|fold| fold.validation.len()).sum::<usize>(), data.len());
        }
        let groups: Vec<usize> = (0..data.len()).map(|_| any(&SIZES, stream) % 4).collect();
        let parts = [data.grouped_split(&groups, fraction, seed), data.time_split(fraction, any(&SIZES, stream))];
        for (a, b) in parts.into_iter().flatten() {
            assert!(a.len() + b.len() <= data.len());
        }
        let rounds = [
            data.grouped_k_folds(&groups, folds, seed),
            data.stratified_grouped_k_folds(&groups, folds, seed),
            data.time_folds(folds, any(&SIZES, stream)),
        ];
        for fold in rounds.into_iter().flatten().flatten() {
            assert!(fold.train.len() + fold.validation.len() <= data.len());
        }
        let indices = [any(&SIZES, stream), any(&SIZES, stream)];
        assert_eq!(data.select(&indices).is_ok(), indices.iter().all(|&index| index < data.len()));
        let size = any(&SIZES, stream);
        for batches in [Batches::sequential(&data, size), Batches::shuffled(&data, size, seed)] {
            let Ok(batches) = batches else {
                assert_eq!(size, 0);
                continue;
            };
            for mut batches in [batches.clone(), batches.drop_last()] {
                batches.start_epoch(any(&[0, u64::MAX], stream));
                let expected = batches.batches_per_epoch();
                let mut count = 0;
                while let Some(batch) = batches.next_batch() {
                    assert!(batch.inputs.examples() <= size);
                    count += 1;
                }
                assert_eq!(count, expected);
            }
        }
        let _ = (data.clone().one_hot_targets(), data.clone().with_input(vec![1.0; 3], [any(&SIZES, stream)]));
        let _ = data.reshape([any(&SIZES, stream)]);
        let _ = one_hot::<f32>(&[0, 1], any(&[0, 1, 2, usize::MAX / 2, usize::MAX], stream));
    }
    assert!(built > 500, "{built}");
}

const NUMBERS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.25,
    3.0,
    1e-300,
    -1e-320,
    1e300,
    -1e300,
    f64::MAX,
    f64::MIN,
    1.0 + f64::EPSILON,
    2024.0,
    f64::NAN,
    f64::INFINITY,
];

fn scales(scaler: Result<impl Scaler, downhill_data::DataError>, rows: &Array2<f64>) -> bool {
    let Ok(scaler) = scaler else { return false };
    let mut rows = rows.clone();
    scaler.transform(rows.view_mut()).unwrap();
    scaler.inverse(rows.view_mut()).unwrap();
    true
}

#[test]
fn random_calls_with_odd_numbers_never_panic() {
    let mut stream = Seed(2).stream(0);
    let (mut scaled, mut drawn, mut cut, mut changed) = (0, 0, 0, 0);
    for _ in 0..20_000 {
        let stream = &mut stream;
        // Mostly without the last two, which most calls refuse at once.
        let most = if stream.uniform() < 0.9 { 14 } else { 16 };
        let rows = Array2::from_shape_fn((small(stream), small(stream)), |_| any(&NUMBERS[..most], stream));
        let (a, b) = (any(&NUMBERS, stream), any(&NUMBERS, stream));
        scaled += usize::from(scales(StandardScaler::fit(rows.view()), &rows));
        scaled += usize::from(scales(MinMaxScaler::fit_to(a, b, rows.view()), &rows));
        scaled += usize::from(scales(RobustScaler::fit(rows.view()), &rows));
        scaled += usize::from(scales(RobustScaler::fit_quantiles(a, b, rows.view()), &rows));
        scaled += usize::from(scales(PowerScaler::fit(rows.view()), &rows));
        scaled += usize::from(scales(PowerScaler::fit_box_cox(rows.mapv(f64::abs).view()), &rows));
        let _ = ChannelScaler::from_parts(&[a, b], &[b, a], any(&SIZES, stream));

        let windows = Windows::new(any(&SIZES, stream)).horizon(any(&SIZES, stream)).lead(any(&SIZES, stream));
        let windows = windows.stride(any(&SIZES, stream));
        let windows = if stream.uniform() < 0.5 { windows } else { windows.targets([any(&SIZES, stream)]) };
        let _ = windows.gap();
        cut += usize::from(windows.dataset(rows.view()).is_ok());

        let Ok(data) = Dataset::new(vec![0.5; small(stream)], [1], targets(stream)) else { continue };
        let weights: Vec<f64> = (0..data.len()).map(|_| any(&NUMBERS[..most], stream)).collect();
        for sampler in [Sampler::balanced(), Sampler::weighted(weights).draws(any(&SIZES[..7], stream))] {
            let Ok(mut batches) = Batches::sampled(&data, any(&SIZES, stream), sampler, Seed(1)) else { continue };
            if let Some(batch) = batches.next_batch() {
                assert!(batch.indices.iter().all(|&index| index < data.len()));
                drawn += 1;
            }
        }

        let augmentation = Augmentation::new().shift(any(&SIZES, stream)).cutout(any(&SIZES, stream));
        let augmentation = augmentation.flip_horizontal(any(&[0.0, 0.5, 1.0, -1.0], stream)).noise(a).fill(b);
        let augmentation = augmentation.border(any(&[Border::Fill, Border::Edge, Border::Reflect], stream));
        let axes = [small(stream) % 3, small(stream), small(stream)];
        let shape = Shape::from(axes);
        let mut image = vec![0.5f32; shape.len()];
        changed += usize::from(augmentation.apply(&mut image, shape, stream).is_ok());
        let (mut x, mut y) = (vec![a; 6], vec![b; 3]);
        let batches = (BatchMut::new(&mut x, 3, [2]).unwrap(), BatchMut::new(&mut y, 3, []).unwrap());
        let _ = Mixup::new(any(&NUMBERS, stream)).apply(batches.0, batches.1, stream);
    }
    assert!(scaled > 5000 && drawn > 500 && cut > 100 && changed > 100, "{scaled}, {drawn}, {cut}, {changed}");
}
