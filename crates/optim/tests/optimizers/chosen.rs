//! Optimizers and schedules that are chosen at run time.

use std::sync::Arc;

use downhill_optim::minimize::minimize;
use downhill_optim::schedule::{Constant, Cosine, Cyclic, Linear, OneCycle, Schedule};
use downhill_optim::test_functions::booth;
use downhill_optim::{
    Adagrad, Adam, Chain, CoupledDecay, Lookahead, Optimizer, RangeTest, RmsProp, ScaleByAdam, ScaleByRate,
    ScheduleFreeSgd, SettingError, Sgd, Stepper,
};
use downhill_tensor::Scalar;

use crate::behaviour::{bits, numbers};
use crate::table::table;

fn chosen(name: &str) -> Box<dyn Optimizer<f64>> {
    match name {
        "sgd" => Box::new(Sgd::new(0.05).momentum(0.9)),
        _ => Box::new(Adam::new(0.05)),
    }
}

fn train(mut optimizer: impl Optimizer<f64>, schedule: impl Schedule) -> Vec<f64> {
    optimizer.check().unwrap();
    optimizer.check_schedule(&schedule).unwrap();
    let mut theta = numbers(15, 1);
    for step in 0..50 {
        optimizer.follow(&schedule, step);
        let gradient = theta.clone();
        optimizer.step(&mut theta, &gradient);
    }
    theta
}

#[test]
fn a_boxed_or_borrowed_optimizer_trains_as_the_named_one() {
    let named = train(Lookahead::new(Adam::new(0.05)), OneCycle::new(50));
    let schedule: Box<dyn Schedule> = Box::new(OneCycle::new(50));
    assert_eq!(bits(&train(Lookahead::new(chosen("adam")), schedule)), bits(&named));
    let mut boxed: Box<dyn Optimizer<f64>> = Box::new(Lookahead::new(chosen("adam")));
    let shared: Arc<dyn Schedule> = Arc::new(OneCycle::new(50));
    assert_eq!(bits(&train(&mut boxed, &shared)), bits(&named));
    // What was lent is used: it trains on, and after a reset anew.
    assert_ne!(bits(&train(&mut boxed, Arc::clone(&shared))), bits(&named));
    boxed.reset();
    assert_eq!(bits(&train(&mut *boxed, &*shared)), bits(&named));
    // All that an optimizer has goes through the box.
    let mut by_name = chosen("sgd");
    by_name.set_momentum(0.5);
    by_name.set_base_learning_rate(0.3);
    assert_eq!((by_name.current_momentum(), by_name.base_learning_rate()), (Some(0.5), 0.3));
    let mut other = chosen("sgd");
    other.restore(&by_name.state()).unwrap();
    assert_eq!(other.state(), by_name.state());
    assert!(by_name.check_schedule(&Cosine::new(0)).is_err());
    let mut free: Box<dyn Optimizer<f64>> = Box::new(ScheduleFreeSgd::new(0.1));
    let (mut theta, mut point) = ([1.0], [0.0]);
    (0..3).for_each(|_| free.step(&mut theta, &[1.0]));
    assert!(free.evaluation_point(&theta, &mut point) && point != theta);
}

#[test]
fn what_takes_an_optimizer_takes_a_boxed_one() {
    let function = booth();
    let named = minimize(&function, function.start()).optimizer(Adam::new(0.05)).run().unwrap();
    let outcome = minimize(&function, function.start()).optimizer(chosen("adam")).run().unwrap();
    assert!(outcome.converged());
    assert_eq!((outcome.iterations, bits(&outcome.x)), (named.iterations, bits(&named.x)));
    let bowl = |theta: &[f64], gradient: &mut [f64]| {
        gradient[0] = theta[0];
        Ok(theta[0] * theta[0])
    };
    let test = RangeTest::new(1e-3, 1.0, 20);
    let curve = test.run(&mut *chosen("sgd"), &mut [1.0], bowl).unwrap();
    assert_eq!(curve, test.run(&mut Sgd::new(1.0).momentum(0.9), &mut [1.0], bowl).unwrap());
}

#[test]
fn schedules_behind_pointers_are_the_same_schedules() {
    let plain = Linear::warmup(5).then(5, OneCycle::new(20)).times(Cyclic::new(0.1));
    let pointers: [Box<dyn Schedule>; 3] = [Box::new(&plain), Box::new(Arc::new(plain)), Box::new(Box::new(plain))];
    for pointer in pointers {
        for step in 0..40 {
            assert_eq!(pointer.rate(0.3, step).to_bits(), plain.rate(0.3, step).to_bits());
            assert_eq!(pointer.momentum(step), plain.momentum(step));
        }
        assert!(pointer.check().is_ok());
    }
    assert!((&Cosine::new(0) as &dyn Schedule).check().is_err() && Arc::new(Cosine::new(0)).check().is_err());
}

#[test]
fn one_cycle_moves_every_momentum_that_there_is() {
    // As in PyTorch, where the momentum of SGD is moved even if it is 0.
    let mut sgd = Sgd::<f64>::new(0.1);
    sgd.check_schedule(&OneCycle::new(10)).unwrap();
    sgd.follow(&OneCycle::new(10), 0);
    assert_eq!(sgd.current_momentum(), Some(0.95));
    sgd.reset();
    assert_eq!(sgd.current_momentum(), Some(0.0));
    for (name, make) in table::<f64>() {
        let mut optimizer = make();
        let fits = optimizer.check_schedule(&OneCycle::new(10)).is_ok();
        optimizer.follow(&OneCycle::new(10), 0);
        assert_eq!(optimizer.current_momentum() == Some(0.95), fits, "{name}");
        assert!(optimizer.check_schedule(&OneCycle::new(10).no_momentum()).is_ok(), "{name}");
    }
}

#[test]
fn a_momentum_schedule_of_a_rule_without_momentum_is_refused() {
    let cycle = OneCycle::new(10);
    let refused = |result: Result<(), SettingError>| result.unwrap_err().to_string();
    let message = "the momentum that the schedule sets is 0.95, but it must be left alone, because this optimizer has no \
                   momentum: build it with one, as with `RmsProp::momentum`, or take `OneCycle::no_momentum`";
    assert_eq!(refused(RmsProp::<f32>::new(0.1).check_schedule(&cycle)), message);
    assert_eq!(refused(Adagrad::<f32>::new(0.1).check_schedule(&Constant.then(0, cycle))), message);
    RmsProp::<f32>::new(0.1).momentum(0.0).check_schedule(&cycle).unwrap();
    RmsProp::<f32>::new(0.1).centered().check_schedule(&cycle.no_momentum()).unwrap();
}

#[test]
fn a_named_optimizer_is_the_composition_that_it_shows() {
    fn check<T: Scalar>() {
        let chain = Chain((CoupledDecay::new(0.1), ScaleByAdam::new(), ScaleByRate));
        let (mut own, mut named) = (Stepper::from_rule(chain, 0.01), Adam::new(0.01).weight_decay(0.1));
        let (mut theta, mut other): (Vec<T>, Vec<T>) = (numbers(100, 1), numbers(100, 1));
        for step in 0..10 {
            own.step(&mut theta, &numbers(100, step));
            named.step(&mut other, &numbers(100, step));
        }
        assert_eq!(bits(&theta), bits(&other), "{}", T::NAME);
        assert_eq!(own.state(), named.state());
    }
    check::<f32>();
    check::<f64>();
}
