//! Descent on bowls: the slope, the learning rate, ill-conditioning, momentum.

use downhill::optim::minimize::{Outcome, Reason, minimize};
use downhill::optim::{GradientDescent, Optimizer, Sgd};
use downhill::plot::{Align, Chart, Dash, DescentPlot, Marker, Panels, Theme, Tone};

use super::Files;
use super::table::table;
use crate::{Result, grouped as count};

pub(super) fn add(files: &mut Files) -> Result {
    files.insert("slope.svg".into(), slope());
    files.insert("rates.svg".into(), rates()?);
    files.insert("rates.md".into(), rates_table()?);
    files.insert("zigzag.svg".into(), zigzag()?);
    files.insert("momentum.svg".into(), momentum()?);
    let (condition, momentum) = condition_tables()?;
    files.insert("condition.md".into(), condition);
    files.insert("condition-momentum.md".into(), momentum);
    Ok(())
}

/// f(x) = (x − 3)² + 1, the chapter's bowl.
fn bowl(x: f64) -> f64 {
    (x - 3.0).powi(2) + 1.0
}

fn bowl_objective(x: &[f64], gradient: &mut [f64]) -> f64 {
    gradient[0] = 2.0 * (x[0] - 3.0);
    bowl(x[0])
}

fn curve(f: impl Fn(f64) -> f64, from: f64, to: f64) -> impl Iterator<Item = (f64, f64)> {
    (0..=100).map(move |i| from + (to - from) * f64::from(i) / 100.0).map(move |x| (x, f(x)))
}

/// Secants that turn into the tangent.
fn slope() -> String {
    let mut chart = Chart::new("x", "f(x)")
        .x_range(-0.2, 6.2)
        .y_range(-2.0, 11.0)
        .label((1.15, 5.6), Align::Left, "x = 1")
        .line("", curve(bowl, -0.2, 6.2))
        .tone(Tone::Ink);
    for (series, h, end) in [(3, 3.0, 5.0), (2, 2.0, 3.75), (0, 1.0, 3.1)] {
        let slope = (bowl(1.0 + h) - bowl(1.0)) / h;
        let through = |x: f64| (x, bowl(1.0) + slope * (x - 1.0));
        let words = format!("h = {h}: slope {slope}").replace('-', "−");
        chart = chart
            .line("", [through(0.35), through(end)])
            .tone(Tone::Series(series))
            .dash(Dash::Solid)
            .width(1.6)
            .label((end + 0.08, through(end).1), Align::Left, words)
            .points("", [through(1.0 + h)])
            .tone(Tone::Series(series))
            .marker(Marker::Disc);
    }
    let tangent = |x: f64| (x, bowl(1.0) - 4.0 * (x - 1.0));
    let chart = chart
        .line("", [tangent(-0.2), tangent(2.7)])
        .tone(Tone::Series(1))
        .dash(Dash::Solid)
        .width(2.8)
        .label((0.35, 8.6), Align::Left, "the tangent: slope −4")
        .points("", [(1.0, bowl(1.0))])
        .tone(Tone::Ink)
        .marker(Marker::Disc)
        .width(9.0);
    chart.size(750, 340).theme(Theme::Page).to_svg()
}

/// The bowl from x = 1 with four learning rates.
fn rates() -> Result<String> {
    let runs = [
        (0.05, "γ = 0.05: slow but sure", 0),
        (0.4, "γ = 0.4: about right", 2),
        (0.95, "γ = 0.95: from side to side", 3),
        (1.05, "γ = 1.05: it explodes", 1),
    ];
    let mut panels = Panels::new(2).theme(Theme::Page);
    for (rate, title, series) in runs {
        let steps = walk(bowl_objective, [1.0], GradientDescent::new(rate), 10)?.path;
        let path: Vec<_> = steps.iter().map(|x| (x[0], bowl(x[0]))).collect();
        let chart = Chart::new("x", "f(x)")
            .x_range(-2.4, 8.4)
            .y_range(0.0, 28.0)
            .line("", curve(bowl, -2.4, 8.4))
            .tone(Tone::Muted)
            .width(1.5)
            .path("", path.iter().copied())
            .tone(Tone::Series(series))
            .dash(Dash::Solid)
            .marker(Marker::Disc)
            .points("", path.first().copied())
            .tone(Tone::Ink)
            .marker(Marker::Disc)
            .width(9.0);
        panels = panels.panel(chart.title(title).size(375, 270));
    }
    Ok(panels.to_svg())
}

/// Takes steps from a start and records the path.
fn walk<const N: usize>(
    f: fn(&[f64], &mut [f64]) -> f64,
    start: [f64; N],
    optimizer: impl Optimizer<f64>,
    steps: u64,
) -> Result<Outcome<f64>> {
    Ok(minimize(f, start).optimizer(optimizer).gradient_tolerance(0.0).iterations(steps).record_path().run()?)
}

