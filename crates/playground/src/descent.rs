//! Optimizers on functions of two variables.

use downhill_optim::Optimizer;
use downhill_optim::schedule::Schedule;
use downhill_optim::test_functions::{self, TestFunction};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::catalogue;
use crate::formula::Formula;
use crate::learner::finite;
use crate::optimizers::Chosen;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DescentSettings {
    /// The name of a function, or `formula`.
    function: String,
    #[serde(default)]
    formula: String,
    start: [f64; 2],
    runs: Vec<RunSettings>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunSettings {
    optimizer: Chosen,
    /// The schedule's name with its settings.
    schedule: (String, Value),
}

/// A part of the plane whose values are drawn.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    x: [f64; 2],
    y: [f64; 2],
    columns: usize,
    rows: usize,
}

/// At most this many optimizers walk side by side.
const MOST: usize = 4;

/// As far from the middle a walk counts as lost.
const LOST: f64 = 1e6;

enum Function {
    /// a x² + b y²
    Quadratic(f64, f64),
    Known(TestFunction),
    Own(Formula),
}

impl Function {
    fn named(name: &str, formula: &str) -> Result<Self, Error> {
        Ok(match name {
            "bowl" => Self::Quadratic(1.0, 1.0),
            "ravine" => Self::Quadratic(0.5, 10.0),
            "saddle" => Self::Quadratic(1.0, -1.0),
            "rosenbrock" => Self::Known(test_functions::rosenbrock()),
            "himmelblau" => Self::Known(test_functions::himmelblau()),
            "beale" => Self::Known(test_functions::beale()),
            "three-hump-camel" => Self::Known(test_functions::three_hump_camel()),
            "rastrigin" => Self::Known(test_functions::rastrigin(2)),
            "formula" => Self::Own(Formula::read(formula)?),
            _ => return Err(Error::new("There is no function of the name `{name}`.").with("name", name)),
        })
    }

    /// f(x, y) and its gradient.
    fn at(&self, [x, y]: [f64; 2]) -> (f64, [f64; 2]) {
        match self {
            Self::Quadratic(a, b) => (a * x * x + b * y * y, [2.0 * a * x, 2.0 * b * y]),
            Self::Known(function) => {
                let mut gradient = [0.0; 2];
                let value = function.evaluate(&[x, y], &mut gradient);
                (value, gradient)
            }
            Self::Own(formula) => {
                let dual = formula.at(x, y);
                (dual.value, dual.slopes)
            }
        }
    }

    /// The second derivatives: xx, xy, yy, by central differences of the gradient.
    fn hessian(&self, [x, y]: [f64; 2]) -> [f64; 3] {
        let (hx, hy) = (1e-5 * x.abs().max(1.0), 1e-5 * y.abs().max(1.0));
        let difference = |forward: [f64; 2], backward: [f64; 2], h: f64| {
            let ((_, a), (_, b)) = (self.at(forward), self.at(backward));
            [(a[0] - b[0]) / (2.0 * h), (a[1] - b[1]) / (2.0 * h)]
        };
        let [xx, xy] = difference([x + hx, y], [x - hx, y], hx);
        let [yx, yy] = difference([x, y + hy], [x, y - hy], hy);
        [xx, (xy + yx) / 2.0, yy]
    }

    /// The largest curvature λ: the larger eigenvalue of the second derivatives.
    fn largest_curvature(&self, at: [f64; 2]) -> f64 {
        let [xx, xy, yy] = self.hessian(at);
        (xx + yy) / 2.0 + ((xx - yy) / 2.0).hypot(xy)
    }
}

struct Run {
    name: String,
    /// In f32, as the network's: in both precisions, the optimizers would be a tenth more of all code.
    optimizer: Box<dyn Optimizer<f32>>,
    schedule: Box<dyn Schedule>,
    at: [f32; 2],
    steps: u64,
    /// How it ended, if it did.
    ended: Option<Value>,
}

/// A function with the optimizers that walk on it.
pub(crate) struct Descent {
    function: Function,
    start: [f64; 2],
    runs: Vec<Run>,
}

