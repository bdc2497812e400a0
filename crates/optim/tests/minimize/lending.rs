//! A `&mut` or a `Box` of what implements a trait answers as it does.

use std::error::Error;
use std::ops::ControlFlow;

use downhill_optim::minimize::{
    Armijo, Bfgs, Direction, Directional, Lbfgs, LineSearch, Method, MoreThuente, Progress, Reason, Stepping, minimize,
};
use downhill_optim::test_functions::rosenbrock;
use downhill_optim::{Adam, EvaluationError, Objective, Penalty};

#[derive(Default)]
struct Counted {
    calls: u64,
}

impl Objective<f64> for Counted {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
        self.calls += 1;
        gradient[0] = 2.0 * (x[0] - 1.0);
        Ok((x[0] - 1.0).powi(2))
    }
}

#[test]
fn an_objective_can_be_lent_and_looked_at_afterwards() {
    let mut objective = Counted::default();
    let outcome = minimize(&mut objective, [3.0]).run().unwrap();
    assert!(outcome.converged() && objective.calls == outcome.evaluations);
    let by_trait: &mut dyn Objective<f64> = &mut objective;
    assert!(minimize(by_trait, [3.0]).run().unwrap().converged());
    let boxed: Box<dyn Objective<f64>> = Box::new(Counted::default());
    assert!(minimize(boxed, [3.0]).run().unwrap().converged());
    assert!(minimize(Box::new(&mut objective), [3.0]).run().unwrap().converged());
    assert!(minimize(Penalty::l2(0.1).on(&mut objective), [3.0]).run().unwrap().converged());
    assert!(objective.calls > 3 * outcome.evaluations / 2);
}

#[test]
fn a_closure_can_be_lent() {
    let mut calls = 0;
    let mut bowl = |x: &[f64], g: &mut [f64]| {
        calls += 1;
        g[0] = 2.0 * x[0];
        x[0] * x[0]
    };
    minimize(&mut bowl, [1.0]).run().unwrap();
    minimize(Penalty::l2(0.1).on(&mut bowl), [1.0]).run().unwrap();
    minimize(Box::new(bowl), [1.0]).run().unwrap();
    assert!(calls > 5);
}

#[test]
fn methods_searches_directions_and_observers_can_be_lent_or_chosen_at_run_time() {
    let function = rosenbrock();
    let walk = || minimize(&function, function.start());
    let wanted = walk().run().unwrap().evaluations;

    let mut method = Lbfgs::new();
    assert_eq!(walk().method(&mut method).run().unwrap().evaluations, wanted);
    assert_eq!(walk().method(&mut method as &mut dyn Method<f64>).run().unwrap().evaluations, wanted);
    let methods: [Box<dyn Method<f64>>; 2] = [Box::new(Lbfgs::new()), Box::new(Bfgs::new())];
    for method in methods {
        assert!(walk().method(method).run().unwrap().converged());
    }
    let searches: [Box<dyn LineSearch>; 2] = [Box::new(MoreThuente::new()), Box::new(Armijo::new())];
    for search in &searches {
        assert!(walk().method(Lbfgs::new().line_search(search)).run().unwrap().converged());
    }
    for search in searches {
        assert!(walk().method(Lbfgs::new().line_search(search)).run().unwrap().converged());
    }

    /// Steepest descent, as a user writes it.
    #[derive(Debug, Default)]
    struct Steepest {
        steps: u64,
    }
    impl Direction<f64> for Steepest {
        fn check(&self) -> Result<(), downhill_optim::SettingError> {
            Ok(())
        }
        fn begin(&mut self, _: usize) -> Result<(), downhill_optim::SettingError> {
            Ok(())
        }
        fn forget(&mut self) {}
        fn is_steepest(&self) -> bool {
            true
        }
        fn point(&mut self, gradient: &[f64], direction: &mut [f64]) {
            direction.iter_mut().zip(gradient).for_each(|(d, g)| *d = -g);
        }
        fn learn(&mut self, _: &downhill_optim::minimize::Taken<'_, f64>) {
            self.steps += 1;
        }
        fn is_scaled(&self) -> bool {
            false
        }
    }
    let mut direction = Steepest::default();
    let outcome = walk().method(Directional::from_direction(&mut direction, Armijo::new())).target(1.0).run().unwrap();
    assert!(outcome.converged() && direction.steps == outcome.iterations);
    let boxed: Box<dyn Direction<f64>> = Box::new(Steepest::default());
    assert!(walk().method(Directional::from_direction(boxed, Armijo::new())).target(1.0).run().unwrap().converged());

    let mut seen = 0;
    let mut observer = |_: &Progress<'_, f64>| {
        seen += 1;
        ControlFlow::Continue(())
    };
    walk().observe(&mut observer).run().unwrap();
    walk().observe(Box::new(&mut observer)).run().unwrap();
    assert!(seen > 50);
}

#[test]
fn an_error_says_once_what_its_source_says() {
    let error = EvaluationError::because(std::io::Error::other("the disk is full"));
    assert_eq!(error.to_string(), "the objective could not be evaluated");
    assert_eq!(error.source().unwrap().to_string(), "the disk is full");
    // A reason has no source, and says it all.
    let reason = Reason::EvaluationFailed(error);
    assert_eq!(reason.to_string(), "the objective could not be evaluated: the disk is full");
    let error = EvaluationError::new("it is Monday");
    assert_eq!(error.to_string(), "the objective could not be evaluated: it is Monday");
    assert!(error.source().is_none());
}

#[test]
fn a_method_that_steps_by_an_optimizer_starts_every_run_anew() {
    let mut method = Stepping::new(Adam::new(0.05));
    let mut run = || minimize(Counted::default(), [3.0]).method(&mut method).iterations(20).run().unwrap().x;
    assert_eq!(run(), run());
}
