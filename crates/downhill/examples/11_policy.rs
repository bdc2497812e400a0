//! Reinforcement learning: a small network learns to balance a pole on a cart, from nothing but how long it stood.
//!
//! `cargo run --release --example 11_policy` pushes sixteen carts at once and learns by proximal policy optimisation
//! (Schulman et al. 2017), whose derivative dJ/dy is written here and given to `Trainer::partial_fit_with`. Then the
//! policy is judged in 100 episodes: a pole that stands for 500 steps earns 500.

use std::error::Error;
use std::time::Instant;

use downhill::data::Batches;
use downhill::network::Workspace;
use downhill::prelude::*;
use downhill::tensor::Stream;

/// The carts that are pushed at the same time, and the steps of each between two improvements of the policy.
const CARTS: usize = 16;
const STEPS: usize = 128;
/// A step later, a return counts this much.
const DISCOUNT: f32 = 0.99;
/// How far into the future rewards themselves are trusted, and not what the critic expects.
const TRACE: f32 = 0.95;
/// The policy may make an action more or less likely by this share before it is tried anew.
const CLIP: f32 = 0.2;
/// An episode ends after this many steps.
const LONGEST: usize = 500;

/// A cart on a track with a pole on it (Barto, Sutton and Anderson 1983), pushed to the left or to the right every
/// 0.02 s.
#[derive(Clone, Default)]
struct CartPole {
    position: f64,
    velocity: f64,
    /// From upright, in radians.
    angle: f64,
    angular_velocity: f64,
    steps: usize,
}

impl CartPole {
    /// A cart near the middle of the track, its pole nearly upright.
    fn new(stream: &mut Stream) -> Self {
        let mut near = || 0.1 * stream.uniform() - 0.05;
        Self { position: near(), velocity: near(), angle: near(), angular_velocity: near(), steps: 0 }
    }

    /// What the network sees.
    fn state(&self) -> [f32; 4] {
        [self.position, self.velocity, self.angle, self.angular_velocity].map(|x| x as f32)
    }

    /// Pushes to the left (0) or to the right (1): a step of Euler's method.
    fn push(&mut self, action: usize) {
        // Kilograms, metres (half of the pole's length), newtons and seconds.
        let (cart, pole, length, gravity, time) = (1.0, 0.1, 0.5, 9.8, 0.02);
        let force = if action == 1 { 10.0 } else { -10.0 };
        let (sin, cos, mass) = (self.angle.sin(), self.angle.cos(), cart + pole);
        let push = (force + pole * length * self.angular_velocity.powi(2) * sin) / mass;
        let turn = (gravity * sin - push * cos) / (length * (4.0 / 3.0 - pole * cos.powi(2) / mass));
        let acceleration = push - pole * length * turn * cos / mass;
        self.position += time * self.velocity;
        self.velocity += time * acceleration;
        self.angle += time * self.angular_velocity;
        self.angular_velocity += time * turn;
        self.steps += 1;
    }

    /// Whether the pole leans by more than 12 degrees, or the cart has left the track.
    fn has_fallen(&self) -> bool {
        self.angle.abs() > 12_f64.to_radians() || self.position.abs() > 2.4
    }

    fn is_over(&self) -> bool {
        self.has_fallen() || self.steps == LONGEST
    }
}

/// What the carts have met since the policy was last improved, step after step and in each step cart after cart.
#[derive(Default)]
struct Experience {
    states: Vec<f32>,
    actions: Vec<usize>,
    /// The probability that the policy gave to the action.
    likelihoods: Vec<f32>,
    /// The states that the actions have led to.
    next_states: Vec<f32>,
    fallen: Vec<bool>,
    over: Vec<bool>,
}

impl Experience {
    /// How much better each action was than what the critic expected: the sum of what the critic was wrong by from there
    /// on, discounted (Schulman et al. 2016); and the return that it should have expected.
    ///
    /// δ = 1 + γ V(next state) − V(state), and A = δ + γ λ A of the next step.
    fn advantages(&self, critic: &Network<f32>) -> Result<(Vec<f32>, Vec<f32>), Box<dyn Error>> {
        let count = self.actions.len();
        let values = critic.predict(Batch::new(&self.states, count, [4])?)?;
        let next_values = critic.predict(Batch::new(&self.next_states, count, [4])?)?;
        let (mut advantages, mut returns) = (vec![0.0; count], vec![0.0; count]);
        let mut later = [0.0; CARTS];
        for step in (0..STEPS).rev() {
            for (cart, later) in later.iter_mut().enumerate() {
                let index = step * CARTS + cart;
                // A pole that has fallen earns nothing more; time that is up is no fault of the policy.
                let next = if self.fallen[index] { 0.0 } else { next_values[[index, 0]] };
                let after = if self.over[index] { 0.0 } else { *later };
                *later = 1.0 + DISCOUNT * next - values[[index, 0]] + DISCOUNT * TRACE * after;
                advantages[index] = *later;
                returns[index] = *later + values[[index, 0]];
            }
        }
        Ok((advantages, returns))
    }
}

/// Pushes all carts for some steps, and notes what happens. `lengths` are those of episodes that end meanwhile.
fn explore(
    policy: &Network<f32>,
    carts: &mut [CartPole],
    stream: &mut Stream,
    lengths: &mut Vec<usize>,
) -> Result<Experience, Box<dyn Error>> {
    let mut workspace = policy.workspace(Purpose::Prediction);
    let mut seen = Experience::default();
    for _ in 0..STEPS {
        let states: Vec<f32> = carts.iter().flat_map(CartPole::state).collect();
        for (cart, right) in carts.iter_mut().zip(chances(policy, &states, &mut workspace)?) {
            let action = usize::from(stream.uniform() < f64::from(right));
            cart.push(action);
            seen.actions.push(action);
            seen.likelihoods.push(if action == 1 { right } else { 1.0 - right });
            seen.next_states.extend(cart.state());
            seen.fallen.push(cart.has_fallen());
            seen.over.push(cart.is_over());
            if cart.is_over() {
                lengths.push(cart.steps);
                *cart = CartPole::new(stream);
            }
        }
        seen.states.extend(states);
    }
    Ok(seen)
}

