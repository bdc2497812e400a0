//! Small pictures of each kind, compared with those that are stored.
//!
//! `cargo test -p downhill-plot --test stored -- --ignored` writes them anew; look at what has changed.

use std::fs;
use std::path::PathBuf;

use downhill_data::{Dataset, Targets};
use downhill_explain::Explain;
use downhill_layers::{Affine, Relu, Sigmoid, Tanh};
use downhill_losses::{MeanSquaredError, Meaning, Outputs, Target};
use downhill_network::{Network, Residual, sequential};
use downhill_optim::Sgd;
use downhill_optim::test_functions::booth;
use downhill_plot::{
    Align, Chart, ConfusionPlot, Dash, DecisionRegions, DescentPlot, Diagram, FiltersPlot, GradientFlow, HistogramPlot,
    Landscape, Language, Marker, Panels, Picture, PlotHistory, PlotNetwork, PlotPasses, PlotRates, PrecisionRecallPlot,
    PredictedPlot, ReliabilityPlot, ResidualPlot, RocPlot, Theme, Tone, Trajectory,
};
use downhill_tensor::{Batch, Seed};
use downhill_train::metrics::{ExpectedCalibrationError, Metric};
use downhill_train::{EpochRecord, History, Trainer};
use downhill_tune::RateCurve;

fn history() -> History {
    let mut history = History::default();
    for epoch in 1..=12 {
        let mut record = EpochRecord::default();
        let x = f64::from(epoch);
        record.epoch = epoch as u64;
        record.training_loss = 2.0 / x;
        record.validation_loss = Some(2.0 / x + 0.002 * x * x);
        record.metrics = vec![("accuracy".into(), 1.0 - 0.5 / x), ("rmse".into(), 3.0 / x)];
        record.learning_rate = 0.1 * 0.8_f64.powi(epoch);
        history.epochs.push(record);
    }
    history
}

/// A curve of rates over some decades with these losses.
fn curve(decades: (f64, f64), losses: &[f64], has_run_away: bool) -> RateCurve {
    let part = |step: usize| step as f64 / losses.len().max(2) as f64;
    let rates: Vec<f64> =
        (0..losses.len()).map(|step| 10_f64.powf(decades.0 + part(step) * (decades.1 - decades.0))).collect();
    let text = |loss: &f64| match loss.is_finite() {
        true => serde_json::json!(loss),
        false => serde_json::json!(loss.to_string()),
    };
    let numbers: Vec<serde_json::Value> = losses.iter().map(text).collect();
    let curve = serde_json::json!({"rates": rates, "losses": numbers, "smoothed": numbers});
    serde_json::from_value(serde_json::json!({"curve": curve, "has_run_away": has_run_away})).unwrap()
}

/// A line with a little network beside it, all in f64.
fn slope() -> Dataset<f64> {
    let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 20.0 - 1.0).collect();
    let y = x.iter().map(|x| (2.0 * x).tanh()).collect();
    Dataset::new(x, [1], Targets::values(y, [1])).unwrap()
}

