//! A custom optimizer: signs of a velocity, in steps that shrink where the gradient changes its sign.
//!
//! A link is one element-wise part of a rule; a tuple of links is a chain, and all of it compiles to one vectorised loop
//! with groups, schedules, clipping and exact resumption at no further cost.

use downhill_optim::minimize::minimize;
use downhill_optim::settings::{Settings, require};
use downhill_optim::test_functions::rosenbrock;
use downhill_optim::{
    Chain, ClipNorm, DecoupledDecay, Link, Momentum, Optimizer, ScaleByRate, SettingError, StepContext, Stepper,
};
use downhill_tensor::Scalar;

/// d ← s sign(d), where s falls by a factor at each change of the direction's sign, and grows back slowly.
#[derive(Clone, Debug)]
struct ScaleByAgreement {
    shrink: f64,
}

impl<T: Scalar> Link<T> for ScaleByAgreement {
    /// s, and the direction of the step before.
    type Slots = [T; 2];
    type Scalars = T;

    fn names(&self) -> Vec<&'static str> {
        vec!["agreement.scale", "agreement.direction"]
    }

    fn initial(&self, _theta: T, _step: &StepContext) -> [T; 2] {
        [T::ONE, T::ZERO]
    }

    fn scalars(&self, _step: &StepContext) -> T {
        T::from_f64(self.shrink)
    }

    #[inline(always)]
    fn apply(shrink: &T, _theta: T, direction: T, [scale, before]: &mut [T; 2]) -> T {
        let grown = (*scale * T::from_f64(1.02)).min(T::ONE);
        *scale = if direction * *before < T::ZERO { *shrink * *scale } else { grown };
        *before = direction;
        *scale * T::ONE.copysign(direction)
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.setting("the shrinking factor", self.shrink, |name, shrink| {
            require(shrink > 0.0 && shrink < 1.0, name, shrink, "between 0 and 1")
        });
    }
}

fn main() -> Result<(), SettingError> {
    let links = (Momentum::new(0.5), ScaleByAgreement { shrink: 0.7 }, ScaleByRate, DecoupledDecay::new(0.0));
    let optimizer = Stepper::from_rule(Chain(links), 0.01).after(ClipNorm::new(10.0));
    println!("its memory: {:?}", {
        let mut optimizer = optimizer.clone();
        optimizer.step(&mut [0.0_f64], &[1.0]);
        optimizer.state().slots.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    });

    let valley = rosenbrock();
    let outcome = minimize(&valley, valley.start()).optimizer(optimizer).gradient_tolerance(1e-3).run()?;
    println!("{} after {} steps, at {:.4?}", outcome.reason, outcome.iterations, outcome.x);
    assert!(outcome.value < 1e-3, "{outcome:?}");
    Ok(())
}
