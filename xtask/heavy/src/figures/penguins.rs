//! A real regression: how heavy a penguin is, told from the length of its flippers.

use std::ops::ControlFlow;

use downhill::data::{Columns, Dataset, Missing, StandardScaler, Table, Targets};
use downhill::layers::Affine;
use downhill::losses::MeanSquaredError;
use downhill::network::Network;
use downhill::optim::GradientDescent;
use downhill::optim::minimize::{Reason, minimize};
use downhill::optim::schedule::{Constant, Cosine, Schedule};
use downhill::tensor::Seed;
use downhill::train::Trainer;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::Files;
use super::contour::Window;
use super::plot::{Area, Axis, BLUE, GREEN, INK, ORANGE, Plot, SKY, figure, px};
use super::table::{digits, table};
use crate::{Result, grouped as count, workspace};

pub(super) fn add(files: &mut Files) -> Result {
    let penguins = Penguins::read()?;
    files.insert("penguins.svg".into(), penguins.scatter()?);
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

/// A batch size, the path that it takes, and its colour.
type BatchRun = (usize, Vec<(f64, f64)>, RGBColor);

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
        let errors = self.data.inputs().slice().iter().zip(&self.masses).map(|(x, t)| w * x + b - t);
        errors.map(|error| error * error).sum::<f64>() / self.masses.len() as f64
    }

    fn scatter(&self) -> Result<String> {
        figure(360, |area| {
            let x = Axis::new("flipper length in mm", 168.0, 236.0, [170.0, 180.0, 190.0, 200.0, 210.0, 220.0, 230.0]);
            let mut plot = Plot::new(area, "", x, Axis::new("mass in kg", 2.4, 6.6, [3.0, 4.0, 5.0, 6.0]))?;
            let mut dots: Vec<_> = self.flippers.iter().copied().zip(self.masses.iter().copied()).collect();
            // Many penguins have the same two numbers.
            dots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            dots.dedup();
            plot.dots(dots, SKY, 3.0)?;
            let (slope, intercept) = self.best;
            let line = |x: f64| (x, intercept + slope * (x - self.mean) / self.deviation);
            plot.line([line(170.0), line(233.0)], ORANGE, 2.5)?;
            let words = format!("mass = {} + {} · standardised flipper", digits(intercept, 3), digits(slope, 2));
            plot.label((172.0, 5.8), &words, ORANGE, HPos::Left)
        })
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
            (all, self.train(all, EPOCHS, Constant)?, BLUE),
            (4, self.train(4, EPOCHS, Constant)?, ORANGE),
            (4, self.train(4, EPOCHS, falling)?, GREEN),
        ];
        figure(640, |area| {
            let (above, below) = area.split_vertically(px(320.0));
            self.plane(&above, &runs)?;
            let x = Axis::new("passes over the data", 0.0, EPOCHS as f64, [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
            let y = Axis::decades("above the least J, in %", -4, 5, 2);
            let mut plot = Plot::new(&below, "", x, y)?;
            for (batch, path, color) in &runs {
                let each = self.steps_per_epoch(*batch);
                let line = path.iter().enumerate().step_by(each.div_ceil(4));
                plot.line(line.map(|(step, &at)| (step as f64 / each as f64, self.excess(at))), *color, 1.6)?;
            }
            plot.label((9.0, 1.5e3), "the whole gradient", BLUE, HPos::Left)?;
            plot.label((29.6, 120.0), "batches of 4", ORANGE, HPos::Right)?;
            plot.label((25.4, 6e-4), "batches of 4, the rate falling to 0", GREEN, HPos::Right)
        })
    }

    /// The first steps in the plane of slope and intercept.
    fn plane(&self, area: &Area<'_>, runs: &[BatchRun]) -> Result {
        let window = Window { x: (-0.25, 5.0), y: (-0.45, 1.55) };
        let x = Axis::new("intercept b", window.x.0, window.x.1, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let mut plot = Plot::new(area, "", x, Axis::new("slope w", window.y.0, window.y.1, [0.0, 0.5, 1.0, 1.5]))?;
        let levels = [0.05, 0.4, 1.2, 2.5, 4.5, 7.0, 10.0, 13.5, 17.5].map(|level| self.least + level);
        plot.contours(window, &levels, |b, w| self.loss(w, b))?;
        for (_, path, color) in &runs[..2] {
            let path: Vec<_> = path.iter().take(90).map(|&(w, b)| (b, w)).collect();
            plot.path(&path, *color, 2.5)?;
        }
        plot.label((1.0, 0.02), "the whole gradient", BLUE, HPos::Left)?;
        plot.label((1.35, 1.25), "batches of 4", ORANGE, HPos::Right)?;
        plot.dots([(0.0, 0.0), (self.best.1, self.best.0)], INK, 4.0)
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
