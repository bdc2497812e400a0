//! Gradient descent, momentum and Adam on Rosenbrock's function.

use downhill::optim::minimize::{Reason, minimize};
use downhill::optim::test_functions::rosenbrock;
use downhill::optim::{Adam, GradientDescent, Optimizer, Sgd};
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::Files;
use super::contour::Window;
use super::plot::{Axis, BLUE, GREEN, INK, ORANGE, Plot, figure, px};
use super::table::{digits, table};
use crate::{Result, grouped as count};

pub(super) fn add(files: &mut Files) -> Result {
    let runs = [
        Run::best("gradient descent", BLUE, |rate| Box::new(GradientDescent::new(rate)))?,
        Run::best("momentum, μ = 0.9", GREEN, |rate| Box::new(Sgd::new(rate).momentum(0.9)))?,
        Run::best("Adam", ORANGE, |rate| Box::new(Adam::new(rate)))?,
    ];
    files.insert("landscape.svg".into(), draw(&runs)?);
    let rows = runs.iter().map(|run| {
        let after = |step: usize| run.values.get(step).map_or("arrived".to_owned(), |&value| digits(value, 2));
        [run.name.to_owned(), digits(run.rate, 1), after(100), after(300), count(run.values.len() as u64 - 1)]
    });
    let header = ["", "γ", "f after 100 steps", "after 300", "steps until f < 10⁻⁴"];
    files.insert("landscape.md".into(), table(header, rows));
    Ok(())
}

/// A walk until the value is small.
struct Run {
    name: &'static str,
    color: RGBColor,
    rate: f64,
    path: Vec<(f64, f64)>,
    values: Vec<f64>,
}

impl Run {
    /// The shortest of the walks with the rates 1, 2 and 5 times powers of ten.
    fn best(name: &'static str, color: RGBColor, optimizer: fn(f64) -> Box<dyn Optimizer<f64>>) -> Result<Self> {
        let rates = (-4..=-1).flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(exponent)));
        let runs = rates.filter_map(|rate| {
            let function = rosenbrock();
            let walk = minimize(&function, function.start()).optimizer(optimizer(rate)).gradient_tolerance(0.0);
            let outcome = walk.target(1e-4).iterations(20_000).record_path().run().ok()?;
            let values = outcome.path.iter().map(|x| function.evaluate(x, &mut [0.0; 2])).collect();
            let path = outcome.path.iter().map(|x| (x[0], x[1])).collect();
            matches!(outcome.reason, Reason::TargetReached).then_some(Self { name, color, rate, path, values })
        });
        Ok(runs.min_by_key(|run| run.values.len()).ok_or("no rate arrives")?)
    }
}

fn draw(runs: &[Run]) -> Result<String> {
    /// How many steps the plane shows.
    const SHOWN: usize = 300;
    let function = rosenbrock();
    figure(780, |area| {
        let (above, below) = area.split_vertically(px(480.0));
        let window = Window { x: (-1.75, 1.75), y: (-0.75, 2.0) };
        let x = Axis::new("x", window.x.0, window.x.1, [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]);
        let y = Axis::new("y", window.y.0, window.y.1, [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]);
        let mut plot = Plot::new(&above, "", x, y)?;
        let levels = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
        plot.contours(window, &levels, |x, y| function.evaluate(&[x, y], &mut [0.0; 2]))?;
        for (run, at) in runs.iter().zip([(-1.68, 0.6), (-0.24, -0.42), (-0.62, 1.5)]) {
            let path = || run.path.iter().copied().take(SHOWN + 1);
            plot.line(path(), run.color, 1.6)?;
            plot.dots(path().step_by(10), run.color, 3.0)?;
            plot.label(at, run.name, run.color, HPos::Left)?;
        }
        plot.dots([(-1.2, 1.0), (1.0, 1.0)], INK, 4.5)?;
        plot.label((-1.25, 1.0), "start", INK, HPos::Right)?;
        plot.label((1.1, 0.82), "lowest point", INK, HPos::Left)?;

        let x = Axis::decades("steps", 0, 4, 1);
        let mut plot = Plot::new(&below, "", x, Axis::decades("f", -4, 2, 2))?;
        for run in runs {
            let points = run.values.iter().enumerate().skip(1);
            plot.line(points.map(|(step, &value)| (step as f64, value)), run.color, 2.0)?;
        }
        Ok(())
    })
}
