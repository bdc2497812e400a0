//! The library's optimizers by name, each with the settings that a page may move.

use std::collections::BTreeMap;

use downhill_optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Adan, AdanW, AmsGrad, Asgd, CenteredRmsProp, DAdaptAdam,
    GradientDescent, Lamb, Lars, Lion, Muon, NAdam, Optimizer, Prodigy, RAdam, RmsProp, RmsPropMomentum, Rprop,
    ScheduleFreeAdamW, ScheduleFreeSgd, Sgd,
};
use downhill_tensor::Scalar;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;

/// An optimizer as a page has chosen it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) rate: f64,
    /// The settings that differ from their defaults.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, f64>,
}

impl Chosen {
    /// Makes the optimizer, checked.
    pub(crate) fn make<T: Scalar>(&self) -> Result<Box<dyn Optimizer<T>>, Error> {
        let known = ENTRIES.iter().find(|entry| entry.name == self.name);
        let known =
            known.ok_or_else(|| Error::new("There is no optimizer of the name `{name}`.").with("name", &self.name))?;
        if let Some(name) = self.settings.keys().find(|name| known.settings.iter().all(|(known, _)| known != name)) {
            return Err(Error::new("{optimizer} has no setting of the name `{name}`.")
                .with("optimizer", &self.name)
                .with("name", name));
        }
        let optimizer = make::<T>(&self.name, self.rate, &Values { chosen: &self.settings, known: known.settings });
        let optimizer = optimizer.ok_or_else(|| Error::new("`{name}` can't be made.").with("name", &self.name))?;
        optimizer.check()?;
        Ok(optimizer)
    }
}

/// What a page shows of each optimizer: its name, a rate to begin with, and its settings with their defaults.
pub(crate) fn list() -> Value {
    let entry = |entry: &Entry| {
        let settings: Vec<Value> = entry.settings.iter().map(|(name, value)| json!([name, value])).collect();
        json!({ "name": entry.name, "rate": entry.rate, "settings": settings })
    };
    ENTRIES.iter().map(entry).collect()
}

struct Entry {
    name: &'static str,
    rate: f64,
    settings: &'static [(&'static str, f64)],
}

/// The settings of one optimizer, with defaults for those that were not chosen.
struct Values<'c> {
    chosen: &'c BTreeMap<String, f64>,
    known: &'static [(&'static str, f64)],
}

impl Values<'_> {
    fn get(&self, name: &str) -> f64 {
        let default = self.known.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value);
        self.chosen.get(name).copied().unwrap_or(default)
    }

    /// β₁ and β₂.
    fn betas(&self) -> (f64, f64) {
        (self.get("beta1"), self.get("beta2"))
    }
}

/// Declares an optimizer in a line: its name, a rate to begin with, its settings with their defaults, and how it is made
/// of the rate and the settings.
macro_rules! optimizers {
    ($($name:ident at $rate:literal [$($setting:ident $default:literal),*] |$eta:ident, $v:ident| $make:expr;)*) => {
        const ENTRIES: &[Entry] = &[$(Entry {
            name: stringify!($name),
            rate: $rate,
            settings: &[$((stringify!($setting), $default)),*],
        }),*];

        fn make<T: Scalar>(name: &str, rate: f64, values: &Values<'_>) -> Option<Box<dyn Optimizer<T>>> {
            Some(match name {
                $(stringify!($name) => {
                    #[allow(unused_variables, reason = "some have no settings, some no rate")]
                    let ($eta, $v) = (rate, values);
                    Box::new($make)
                })*
                _ => return None,
            })
        }
    };
}

