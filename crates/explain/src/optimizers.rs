//! The formulas of optimizers, link by link: what each remembers, and the direction that it hands on. Each is shown only
//! if it gives the numbers that the optimizer has computed.

use crate::Function::{Abs, Sign, Sqrt};
use crate::expression::{apply, constant, divided, minus, product, quotient, scaled, squared, sum};
use crate::formulas::clipped;
use crate::printed::{is, number, numbers};
use crate::{Explanation, Expression, Number, Update};

/// A step of one number of θ.
pub(crate) struct Stepped {
    /// θ after it.
    pub(crate) theta: Expression,
    /// What is remembered after it, by its name.
    pub(crate) memory: Vec<(&'static str, Expression)>,
}

/// What an optimizer remembers of a number of θ before its first step, if the slot is known.
pub(crate) fn at_the_start(update: &Update, slot: &str, rate_factor: f64, theta: f64) -> Option<f64> {
    match slot {
        "adagrad.sum" => {
            let (_, settings) = update.links.iter().find(|(name, _)| name == "ScaleByAdagrad")?;
            number(settings, "initial_sum")
        }
        "rprop.step" => Some(update.learning_rate * rate_factor),
        "schedule_free.z" => Some(theta),
        _ => {
            let (link, _) = slot.split_once('.')?;
            let zero = "momentum adam adamax adan rms adadelta lion sophia rprop asgd second_moment prodigy d_adapt";
            zero.split(' ').any(|known| known == link).then_some(0.0)
        }
    }
}

/// a, moved on to b by an average that keeps the share β.
fn averaged(beta: f64, a: Expression, b: Expression) -> Expression {
    sum([scaled(beta, a), scaled(1.0 - beta, b)])
}

/// a + ε
fn above(epsilon: f64, a: Expression) -> Expression {
    if epsilon == 0.0 { a } else { sum([a, constant(epsilon)]) }
}

/// The step of one number of θ, if each link of the optimizer is known.
pub(crate) fn stepped(all: &Explanation, parameter: usize, index: usize) -> Option<Stepped> {
    let update = all.update.as_ref()?;
    let at = all.parameters.get(parameter)?;
    let letter = |number| all.number(number);
    let (theta, eta) = (letter(Number::Parameter { parameter, index })?, letter(Number::LearningRate)?);
    let slot = |name: &str| at.memory.iter().position(|memory| memory.name == name);
    let before = |name: &str| letter(Number::Memory { parameter, slot: slot(name)?, index });
    let after = |name: &str| letter(Number::Remembered { parameter, slot: slot(name)?, index });
    // The learning rate of its group.
    let factor = at.rate_factor.unwrap_or(1.0);
    let (step, rate) = (update.number as f64, update.learning_rate * factor);
    let eta = if factor == 1.0 { eta } else { product([eta, constant(factor)]) };
    let mut memory: Vec<(&'static str, Expression)> = Vec::new();
    let mut d = letter(Number::ParameterGradient { parameter, index })?;
    // Instead of θ − d.
    let mut whole = None;
    for (name, settings) in &update.links {
        let set = |name: &str| number(settings, name);
        let decay = || at.weight_decay.or(set("weight_decay"));
        // m and v of Adam, and the corrections of both.
        let adam = |d: &Expression, memory: &mut Vec<(&'static str, Expression)>| -> Option<(f64, f64, f64)> {
            let (beta1, beta2) = (set("beta1")?, set("beta2")?);
            memory.push(("adam.m", averaged(beta1, before("adam.m")?, d.clone())));
            memory.push(("adam.v", averaged(beta2, before("adam.v")?, squared(d.clone()))));
            Some((1.0 - beta1.powf(step), 1.0 - beta2.powf(step), set("epsilon")?))
        };
        d = match name.as_str() {
            "ScaleByRate" => product([eta.clone(), d]),
            "CoupledDecay" | "AddDecay" => match decay()? {
                0.0 => d,
                decay => sum([d, scaled(decay, theta.clone())]),
            },
            "DecoupledDecay" => match decay()? {
                0.0 => d,
                decay => sum([d, product([eta.clone(), constant(decay), theta.clone()])]),
            },
            "ProximalDecay" => {
                let decay = decay()?;
                if decay != 0.0 {
                    let shrink = sum([constant(1.0), product([eta.clone(), constant(decay)])]);
                    whole = Some(quotient(minus(theta.clone(), d.clone()), shrink));
                }
                d
            }
            "Momentum" => {
                let (momentum, is_first) = (set("momentum")?, update.number == 1);
                let weight = if is_first || momentum == 0.0 { 1.0 } else { 1.0 - set("dampening")? };
                let new = scaled(weight, d.clone());
                match momentum {
                    0.0 => {
                        memory.push(("momentum.velocity", new));
                        d
                    }
                    momentum => {
                        let kept = scaled(momentum, before("momentum.velocity")?);
                        memory.push(("momentum.velocity", sum([kept, new])));
                        let velocity = after("momentum.velocity")?;
                        match is(settings, "nesterov", "true") {
                            true => sum([d, scaled(momentum, velocity)]),
                            false => velocity,
                        }
                    }
                }
            }
            // m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)
            "ScaleByAdam" => {
                let (c1, c2, epsilon) = adam(&d, &mut memory)?;
                let root = apply(Sqrt, divided(after("adam.v")?, c2));
                quotient(divided(after("adam.m")?, c1), above(epsilon, root))
            }
            "ScaleByAmsGrad" => {
                let (c1, c2, epsilon) = adam(&d, &mut memory)?;
                let (v, largest) = (after("adam.v")?, before("adam.largest_v")?);
                memory.push(("adam.largest_v", if v.evaluate() > largest.evaluate() { v } else { largest }));
                let root = apply(Sqrt, divided(after("adam.largest_v")?, c2));
                quotient(divided(after("adam.m")?, c1), above(epsilon, root))
            }
            // (1 − μₜ) / (1 − Π) g + μₜ₊₁ / (1 − Π μₜ₊₁) m, over the root
            "ScaleByNAdam" => {
                let (_, c2, epsilon) = adam(&d, &mut memory)?;
                let (beta, decay) = (set("beta1")?, set("momentum_decay")?);
                let mu = |step: f64| beta * (1.0 - 0.5 * 0.96_f64.powf(step * decay));
                let (all, next) = (set("product")? * mu(step), mu(step + 1.0));
                let ahead = sum([
                    scaled((1.0 - mu(step)) / (1.0 - all), d),
                    scaled(next / (1.0 - all * next), after("adam.m")?),
                ]);
                quotient(ahead, above(epsilon, apply(Sqrt, divided(after("adam.v")?, c2))))
            }
            // The mean alone until the second moment is trusted.
            "ScaleByRAdam" => {
                let (c1, c2, epsilon) = adam(&d, &mut memory)?;
                let limit = 2.0 / (1.0 - set("beta2")?) - 1.0;
                let rho = limit - 2.0 * step * (1.0 - c2) / c2;
                let mean = divided(after("adam.m")?, c1);
                if rho > 5.0 {
                    let r = (rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho);
                    let root = above(epsilon, apply(Sqrt, after("adam.v")?));
                    quotient(scaled((r * c2).sqrt(), mean), root)
                } else {
                    mean
                }
            }
            // u = max(|g| + ε, β₂ u), m / (1 − β₁ᵗ) / u
            "ScaleByAdamax" => {
                let (beta1, beta2) = (set("beta1")?, set("beta2")?);
                memory.push(("adamax.m", averaged(beta1, before("adamax.m")?, d.clone())));
                let now = above(set("epsilon")?, apply(Abs, d));
                let kept = scaled(beta2, before("adamax.u")?);
                memory.push(("adamax.u", if now.evaluate() > kept.evaluate() { now } else { kept }));
                quotient(divided(after("adamax.m")?, 1.0 - beta1.powf(step)), after("adamax.u")?)
            }
            "ScaleByAdan" => {
                let betas = numbers(settings, "betas");
                let &[beta1, beta2, beta3] = &betas[..] else { return None };
                let gap = if update.number == 1 { constant(0.0) } else { minus(d.clone(), before("adan.gradient")?) };
                let ahead = sum([d.clone(), scaled(beta2, gap.clone())]);
                memory.push(("adan.m", averaged(beta1, before("adan.m")?, d.clone())));
                memory.push(("adan.d", averaged(beta2, before("adan.d")?, gap)));
                memory.push(("adan.n", averaged(beta3, before("adan.n")?, squared(ahead))));
                memory.push(("adan.gradient", d));
                let [c1, c2, c3] = [beta1, beta2, beta3].map(|beta| 1.0 - beta.powf(step));
                let top = sum([divided(after("adan.m")?, c1), scaled(beta2 / c2, after("adan.d")?)]);
                quotient(top, above(set("epsilon")?, apply(Sqrt, divided(after("adan.n")?, c3))))
            }
            "ScaleByRms" => {
                memory.push(("rms.v", averaged(set("alpha")?, before("rms.v")?, squared(d.clone()))));
                quotient(d, above(set("epsilon")?, apply(Sqrt, after("rms.v")?)))
            }
            "ScaleByCenteredRms" => {
                memory.push(("rms.v", averaged(set("alpha")?, before("rms.v")?, squared(d.clone()))));
                memory.push(("rms.mean", averaged(set("alpha")?, before("rms.mean")?, d.clone())));
                let variance = minus(after("rms.v")?, squared(after("rms.mean")?));
                quotient(d, above(set("epsilon")?, apply(Sqrt, variance)))
            }
            "ScaleByAdagrad" => {
                memory.push(("adagrad.sum", sum([before("adagrad.sum")?, squared(d.clone())])));
                let decayed = 1.0 / (1.0 + (step - 1.0) * set("rate_decay")?);
                quotient(scaled(decayed, d), above(set("epsilon")?, apply(Sqrt, after("adagrad.sum")?)))
            }
            // √(u + ε) / √(v + ε) g, with the average u of the squares of these steps
            "ScaleByAdadelta" => {
                let (rho, epsilon) = (set("rho")?, set("epsilon")?);
                memory.push(("adadelta.v", averaged(rho, before("adadelta.v")?, squared(d.clone()))));
                let root = |a: Expression| apply(Sqrt, above(epsilon, a));
                let delta = product([quotient(root(before("adadelta.u")?), root(after("adadelta.v")?)), d]);
                memory.push(("adadelta.u", averaged(rho, before("adadelta.u")?, squared(delta.clone()))));
                delta
            }
            "ScaleByLion" => {
                let direction = apply(Sign, averaged(set("beta1")?, before("lion.m")?, d.clone()));
                memory.push(("lion.m", averaged(set("beta2")?, before("lion.m")?, d)));
                direction
            }
            // m / (ρ n h), within −1 and 1
            "ScaleBySophia" => {
                memory.push(("sophia.m", averaged(set("beta1")?, before("sophia.m")?, d)));
                memory.push(("sophia.hessian", before("sophia.hessian")?));
                let scale = set("rho")? * set("batch_size")?;
                let ratio = quotient(after("sophia.m")?, above(1e-15, scaled(scale, after("sophia.hessian")?)));
                let value = ratio.evaluate();
                if value.abs() > 1.0 { constant(value.signum()) } else { ratio }
            }
            "ClipValue" => {
                let limit = set("limit")?;
                clipped(d, -limit, limit)
            }
            // g over the root of the average of its squares
            "ScaleBySecondMoment" => {
                let beta = set("beta")?;
                memory.push(("second_moment.v", averaged(beta, before("second_moment.v")?, squared(d.clone()))));
                let root = apply(Sqrt, divided(after("second_moment.v")?, 1.0 - beta.powf(step)));
                quotient(d, above(set("epsilon")?, root))
            }
            // c (y − z) + γ (1 − β (1 − c)) g, and z ← z − γ g
            "ScheduleFree" => {
                let warm = (step / set("warmup")?.max(1.0)).min(1.0);
                let (own, whole) = (rate * warm, update.learning_rate * warm);
                let weight = step.powf(set("step_power")?) * set("largest_rate")?.max(whole).powf(set("rate_power")?);
                let sum_of_weights = set("weight_sum")? + weight;
                let share = if sum_of_weights == 0.0 { 0.0 } else { weight / sum_of_weights };
                let z = before("schedule_free.z")?;
                memory.push(("schedule_free.z", minus(z.clone(), scaled(own, d.clone()))));
                let of_gradient = own * (1.0 - set("beta")? * (1.0 - share));
                sum([scaled(share, minus(theta.clone(), z)), scaled(of_gradient, d)])
            }
            "ResilientDescent" => {
                let (factors, limits) = (numbers(settings, "factors"), numbers(settings, "limits"));
                let (&[shrink, grow], &[low, high]) = (&factors[..], &limits[..]) else { return None };
                let agreement = d.evaluate() * before("rprop.gradient")?.evaluate();
                let factor = match agreement {
                    agreement if agreement > 0.0 => grow,
                    agreement if agreement < 0.0 => shrink,
                    _ => 1.0,
                };
                let length = scaled(factor, before("rprop.step")?);
                let within = length.evaluate().max(low).min(high);
                let length = if within == length.evaluate() { length } else { constant(within) };
                memory.push(("rprop.step", length));
                memory.push(("rprop.gradient", if agreement < 0.0 { constant(0.0) } else { apply(Sign, d) }));
                product([after("rprop.gradient")?, after("rprop.step")?])
            }
            // η / (1 + λ η t)ᵅ
            "AveragedDescent" => {
                let (lambda, alpha, start) = (set("lambda")?, set("alpha")?, set("start")?);
                let before_it = step - 1.0;
                let slowed = divided(eta.clone(), (1.0 + lambda * rate * before_it).powf(alpha));
                let next = letter(Number::Updated { parameter, index })?;
                let weight = 1.0 / (before_it - start).max(1.0);
                let average = match weight {
                    1.0 => next,
                    weight => {
                        let average = before("asgd.average")?;
                        sum([average.clone(), scaled(weight, minus(next, average))])
                    }
                };
                memory.push(("asgd.average", average));
                let shrunk = product([slowed.clone(), constant(lambda), theta.clone()]);
                sum([product([slowed, d]), shrunk])
            }
            _ => return None,
        };
    }
    if update.links.is_empty() {
        return None;
    }
    Some(Stepped { theta: whole.unwrap_or_else(|| minus(theta.clone(), d)), memory })
}