fn rates_table() -> Result<String> {
    let mut rows = Vec::new();
    for rate in [0.01, 0.05, 0.4, 0.5, 0.95, 0.99, 1.0, 1.01, 1.05] {
        let outcome = minimize(bowl_objective, [1.0]).optimizer(GradientDescent::new(rate)).run()?;
        let steps = count(outcome.iterations);
        let end = match outcome.reason {
            Reason::GradientVanished => "the gradient vanished",
            Reason::IterationLimit => "went to and fro until the limit",
            Reason::Diverged => "diverged: no longer a finite number",
            other => return Err(format!("the bowl with the rate {rate}: {other}").into()),
        };
        // Two decimals are all that there are.
        let factor = format!("{:.2}", 1.0 - 2.0 * rate).replace('-', "−");
        rows.push([rate.to_string(), factor, end.to_owned(), steps]);
    }
    Ok(table(["γ", "error × (1 − 2γ) a step", "what happened", "steps"], rows))
}

/// ½(x² + 20y²), whose curvatures are 1 and 20.
fn valley(x: f64, y: f64) -> f64 {
    0.5 * (x * x + 20.0 * y * y)
}

fn valley_objective(x: &[f64], gradient: &mut [f64]) -> f64 {
    gradient[0] = x[0];
    gradient[1] = 20.0 * x[1];
    valley(x[0], x[1])
}

const VALLEY_START: [f64; 2] = [10.0, 1.0];

/// A path on the valley's contours, at the same scale along both axes.
fn valley_panel(name: &str, optimizer: impl Optimizer<f64>, series: usize) -> Result<DescentPlot> {
    let path = walk(valley_objective, VALLEY_START, optimizer, 40)?.path;
    let plot = DescentPlot::new(valley)
        .variables("x", "y")
        .x_range(-1.0, 11.0)
        .y_range(-1.4, 1.4)
        .levels([0.2, 1.5, 5.0, 12.0, 22.0, 35.0, 50.0])
        .path(name, path.iter().map(|at| (at[0], at[1])))
        .tone(Tone::Series(series))
        .minimum(0.0, 0.0)
        .equal_axes()
        .mark_every_step();
    Ok(plot.size(750, 242))
}

fn zigzag() -> Result<String> {
    let slow = valley_panel("γ = 0.04", GradientDescent::new(0.04), 0)?;
    let fast = valley_panel("γ = 0.095, just below 2/20", GradientDescent::new(0.095), 1)?;
    Ok(Panels::new(1).panel(slow).panel(fast).theme(Theme::Page).to_svg())
}

fn momentum() -> Result<String> {
    let plain = valley_panel("γ = 0.04, μ = 0", GradientDescent::new(0.04), 0)?;
    let heavy = valley_panel("γ = 0.04, μ = 0.7", Sgd::new(0.04).momentum(0.7), 2)?;
    Ok(Panels::new(1).panel(plain).panel(heavy).theme(Theme::Page).to_svg())
}

/// How many steps it takes to come a million times nearer to the bottom of bowls of growing eccentricity.
fn condition_tables() -> Result<(String, String)> {
    let (mut plain, mut heavy) = (Vec::new(), Vec::new());
    for kappa in [1.0, 10.0, 100.0, 1000.0, 10_000.0_f64] {
        let objective = |x: &[f64], gradient: &mut [f64]| {
            gradient[0] = x[0];
            gradient[1] = kappa * x[1];
            0.5 * (x[0] * x[0] + kappa * x[1] * x[1])
        };
        let near = 1e-6 * 2f64.sqrt();
        // The best settings there are for curvatures from 1 to κ (Polyak 1964).
        let root = kappa.sqrt();
        let (rate, momentum) = (4.0 / (root + 1.0).powi(2), ((root - 1.0) / (root + 1.0)).powi(2));
        let steps = |optimizer: Box<dyn Optimizer<f64>>| -> Result<u64> {
            let mut optimizer = optimizer;
            let (mut x, mut gradient) = ([1.0_f64, 1.0], [0.0; 2]);
            for step in 0.. {
                if x[0].hypot(x[1]) <= near {
                    return Ok(step);
                }
                objective(&x, &mut gradient);
                optimizer.step(&mut x, &gradient);
            }
            unreachable!("a rate within its limit arrives")
        };
        let descent = steps(Box::new(GradientDescent::new(2.0 / (1.0 + kappa))))?;
        let heavy_ball = steps(Box::new(Sgd::new(rate).momentum(momentum)))?;
        let name = count(kappa as u64);
        let factor = (kappa - 1.0) / (kappa + 1.0);
        plain.push([name.clone(), format!("{factor:.4}"), count(descent)]);
        heavy.push([name, count(descent), format!("{momentum:.3}"), count(heavy_ball)]);
    }
    Ok((
        table(["κ", "error × (κ−1)/(κ+1) a step", "steps"], plain),
        table(["κ", "plain: steps", "best μ", "with momentum: steps"], heavy),
    ))
}
