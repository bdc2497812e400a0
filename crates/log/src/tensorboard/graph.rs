//! The wiring of a network as TensorBoard shows it.

use std::collections::{BTreeMap, HashSet};

use downhill_network::Network;
use downhill_tensor::{Scalar, Shape};

use super::proto::{Attr, AttrValue, GraphDef, NodeDef, Shapes, TensorShape, VersionDef};

/// A node for each input and each layer. Its name is the layer's place and kind, such as `2/norm_LayerNorm` for `2.norm`,
/// so that TensorBoard groups the layers as the network does.
pub(crate) fn graph<T: Scalar>(network: &Network<T>) -> GraphDef {
    let inputs = network.input_shapes();
    let mut names = Names::default();
    let mut nodes = Vec::new();
    for (index, &shape) in inputs.iter().enumerate() {
        let name = if inputs.len() == 1 { "input".to_owned() } else { format!("input_{index}") };
        let attr = attributes(shape, None);
        nodes.push(NodeDef { name: names.unique(name), op: "Placeholder".to_owned(), input: Vec::new(), attr });
    }
    for layer in network.summary().layers() {
        let place = layer.place.replace('.', "/");
        let name = if place.is_empty() { layer.layer.to_owned() } else { format!("{place}_{}", layer.layer) };
        let input = layer.inputs.iter().map(|&node| nodes[node].name.clone()).collect();
        let attr = attributes(layer.output, Some(layer.parameters));
        nodes.push(NodeDef { name: names.unique(name), op: layer.layer.to_owned(), input, attr });
    }
    // The oldest version of which TensorBoard asks nothing more.
    GraphDef { node: nodes, versions: Some(VersionDef { producer: 22 }) }
}

/// TensorBoard writes the shapes at the edges.
fn attributes(output: Shape, parameters: Option<usize>) -> BTreeMap<String, AttrValue> {
    let shapes = Shapes { shape: vec![TensorShape::of_batch(output.axes())] };
    let shapes = ("_output_shapes".to_owned(), Attr::List(shapes));
    let parameters = parameters.map(|parameters| ("parameters".to_owned(), Attr::I(parameters as i64)));
    let all = [Some(shapes), parameters].into_iter().flatten();
    all.map(|(name, value)| (name, AttrValue { value: Some(value) })).collect()
}

/// Names that were given away.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The name, with a number if it is taken.
    fn unique(&mut self, name: String) -> String {
        let mut unique = name.clone();
        let mut number = 1;
        while !self.0.insert(unique.clone()) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use downhill_layers::{Add, Affine, Tanh};
    use downhill_network::Graph;
    use downhill_tensor::Seed;

    use super::*;

    #[test]
    fn each_node_has_its_own_name_and_reads_others_by_theirs() {
        let mut wiring = Graph::new();
        let (a, b) = (wiring.input([2]), wiring.input([3]));
        let left = wiring.scoped("a.b", |wiring| wiring.place(Affine::new(2), &[a])).unwrap();
        let right = wiring.scoped("b", |wiring| wiring.place(Affine::new(2), &[b])).unwrap();
        let left = wiring.scoped("a.c", |wiring| wiring.place(Tanh, &[left])).unwrap();
        let sum = wiring.place(Add, &[right, left]).unwrap();
        let network = Network::<f32>::from_graph(&wiring, sum, Seed(1)).unwrap();
        let nodes: Vec<_> = graph(&network).node.into_iter().map(|node| (node.name, node.op, node.input)).collect();
        let node = |name: &str, op: &str, inputs: &[&str]| {
            (name.to_owned(), op.to_owned(), inputs.iter().map(|&input| input.to_owned()).collect::<Vec<_>>())
        };
        let expected = [
            node("input_0", "Placeholder", &[]),
            node("input_1", "Placeholder", &[]),
            node("a/b_Affine", "Affine", &["input_0"]),
            node("b_Affine", "Affine", &["input_1"]),
            node("a/c_Tanh", "Tanh", &["a/b_Affine"]),
            node("Add", "Add", &["b_Affine", "a/c_Tanh"]),
        ];
        assert_eq!(nodes, expected);
        let mut names = Names::default();
        let unique: Vec<String> = ["a", "b", "a", "a"].map(|name| names.unique(name.to_owned())).to_vec();
        assert_eq!(unique, ["a", "b", "a_1", "a_2"]);
    }
}
