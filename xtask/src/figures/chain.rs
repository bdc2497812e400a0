//! The chain rule at one affine layer, one sigmoid and one loss; and the loop that applies it to many.

use std::fs;

use downhill::gradcheck::differentiate;
use downhill::tensor::Scalar;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::Files;
use super::plot::{Area, Axis, BLUE, GREEN, GREY, INK, ORANGE, Plot, figure, text};
use super::table::{power, table};
use crate::{Result, workspace};

pub(super) fn add(files: &mut Files) -> Result {
    files.insert("chain.svg".into(), diagram()?);
    files.insert("chain.md".into(), comparison());
    files.insert("differences.svg".into(), differences()?);
    files.insert("backward.md".into(), backward_loop()?);
    Ok(())
}

/// The chapter's example.
const X: [f64; 2] = [0.5, -1.0];
const TARGET: [f64; 2] = [1.0, 0.0];
/// The weight, row after row, then the bias.
const THETA: [f64; 6] = [0.8, -0.4, 0.2, 0.6, 0.1, 0.3];
const NAMES: [&str; 6] = ["W₁₁", "W₁₂", "W₂₁", "W₂₂", "b₁", "b₂"];

struct Forward {
    z: [f64; 2],
    y: [f64; 2],
    loss: f64,
}

fn forward(theta: &[f64]) -> Forward {
    let z = [0, 1].map(|j| X[0] * theta[j] + X[1] * theta[2 + j] + theta[4 + j]);
    // The library's own sigmoid has the same bits on every machine.
    let y = z.map(Scalar::sigmoid);
    let loss = ((y[0] - TARGET[0]).powi(2) + (y[1] - TARGET[1]).powi(2)) / 2.0;
    Forward { z, y, loss }
}

struct Backward {
    dy: [f64; 2],
    dz: [f64; 2],
    dtheta: [f64; 6],
    dx: [f64; 2],
}

fn backward(theta: &[f64], pass: &Forward) -> Backward {
    let dy = [0, 1].map(|j| pass.y[j] - TARGET[j]);
    let dz = [0, 1].map(|j| dy[j] * pass.y[j] * (1.0 - pass.y[j]));
    let dtheta = [X[0] * dz[0], X[0] * dz[1], X[1] * dz[0], X[1] * dz[1], dz[0], dz[1]];
    let dx = [0, 1].map(|i| dz[0] * theta[2 * i] + dz[1] * theta[2 * i + 1]);
    Backward { dy, dz, dtheta, dx }
}

fn comparison() -> String {
    let explicit = backward(&THETA, &forward(&THETA)).dtheta;
    let h = 1e-4;
    let rows = (0..6).map(|index| {
        let moved = |by: f64| {
            let mut theta = THETA;
            theta[index] += by;
            forward(&theta).loss
        };
        let numeric = (moved(h) - moved(-h)) / (2.0 * h);
        [
            format!("∂J/∂{}", NAMES[index]),
            number(explicit[index], 9),
            number(numeric, 9),
            power((explicit[index] - numeric).abs(), 1),
        ]
    });
    table(["", "by the chain rule", "by finite differences", "apart"], rows)
}

fn number(x: f64, digits: usize) -> String {
    format!("{x:.digits$}").replace('-', "−")
}

fn pair(x: [f64; 2]) -> String {
    format!("({}, {})", number(x[0], 3), number(x[1], 3))
}

/// Where things stand in the diagram, in pixels as drawn.
const FORWARD: i32 = 190;
const BACKWARD: i32 = 300;