fn pictures() -> Vec<(&'static str, Picture)> {
    let steps = || (0..60).map(f64::from);
    let losses: Vec<f64> =
        steps().map(|step| 2.3 - 1.5 / (1.0 + (30.0 - step).exp()) + (0.5 * (step - 55.0)).exp()).collect();
    let path = |rate: f64| {
        let mut x = [-7.0, 6.0];
        std::iter::repeat_with(move || {
            let before = (x[0], x[1]);
            let mut gradient = [0.0; 2];
            booth().evaluate(&x, &mut gradient);
            x = [x[0] - rate * gradient[0], x[1] - rate * gradient[1]];
            before
        })
        .take(25)
    };
    let nearer = |places: &[(f64, f64)]| {
        let centres = [(-1.0, 0.0), (1.0, 0.0), (0.0, 1.5)];
        Ok(places.iter().map(|(x, y)| centres.map(|(a, b)| -(x - a).powi(2) - (y - b).powi(2)).to_vec()).collect())
    };
    let points = steps().map(|step| (1.5 * step.cos(), 1.0 + 1.2 * (2.0 * step).sin(), step as usize % 3)).collect();
    let classes = ["left", "right", "above"].map(String::from).to_vec();
    let scores = || steps().map(|step| (step * 0.7).sin());
    let truth = || steps().map(|step| (step * 0.7).sin() + (step * 2.3).cos() > 0.2);
    let mut calibration = ExpectedCalibrationError::new().bins(5);
    Metric::<f64>::start(&mut calibration, Meaning::new(Outputs::Probabilities));
    let p: Vec<f64> = steps().map(|step| step / 60.0).collect();
    let labels: Vec<u32> = steps().map(|step| u32::from((step * 7.0) % 60.0 < step)).collect();
    calibration.update(Batch::new(&p, 60, [1]).unwrap(), Target::Classes(&labels), None).unwrap();
    let predicted = || steps().map(|step| step / 3.0 + (step * 1.3).sin());

    let data = slope();
    let mut network = Network::build([1], sequential![Affine::new(4), Tanh, Affine::new(1)], Seed(1)).unwrap();
    let (mut flow, mut trajectory) = (GradientFlow::new(), Trajectory::new());
    let loss = MeanSquaredError::new();
    let mut trainer = Trainer::new(loss, Sgd::new(0.1)).epochs(10).callback(&mut flow).callback(&mut trajectory);
    trainer.fit(&mut network, &data).unwrap();
    drop(trainer);
    let along = Landscape::new().resolution(9).along(&network, &data, &loss, &trajectory).unwrap();
    let random = Landscape::new().resolution(9).random(&network, &data, &loss).unwrap();
    let wired = sequential![Affine::new(8), Residual(sequential![Affine::new(8), Relu]), Affine::new(2)];
    let wired = Network::<f32>::build([3], wired, Seed(1)).unwrap();
    let passes = Network::<f64>::build([2], sequential![Affine::new(2), Residual(Sigmoid)], Seed(1)).unwrap();
    let x = Batch::new(&[0.5, -1.0], 1, [2]).unwrap();
    let explained = passes.explain(x, Target::Values(&[1.0, 0.0]), &loss).unwrap();
    let image = |phase: f64| (0..16).map(|i| (phase + f64::from(i)).sin()).collect();
    let waves = (0..200).map(f64::from).map(f64::sin);
    let marked = Chart::new("step", "x")
        .label((30.0, 0.6), Align::Middle, "above all")
        .path("a path", steps().step_by(3).map(|x| (x, (x / 20.0).sin())))
        .label((31.0, 0.8), Align::Left, "its label")
        .line("", [(0.0, 0.5), (60.0, 0.5)])
        .tone(Tone::Muted)
        .dash(Dash::Dotted)
        .width(1.2)
        .points("", [(30.0, 0.5)])
        .marker(Marker::Ring)
        .size(360, 240);
    let walk = DescentPlot::of(&booth()).levels([5.0, 50.0, 500.0]).x_range(-10.0, 10.0).y_range(-5.0, 10.0);
    let walk = walk.path("0.1", path(0.1)).tone(Tone::Series(2)).equal_axes().mark_every_step();
    let diagram = Diagram::new()
        .block((100.0, 30.0), (200.0, 90.0), "affine", "z = x W + b")
        .arrow((20.0, 50.0), (98.0, 50.0), Tone::Series(0))
        .arrow((98.0, 74.0), (20.0, 74.0), Tone::Series(1))
        .text((60.0, 36.0), Align::Middle, "x", Tone::Series(0))
        .size(220, 160);
    vec![
        ("history", history().plot().into()),
        (
            "history_dark_korean",
            history().plot().theme(Theme::Dark).language(Language::Korean).title("학습 기록").into(),
        ),
        ("rates", curve((-5.0, 1.0), &losses, false).plot().theme(Theme::Page).into()),
        ("descent", DescentPlot::of(&booth()).path("0.1", path(0.1)).path("0.02", path(0.02)).into()),
        ("landscape_path", along.into()),
        ("landscape_random", random.into()),
        ("regions", DecisionRegions::new(nearer, points, classes).unwrap().into()),
        ("confusion", ConfusionPlot::new(vec![vec![29.0, 1.0], vec![0.0, 25.0]]).classes(["Adelie", "Gentoo"]).into()),
        ("residuals", ResidualPlot::new(predicted(), steps().map(|step| step / 3.0)).unwrap().unit("kg").into()),
        ("predicted", PredictedPlot::new(predicted(), steps().map(|step| step / 3.0)).unwrap().unit("kg").into()),
        ("roc", RocPlot::new(scores(), truth()).unwrap().into()),
        ("precision_recall", PrecisionRecallPlot::new(scores(), truth()).unwrap().into()),
        ("reliability", ReliabilityPlot::from(&calibration).into()),
        ("histogram", HistogramPlot::new().group("sine", waves).group("steps", steps()).into()),
        ("filters", FiltersPlot::new(4, 4, vec![image(0.0), image(1.0), image(2.0)]).unwrap().into()),
        ("gradient_flow", flow.plot().into()),
        ("network", wired.plot().into()),
        ("passes", explained.plot().into()),
        ("chart", Chart::new("x", "f(x)").line("x²", steps().map(|x| (x, x * x))).points("", [(30.0, 900.0)]).into()),
        ("chart_marked", marked.clone().into()),
        ("diagram", diagram.into()),
        ("history_of_losses", history().plot().no_learning_rate().into()),
        ("panels", Panels::new(2).legend_of(&marked).panel(marked.no_legend()).panel(walk.size(420, 320)).into()),
    ]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.svg"))
}

