//! Recurrent layers. The operators have the steps as their first axis, and their own order of gates.

use downhill_tensor::Scalar;

use super::super::tensor::data_type;
use super::place::{Place, int, text, texts};
use crate::settings::Recurrent;

type Written = Result<String, String>;

pub(super) fn recurrent<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let settings: Recurrent = place.read()?;
    let &Recurrent { hidden, layers, bidirectional, lengths, last_state, .. } = &settings;
    // Ours are i, f, g, o and r, z, n.
    let (operator, gates): (_, &[usize]) = match &*place.settings.kind {
        "Lstm" => ("LSTM", &[0, 3, 1, 2]),
        "Gru" => ("GRU", &[1, 0, 2]),
        _ => ("RNN", &[0]),
    };
    let suffixes = settings.suffixes();
    let directions = suffixes.len();
    let x = place.input(0);
    let mut x = place.transpose(&x, [1, 0, 2]);
    let lengths = if lengths {
        let lengths = place.whole_input(1);
        let lengths = place.cast(&lengths, data_type::INT32);
        place.reshape(&lengths, &[])
    } else {
        String::new()
    };
    for layer in 0..layers {
        let [w, r, b] = weights(place, &settings, layer, gates, suffixes)?;
        let mut attributes = vec![
            int("hidden_size", hidden),
            text("direction", if bidirectional { "bidirectional" } else { "forward" }),
        ];
        if operator == "GRU" {
            attributes.push(int("linear_before_reset", 1));
        }
        if settings.nonlinearity == "Relu" {
            attributes.push(texts("activations", &vec!["Relu"; directions]));
        }
        let ends = last_state && layer + 1 == layers;
        let mut inputs = vec![&*x, &*w, &*r, &*b, &*lengths];
        while inputs.last() == Some(&"") {
            inputs.pop();
        }
        let y = if ends {
            let [_, y] = place.nodes(operator, &inputs, attributes, [false, true]);
            y
        } else {
            let [y] = place.nodes(operator, &inputs, attributes, [true]);
            y
        };
        let width = directions * hidden;
        x = if ends {
            // (directions, batch, hidden)
            let y = place.transpose(&y, [1, 0, 2]);
            place.reshape(&y, &[width])
        } else if layer + 1 == layers {
            // (steps, directions, batch, hidden)
            let y = place.transpose(&y, [2, 0, 1, 3]);
            place.reshape(&y, &[0, width])
        } else {
            let y = place.transpose(&y, [0, 2, 1, 3]);
            place.reshape(&y, &[0, width])
        };
    }
    Ok(x)
}

/// W, R and B of one of the layers on top of each other, for all directions; no B without biases.
fn weights<T: Scalar>(
    place: &mut Place<'_, '_, T>,
    settings: &Recurrent,
    layer: usize,
    gates: &[usize],
    suffixes: &[&str],
) -> Result<[String; 3], String> {
    let hidden = settings.hidden;
    let mut arrays = [Vec::new(), Vec::new(), Vec::new()];
    let mut features = 0;
    for suffix in suffixes {
        let names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
        for (name, to) in names.into_iter().zip([0, 1, 2, 2]).filter(|(_, to)| settings.bias || *to < 2) {
            let (shape, numbers) = place.numbers(&format!("{name}_l{layer}{suffix}"))?;
            if to == 0 {
                features = shape.get(1).copied().unwrap_or(1);
            }
            let gate_len = numbers.len() / gates.len();
            let array = arrays.get_mut(to).into_iter();
            let of_gates = gates.iter().filter_map(|gate| numbers.get(gate * gate_len..(gate + 1) * gate_len));
            let of_gates: Vec<T> = of_gates.flatten().copied().collect();
            array.for_each(|array| array.extend_from_slice(&of_gates));
        }
    }
    let (directions, rows) = (suffixes.len(), gates.len() * hidden);
    let [w, r, b] = arrays;
    let w = place.shared_constant(&format!("l{layer}.W"), &[directions, rows, features], w);
    let r = place.shared_constant(&format!("l{layer}.R"), &[directions, rows, hidden], r);
    let b = if settings.bias {
        place.shared_constant(&format!("l{layer}.B"), &[directions, 2 * rows], b)
    } else {
        String::new()
    };
    Ok([w, r, b])
}
