//! Which epoch early stopping keeps, and what that costs on classes of unequal size.

use downhill_data::Dataset;
use downhill_layers::{Affine, Relu};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_network::{Network, sequential};
use downhill_optim::AdamW;
use downhill_tensor::{Seed, Stream};
use downhill_train::metrics::{Accuracy, Average, CalibratedLogLoss, F1};
use downhill_train::{EarlyStopping, Trainer, evaluate};
use ndarray::Array2;

/// Data whose classes are mixtures of normal distributions.
struct Mixture {
    /// How often each class occurs.
    shares: Vec<f64>,
    features: usize,
    /// The number of features by which the classes differ.
    informative: usize,
    /// The number of normal distributions of a class.
    clusters: usize,
    deviation: f64,
}

/// A normal number (Box and Muller 1958).
fn normal(stream: &mut Stream) -> f64 {
    (-2.0 * (1.0 - stream.uniform()).ln()).sqrt() * (std::f64::consts::TAU * stream.uniform()).cos()
}

impl Mixture {
    /// Draws `rows` examples of the data that `seed` stands for; each `key` draws others.
    fn draw(&self, seed: Seed, key: u64, rows: usize) -> Dataset<f32> {
        let Self { ref shares, features, informative, clusters, deviation } = *self;
        let mut stream = seed.stream(0);
        let centres = Array2::from_shape_fn((shares.len() * clusters, informative), |_| normal(&mut stream));
        let mut stream = seed.stream(key);
        let mut x = Array2::zeros((rows, features));
        let mut classes = Vec::new();
        for mut row in x.rows_mut() {
            let (mut left, mut class) = (stream.uniform(), 0);
            while class + 1 < shares.len() && left >= shares[class] {
                left -= shares[class];
                class += 1;
            }
            let cluster = class * clusters + (stream.uniform() * clusters as f64) as usize;
            for (feature, x) in row.iter_mut().enumerate() {
                let centre = if feature < informative { centres[(cluster, feature)] } else { 0.0 };
                *x = (centre + deviation * normal(&mut stream)) as f32;
            }
            classes.push(class as u32);
        }
        Dataset::from_array(x, classes).unwrap()
    }
}

#[test]
fn stopping_on_accuracy_keeps_no_first_epoch_of_imbalanced_data() {
    let mixture = Mixture { shares: vec![0.9, 0.1], features: 8, informative: 8, clusters: 5, deviation: 0.6 };
    let mean_f1 = |rule: EarlyStopping| {
        let mut sum = 0.0;
        for seed in (100..110).map(Seed) {
            let [train, validation, test] =
                [(1, 300), (2, 75), (3, 2000)].map(|(key, rows)| mixture.draw(seed, key, rows));
            let layers = sequential![Affine::new(32), Relu, Affine::new(32), Relu, Affine::new(2)];
            let mut network = Network::build([8], layers, seed.derive(9)).unwrap();
            let history = Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.001))
                .epochs(120)
                .seed(seed.derive(7))
                .validate(&validation)
                .metric(Accuracy::new())
                .early_stopping(rule.clone())
                .fit(&mut network, &train)
                .unwrap();
            assert!(history.kept_epoch > Some(1), "{rule:?} kept epoch {:?} of {seed:?}", history.kept_epoch);
            let f1 = F1::new(Average::Macro);
            sum += evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [f1]).unwrap().metric("f1").unwrap();
        }
        sum / 10.0
    };
    let (on_loss, on_accuracy) = (mean_f1(EarlyStopping::new()), mean_f1(EarlyStopping::new().on_metric("accuracy")));
    println!("macro-F1 {on_loss:.3} on the loss, {on_accuracy:.3} on the accuracy");
    assert!(on_accuracy >= on_loss - 0.02, "{on_accuracy} on the accuracy, {on_loss} on the loss");
}

#[test]
fn of_many_classes_the_calibrated_log_loss_stops_later_than_the_loss() {
    // The class k occurs 1 / k times as often as the first.
    let frequencies: Vec<f64> = (1..=12).map(|class| 1.0 / f64::from(class)).collect();
    let sum: f64 = frequencies.iter().sum();
    let shares = frequencies.iter().map(|frequency| frequency / sum).collect();
    let mixture = Mixture { shares, features: 30, informative: 20, clusters: 4, deviation: 0.8 };
    let mean_f1 = |rule: Option<EarlyStopping>| {
        let mut sum = 0.0;
        for seed in (100..105).map(Seed) {
            let [train, validation, test] =
                [(1, 800), (2, 200), (3, 2000)].map(|(key, rows)| mixture.draw(seed, key, rows));
            let layers = sequential![Affine::new(128), Relu, Affine::new(128), Relu, Affine::new(12)];
            let mut network = Network::build([30], layers, seed.derive(9)).unwrap();
            let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.003))
                .epochs(60)
                .seed(seed.derive(7))
                .validate(&validation)
                .metric(CalibratedLogLoss::new());
            if let Some(rule) = &rule {
                trainer = trainer.early_stopping(rule.clone());
            }
            trainer.fit(&mut network, &train).unwrap();
            let f1 = F1::new(Average::Macro);
            sum += evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [f1]).unwrap().metric("f1").unwrap();
        }
        sum / 5.0
    };
    let whole = mean_f1(None);
    let on_loss = mean_f1(Some(EarlyStopping::new()));
    let on_calibrated = mean_f1(Some(EarlyStopping::new().on_metric("calibrated log loss")));
    println!(
        "macro-F1 {whole:.3} after all epochs, {on_loss:.3} on the loss, {on_calibrated:.3} on the calibrated one"
    );
    assert!(on_loss < whole - 0.02, "the loss rises too early: {on_loss}, {whole}");
    assert!(on_calibrated >= whole - 0.01, "{on_calibrated}, {whole}");
}