/// How likely the policy pushes to the right in each of these states: σ(y).
fn chances(policy: &Network<f32>, states: &[f32], workspace: &mut Workspace<f32>) -> Result<Vec<f32>, Box<dyn Error>> {
    let x = Batch::new(states, states.len() / 4, [4])?;
    let y = policy.forward(policy.parameters(), x, workspace, Mode::Evaluation)?;
    Ok(y.slice().iter().map(|y| y.sigmoid()).collect())
}

/// The mean return of the likelier action, over 100 episodes with beginnings of their own.
fn judge(policy: &Network<f32>) -> Result<f64, Box<dyn Error>> {
    let mut workspace = policy.workspace(Purpose::Prediction);
    let mut stream = Seed(100).stream(0);
    let mut carts: Vec<CartPole> = (0..100).map(|_| CartPole::new(&mut stream)).collect();
    for _ in 0..LONGEST {
        let states: Vec<f32> = carts.iter().flat_map(CartPole::state).collect();
        for (cart, right) in carts.iter_mut().zip(chances(policy, &states, &mut workspace)?) {
            if !cart.is_over() {
                cart.push(usize::from(right > 0.5));
            }
        }
    }
    Ok(carts.iter().map(|cart| cart.steps as f64).sum::<f64>() / carts.len() as f64)
}

/// Mean 0 and standard deviation 1: a step is of the same size whether poles stand for long or not.
fn standardise(values: &mut [f32]) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    values.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) / (variance.sqrt() + 1e-8)) as f32);
}

fn main() -> Result<(), Box<dyn Error>> {
    // The policy's output is the logit of a push to the right; the critic's is the return that it expects of a state.
    let layers = || sequential![Affine::new(64), Tanh, Affine::new(64), Tanh, Affine::new(1)];
    let mut policy = Network::<f32>::build([4], layers(), Seed(1))?;
    let mut critic = Network::<f32>::build([4], layers(), Seed(2))?;
    // A step of the policy is made by its own derivative; the loss of its trainer is not used.
    let mut policy_trainer = Trainer::new(BinaryCrossEntropyWithLogits::new(), Adam::new(1e-3)).clip_norm(0.5);
    let mut critic_trainer = Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).clip_norm(0.5);

    let started = Instant::now();
    let mut stream = Seed(3).stream(0);
    let mut carts: Vec<CartPole> = (0..CARTS).map(|_| CartPole::new(&mut stream)).collect();
    let (mut lengths, mut pushes, mut improvements) = (Vec::new(), 0, 0_u64);
    println!("{:>8}  {:>8}  mean return of the last 100", "pushes", "episodes");
    for round in 0..100 {
        let seen = explore(&policy, &mut carts, &mut stream, &mut lengths)?;
        pushes += seen.actions.len();
        let (mut advantages, returns) = seen.advantages(&critic)?;
        standardise(&mut advantages);

        let data = Dataset::new(seen.states.clone(), [4], Targets::values(returns, [1]))?;
        let mut batches = Batches::shuffled(&data, 256, Seed(4).derive(round))?;
        for epoch in 0..10 {
            batches.start_epoch(epoch);
            while let Some(batch) = batches.next_batch() {
                critic_trainer.partial_fit(&mut critic, batch.inputs, batch.targets)?;
                policy_trainer.partial_fit_with(&mut policy, batch.inputs, |y, dy| {
                    surrogate(&seen, &advantages, batch.indices, y.slice(), dy)
                })?;
                improvements += 1;
            }
        }

        let last = &lengths[lengths.len().saturating_sub(100)..];
        let mean = last.iter().sum::<usize>() as f64 / last.len() as f64;
        if round % 5 == 4 {
            println!("{pushes:>8}  {:>8}  {mean:.1}", lengths.len());
        }
        if last.len() == 100 && mean > 490.0 {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "\n{pushes} pushes and {improvements} steps of both networks in {seconds:.1} s: {:.0} pushes and {:.0} steps a second",
        pushes as f64 / seconds,
        improvements as f64 / seconds
    );

    let mean = judge(&policy)?;
    println!("100 new episodes: a mean return of {mean:.1}, of {LONGEST} at most");
    if mean < 475.0 { Err("the policy has not learnt to balance the pole".into()) } else { Ok(()) }
}

/// J = −mean of min(r A, clip(r) A), with r by how much likelier an action has become, and dJ/dy = −A r (a − σ(y)) / n
/// for each action a that is not beyond the clip already.
fn surrogate(seen: &Experience, advantages: &[f32], indices: &[usize], y: &[f32], dy: &mut [f32]) -> f64 {
    let (mut j, n) = (0.0, indices.len() as f32);
    for ((&index, y), dy) in indices.iter().zip(y).zip(dy) {
        let (action, advantage, right) = (seen.actions[index], advantages[index], y.sigmoid());
        let ratio = if action == 1 { right } else { 1.0 - right } / seen.likelihoods[index];
        let clipped = ratio.clamp(1.0 - CLIP, 1.0 + CLIP) * advantage;
        j -= f64::from((ratio * advantage).min(clipped));
        if ratio * advantage <= clipped {
            *dy = -advantage * ratio * (action as f32 - right) / n;
        }
    }
    j / f64::from(n)
}
