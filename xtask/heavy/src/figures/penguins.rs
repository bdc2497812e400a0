//! A real regression: how heavy a penguin is, told from the length of its flippers.

use std::ops::ControlFlow;

use downhill::data::{Columns, Dataset, Missing, StandardScaler, Table, Targets};
use downhill::layers::Affine;
use downhill::losses::MeanSquaredError;
use downhill::network::Network;
use downhill::optim::GradientDescent;
use downhill::optim::minimize::{Reason, minimize};
use downhill::optim::schedule::{Constant, Cosine, Schedule};
use downhill::plot::{Align, Chart, Dash, DescentPlot, Panels, Theme, Tone};
use downhill::tensor::Seed;
use downhill::train::Trainer;

use super::Files;
use super::table::{digits, table};
use crate::{Result, grouped as count, workspace};

pub(super) fn add(files: &mut Files) -> Result {
    let penguins = Penguins::read()?;
    files.insert("penguins.svg".into(), penguins.scatter());
    files.insert("scaling.md".into(), penguins.scaling_table()?);
    files.insert("batches.svg".into(), penguins.paths()?);
    files.insert("batches.md".into(), penguins.batch_table()?);
    Ok(())
}

/// Flippers and masses, and the line that fits them best.
struct Penguins {
    /// In millimetres.
    flippers: Vec<f64>,
    /// In kilograms.
    masses: Vec<f64>,
    mean: f64,
    deviation: f64,
    /// The flippers standardised, with the masses.
    data: Dataset<f64>,
    /// Slope and intercept for standardised flippers.
    best: (f64, f64),
    least: f64,
}

/// The learning rate of all runs on standardised flippers.
const RATE: f64 = 0.1;

/// J(w, b), the mean of the squared errors of w x + b.
fn mean_square(x: &[f64], t: &[f64], w: f64, b: f64) -> f64 {
    let errors = x.iter().zip(t).map(|(x, t)| w * x + b - t);
    errors.map(|error| error * error).sum::<f64>() / t.len() as f64
}

impl Penguins {
    fn read() -> Result<Self> {
        let table = Table::read_path(workspace::root().join("crates/downhill/examples/data/penguins.csv"))?;
        let columns = Columns::for_values(["body_mass_g"]).numeric(["flipper_length_mm"]).missing(Missing::Drop);
        let (flippers, targets) = columns.fit(&table)?.dataset::<f64>(&table)?.into_parts();
        let Targets::Values { values, .. } = targets else { return Err("masses are numbers".into()) };
        let masses: Vec<f64> = values.iter().map(|gram| gram / 1000.0).collect();
        let data = Dataset::new(flippers.clone(), [1], Targets::values(masses.clone(), [1]))?;
        let scaler = StandardScaler::fit(data.inputs().matrix())?;
        let data = data.scale_inputs(&scaler)?;
        let (Some(mean), Some(deviation)) = (scaler.means().next(), scaler.scales().next()) else {
            return Err("there is one feature".into());
        };
        // Where x has the mean 0 and the variance 1, the best slope and intercept are two means.
        let n = masses.len() as f64;
        let x = data.inputs().slice();
        let slope = x.iter().zip(&masses).map(|(x, t)| x * t).sum::<f64>() / n;
        let intercept = masses.iter().sum::<f64>() / n;
        let mut penguins = Self { flippers, masses, mean, deviation, data, best: (slope, intercept), least: f64::NAN };
        penguins.least = penguins.loss(slope, intercept);
        Ok(penguins)
    }

    /// J(w, b), over all penguins with standardised flippers.
    fn loss(&self, w: f64, b: f64) -> f64 {
        mean_square(self.data.inputs().slice(), &self.masses, w, b)
    }

    fn scatter(&self) -> String {
        let mut dots: Vec<_> = self.flippers.iter().copied().zip(self.masses.iter().copied()).collect();
        // Many penguins have the same two numbers.
        dots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        dots.dedup();
        let (slope, intercept) = self.best;
        let line = |x: f64| (x, intercept + slope * (x - self.mean) / self.deviation);
        let words = format!("mass = {} + {} · standardised flipper", digits(intercept, 3), digits(slope, 2));
        Chart::new("flipper length in mm", "mass in kg")
            .x_range(168.0, 236.0)
            .y_range(2.4, 6.6)
            .points("", dots)
            .tone(Tone::Series(5))
            .width(6.0)
            .line("", [line(170.0), line(233.0)])
            .dash(Dash::Solid)
            .width(2.6)
            .label((172.0, 5.8), Align::Left, words)
            .size(750, 360)
            .theme(Theme::Page)
            .to_svg()
    }

