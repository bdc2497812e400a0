//! The formulas of optimizers, and what they remember.

use super::*;

#[test]
fn an_optimizer_shows_its_next_step_and_is_left_as_it_was() {
    let mut network = Network::<f32>::build([2], sequential![Affine::new(3), Tanh, Affine::new(1)], Seed(1)).unwrap();
    let (x, target, loss) = ([0.5, 1.0, -1.0, 2.0], [1.0, 0.0], MeanSquaredError::new());
    let (x, target) = (Batch::new(&x, 2, [2]).unwrap(), Target::Values(&target));
    let (mut adam, mut workspace) = (Adam::new(0.01), network.workspace(Purpose::Training));
    for step in 0..5 {
        let before = Optimizer::<f32>::state(&adam);
        let mode = Mode::Training { step };
        let settings = Settings::new().mode(mode).optimizer(&mut adam);
        let explanation = network.explain_with(x, target, &loss, settings).unwrap();
        assert_eq!(Optimizer::<f32>::state(&adam), before);
        assert_eq!(explanation.update.as_ref().map(|update| update.optimizer.as_str()), Some("Adam"));
        network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap();
        network.step(&mut adam, &mut workspace).unwrap();
        let shown = explanation.parameters.iter().flat_map(|at| at.updated.as_ref().unwrap().numbers.clone());
        let theta: Vec<f64> = network.parameters().iter().map(|&theta| f64::from(theta)).collect();
        assert_eq!(shown.collect::<Vec<_>>(), theta, "step {step}");
    }
}

/// The links that have shown their formulas.
static LINKS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Explains eight steps of an optimizer, and makes them.
fn each_step<T: Scalar>(optimizer: &mut dyn Optimizer<T>, shows: bool) {
    let mut network = Network::<T>::build([2], sequential![Affine::new(3), Tanh, Affine::new(1)], Seed(1)).unwrap();
    let numbers = |all: &[f64]| all.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let (x, target) = (numbers(&[0.5, 1.0, -1.0, 2.0]), numbers(&[1.0, 0.0]));
    let (x, target, loss) = (Batch::new(&x, 2, [2]).unwrap(), Target::Values(&target), MeanSquaredError::new());
    let mut workspace = network.workspace(Purpose::Training);
    let OptimizerState { name, counters, .. } = optimizer.state();
    let done = counters.iter().find(|(name, _)| name == "step").map_or(0, |(_, steps)| *steps);
    for step in 0..8 {
        let mode = Mode::Training { step };
        let settings = Settings::new().mode(mode).optimizer(&mut *optimizer);
        let explanation = network.explain_with(x, target, &loss, settings).unwrap();
        assert_eq!(explanation.update.as_ref().unwrap().number, done + step + 1);
        let without = without_formula(&explanation);
        assert_eq!(without.is_empty(), shows, "{name}, step {step}: {without:#?}");
        if let Some(update) = explanation.update.filter(|_| shows) {
            LINKS.lock().unwrap().extend(update.links.into_iter().map(|(name, _)| name));
        }
        network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap();
        network.step(optimizer, &mut workspace).unwrap();
        let remembered =
            explanation.parameters.iter().flat_map(|at| at.memory.iter().map(|memory| &memory.after.numbers));
        assert!(remembered.flatten().all(|number| number.is_finite()));
    }
}

#[test]
fn each_element_wise_optimizer_shows_its_formulas() {
    fn all<T: Scalar>() {
        each_step::<T>(&mut GradientDescent::new(0.1), true);
        each_step::<T>(&mut Sgd::new(0.1).momentum(0.9).nesterov(), true);
        each_step::<T>(&mut Adam::new(0.01).betas(0.8, 0.9).weight_decay(0.1), true);
        each_step::<T>(&mut AmsGrad::new(0.01), true);
        each_step::<T>(&mut Adamax::new(0.01), true);
        each_step::<T>(&mut NAdam::new(0.01).weight_decay(0.1).decoupled(), true);
        each_step::<T>(&mut RAdam::new(0.01).weight_decay(0.1).decoupled(), true);
        each_step::<T>(&mut Adan::new(0.01).weight_decay(0.1), true);
        each_step::<T>(&mut Adan::new(0.01).weight_decay(0.1).decoupled(), true);
        each_step::<T>(&mut RmsProp::new(0.01).momentum(0.9), true);
        each_step::<T>(&mut Adadelta::new(1.0), true);
        each_step::<T>(&mut Lion::new(0.001).weight_decay(0.1), true);
        // An estimate of the Hessian that was given before the first step is forgotten.
        let mut sophia = SophiaG::new(0.001).rho(10.0);
        for _ in 0..2 {
            sophia.update_hessian(&(0..13).map(|i| T::from_f64(f64::from(i).sin())).collect::<Vec<T>>());
            each_step::<T>(&mut sophia, true);
        }
        each_step::<T>(&mut Sgd::new(0.1).momentum(0.9).dampening(0.5), true);
        each_step::<T>(&mut RmsProp::new(0.01).centered().momentum(0.9), true);
        each_step::<T>(&mut ScheduleFreeAdamW::new(0.01).weights(1.0, 2.0), true);
        each_step::<T>(&mut Adam::new(0.01).after(ClipValue::new(0.01)).after(ClipValue::new(1.0)), true);
        // Groups with their own rates and decays, and one that is not stepped.
        let halved = || Group::new(|segment| segment.name == "0.weight").rate_factor(0.5).weight_decay(0.2);
        let frozen = || Group::frozen(|segment| segment.name == "2.weight");
        each_step::<T>(&mut AdamW::new(0.01).no_decay_on_biases(), true);
        each_step::<T>(&mut AdamW::new(0.01).group(halved()).group(frozen()), true);
        each_step::<T>(&mut Sgd::new(0.1).group(halved()).group(frozen()), true);
        each_step::<T>(&mut Adan::new(0.01).group(halved()), true);
        each_step::<T>(&mut Rprop::new(0.01).group(halved()).group(frozen()), true);
        each_step::<T>(&mut Asgd::new(0.1).start(2.0).lambda(0.1).weight_decay(0.1).group(halved()), true);
        each_step::<T>(&mut Adagrad::new(0.1).initial_sum(0.5).rate_decay(0.1).group(frozen()), true);
        let free = ScheduleFreeSgd::new(0.5).warmup(3).weight_decay(0.1);
        each_step::<T>(&mut free.group(halved()).group(frozen()), true);
        // Its trust ratio is that of a whole parameter.
        each_step::<T>(&mut Lamb::new(0.01), false);
    }
    all::<f64>();
    all::<f32>();
    // The README names the others.
    let mut links = implementors("optim", &["impl<T: Scalar> Link<T> for "]);
    links.extend(["AddDecay", "CoupledDecay", "DecoupledDecay", "ProximalDecay"].map(str::to_owned));
    assert!(links.remove("ClipNorm"));
    assert_eq!(*LINKS.lock().unwrap(), links);
}