/// The example's numbers on their way forward and back.
fn diagram() -> Result<String> {
    let there = forward(&THETA);
    let back = backward(&THETA, &there);
    figure(270, |area| {
        let stations = [(330, "affine", "z = x W + b"), (760, "sigmoid", "y = σ(z)"), (1170, "loss", "J = ½ ‖y − t‖²")];
        for (x, name, equation) in stations {
            area.draw(&Rectangle::new([(x - 115, 130), (x + 115, 360)], RGBColor(244, 246, 248).filled()))?;
            area.draw(&Rectangle::new([(x - 115, 130), (x + 115, 360)], GREY.stroke_width(2)))?;
            words(area, (x, 225), name, 15, INK, HPos::Center)?;
            words(area, (x, 265), equation, 13, GREY, HPos::Center)?;
        }
        let ends = [(20, 215), (445, 645), (875, 1055), (1285, 1480)];
        let [dx, dz, dy] = [back.dx, back.dz, back.dy].map(pair);
        let forward = [format!("x = ({}, {})", X[0], X[1]).replace('-', "−"), pair(there.z), pair(there.y), format!("{:.4}", there.loss)];
        let backward = [dx, dz, dy, "1".to_owned()];
        let symbols = [("x", "∂J/∂x"), ("z", "∂J/∂z"), ("y", "∂J/∂y"), ("J", "∂J/∂J")];
        for (((from, to), (value, slope)), (there, back)) in ends.into_iter().zip(symbols).zip(forward.iter().zip(&backward)) {
            let middle = (from + to) / 2;
            arrow(area, (from, FORWARD), (to, FORWARD), BLUE)?;
            let there = if value == "x" { there.clone() } else { format!("{value} = {there}") };
            words(area, (middle, FORWARD - 24), &there, 11, BLUE, HPos::Center)?;
            arrow(area, (to, BACKWARD), (from, BACKWARD), ORANGE)?;
            words(area, (middle, BACKWARD + 28), slope, 11, ORANGE, HPos::Center)?;
            words(area, (middle, BACKWARD + 58), back, 11, ORANGE, HPos::Center)?;
        }
        arrow(area, (330, 70), (330, 128), BLUE)?;
        words(area, (330, 45), "W, b", 13, BLUE, HPos::Center)?;
        arrow(area, (330, 362), (330, 420), ORANGE)?;
        let [w11, w12, w21, w22, b1, b2] = back.dtheta.map(|slope| number(slope, 3));
        let weight = format!("∂J/∂W = xᵀ ∂J/∂z = ({w11}, {w12}; {w21}, {w22})");
        words(area, (200, 450), &weight, 11, ORANGE, HPos::Left)?;
        words(area, (200, 484), &format!("∂J/∂b = ∂J/∂z = ({b1}, {b2})"), 11, ORANGE, HPos::Left)?;
        words(area, (1170, 70), "t = (1, 0)", 13, BLUE, HPos::Center)?;
        arrow(area, (1170, 92), (1170, 128), BLUE)?;
        words(area, (1480, 45), "forward", 13, BLUE, HPos::Right)?;
        words(area, (1480, 450), "backward", 13, ORANGE, HPos::Right)
    })
}

fn words(area: &Area<'_>, at: (i32, i32), words: &str, size: u32, color: RGBColor, across: HPos) -> Result {
    area.draw(&Text::new(words.to_owned(), at, text(size, color, across, VPos::Center)))?;
    Ok(())
}

fn arrow(area: &Area<'_>, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result {
    area.draw(&PathElement::new([from, to], color.stroke_width(4)))?;
    let (dx, dy) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
    let head = [(0, 0), (-16, 9), (-16, -9)].map(|(along, across)| {
        (to.0 + along * dx - across * dy, to.1 + along * dy + across * dx)
    });
    area.draw(&Polygon::new(head, color.filled()))?;
    Ok(())
}

/// The error of difference quotients over their step: first it is the function's bend, then rounding.
fn differences() -> Result<String> {
    let exact = backward(&THETA, &forward(&THETA)).dtheta[0];
    let at = |w: f64| {
        let mut theta = THETA;
        theta[0] = w;
        forward(&theta).loss
    };
    // An error of 0 has no logarithm; 10⁻¹⁷ stands for it.
    let error = |slope: f64| (slope - exact).abs().max(1e-17);
    let steps = || (0..=56).map(|quarter| 10f64.powf(-f64::from(quarter) / 4.0));
    let one_sided = steps().map(|h| (h, error((at(THETA[0] + h) - at(THETA[0])) / h)));
    let central = steps().map(|h| (h, error((at(THETA[0] + h) - at(THETA[0] - h)) / (2.0 * h))));
    let extrapolated = differentiate(&[THETA[0]], |w| at(w[0]))[0].ok_or("the loss is smooth")?;
    figure(380, |area| {
        let x = Axis::decades("step h", -14, 0, 2);
        let mut plot = Plot::new(area, "", x, Axis::decades("error of ∂J/∂W₁₁", -16, 0, 4))?;
        plot.line(one_sided, BLUE, 4)?;
        plot.line(central, ORANGE, 4)?;
        plot.dashes([(1e-14, error(extrapolated)), (1.0, error(extrapolated))], GREEN)?;
        plot.label((2e-6, 3e-5), "one-sided", BLUE, HPos::Center, VPos::Bottom)?;
        plot.label((3e-4, 3e-12), "central", ORANGE, HPos::Center, VPos::Top)?;
        plot.label((1.5e-14, error(extrapolated) * 0.6), "extrapolated, as downhill-gradcheck does", GREEN, HPos::Left, VPos::Top)
    })
}

/// The source of the backward loop, as it stands.
fn backward_loop() -> Result<String> {
    let path = "crates/network/src/passes.rs";
    let source = fs::read_to_string(workspace::root().join(path))?;
    let lines: Vec<&str> = source.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("    pub(crate) fn backward("));
    let start = start.ok_or_else(|| format!("{path} has no function `backward`"))?;
    let end = lines[start..].iter().position(|line| *line == "    }").ok_or("the function `backward` has no end")?;
    let body: Vec<&str> = lines[start..=start + end].iter().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    Ok(format!("```rust,ignore\n{}\n```\n", body.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_agrees_with_finite_differences() {
        let explicit = backward(&THETA, &forward(&THETA)).dtheta;
        let numeric = differentiate(&THETA, |theta| forward(theta).loss);
        assert!(explicit.iter().zip(numeric).all(|(explicit, numeric)| (explicit - numeric.unwrap()).abs() < 1e-11));
    }
}
