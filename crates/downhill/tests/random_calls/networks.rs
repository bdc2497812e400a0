//! Networks of any layers, wired in any way, and passes with any batches.

use downhill::layers::{BatchNorm, Identity, Inputs, Mode};
use downhill::network::{Block, Branches, Graph, NetworkDescription, Repeat, Shared, Workspace};
use downhill::prelude::*;
use downhill::tensor::Shape;

use crate::answer;
use crate::draw::Draw;
use crate::layers::{is_heavy, layer};

const PURPOSES: [Purpose; 3] = [Purpose::Prediction, Purpose::Training, Purpose::TrainingWithInputGradient];

/// A network of a random graph, if its layers fit.
pub(crate) fn network(draw: &mut Draw) -> Option<Network<f64>> {
    let mut graph = Graph::new();
    let mut nodes: Vec<_> = (0..draw.pick(&[1, 1, 1, 2, 3])).map(|_| graph.input(draw.shape())).collect();
    let mut stranger = Graph::new();
    let strange = stranger.input([2]);
    for _ in 0..draw.within(1..6) {
        let count = draw.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3, 9]);
        let mut inputs: Vec<_> = (0..count)
            .map(|_| *nodes.iter().nth_back(0).filter(|_| draw.chance(0.6)).unwrap_or(&draw.pick(&nodes)))
            .collect();
        if draw.chance(0.02) {
            inputs.push(strange);
        }
        let shapes: Vec<Shape> =
            inputs.iter().filter(|&&node| node != strange).map(|&node| graph.shape(node)).collect();
        let mut layer = layer(draw);
        draw.note(format!("layers for {shapes:?}"));
        // A layer that does not fit is tried again, so that networks become deep.
        for _ in 0..5 {
            if layer.signature(&shapes).is_ok() {
                break;
            }
            layer = crate::layers::layer(draw);
        }
        let layer = layer;
        let signature = layer.signature(&shapes);
        if signature.is_ok_and(|signature| is_heavy(&signature, &shapes)) {
            continue;
        }
        draw.note(format!("apply({layer:?}, {shapes:?})"));
        let placed = match draw.below(8) {
            0 => graph.scoped(draw.pick(&["a", "", "0", "b.c"]), |graph| graph.apply(layer, &inputs)),
            1 => graph.frozen(|graph| graph.apply(layer, &inputs)),
            2 => Repeat::new(draw.below(3), layer).wire(&mut graph, inputs[0]),
            3 => Residual(layer).wire(&mut graph, inputs[0]),
            4 => {
                let shared = Shared::new(layer);
                sequential![shared.clone(), Relu, shared].wire(&mut graph, inputs[0])
            }
            5 => Branches::concat(draw.below(2)).with(layer).with(Identity).wire(&mut graph, inputs[0]),
            _ => graph.apply(layer, &inputs),
        };
        let Some(node) = answer(placed) else { continue };
        if graph.shape(node).len() > 2_000 {
            return None;
        }
        nodes.push(node);
    }
    let output = if draw.chance(0.05) {
        strange
    } else {
        nodes.last().copied().filter(|_| draw.chance(0.8)).unwrap_or(draw.pick(&nodes))
    };
    draw.note("from_graph");
    let network = answer(Network::<f64>::from_graph(&graph, output, Seed(3)))?;
    network.input_shapes().iter().all(|shape| shape.len() < 2_000).then_some(network)
}

/// Numbers for each input of the network, usually as many as it wants.
pub(crate) fn batch(draw: &mut Draw, network: &Network<f64>, examples: usize) -> Vec<(Vec<f64>, usize, Shape)> {
    let mut shapes = network.input_shapes();
    if draw.chance(0.03) {
        shapes.pop();
    }
    if draw.chance(0.03) {
        shapes.push([1].into());
    }
    let all = shapes.into_iter().enumerate().map(|(index, shape)| {
        let shape = if draw.chance(0.85) { shape } else { draw.about(shape) };
        let examples = if draw.chance(0.97) { examples } else { draw.below(5) };
        let len = if shape.len() < 10_000 { shape.len() * examples } else { 0 };
        let mut numbers = draw.numbers(len);
        if network.holds_whole_numbers(index) && draw.chance(0.95) {
            numbers.iter_mut().for_each(|x| *x = 1.0);
        }
        (numbers, examples, shape)
    });
    all.collect()
}

pub(crate) fn inputs<'a>(draw: &Draw, batch: &'a [(Vec<f64>, usize, Shape)]) -> Option<Inputs<'a, f64>> {
    let mut inputs = Inputs::empty();
    for (index, (numbers, examples, shape)) in batch.iter().take(8).enumerate() {
        draw.note(format!("Batch::new({examples} x {shape})"));
        inputs.set(index, answer(Batch::new(numbers, *examples, *shape))?);
    }
    Some(inputs)
}

fn mode(draw: &mut Draw) -> Mode {
    if draw.chance(0.6) { Mode::Training { step: draw.below(3) as u64 } } else { Mode::Evaluation }
}

pub(crate) fn scene(draw: &mut Draw) {
    let Some(mut network) = network(draw) else { return };
    let mut workspace = network.workspace(draw.pick(&PURPOSES));
    for _ in 0..draw.within(2..10) {
        let examples = draw.pick(&[0, 1, 2, 2, 3]);
        match draw.below(14) {
            0 => about(draw, &network),
            1 => workspace = network.workspace(draw.pick(&PURPOSES)),
            2 => predict(draw, &network),
            3 => {
                draw.note("absorb_statistics");
                answer(network.absorb_statistics(&workspace));
            }
            4 => strange(draw, &network, &workspace),
            5 => {
                let name = draw.pick(&["0.weight", "1.bias", "", "a.0.weight"]);
                draw.note(format!("parameter({name})"));
                answer(network.parameter(name).map(drop));
                answer(network.parameter_mut(name).map(drop));
            }
            6 => {
                let all = batch(draw, &network, examples);
                let Some(x) = inputs(draw, &all) else { continue };
                draw.note("check_inputs");
                answer(network.check_inputs(x, mode(draw)));
            }
            7 => {
                let all = batch(draw, &network, examples);
                let Some(x) = inputs(draw, &all) else { continue };
                draw.note("backward");
                answer(network.backward(network.parameters(), x, &mut workspace));
            }
            _ => pass(draw, &mut network, &mut workspace, examples),
        }
    }
}