/// The numbers of a picture, and what is between them.
fn parts(svg: &str) -> (Vec<f64>, Vec<&str>) {
    let mut numbers = Vec::new();
    let between = svg.split_inclusive(|c: char| !c.is_ascii_digit());
    // A colour is no number, nor is a mark of the whole picture.
    let others = between.filter(|part| match part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<f64>() {
        Ok(number) => {
            numbers.push(number);
            false
        }
        Err(_) => true,
    });
    let others = others.collect();
    (numbers, others)
}

#[test]
fn pictures_are_the_stored_ones() {
    for (name, picture) in pictures() {
        let (svg, stored) = (picture.to_svg(), fs::read_to_string(path(name)).unwrap());
        assert!(stored.len() < 30_000, "{name} has {} bytes", stored.len());
        if svg == stored {
            continue;
        }
        // Elementary functions of other platforms round differently: by no more than half a pixel.
        let ((numbers, text), (stored_numbers, stored_text)) = (parts(&svg), parts(&stored));
        assert_eq!(text, stored_text, "{name}");
        assert_eq!(numbers.len(), stored_numbers.len(), "{name}");
        let differs = numbers.iter().zip(&stored_numbers).position(|(a, b)| (a - b).abs() > 2.5);
        assert!(differs.is_none(), "{name} differs at number {differs:?}");
    }
}

#[test]
fn a_picture_that_has_changed_is_found() {
    let (svg, moved) = ("<a x=\"10\" y=\"-2\"/>", "<a x=\"11\" y=\"-2\"/>");
    assert_eq!((parts(svg).0, parts(svg).1), (vec![10.0, 2.0], parts(moved).1));
    assert_ne!(parts(svg).0, parts(moved).0);
    assert_ne!(parts(svg).1, parts("<b x=\"10\" y=\"-2\"/>").1);
}

#[test]
#[ignore = "it writes the stored pictures"]
fn write_the_stored_pictures() {
    for (name, picture) in pictures() {
        fs::write(path(name), picture.to_svg()).unwrap();
    }
}