impl std::fmt::Debug for Descent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descent").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Descent {
    pub(crate) fn new(settings: DescentSettings) -> Result<Self, Error> {
        let function = Function::named(&settings.function, &settings.formula)?;
        let start = settings.start;
        if start.iter().any(|number| !number.is_finite() || number.abs() > LOST) {
            return Err(Error::new("The start must lie within {lost} of the middle.").with("lost", LOST));
        }
        if !(1..=MOST).contains(&settings.runs.len()) {
            return Err(Error::new("From one to {most} optimizers can walk side by side.").with("most", MOST));
        }
        let run = |run: &RunSettings| -> Result<Run, Error> {
            let optimizer = run.optimizer.make::<f32>()?;
            let schedule = catalogue::schedule(&run.schedule.0, &run.schedule.1)?;
            optimizer.check_schedule(&schedule)?;
            Ok(Run {
                name: run.optimizer.name.clone(),
                optimizer,
                schedule,
                at: start.map(|number| number as f32),
                steps: 0,
                ended: None,
            })
        };
        let runs = settings.runs.iter().map(run).collect::<Result<_, _>>()?;
        Ok(Self { function, start, runs })
    }

    pub(crate) fn start(&self) -> Value {
        let (value, gradient) = self.function.at(self.start);
        // Where there is no value, a rule's slope means nothing.
        let gradient = if value.is_finite() { gradient } else { [f64::NAN; 2] };
        json!({ "value": finite(value), "gradient": gradient.map(finite), "curvature": self.curvature(self.start) })
    }

    /// The second derivatives at a point, their largest curvature λ, and the rate 2/λ beyond which plain gradient descent
    /// grows in that direction.
    pub(crate) fn curvature(&self, at: [f64; 2]) -> Value {
        let largest = self.function.largest_curvature(at);
        let limit = if largest > 0.0 { json!(2.0 / largest) } else { Value::Null };
        json!({ "hessian": self.function.hessian(at).map(finite), "largest": finite(largest), "limit": limit })
    }

    /// Takes steps with each optimizer that has not ended: the places and values after each of them.
    pub(crate) fn step(&mut self, steps: u32) -> Result<Value, Error> {
        let steps = steps.min(10_000);
        let mut replies = Vec::new();
        for run in &mut self.runs {
            let mut path = Vec::new();
            for _ in 0..steps {
                if run.ended.is_some() {
                    break;
                }
                let before = run.at.map(f64::from);
                let gradient = self.function.at(before).1.map(|number| number as f32);
                run.optimizer.follow(&run.schedule, run.steps);
                run.optimizer.step(&mut run.at, &gradient);
                run.steps += 1;
                // Some are judged elsewhere than they step.
                let mut shown = run.at;
                run.optimizer.evaluation_point(&run.at, &mut shown);
                let shown = shown.map(f64::from);
                let (value, _) = self.function.at(shown);
                path.push([finite(shown[0]), finite(shown[1]), finite(value)]);
                let is_far = run.at.iter().any(|number| !number.is_finite() || f64::from(number.abs()) > LOST);
                if is_far || !value.is_finite() {
                    let how = match value {
                        // No number: the place is one at which the function has none, such as ln(−1).
                        _ if value.is_nan() && !is_far => "outside",
                        _ if value < -LOST => "endless",
                        _ => "exploded",
                    };
                    let curvature = self.function.largest_curvature(before);
                    run.ended = Some(json!({
                        "how": how,
                        "step": run.steps,
                        "optimizer": run.name,
                        "rate": run.optimizer.learning_rate(),
                        "largest": finite(curvature),
                    }));
                }
            }
            replies.push(json!({ "path": path, "steps": run.steps, "ended": run.ended }));
        }
        Ok(json!({ "runs": replies }))
    }

    /// The values of the function, row after row from above.
    pub(crate) fn field(&self, field: &Field) -> Result<(Value, Vec<f32>), Error> {
        let Field { x, y, columns, rows } = *field;
        if columns > 400 || rows > 400 || columns == 0 || rows == 0 {
            return Err(Error::new("A picture has from 1 to 400 numbers along each side."));
        }
        let between =
            |[from, to]: [f64; 2], place: usize, count: usize| from + (to - from) * (place as f64 + 0.5) / count as f64;
        let mut values = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let at = [between(x, column, columns), between([y[1], y[0]], row, rows)];
                values.push(self.function.at(at).0 as f32);
            }
        }
        Ok((json!({ "columns": columns, "rows": rows }), values))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn descent(function: &str, start: [f64; 2], optimizer: &str, rate: f64) -> Descent {
        let optimizer = Chosen { name: optimizer.into(), rate, settings: BTreeMap::new() };
        let runs = vec![RunSettings { optimizer, schedule: ("Constant".into(), Value::Null) }];
        Descent::new(DescentSettings { function: function.into(), formula: String::new(), start, runs }).unwrap()
    }

    fn last(reply: &Value) -> f64 {
        reply["runs"][0]["path"].as_array().unwrap().last().unwrap()[2].as_f64().unwrap()
    }

    #[test]
    fn rosenbrocks_function_is_descended() {
        let mut descent = descent("rosenbrock", [-1.2, 1.0], "Adam", 0.02);
        for _ in 0..3 {
            descent.step(1000).unwrap();
        }
        assert!(last(&descent.step(1).unwrap()) < 1e-3);
    }

    #[test]
    fn beyond_two_by_the_curvature_it_explodes_and_below_it_converges() {
        let limit =
            descent("ravine", [1.0, 1.0], "GradientDescent", 0.01).curvature([1.0, 1.0])["limit"].as_f64().unwrap();
        assert!((limit - 0.1).abs() < 1e-9, "{limit}");
        let mut below = descent("ravine", [1.0, 1.0], "GradientDescent", 0.99 * limit);
        assert!(last(&below.step(3000).unwrap()) < 1e-20);
        let mut beyond = descent("ravine", [1.0, 1.0], "GradientDescent", 1.05 * limit);
        let reply = beyond.step(3000).unwrap();
        assert_eq!(reply["runs"][0]["ended"]["how"], "exploded");
        assert!((reply["runs"][0]["ended"]["largest"].as_f64().unwrap() - 20.0).abs() < 1e-6);
        assert_eq!(beyond.step(10).unwrap()["runs"][0]["path"], json!([]), "it has ended");
    }

    #[test]
    fn a_saddle_is_left_without_end() {
        let mut descent = descent("saddle", [1.0, 0.01], "GradientDescent", 0.1);
        assert_eq!(descent.step(5000).unwrap()["runs"][0]["ended"]["how"], "endless");
    }

    #[test]
    fn a_walk_to_where_there_is_no_value_is_told_from_an_explosion() {
        let optimizer = Chosen { name: "Adam".into(), rate: 0.5, settings: BTreeMap::new() };
        let runs = vec![RunSettings { optimizer, schedule: ("Constant".into(), Value::Null) }];
        let formula = "ln(x) + y^2".into();
        let settings = DescentSettings { function: "formula".into(), formula, start: [1.0, 1.0], runs };
        assert_eq!(Descent::new(settings).unwrap().step(50).unwrap()["runs"][0]["ended"]["how"], "outside");
    }

    #[test]
    fn the_curvature_is_that_of_the_second_derivatives() {
        let Function::Own(formula) = Function::named("formula", "x^4 + x y + 2 y^2").unwrap() else { panic!() };
        let [xx, xy, yy] = Function::Own(formula).hessian([1.0, -2.0]);
        assert!((xx - 12.0).abs() < 1e-6 && (xy - 1.0).abs() < 1e-6 && (yy - 4.0).abs() < 1e-6, "{xx} {xy} {yy}");
    }

    #[test]
    fn settings_out_of_range_are_told() {
        let descent = descent("bowl", [1.0, 1.0], "Sgd", 0.1);
        let field = Field { x: [-1.0, 1.0], y: [-1.0, 1.0], columns: 100_000, rows: 3 };
        assert!(descent.field(&field).is_err());
        let (_, values) = descent.field(&Field { columns: 3, ..field }).unwrap();
        assert_eq!(values.len(), 9);
        assert!(values[4].abs() < 1e-12 && values[0] > 0.5);
    }
}