/// A step of training as a user would write it.
fn pass(draw: &mut Draw, network: &mut Network<f64>, workspace: &mut Workspace<f64>, examples: usize) {
    let all = batch(draw, network, examples);
    let Some(x) = inputs(draw, &all) else { return };
    let longer = [network.parameters(), &[1.0]].concat();
    let theta = if draw.chance(0.97) { network.parameters() } else { &longer };
    let mode = mode(draw);
    draw.note(format!("forward({mode:?})"));
    let Some((examples, shape)) = answer(network.forward(theta, x, workspace, mode)).map(|y| (y.examples(), y.shape()))
    else {
        return;
    };
    assert_eq!(shape, network.output_shape());
    assert_eq!(workspace.prediction().slice().len(), examples * shape.len());
    draw.note("loss_slots");
    match workspace.loss_slots() {
        Some((y, mut dy)) => dy.slice().copy_from_slice(y.slice()),
        None => assert_eq!(workspace.purpose(), Purpose::Prediction),
    }
    draw.note("backward");
    if answer(network.backward(network.parameters(), x, workspace)).is_none() {
        return;
    }
    assert_eq!(workspace.gradient().len(), network.parameters().len());
    if examples == 0 {
        assert!(workspace.gradient().iter().all(|&g| g == 0.0), "no examples have no gradient");
    }
    for index in 0..9 {
        if let Some(dx) = workspace.input_gradient(index) {
            assert_eq!((dx.examples(), Some(&dx.shape())), (examples, network.input_shapes().get(index)));
        }
    }
    let mut optimizer = GradientDescent::new(1e-3);
    draw.note("step, absorb_statistics");
    optimizer.bind(network.segments());
    optimizer.step(network.parameters_mut(), workspace.gradient());
    answer(network.absorb_statistics(workspace)).expect("it has just gone back");
}

/// Asks a network about itself.
fn about(draw: &mut Draw, network: &Network<f64>) {
    draw.note("summary, description, cast, clone");
    assert!(!network.summary().to_string().is_empty() && !format!("{network:?}").is_empty());
    let _ = network.is_worth_sharing(draw.size());
    assert_eq!(network.cast::<f32>().parameters().len(), network.clone().parameters().len());
    let Some(description) = answer(network.description()) else { return };
    let Ok(json) = serde_json::to_string(&description) else { return };
    // A character of it is lost, or another one.
    let mut text = json.clone();
    if draw.chance(0.5) && text.is_ascii() {
        let place = draw.below(text.len());
        let other = draw.pick(&["", "9", "-", "\"", "[", "}"]);
        text.replace_range(place..=place, other);
    }
    draw.note(format!("NetworkDescription from {text}"));
    let Some(read) = answer(serde_json::from_str::<NetworkDescription>(&text)) else { return };
    if text == json {
        answer(read.build::<f64>()).expect("what it was made of");
    } else if !text.contains("999") {
        // More digits may have made it heavy.
        answer(read.build::<f64>());
    }
}

fn predict(draw: &mut Draw, network: &Network<f64>) {
    let count = network.input_shapes().len();
    let count = if draw.chance(0.95) { count } else { draw.below(10) };
    let mut arrays = Vec::new();
    for index in 0..count {
        let shape = network.input_shapes().get(index).copied().unwrap_or([1].into());
        let shape = if draw.chance(0.7) { shape } else { draw.about(shape) };
        let mut axes = vec![draw.below(3)];
        axes.extend(shape.axes());
        if draw.chance(0.05) {
            axes.remove(0);
        }
        let Some(mut array) = draw.array(&axes) else { return };
        if network.holds_whole_numbers(index) {
            array.fill(1.0);
        }
        arrays.push(if draw.chance(0.2) { array.reversed_axes() } else { array });
    }
    draw.note(format!("predict({:?})", arrays.iter().map(|array| array.shape()).collect::<Vec<_>>()));
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    if let Some(y) = answer(network.predict(&views[..])) {
        assert_eq!(y.ncols(), network.output_shape().len());
    }
    if let [only] = &views[..] {
        draw.note("classify");
        answer(network.classify(only));
    }
}

/// A workspace that another network has made, or one that has seen nothing.
fn strange(draw: &mut Draw, network: &Network<f64>, workspace: &Workspace<f64>) {
    let Some(mut other) = answer(Network::<f64>::build([2], sequential![Affine::new(3), BatchNorm::new()], Seed(5)))
    else {
        return;
    };
    let mut strange = other.workspace(draw.pick(&PURPOSES));
    let _ = strange.prediction();
    let _ = strange.loss_slots();
    let _ = strange.input_gradient(draw.below(9));
    let all = batch(draw, network, 2);
    let Some(x) = inputs(draw, &all) else { return };
    draw.note("forward, backward and absorb_statistics with another network's workspace");
    assert!(answer(network.forward(network.parameters(), x, &mut strange, Mode::Evaluation)).is_none());
    assert!(answer(network.backward(network.parameters(), x, &mut strange)).is_none());
    assert!(answer(other.absorb_statistics(workspace)).is_none());
}
