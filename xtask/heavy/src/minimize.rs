//! `cargo xtask minimize`: the problems of Moré, Garbow & Hillstrom by every method with a line search.
//!
//! A table of iterations, evaluations, values and reasons, next to SciPy's counts; and the requirements, which fail the
//! task where they aren't met.

use downhill_optim::minimize::{Bfgs, ConjugateGradient, HagerZhang, Lbfgs, Method, Outcome, minimize};
use downhill_optim::test_functions::{TestFunction, more_garbow_hillstrom};

use crate::Result;

/// Minimises the 18 problems by several methods and checks what L-BFGS must reach.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only the problems whose name contains this, without the requirements.
    pub(crate) problem: Option<String>,
    /// Only from the standard starts, without the requirements.
    #[arg(long)]
    pub(crate) standard: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let wanted = |problem: &TestFunction| {
        let name = problem.name().to_lowercase();
        arguments.problem.as_ref().is_none_or(|wanted| name.contains(&wanted.to_lowercase()))
    };
    let problems: Vec<TestFunction> = more_garbow_hillstrom().into_iter().filter(wanted).collect();
    if problems.is_empty() {
        let names: Vec<&str> = more_garbow_hillstrom().iter().map(TestFunction::name).collect();
        return Err(format!("no problem's name contains that; there are {}", names.join(", ")).into());
    }
    let scales: &[f64] = if arguments.standard { &[1.0] } else { &[1.0, 10.0, 100.0] };
    let lbfgs = table("L-BFGS, Moré-Thuente", &problems, scales, Lbfgs::new);
    table("L-BFGS, Hager-Zhang", &problems, scales, || Lbfgs::new().line_search(HagerZhang::new()));
    table("BFGS, Moré-Thuente", &problems, scales, Bfgs::new);
    table("conjugate gradients (Polak-Ribière), Moré-Thuente", &problems, scales, ConjugateGradient::new);
    table("conjugate gradients (Hager-Zhang), Hager-Zhang", &problems, scales, || {
        ConjugateGradient::new().hager_zhang().line_search(HagerZhang::new())
    });
    if arguments.problem.is_some() || arguments.standard {
        return Ok(());
    }
    require(&lbfgs)
}

/// One run of one method.
struct Row {
    problem: TestFunction,
    scale: f64,
    outcome: Outcome<f64>,
}

impl Row {
    /// The gradient is small next to the value.
    fn is_solved(&self) -> bool {
        self.outcome.gradient_norm <= 1e-6 * self.outcome.value.abs().max(1.0)
    }
}

/// Runs a method on all problems from all starts, and prints what became of it.
fn table<M: Method<f64>>(name: &str, problems: &[TestFunction], scales: &[f64], method: impl Fn() -> M) -> Vec<Row> {
    println!("\n{name}");
    println!(
        "{:<26} {:>2} {:>5} {:>6} {:>6}  {:<23} {:>13} {:>8}  reason",
        "problem", "n", "start", "iter", "eval", "SciPy L-BFGS-B / BFGS", "f", "|g|"
    );
    let mut rows = Vec::new();
    for problem in problems {
        for &scale in scales {
            // Watson's start is 0, whatever the scale.
            if scale != 1.0 && problem.name() == "Watson" {
                continue;
            }
            let row = Row { problem: problem.clone(), scale, outcome: solve(problem, scale, method()) };
            print(&row);
            rows.push(row);
        }
    }
    let solved = rows.iter().filter(|row| row.is_solved()).count();
    println!("{solved} of {} solved", rows.len());
    rows
}

fn solve(problem: &TestFunction, scale: f64, method: impl Method<f64>) -> Outcome<f64> {
    let start: Vec<f64> = problem.start().iter().map(|x| scale * x).collect();
    // SciPy's counts are for an absolute tolerance of 1e-8.
    minimize(problem, start)
        .method(method)
        .gradient_tolerance(1e-8)
        .iterations(10_000)
        .run()
        .expect("the settings above are valid")
}

fn print(row: &Row) {
    let Row { problem, scale, outcome } = row;
    let reference = problem.reference().filter(|_| *scale == 1.0).map_or(String::new(), |reference| {
        let ((i, e), (j, f)) = (reference.lbfgs_b, reference.bfgs);
        format!("{:<11} {:<11}", format!("{i}/{e}"), format!("{j}/{f}"))
    });
    println!(
        "{:<26} {:>2} {:>5} {:>6} {:>6}  {reference:<23} {:>13.6e} {:>8.1e}  {}{}",
        problem.name(),
        problem.dimension(),
        format!("{scale}x"),
        outcome.iterations,
        outcome.evaluations,
        outcome.value,
        outcome.gradient_norm,
        outcome.reason,
        if row.is_solved() { "" } else { " (NOT SOLVED)" },
    );
}

/// What L-BFGS must reach: 17 of the 18 problems from their standard starts, 66 of all 69 starts,
/// and no more evaluations than SciPy's L-BFGS-B in the geometric mean over what both solve.
fn require(lbfgs: &[Row]) -> Result {
    let mut unsolved: Vec<&str> =
        lbfgs.iter().filter(|row| row.scale == 1.0 && !row.is_solved()).map(|row| row.problem.name()).collect();
    unsolved.dedup();
    let starts = lbfgs.iter().filter(|row| row.is_solved()).count();
    let logarithms: Vec<f64> =
        lbfgs.iter().filter(|row| row.scale == 1.0 && row.outcome.converged()).filter_map(ratio).collect();
    let mean = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
    println!("\nL-BFGS (Moré-Thuente):");
    println!("  problems solved from the standard start: {} of 18 (at least 17 are required)", 18 - unsolved.len());
    println!("  starts solved: {starts} of {} (at least 66 are required)", lbfgs.len());
    println!(
        "  evaluations beside SciPy's L-BFGS-B: {mean:.3} in the geometric mean over {} (at most 1 is required)",
        logarithms.len()
    );
    let met = unsolved.len() <= 1 && starts >= 66 && mean <= 1.0;
    if met { Ok(()) } else { Err("L-BFGS does not meet the requirements above".into()) }
}

/// ln(evaluations / SciPy's), where SciPy converges.
fn ratio(row: &Row) -> Option<f64> {
    let reference = row.problem.reference().filter(|reference| reference.lbfgs_b_converges)?;
    Some((row.outcome.evaluations as f64 / reference.lbfgs_b.1 as f64).ln())
}
