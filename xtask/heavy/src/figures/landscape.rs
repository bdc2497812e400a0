//! Gradient descent, momentum and Adam on Rosenbrock's function.

use downhill::optim::minimize::{Reason, minimize};
use downhill::optim::test_functions::rosenbrock;
use downhill::optim::{Adam, GradientDescent, Optimizer, Sgd};
use downhill::plot::{Chart, DescentPlot, Panels, Theme};

use super::Files;
use super::table::{digits, table};
use crate::{Result, grouped as count};

pub(super) fn add(files: &mut Files) -> Result {
    let runs = [
        Run::best("gradient descent", |rate| Box::new(GradientDescent::new(rate)))?,
        Run::best("momentum, μ = 0.9", |rate| Box::new(Sgd::new(rate).momentum(0.9)))?,
        Run::best("Adam", |rate| Box::new(Adam::new(rate)))?,
    ];
    files.insert("landscape.svg".into(), draw(&runs));
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
    rate: f64,
    path: Vec<(f64, f64)>,
    values: Vec<f64>,
}

impl Run {
    /// The shortest of the walks with the rates 1, 2 and 5 times powers of ten.
    fn best(name: &'static str, optimizer: fn(f64) -> Box<dyn Optimizer<f64>>) -> Result<Self> {
        let rates = (-4..=-1).flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(exponent)));
        let runs = rates.filter_map(|rate| {
            let function = rosenbrock();
            let walk = minimize(&function, function.start()).optimizer(optimizer(rate)).gradient_tolerance(0.0);
            let outcome = walk.target(1e-4).iterations(20_000).record_path().run().ok()?;
            let values = outcome.path.iter().map(|x| function.evaluate(x, &mut [0.0; 2])).collect();
            let path = outcome.path.iter().map(|x| (x[0], x[1])).collect();
            matches!(outcome.reason, Reason::TargetReached).then_some(Self { name, rate, path, values })
        });
        Ok(runs.min_by_key(|run| run.values.len()).ok_or("no rate arrives")?)
    }
}

fn draw(runs: &[Run]) -> String {
    /// How many steps the plane shows.
    const SHOWN: usize = 300;
    let mut plane = DescentPlot::of(&rosenbrock())
        .variables("x", "y")
        .x_range(-1.75, 1.75)
        .y_range(-0.75, 2.0)
        .levels([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0])
        .size(750, 500);
    let mut chart = Chart::new("steps", "f").logarithmic_x().logarithmic_y().x_range(1.0, 1e4).y_range(1e-4, 1e2);
    for run in runs {
        plane = plane.path(run.name, run.path.iter().copied().take(SHOWN + 1));
        let values = run.values.iter().enumerate().skip(1);
        chart = chart.line(run.name, values.map(|(step, &value)| (step as f64, value)));
    }
    Panels::new(1).panel(plane).panel(chart.size(750, 320)).theme(Theme::Page).to_svg()
}