#[test]
fn a_group_has_its_own_formula() {
    fn symbols<T: Scalar>(mut optimizer: impl Optimizer<T>, parameter: usize) -> String {
        let network = Network::<T>::build([1], Affine::new(1), Seed(1)).unwrap();
        let (x, target) = ([T::ONE], [T::from_f64(-3.0)]);
        let (x, target) = (Batch::new(&x, 1, [1]).unwrap(), Target::Values(&target));
        let settings = Settings::new().optimizer(&mut optimizer);
        let explanation = network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap();
        let origin = explanation.origin(Number::Updated { parameter, index: 0 }).unwrap();
        origin.formula.clone().unwrap_or_else(|| panic!("{origin}")).symbols()
    }
    fn all<T: Scalar>() {
        let [decayed, plain] = [0, 1].map(|parameter| symbols(AdamW::<T>::new(1e-3).no_decay_on_biases(), parameter));
        assert!(decayed.ends_with(" + η · 0.01 · w)") && !plain.contains("0.01 ·"), "{decayed}, {plain}");
        let group = || Group::new(|segment| segment.name == "bias").rate_factor(10.0).weight_decay(0.5);
        let descent = symbols(GradientDescent::<T>::new(0.1).group(group()), 1);
        assert_eq!(descent, "b − η · 10 · dJ/db");
        let sgd = symbols(Sgd::<T>::new(0.1).weight_decay(0.1).group(group()), 1);
        assert_eq!(sgd, "b − η · 10 · (dJ/db + 0.5 · b)");
        assert_eq!(symbols(Sgd::<T>::new(0.1).group(Group::frozen(|_| true)), 1), "b");
    }
    all::<f64>();
    all::<f32>();
}

/// A link of a user's whose memory starts at 3.
#[derive(Clone, Debug)]
struct Counted;

impl<T: Scalar> Link<T> for Counted {
    type Slots = [T; 1];
    type Scalars = ();

    fn names(&self) -> Vec<&'static str> {
        vec!["counted.steps"]
    }

    fn scalars(&self, _: &StepContext) {}

    fn apply((): &(), _: T, direction: T, [steps]: &mut [T; 1]) -> T {
        *steps += T::ONE;
        direction
    }

    fn initial(&self, _: T, _: &StepContext) -> [T; 1] {
        [T::from_f64(3.0)]
    }
}

#[test]
fn what_is_remembered_before_the_first_step_is_known_or_left_out() {
    let network = Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    let (x, target) = (Batch::new(&[0.5, -1.0], 1, [2]).unwrap(), Target::Values(&[1.0]));
    let explain = |optimizer: &mut dyn Optimizer<f64>| {
        let settings = Settings::new().optimizer(optimizer);
        network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap()
    };
    let before = |optimizer: &mut dyn Optimizer<f64>, slot: usize| {
        let explanation = explain(optimizer);
        explanation.parameters.iter().map(|at| at.memory[slot].before.numbers.clone()).collect::<Vec<_>>().concat()
    };
    assert_eq!(before(&mut ScheduleFreeSgd::new(0.5), 0), network.parameters());
    assert_eq!(before(&mut Adagrad::new(0.5).initial_sum(0.25), 0), [0.25; 3]);
    let group = Group::new(|segment| segment.name == "bias").rate_factor(0.5);
    assert_eq!(before(&mut Rprop::new(0.5).group(group), 0), [0.5, 0.5, 0.25]);
    assert_eq!(before(&mut Adam::new(0.5), 1), [0.0; 3]);
    // Another's memory is shown from its second step on.
    let mut own = Stepper::from_rule(Chain((Counted, ScaleByRate)), 0.1);
    assert!(explain(&mut own).parameters.iter().all(|at| at.memory.is_empty()));
    own.step(&mut network.parameters().to_vec(), &[1.0; 3]);
    assert_eq!(before(&mut own, 0), [4.0; 3]);
}
