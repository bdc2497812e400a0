use downhill_optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Adan, AmsGrad, Asgd, DAdaptAdam, GradientDescent, Lamb, Lars,
    Lion, Lookahead, MemoryError, Muon, NAdam, Optimizer, OptimizerState, Prodigy, RAdam, RestoreError, RmsProp, Rprop,
    ScheduleFreeAdamW, ScheduleFreeSgd, Segment, SettingError, Sgd, SophiaG,
};
use downhill_tensor::Scalar;

pub(crate) type Make<T> = fn() -> Box<dyn Step<T>>;

/// An optimizer as the tests call it: most take a gradient, Sophia a second one now and then.
pub(crate) trait Step<T: Scalar>: Optimizer<T> {
    fn step_with(&mut self, theta: &mut [T], gradient: &[T]) {
        self.step(theta, gradient);
    }
}

/// All that the references computed, with the settings of `xtask/golden/optim.py`.
pub(crate) fn table<T: Scalar>() -> Vec<(&'static str, Make<T>)> {
    vec![
        ("gradient_descent", || plain(GradientDescent::new(0.01))),
        ("sgd_momentum", || plain(Sgd::new(0.01).momentum(0.9))),
        ("sgd_dampening", || plain(Sgd::new(0.01).momentum(0.9).dampening(0.3).weight_decay(0.02))),
        ("sgd_nesterov", || plain(Sgd::new(0.01).momentum(0.8).nesterov().weight_decay(0.02))),
        ("sgd_plain_decay", || plain(Sgd::new(0.01).weight_decay(0.1))),
        ("sgd_scheduled", || Box::new(Scheduled { inner: Sgd::new(1.0).momentum(0.9), number: 0 })),
        ("adagrad", || plain(Adagrad::new(0.02))),
        ("adagrad_all", || {
            plain(Adagrad::new(0.02).rate_decay(0.01).weight_decay(0.02).initial_sum(0.1).epsilon(1e-6))
        }),
        ("rms_prop", || plain(RmsProp::new(0.005))),
        ("rms_prop_centered", || plain(RmsProp::new(0.005).epsilon(1e-3).centered())),
        ("rms_prop_momentum", || plain(RmsProp::new(0.005).weight_decay(0.02).momentum(0.5))),
        ("rms_prop_all", || {
            plain(RmsProp::new(0.002).alpha(0.98).epsilon(1e-3).weight_decay(0.02).centered().momentum(0.5))
        }),
        ("adadelta", || plain(Adadelta::new(1.0))),
        ("adadelta_all", || plain(Adadelta::new(0.5).rho(0.95).epsilon(1e-5).weight_decay(0.02))),
        ("adam", || plain(Adam::new(0.01))),
        ("adam_all", || plain(Adam::new(0.01).betas(0.8, 0.95).epsilon(1e-4).weight_decay(0.02))),
        ("adamw", || plain(AdamW::new(0.01))),
        ("adamw_all", || plain(AdamW::new(0.01).betas(0.8, 0.95).epsilon(1e-4).weight_decay(0.2))),
        ("ams_grad", || plain(AmsGrad::new(0.01).betas(0.9, 0.95).weight_decay(0.02))),
        ("adamax", || plain(Adamax::new(0.01).weight_decay(0.02))),
        ("n_adam", || plain(NAdam::new(0.01).weight_decay(0.02))),
        ("n_adam_decoupled", || plain(NAdam::new(0.01).weight_decay(0.1).momentum_decay(1e-2).decoupled())),
        ("r_adam", || plain(RAdam::new(0.01).weight_decay(0.02))),
        ("r_adam_decoupled", || plain(RAdam::new(0.01).betas(0.9, 0.99).weight_decay(0.1).decoupled())),
        ("asgd", || plain(Asgd::new(0.01))),
        ("asgd_all", || plain(Asgd::new(0.01).lambda(1e-2).alpha(0.6).start(50.0).weight_decay(0.02))),
        ("rprop", || plain(Rprop::new(0.01))),
        ("rprop_all", || plain(Rprop::new(0.02).factors(0.4, 1.3).step_limits(1e-4, 0.1))),
        ("adafactor", || plain(Adafactor::new(0.01))),
        ("adafactor_all", || {
            plain(Adafactor::new(0.02).decay(-0.5).epsilons(1e-6, 1e-2).threshold(1.5).weight_decay(0.1))
        }),
        ("lion", || plain(Lion::new(1e-3).weight_decay(0.1))),
        ("lamb", || plain(Lamb::new(0.01).weight_decay(0.02))),
        ("lars", || plain(Lars::new(0.5).weight_decay(0.02))),
        ("lars_nesterov", || plain(Lars::new(0.5).trust(0.01).epsilon(1e-3).momentum(0.8).nesterov())),
        ("adan", || plain(Adan::new(0.01).weight_decay(0.1))),
        ("adan_decoupled", || plain(Adan::new(0.01).betas(0.9, 0.8, 0.95).epsilon(1e-6).weight_decay(0.1).decoupled())),
        ("sophia", || Box::new(Sophia { inner: SophiaG::new(1e-3).batch_size(16.0), number: 0 })),
        ("schedule_free_sgd", || plain(ScheduleFreeSgd::new(0.05))),
        ("schedule_free_sgd_all", || {
            plain(ScheduleFreeSgd::new(0.05).beta(0.8).weight_decay(0.02).warmup(20).weights(0.5, 1.0))
        }),
        ("schedule_free_adamw", || plain(ScheduleFreeAdamW::new(0.01))),
        ("schedule_free_adamw_all", || {
            plain(ScheduleFreeAdamW::new(0.01).betas(0.95, 0.98).epsilon(1e-6).weight_decay(0.1).warmup(20))
        }),
        ("prodigy", || plain(Prodigy::new())),
        ("prodigy_all", || {
            let mut prodigy = Prodigy::new().betas(0.9, 0.99).beta3(0.98).weight_decay(0.02).initial_distance(1e-4);
            prodigy.set_base_learning_rate(0.5);
            plain(prodigy.coefficient(0.8).growth(1.5).bias_correction().safeguard_warmup())
        }),
        ("d_adapt_adam", || {
            let mut adam = DAdaptAdam::new();
            adam.set_base_learning_rate(0.05);
            plain(adam)
        }),
        ("d_adapt_adam_all", || {
            let mut adam = DAdaptAdam::new().betas(0.9, 0.99).weight_decay(0.02).initial_distance(1e-4);
            adam.set_base_learning_rate(0.1);
            plain(adam.growth(1.2).bias_correction())
        }),
        ("lookahead", || plain(Lookahead::new(GradientDescent::new(0.01)).every(6).alpha(0.6))),
        ("muon", || plain(Muon::new(1e-2))),
        ("muon_plain", || plain(Muon::new(1e-2).momentum(0.9).no_nesterov().match_rms_adamw().adam_rate_factor(0.1))),
    ]
}

