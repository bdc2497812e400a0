//! The named optimizers: compositions of links, and a few rules that need whole parameters.

use downhill_tensor::Scalar;

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod adan;
mod ams_grad;
mod asgd;
mod d_adapt_adam;
mod gradient_descent;
mod lamb;
mod lars;
mod lion;
mod muon;
mod n_adam;
mod prodigy;
mod r_adam;
mod rms_prop;
mod rprop;
mod schedule_free;
mod sgd;
mod sophia;

pub use adadelta::{Adadelta, ScaleByAdadelta};
pub use adafactor::{Adafactor, AdafactorRule};
pub use adagrad::{Adagrad, ScaleByAdagrad};
pub use adam::{Adam, AdamScalars, ScaleByAdam};
pub use adamax::{Adamax, ScaleByAdamax};
pub use adamw::AdamW;
pub use adan::{Adan, AdanScalars, AdanW, ScaleByAdan};
pub use ams_grad::{AmsGrad, ScaleByAmsGrad};
pub use asgd::{Asgd, AveragedDescent};
pub use d_adapt_adam::{DAdaptAdam, DAdaptAdamRule};
pub use gradient_descent::GradientDescent;
pub use lamb::Lamb;
pub use lars::Lars;
pub use lion::{Lion, ScaleByLion};
pub use muon::{Muon, MuonRule};
pub use n_adam::{NAdam, NAdamScalars, NAdamW, ScaleByNAdam};
pub use prodigy::{Prodigy, ProdigyRule};
pub use r_adam::{RAdam, RAdamScalars, RAdamW, ScaleByRAdam};
pub use rms_prop::{CenteredRmsProp, RmsProp, RmsPropMomentum, RmsScalars, ScaleByCenteredRms, ScaleByRms};
pub use rprop::{ResilientDescent, Rprop};
pub use schedule_free::{ScaleBySecondMoment, ScheduleFree, ScheduleFreeAdamW, ScheduleFreeSgd};
pub use sgd::Sgd;
pub use sophia::{ScaleBySophia, SophiaG};

/// Returns −1, 0 or 1; 0 for 0, and not a number if `x` is not.
#[inline(always)]
fn sign<T: Scalar>(x: T) -> T {
    let below = if x < T::ZERO { -T::ONE } else { x };
    if x > T::ZERO { T::ONE } else { below }
}

/// Implements `Default` by `new`.
macro_rules! default_is_new {
    ($type:ty) => {
        impl Default for $type {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}
use default_is_new;

/// Returns the name of an optimizer by that of its rule: a composition that is that of a named one has its name.
pub(crate) fn name_of(rule: &str) -> String {
    let known = NAMES.iter().find(|(composition, _)| *composition == rule);
    known.map_or(rule, |(_, name)| name).into()
}

/// The named optimizers by their rules.
const NAMES: [(&str, &str); 30] = [
    ("CoupledDecay, ScaleByAdadelta, ScaleByRate", "Adadelta"),
    ("AdafactorRule", "Adafactor"),
    ("CoupledDecay, ScaleByAdagrad, ScaleByRate", "Adagrad"),
    ("CoupledDecay, ScaleByAdam, ScaleByRate", "Adam"),
    ("CoupledDecay, ScaleByAdamax, ScaleByRate", "Adamax"),
    ("ScaleByAdam, ScaleByRate, DecoupledDecay", "AdamW"),
    ("ScaleByAdan, ScaleByRate, ProximalDecay", "Adan"),
    ("ScaleByAdan, ScaleByRate, DecoupledDecay", "AdanW"),
    ("CoupledDecay, ScaleByAmsGrad, ScaleByRate", "AmsGrad"),
    ("CoupledDecay, AveragedDescent", "Asgd"),
    ("DAdaptAdamRule", "DAdaptAdam"),
    ("ScaleByRate", "GradientDescent"),
    ("Layerwise, ScaleByAdam, AddDecay; ScaleByRate", "Lamb"),
    ("Layerwise, CoupledDecay; ScaleByRate, Momentum", "Lars"),
    ("ScaleByLion, AddDecay, ScaleByRate", "Lion"),
    ("MuonRule", "Muon"),
    ("CoupledDecay, ScaleByNAdam, ScaleByRate", "NAdam"),
    ("ScaleByNAdam, ScaleByRate, DecoupledDecay", "NAdamW"),
    ("ProdigyRule", "Prodigy"),
    ("CoupledDecay, ScaleByRAdam, ScaleByRate", "RAdam"),
    ("ScaleByRAdam, ScaleByRate, DecoupledDecay", "RAdamW"),
    ("CoupledDecay, ScaleByRms, ScaleByRate", "RmsProp"),
    ("CoupledDecay, ScaleByCenteredRms, ScaleByRate", "CenteredRmsProp"),
    ("CoupledDecay, ScaleByRms, Momentum, ScaleByRate", "RmsPropMomentum"),
    ("CoupledDecay, ScaleByCenteredRms, Momentum, ScaleByRate", "RmsPropMomentum<ScaleByCenteredRms>"),
    ("ResilientDescent", "Rprop"),
    ("CoupledDecay, ScheduleFree", "ScheduleFreeSgd"),
    ("ScaleBySecondMoment, AddDecay, ScheduleFree", "ScheduleFreeAdamW"),
    ("CoupledDecay, Momentum, ScaleByRate", "Sgd"),
    ("ScaleBySophia, ScaleByRate, DecoupledDecay", "SophiaG"),
];