#[test]
fn numbers_that_no_axis_holds_are_drawn_at_its_end_or_not_at_all() {
    let losses: [&[f64]; 11] = [
        &[],
        &[1.0],
        &[1.0, 1.0],
        &[0.0; 9],
        &[f64::NAN],
        &[1.0, 0.5, -f64::NAN],
        &[-1.0, -2.0, 1e300, 1.0],
        &[2e300, 1.5e300, 1e300, f64::INFINITY],
        &[-1e300, -2e300],
        &[f64::MAX, -f64::MAX],
        &[2e-300, 1e-300, 1e-310],
    ];
    for decades in [(-5.0, 0.0), (-150.0, 150.0), (-320.0, -310.0), (0.4771, 0.4772), (-2.7, -2.3)] {
        for losses in losses {
            for has_run_away in [false, true] {
                let svg = curve(decades, losses, has_run_away).plot().to_svg();
                assert!(svg.contains("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{losses:?}");
                assert!(svg.len() < 20_000, "{} bytes for {losses:?} over {decades:?}", svg.len());
            }
        }
    }
    for losses in losses {
        let mut history = history();
        history.epochs.truncate(losses.len());
        history.epochs.iter_mut().zip(losses).for_each(|(record, loss)| {
            (record.training_loss, record.validation_loss, record.learning_rate) = (*loss, Some(*loss), *loss);
            record.metrics = vec![("accuracy".into(), *loss)];
        });
        for plot in [history.plot(), history.plot().logarithmic(), history.plot().linear().size(0, 0)] {
            let svg = plot.to_svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.len() < 60_000, "{losses:?}");
        }
        let pairs = || losses.iter().copied();
        for svg in [
            PredictedPlot::new(pairs(), pairs()).unwrap().to_svg(),
            ResidualPlot::new(pairs(), pairs().map(|x| 1.0 - x)).unwrap().to_svg(),
            HistogramPlot::new().group("x", pairs()).to_svg(),
            Chart::new("x", "y")
                .line("", pairs().zip(pairs()))
                .logarithmic_y()
                .points("a", pairs().zip(pairs()))
                .to_svg(),
            ConfusionPlot::new(vec![losses.to_vec(); 2]).to_svg(),
        ] {
            assert!(svg.contains("</svg>") && !svg.contains("\"NaN") && !svg.contains("inf"), "{losses:?}: {svg}");
        }
    }
    let nowhere = DescentPlot::new(|x, y| (x * y).ln()).path("", [(f64::NAN, 1.0), (f64::INFINITY, 2.0)]).to_svg();
    assert!(!nowhere.contains("NaN"), "{nowhere}");
}

#[test]
fn what_can_t_be_drawn_is_an_error_that_says_why() {
    let network =
        |inputs: usize, outputs: usize| Network::<f64>::build([inputs], Affine::new(outputs), Seed(1)).unwrap();
    let data = slope();
    let error = DecisionRegions::of(&network(1, 2), &data).unwrap_err().to_string();
    assert!(error.starts_with("the regions of a classifier can't be drawn: the data have values"), "{error}");
    let one = Dataset::new(vec![0.0, 1.0], [1], Targets::classes(vec![0, 1], 2)).unwrap();
    let error = DecisionRegions::of(&network(1, 2), &one).unwrap_err().to_string();
    assert!(error.ends_with("an example has the shape 1, but must be two numbers"), "{error}");
    let error = FiltersPlot::of(&network(3, 2)).unwrap_err().to_string();
    assert!(error.ends_with("3 weights of a unit make no square image"), "{error}");
    let error = PredictedPlot::new([1.0], []).unwrap_err().to_string();
    assert!(error.ends_with("there are 1 predicted numbers, but 0 true ones"), "{error}");
    let loss = MeanSquaredError::new();
    let error = Landscape::new().along(&network(1, 1), &data, &loss, &Trajectory::new()).unwrap_err().to_string();
    assert!(error.ends_with("the run has 0 points, but 3 are needed: keep more"), "{error}");
    let error = Landscape::new().reach(0.0).random(&network(1, 1), &data, &loss).unwrap_err().to_string();
    assert!(error.ends_with("its reach is 0, but must be above 0"), "{error}");
    let error = Landscape::new().random(&network(2, 1), &data, &loss).unwrap_err().to_string();
    assert!(!error.is_empty(), "{error}");
}