fn plain<T: Scalar>(optimizer: impl Optimizer<T> + 'static) -> Box<dyn Step<T>> {
    Box::new(Plain(optimizer))
}

/// The optimizer itself.
#[derive(Debug)]
struct Plain<O>(O);

/// SGD with an exponential schedule.
#[derive(Debug)]
struct Scheduled<T: Scalar> {
    inner: Sgd<T>,
    number: i32,
}

/// Sophia whose Hessian is estimated from the gradient in reverse, every ten steps.
#[derive(Debug)]
struct Sophia<T: Scalar> {
    inner: SophiaG<T>,
    number: u64,
}

impl<T: Scalar, O: Optimizer<T>> Step<T> for Plain<O> {}

impl<T: Scalar> Step<T> for Scheduled<T> {
    fn step_with(&mut self, theta: &mut [T], gradient: &[T]) {
        self.inner.set_learning_rate(0.01 * 0.995_f64.powi(self.inner.steps() as i32));
        self.inner.step(theta, gradient);
        self.number += 1;
    }
}

impl<T: Scalar> Step<T> for Sophia<T> {
    fn step_with(&mut self, theta: &mut [T], gradient: &[T]) {
        self.inner.step(theta, gradient);
        self.number = self.inner.steps();
        if self.number.is_multiple_of(10) {
            let reversed: Vec<T> = gradient.iter().rev().copied().collect();
            self.inner.update_hessian(&reversed);
        }
    }
}

macro_rules! delegate {
    ([$($generic:tt)*] $wrapper:ty, $field:tt) => {
        impl<$($generic)*> Optimizer<T> for $wrapper {
            fn check(&self) -> Result<(), SettingError> {
                self.$field.check()
            }
            fn bind(&mut self, segments: &[Segment]) {
                self.$field.bind(segments);
            }
            fn step(&mut self, theta: &mut [T], gradient: &[T]) {
                self.$field.step(theta, gradient);
            }
            fn reset(&mut self) {
                self.$field.reset();
            }
            fn base_learning_rate(&self) -> f64 {
                self.$field.base_learning_rate()
            }
            fn set_base_learning_rate(&mut self, learning_rate: f64) {
                self.$field.set_base_learning_rate(learning_rate);
            }
            fn learning_rate(&self) -> f64 {
                self.$field.learning_rate()
            }
            fn set_learning_rate(&mut self, learning_rate: f64) {
                self.$field.set_learning_rate(learning_rate);
            }
            fn current_momentum(&self) -> Option<f64> {
                self.$field.current_momentum()
            }
            fn set_momentum(&mut self, momentum: f64) {
                self.$field.set_momentum(momentum);
            }
            fn evaluation_point(&self, theta: &[T], point: &mut [T]) -> bool {
                self.$field.evaluation_point(theta, point)
            }
            fn is_elementwise(&self) -> bool {
                self.$field.is_elementwise()
            }
            fn check_memory(&self) -> Result<(), MemoryError> {
                self.$field.check_memory()
            }
            fn state(&self) -> OptimizerState<T> {
                self.$field.state()
            }
            fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
                self.$field.restore(state)
            }
        }
    };
}

delegate!([T: Scalar, O: Optimizer<T>] Plain<O>, 0);
delegate!([T: Scalar] Scheduled<T>, inner);
delegate!([T: Scalar] Sophia<T>, inner);

/// The matrix and the vector of the recorded gradients.
pub(crate) fn segments() -> Vec<Segment> {
    vec![Segment::new("weight", 0..12, [4, 3]), Segment::new("bias", 12..15, [3])]
}
