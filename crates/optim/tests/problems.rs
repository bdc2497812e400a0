//! The problems of Moré, Garbow & Hillstrom: what L-BFGS must solve, and with how many evaluations.

use downhill_optim::minimize::{Bfgs, ConjugateGradient, HagerZhang, Lbfgs, Method, Outcome, minimize};
use downhill_optim::test_functions::{TestFunction, classics, more_garbow_hillstrom};

fn run(problem: &TestFunction, scale: f64, method: impl Method<f64>) -> Outcome<f64> {
    let start: Vec<f64> = problem.start().iter().map(|x| scale * x).collect();
    minimize(problem, start).method(method).relative_gradient_tolerance(1e-6).iterations(10_000).run().unwrap()
}

fn is_solved(outcome: &Outcome<f64>) -> bool {
    outcome.gradient_norm <= 1e-6 * outcome.value.abs().max(1.0)
}

/// Counts the starts that a method solves, of 69: all problems from x₀, 10 x₀ and 100 x₀, but Watson's, whose x₀ is 0.
fn solved_starts<M: Method<f64>>(method: impl Fn() -> M) -> (usize, usize) {
    let (mut solved, mut all) = (0, 0);
    for problem in more_garbow_hillstrom() {
        for scale in [1.0, 10.0, 100.0] {
            if scale == 1.0 || problem.name() != "Watson" {
                all += 1;
                solved += usize::from(is_solved(&run(&problem, scale, method())));
            }
        }
    }
    (solved, all)
}

#[test]
fn lbfgs_solves_all_problems() {
    for problem in more_garbow_hillstrom() {
        let outcome = run(&problem, 1.0, Lbfgs::new());
        assert!(outcome.converged() && is_solved(&outcome), "{problem:?}: {outcome:?}");
    }
    let (solved, all) = solved_starts(Lbfgs::new);
    assert_eq!(all, 69);
    assert!(solved == all, "{solved} of {all} starts are solved");
}

#[test]
fn lbfgs_finds_the_known_minima() {
    for problem in more_garbow_hillstrom() {
        let outcome = minimize(&problem, problem.start()).gradient_tolerance(1e-9).run().unwrap();
        let is_known = |known: &f64| (outcome.value - known).abs() <= 1e-6 * known.abs().max(1e-6);
        // Watson's with 12 variables is so flat that the gradient vanishes on the way.
        if problem.name() != "Watson" || problem.dimension() < 12 {
            assert!(problem.minima().iter().any(is_known), "{problem:?}: {outcome:?}");
        }
    }
}

#[test]
fn lbfgs_needs_no_more_evaluations_than_scipys() {
    let mut logarithms = Vec::new();
    for problem in more_garbow_hillstrom() {
        let Some(reference) = problem.reference().filter(|reference| reference.lbfgs_b_converges) else { continue };
        // SciPy's stopping rule, and its rounding floor on the one problem whose value is large.
        let outcome = minimize(&problem, problem.start()).gradient_tolerance(1e-8).run().unwrap();
        if outcome.converged() {
            logarithms.push((outcome.evaluations as f64 / reference.lbfgs_b.1 as f64).ln());
        }
    }
    let ratio = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
    assert!(logarithms.len() >= 20, "only {} problems are solved by both", logarithms.len());
    assert!(ratio <= 1.0, "{ratio} times as many evaluations");
}

#[test]
fn other_methods_solve_most_starts() {
    for (name, (solved, all), least) in [
        ("BFGS", solved_starts(Bfgs::new), 69),
        ("L-BFGS by Hager and Zhang", solved_starts(|| Lbfgs::new().line_search(HagerZhang::new())), 69),
        ("conjugate gradients", solved_starts(ConjugateGradient::new), 66),
        (
            "conjugate gradients by Hager and Zhang",
            solved_starts(|| ConjugateGradient::new().hager_zhang().line_search(HagerZhang::new())),
            56,
        ),
    ] {
        println!("{name}: {solved} of {all}");
        assert!(solved >= least, "{name} solves {solved} of {all} starts");
    }
}

#[test]
fn line_searches_find_the_classics_minima() {
    for function in classics() {
        for outcome in [
            minimize(&function, function.start()).run().unwrap(),
            minimize(&function, function.start()).method(Bfgs::new()).run().unwrap(),
            minimize(&function, function.start()).method(ConjugateGradient::new()).run().unwrap(),
        ] {
            assert!(outcome.converged(), "{function:?}: {outcome:?}");
            let is_known = |known: &f64| (outcome.value - known).abs() < 1e-6;
            // Rastrigin's bowl and McCormick's slope are full of smaller ones.
            let has_many = ["Rastrigin", "McCormick"].contains(&function.name());
            assert!(has_many || function.minima().iter().any(is_known), "{function:?}: {outcome:?}");
        }
    }
}

#[test]
fn paths_and_observers_see_every_point() {
    let function = downhill_optim::test_functions::rosenbrock();
    let mut seen = Vec::new();
    let watched = minimize(&function, function.start()).record_path().observe(|progress| {
        seen.push(progress.x.to_vec());
        std::ops::ControlFlow::Continue(())
    });
    let outcome = watched.run().unwrap();
    assert_eq!(outcome.path.len() as u64, outcome.iterations + 1);
    assert_eq!(outcome.path.first(), Some(&function.start()));
    assert_eq!(outcome.path.last(), Some(&outcome.x));
    assert_eq!(outcome.path, seen);
}
