//! A network with custom wiring: two inputs, a residual block and two branches.
//!
//! `cargo run --release --example 06_own_network` teaches it how a mass on a spring swings, from the spring's frequency
//! and damping as one input and the time as the other, and draws the motion of a spring that it has not seen.

use std::error::Error;
use std::ops::ControlFlow;

use downhill::layers::{Concat, Inputs};
use downhill::network::{Block, Graph, NetworkObjective, Node, Purpose};
use downhill::optim::minimize::minimize;
use downhill::prelude::*;

/// A custom block: a residual block, and from its output two branches whose outputs lie side by side.
///
/// It goes wherever a layer goes. It owns no buffer: memory is planned once, for the whole network.
#[derive(Clone, Debug)]
struct Trunk {
    width: usize,
}

impl Block for Trunk {
    fn wire(&self, graph: &mut Graph, x: Node) -> Result<Node, BuildError> {
        let width = self.width;
        let residual = Residual(sequential![Affine::new(width), Tanh, Affine::new(width)]);
        let branches = branches![
            concat 0;
            sequential![Affine::new(width / 2), Tanh],
            sequential![Affine::new(width / 2), Gelu::new()],
        ];
        sequential![residual, branches].wire(graph, x)
    }
}

/// Springs at some time after they were let go, and where the mass is then.
#[derive(Default)]
struct Springs {
    /// Frequency and damping of each.
    spring: Vec<f64>,
    time: Vec<f64>,
    position: Vec<f64>,
}

impl Springs {
    fn draw(count: usize, seed: Seed) -> Self {
        let mut stream = seed.stream(0);
        let mut springs = Self::default();
        for _ in 0..count {
            springs.push(1.0 + stream.uniform(), 0.5 * stream.uniform(), 4.0 * stream.uniform());
        }
        springs
    }

    /// One more, with its position e^(−dt) cos(ft).
    fn push(&mut self, frequency: f64, damping: f64, time: f64) {
        self.spring.extend([frequency, damping]);
        self.time.push(time);
        self.position.push((-damping * time).exp() * (frequency * time).cos());
    }

    /// The network's inputs.
    fn inputs(&self) -> Result<Inputs<'_, f64>, BuildError> {
        let mut inputs = Inputs::empty();
        inputs.set(0, Batch::new(&self.spring, self.time.len(), [2])?);
        inputs.set(1, Batch::new(&self.time, self.time.len(), [1])?);
        Ok(inputs)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The functional form: nodes go in, a node comes out.
    let mut graph = Graph::new();
    let spring = graph.input([2]);
    let time = graph.input([1]);
    let both = graph.apply(Concat::new(0), &[spring, time])?;
    let hidden = graph.apply(Affine::new(32), &[both])?;
    let hidden = graph.apply(Tanh, &[hidden])?;
    let hidden = graph.scoped("trunk", |graph| Trunk { width: 32 }.wire(graph, hidden))?;
    let position = graph.apply(Affine::new(1), &[hidden])?;
    let mut network = Network::<f64>::from_graph(&graph, position, Seed(1))?;
    println!("{}\n", network.summary());

    // A network with a loss over some data is a function of one vector, and any minimiser takes it: here L-BFGS, over
    // all examples at once.
    let train = Springs::draw(600, Seed(2));
    let (targets, loss) = (Target::Values(&train.position), MeanSquaredError::new());
    let objective = NetworkObjective::new(&network, train.inputs()?, targets, loss);
    let outcome = minimize(objective, network.parameters())
        .iterations(1500)
        .observe(|progress| {
            if progress.iteration % 250 == 0 {
                println!("iteration {:>4}  mean squared error {:.6}", progress.iteration, progress.value);
            }
            ControlFlow::Continue(())
        })
        .run()?;
    println!("{}; {} passes in {:.2} s\n", outcome.reason, outcome.evaluations, outcome.elapsed.as_secs_f64());
    network.parameters_mut().copy_from_slice(&outcome.x);

    // One spring that it has not seen, over four seconds.
    let mut unseen = Springs::default();
    (0..=20).for_each(|step| unseen.push(1.7, 0.25, 0.2 * f64::from(step)));
    let mut workspace = network.workspace(Purpose::Prediction);
    let predicted = network.forward(network.parameters(), unseen.inputs()?, &mut workspace, Mode::Evaluation)?;
    println!("time   truth  network");
    for ((time, truth), predicted) in unseen.time.iter().zip(&unseen.position).zip(predicted.slice()) {
        let mut line = [b' '; 61];
        line[30] = b'|';
        for (place, mark) in [(truth, b'o'), (predicted, b'x')] {
            line[(30.0 * (1.0 + place.clamp(-1.0, 1.0))).round() as usize] = mark;
        }
        println!("{time:.1}   {truth:>6.3}   {predicted:>6.3}  {}", String::from_utf8_lossy(line.trim_ascii_end()));
    }
    Ok(())
}