    /// What the unit of length does to gradient descent.
    fn scaling_table(&self) -> Result<String> {
        let standardised = self.data.inputs().slice().to_vec();
        let in_units = |unit: f64| self.flippers.iter().map(|x| x * unit).collect();
        let inputs: [(&str, Vec<f64>); 4] = [
            ("millimetres", in_units(1.0)),
            ("centimetres", in_units(0.1)),
            ("metres", in_units(0.001)),
            ("standardised", standardised),
        ];
        let mut rows = Vec::new();
        for (name, x) in inputs {
            let n = x.len() as f64;
            let mean = x.iter().sum::<f64>() / n;
            let square = x.iter().map(|x| x * x).sum::<f64>() / n;
            // The Hessian is 2 [[E x², E x], [E x, 1]]; the smaller eigenvalue comes from the determinant, without loss.
            let half = (square + 1.0) / 2.0;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let larger = half + (half * half - variance).max(0.0).sqrt();
            let (most, least) = (2.0 * larger, 2.0 * variance / larger);
            let objective = |theta: &[f64], gradient: &mut [f64]| {
                gradient.fill(0.0);
                let mut value = 0.0;
                for (x, t) in x.iter().zip(&self.masses) {
                    let error = theta[0] * x + theta[1] - t;
                    gradient[0] += 2.0 * error * x / n;
                    gradient[1] += 2.0 * error / n;
                    value += error * error / n;
                }
                value
            };
            let outcome = minimize(objective, [0.0, 0.0])
                .optimizer(GradientDescent::new(1.0 / most))
                .gradient_tolerance(0.0)
                .target(1.01 * self.least)
                .iterations(100_000)
                .run()?;
            let end = match outcome.reason {
                Reason::TargetReached => count(outcome.iterations),
                Reason::IterationLimit => format!("not in 100,000 (J = {})", digits(outcome.value, 3)),
                other => return Err(format!("penguins in {name}: {other}").into()),
            };
            rows.push([name.to_owned(), digits(2.0 / most, 2), count((most / least).round() as u64), end]);
        }
        Ok(table(["flippers in", "limit 2/L", "κ = L/ℓ", "steps to within 1% of the least J"], rows))
    }

    /// θ after each step from 0.
    fn train(&self, batch: usize, epochs: u64, schedule: impl Schedule + 'static) -> Result<Vec<(f64, f64)>> {
        let mut network = Network::<f64>::build([1], Affine::new(1), Seed(0))?;
        network.parameters_mut().fill(0.0);
        let mut path = vec![(0.0, 0.0)];
        Trainer::new(MeanSquaredError::new(), GradientDescent::new(RATE))
            .batch_size(batch)
            .epochs(epochs)
            .seed(Seed(1))
            .schedule(schedule)
            .on_step(|end| {
                if let [w, b] = *end.network.parameters() {
                    path.push((w, b));
                }
                ControlFlow::Continue(())
            })
            .fit(&mut network, &self.data)?;
        Ok(path)
    }

    fn steps_per_epoch(&self, batch: usize) -> usize {
        self.masses.len().div_ceil(batch)
    }

    /// By how much the loss over all exceeds the least, in per cent of it.
    fn excess(&self, (w, b): (f64, f64)) -> f64 {
        100.0 * (self.loss(w, b) / self.least - 1.0)
    }

    fn paths(&self) -> Result<String> {
        const EPOCHS: u64 = 30;
        let all = self.masses.len();
        let falling = Cosine::new(EPOCHS * self.steps_per_epoch(4) as u64);
        let runs = [
            ("the whole gradient", all, self.train(all, EPOCHS, Constant)?),
            ("batches of 4", 4, self.train(4, EPOCHS, Constant)?),
            ("batches of 4, the rate falling to 0", 4, self.train(4, EPOCHS, falling)?),
        ];
        let (x, masses) = (self.data.inputs().slice().to_vec(), self.masses.clone());
        let mut plane = DescentPlot::new(move |b, w| mean_square(&x, &masses, w, b))
            .variables("intercept b", "slope w")
            .x_range(-0.25, 5.0)
            .y_range(-0.45, 1.55)
            .levels([0.2, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 13.0, 17.0])
            .minimum(self.best.1, self.best.0);
        for (name, _, path) in &runs[..2] {
            // The first steps.
            plane = plane.path(*name, path.iter().take(90).map(|&(w, b)| (b, w)));
        }
        let mut chart = Chart::new("passes over the data", "above the least J, in %")
            .x_range(0.0, EPOCHS as f64)
            .logarithmic_y()
            .y_range(1e-4, 1e5);
        for (name, batch, path) in &runs {
            let each = self.steps_per_epoch(*batch);
            let line = path.iter().enumerate().step_by(each.div_ceil(4));
            let line = line.map(|(step, &at)| (step as f64 / each as f64, self.excess(at)));
            chart = chart.line(*name, line).dash(Dash::Solid).width(1.8);
        }
        Ok(Panels::new(1).panel(plane.size(750, 360)).panel(chart.size(750, 340)).theme(Theme::Page).to_svg())
    }

    /// What the size of a batch does to noise and to work.
    fn batch_table(&self) -> Result<String> {
        const EPOCHS: u64 = 30;
        let mut rows = Vec::new();
        for batch in [1, 4, 16, 64, self.masses.len()] {
            let each = self.steps_per_epoch(batch);
            let path = self.train(batch, EPOCHS, Constant)?;
            let falling = self.train(batch, EPOCHS, Cosine::new(EPOCHS * each as u64))?;
            let near = path.iter().position(|&at| self.excess(at) < 5.0);
            let near = near.map_or("never".to_owned(), |step| {
                let (whole, rest) = (step / each, step % each);
                count((whole * self.masses.len() + (rest * batch).min(self.masses.len())) as u64)
            });
            // Over the second half of the run, where a constant rate only hovers.
            let half = &path[path.len() / 2..];
            let hover = half.iter().map(|&at| self.excess(at)).sum::<f64>() / half.len() as f64;
            let end = falling.last().map_or(f64::NAN, |&at| self.excess(at));
            let name = if batch == self.masses.len() { format!("{batch}: all") } else { batch.to_string() };
            rows.push([
                name,
                count(each as u64),
                near,
                format!("{}%", digits(hover, 2)),
                format!("{}%", digits(end, 1)),
            ]);
        }
        let header = [
            "batch",
            "steps a pass",
            "penguins looked at to be within 5%",
            "above the least J, passes 15 to 30",
            "the same at the end, if the rate falls to 0",
        ];
        Ok(table(header, rows))
    }
}
