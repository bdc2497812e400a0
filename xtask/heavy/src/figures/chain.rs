//! The chain rule at one affine layer, one sigmoid and one loss; and the loop that applies it to many.

use std::fs;

use downhill::gradcheck::differentiate;
use downhill::plot::{Align, Chart, Dash, Diagram, Theme, Tone};
use downhill::tensor::Scalar;

use super::Files;
use super::table::{digits, table};
use crate::{Result, workspace};

pub(super) fn add(files: &mut Files) -> Result {
    files.insert("chain.svg".into(), diagram());
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
            digits((explicit[index] - numeric).abs(), 1),
        ]
    });
    table(["", "by the chain rule", "by finite differences", "apart"], rows)
}

fn number(x: f64, after: usize) -> String {
    format!("{x:.after$}").replace('-', "−")
}

fn pair(x: [f64; 2]) -> String {
    format!("({}, {})", number(x[0], 3), number(x[1], 3))
}

/// The heights of the two rows of the diagram in pixels.
const FORWARD: f64 = 95.0;
const BACKWARD: f64 = 150.0;

/// The example's numbers in the forward and the backward pass.
fn diagram() -> String {
    let (ahead, back) = (Tone::Series(0), Tone::Series(1));
    let there = forward(&THETA);
    let slopes = backward(&THETA, &there);
    let mut diagram = Diagram::new();
    for (x, name, equation) in
        [(161.0, "affine", "z = x W + b"), (378.0, "sigmoid", "y = σ(z)"), (595.0, "loss", "J = ½ ‖y − t‖²")]
    {
        diagram = diagram.block((x - 52.0, 65.0), (x + 52.0, 180.0), name, equation);
    }
    let x = format!("x = ({}, {})", X[0], X[1]).replace('-', "−");
    let passages = [
        (12.0, 107.0, x, "∂J/∂x", pair(slopes.dx)),
        (215.0, 324.0, format!("z = {}", pair(there.z)), "∂J/∂z", pair(slopes.dz)),
        (432.0, 541.0, format!("y = {}", pair(there.y)), "∂J/∂y", pair(slopes.dy)),
        (649.0, 738.0, format!("J = {:.4}", there.loss), "∂J/∂J", "1".to_owned()),
    ];
    for (from, to, value, symbol, slope) in passages {
        let middle = (from + to) / 2.0;
        diagram = diagram
            .arrow((from, FORWARD), (to, FORWARD), ahead)
            .text((middle, FORWARD - 13.0), Align::Middle, value, ahead)
            .arrow((to, BACKWARD), (from, BACKWARD), back)
            .text((middle, BACKWARD + 15.0), Align::Middle, symbol, back)
            .text((middle, BACKWARD + 32.0), Align::Middle, slope, back);
    }
    let [w11, w12, w21, w22, ..] = slopes.dtheta.map(|slope| number(slope, 3));
    let weight = format!("∂J/∂W = xᵀ ∂J/∂z = ({w11}, {w12}; {w21}, {w22})");
    let bias = format!("∂J/∂b = ∂J/∂z = {}", pair(slopes.dz));
    let diagram = diagram
        .text((161.0, 22.0), Align::Middle, "W, b", ahead)
        .arrow((161.0, 34.0), (161.0, 63.0), ahead)
        .text((595.0, 22.0), Align::Middle, "t = (1, 0)", ahead)
        .arrow((595.0, 34.0), (595.0, 63.0), ahead)
        .arrow((161.0, 182.0), (161.0, 212.0), back)
        .text((109.0, 228.0), Align::Left, weight, back)
        .text((109.0, 247.0), Align::Left, bias, back)
        .text((738.0, 22.0), Align::Right, "forward", ahead)
        .text((738.0, 247.0), Align::Right, "backward", back);
    diagram.size(750, 270).theme(Theme::Page).to_svg()
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
    let extrapolated = error(differentiate(&[THETA[0]], |w| at(w[0]))[0].ok_or("the loss is smooth")?);
    let chart = Chart::new("step h", "error of ∂J/∂W₁₁")
        .logarithmic_x()
        .logarithmic_y()
        .x_range(1e-14, 1.0)
        .y_range(1e-16, 1.0)
        .line("", one_sided)
        .label((1e-4, 3e-5), Align::Right, "one-sided")
        .line("", central)
        .dash(Dash::Solid)
        .label((1e-3, 1e-11), Align::Left, "central")
        .line("", [(1e-14, extrapolated), (1.0, extrapolated)])
        .dash(Dash::Solid)
        .width(1.8)
        .label((1.5e-14, extrapolated / 6.0), Align::Left, "extrapolated, as downhill-gradcheck does");
    Ok(chart.size(750, 380).theme(Theme::Page).to_svg())
}

/// The source of the backward loop as it is, and of what it does for each step.
fn backward_loop() -> Result<String> {
    let path = "crates/network/src/passes.rs";
    let source = fs::read_to_string(workspace::root().join(path))?;
    let functions = [method(&source, "pub(crate) fn backward(")?, method(&source, "fn run_backward(")?];
    Ok(functions.map(|function| format!("```rust,ignore\n{function}\n```\n")).join("\n"))
}

/// The source of the method that begins so.
fn method(source: &str, beginning: &str) -> Result<String> {
    let lines: Vec<&str> = source.lines().collect();
    let start = lines.iter().position(|line| line.strip_prefix("    ").is_some_and(|line| line.starts_with(beginning)));
    let start = start.ok_or_else(|| format!("there is no method `{beginning}`"))?;
    let end = lines[start..].iter().position(|line| *line == "    }");
    let end = end.ok_or_else(|| format!("the method `{beginning}` has no end"))?;
    let body = lines[start..=start + end].iter().map(|line| line.strip_prefix("    ").unwrap_or(line));
    Ok(body.collect::<Vec<_>>().join("\n"))
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