optimizers! {
    GradientDescent at 0.1 [] |eta, v| GradientDescent::<T>::new(eta);
    Sgd at 0.05 [momentum 0.9, dampening 0.0, nesterov 0.0, weight_decay 0.0] |eta, v| {
        let sgd = Sgd::<T>::new(eta).momentum(v.get("momentum")).dampening(v.get("dampening"));
        let sgd = sgd.weight_decay(v.get("weight_decay"));
        if v.get("nesterov") != 0.0 { sgd.nesterov() } else { sgd }
    };
    Adam at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        Adam::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    AdamW at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.01] |eta, v| {
        let (beta1, beta2) = v.betas();
        AdamW::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    AmsGrad at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        AmsGrad::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    Adamax at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        Adamax::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    NAdam at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, momentum_decay 0.004, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        let adam = NAdam::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon"));
        adam.momentum_decay(v.get("momentum_decay")).weight_decay(v.get("weight_decay"))
    };
    NAdamW at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, momentum_decay 0.004, weight_decay 0.01] |eta, v| {
        let (beta1, beta2) = v.betas();
        let adam = NAdam::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon"));
        adam.momentum_decay(v.get("momentum_decay")).weight_decay(v.get("weight_decay")).decoupled()
    };
    RAdam at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        RAdam::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    RAdamW at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.01] |eta, v| {
        let (beta1, beta2) = v.betas();
        let adam = RAdam::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon"));
        adam.weight_decay(v.get("weight_decay")).decoupled()
    };
    Adan at 0.01 [beta1 0.98, beta2 0.92, beta3 0.99, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        let adan = Adan::<T>::new(eta).betas(beta1, beta2, v.get("beta3")).epsilon(v.get("epsilon"));
        adan.weight_decay(v.get("weight_decay"))
    };
    AdanW at 0.01 [beta1 0.98, beta2 0.92, beta3 0.99, epsilon 1e-8, weight_decay 0.02] |eta, v| {
        let (beta1, beta2) = v.betas();
        let adan = Adan::<T>::new(eta).betas(beta1, beta2, v.get("beta3")).epsilon(v.get("epsilon"));
        let adan: AdanW<T> = adan.weight_decay(v.get("weight_decay")).decoupled();
        adan
    };
    RmsProp at 0.01 [alpha 0.99, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        RmsProp::<T>::new(eta).alpha(v.get("alpha")).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    CenteredRmsProp at 0.01 [alpha 0.99, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let rms = RmsProp::<T>::new(eta).alpha(v.get("alpha")).epsilon(v.get("epsilon"));
        CenteredRmsProp::<T>::from(rms.weight_decay(v.get("weight_decay")).centered())
    };
    RmsPropMomentum at 0.01 [alpha 0.99, momentum 0.9, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let rms = RmsProp::<T>::new(eta).alpha(v.get("alpha")).epsilon(v.get("epsilon"));
        RmsPropMomentum::<T>::from(rms.weight_decay(v.get("weight_decay")).momentum(v.get("momentum")))
    };
    Adagrad at 0.1 [rate_decay 0.0, initial_sum 0.0, epsilon 1e-10, weight_decay 0.0] |eta, v| {
        let adagrad = Adagrad::<T>::new(eta).rate_decay(v.get("rate_decay")).initial_sum(v.get("initial_sum"));
        adagrad.epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    Adadelta at 1.0 [rho 0.9, epsilon 1e-6, weight_decay 0.0] |eta, v| {
        Adadelta::<T>::new(eta).rho(v.get("rho")).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    Adafactor at 0.05 [decay -0.8, threshold 1.0, weight_decay 0.0] |eta, v| {
        let adafactor = Adafactor::<T>::new(eta).decay(v.get("decay")).threshold(v.get("threshold"));
        adafactor.weight_decay(v.get("weight_decay"))
    };
    Rprop at 0.01 [shrink 0.5, grow 1.2] |eta, v| Rprop::<T>::new(eta).factors(v.get("shrink"), v.get("grow"));
    Asgd at 0.1 [lambda 0.0001, alpha 0.75, weight_decay 0.0] |eta, v| {
        Asgd::<T>::new(eta).lambda(v.get("lambda")).alpha(v.get("alpha")).weight_decay(v.get("weight_decay"))
    };
    Lion at 0.001 [beta1 0.9, beta2 0.99, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        Lion::<T>::new(eta).betas(beta1, beta2).weight_decay(v.get("weight_decay"))
    };
    Lamb at 0.01 [beta1 0.9, beta2 0.999, epsilon 1e-6, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        Lamb::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon")).weight_decay(v.get("weight_decay"))
    };
    Lars at 1.0 [trust 0.01, momentum 0.9, weight_decay 0.0] |eta, v| {
        Lars::<T>::new(eta).trust(v.get("trust")).momentum(v.get("momentum")).weight_decay(v.get("weight_decay"))
    };
    Muon at 0.02 [momentum 0.95, adam_rate_factor 1.0, weight_decay 0.0] |eta, v| {
        let muon = Muon::<T>::new(eta).momentum(v.get("momentum")).adam_rate_factor(v.get("adam_rate_factor"));
        muon.weight_decay(v.get("weight_decay"))
    };
    ScheduleFreeSgd at 0.5 [beta 0.9, weight_decay 0.0] |eta, v| {
        ScheduleFreeSgd::<T>::new(eta).beta(v.get("beta")).weight_decay(v.get("weight_decay"))
    };
    ScheduleFreeAdamW at 0.02 [beta1 0.9, beta2 0.999, epsilon 1e-8, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        let adam = ScheduleFreeAdamW::<T>::new(eta).betas(beta1, beta2).epsilon(v.get("epsilon"));
        adam.weight_decay(v.get("weight_decay"))
    };
    Prodigy at 1.0 [beta1 0.9, beta2 0.999, initial_distance 1e-6, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        let mut prodigy = Prodigy::<T>::new().betas(beta1, beta2).initial_distance(v.get("initial_distance"));
        prodigy.set_base_learning_rate(eta);
        prodigy.weight_decay(v.get("weight_decay"))
    };
    DAdaptAdam at 1.0 [beta1 0.9, beta2 0.999, initial_distance 1e-6, weight_decay 0.0] |eta, v| {
        let (beta1, beta2) = v.betas();
        let mut adam = DAdaptAdam::<T>::new().betas(beta1, beta2).initial_distance(v.get("initial_distance"));
        adam.set_base_learning_rate(eta);
        adam.weight_decay(v.get("weight_decay"))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_optimizer_of_the_library_is_here_and_steps_downhill() {
        let readme = include_str!("../../optim/README.md");
        let table = readme.split("## Optimizers").nth(1).unwrap().split("The schedules").next().unwrap();
        let mut named = Vec::new();
        for line in table.lines().filter(|line| line.starts_with("| ") && !line.contains("around others")) {
            named.extend(line.split('`').skip(1).step_by(2));
        }
        assert!(named.len() > 25, "{named:?}");
        for name in named {
            // It asks for estimates of the Hessian, which no page makes.
            if name != "SophiaG" {
                assert!(ENTRIES.iter().any(|entry| entry.name == name), "{name} is missing");
            }
        }
        for entry in ENTRIES {
            let chosen = Chosen { name: entry.name.into(), rate: entry.rate, settings: BTreeMap::new() };
            let mut optimizer = chosen.make::<f64>().unwrap();
            let mut theta = [1.0, -2.0];
            for _ in 0..300 {
                let gradient = theta;
                optimizer.step(&mut theta, &gradient);
            }
            assert!(theta[0].hypot(theta[1]) < 5.0_f64.sqrt(), "{}: {theta:?}", entry.name);
        }
    }

    #[test]
    fn what_is_shown_as_default_is_the_librarys_default() {
        for entry in ENTRIES {
            let explicit: BTreeMap<_, _> =
                entry.settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            let chosen = Chosen { name: entry.name.into(), rate: 0.1, settings: explicit };
            chosen.make::<f32>().unwrap();
        }
        let bare = format!("{:?}", Adam::<f64>::new(0.1));
        let shown = Chosen { name: "Adam".into(), rate: 0.1, settings: BTreeMap::new() };
        assert_eq!(format!("{:?}", shown.make::<f64>().unwrap()), bare);
        let bare = format!("{:?}", Adan::<f64>::new(0.1));
        let shown = Chosen { name: "Adan".into(), ..shown };
        assert_eq!(format!("{:?}", shown.make::<f64>().unwrap()), bare);
    }

    #[test]
    fn what_is_not_known_is_named() {
        let chosen = |name: &str, setting: &str, rate| Chosen {
            name: name.into(),
            rate,
            settings: BTreeMap::from([(setting.into(), 0.5)]),
        };
        let told = |chosen: Chosen| chosen.make::<f32>().unwrap_err().to_string();
        assert!(told(chosen("Adm", "beta1", 0.1)).contains("`Adm`"));
        assert!(told(chosen("Adam", "momentum", 0.1)).contains("`momentum`"));
        assert!(told(chosen("Adam", "beta1", -1.0)).contains("rate"));
    }
}
