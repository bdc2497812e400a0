//! A network as a graph.

use std::fmt::Write;

use downhill_network::Network;
use downhill_tensor::Scalar;

use crate::look::{Canvas, Look, plot};
use crate::scene::{Align, Point, Scene};
use crate::text::{grouped, width};
use crate::theme::Colour;
use crate::words::Word;

/// A network's layers from its inputs down to its output, with the shape of each output and the number of parameters.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, Residual, sequential};
/// use downhill_plot::PlotNetwork;
/// use downhill_tensor::Seed;
///
/// let block = sequential![Affine::new(16), Residual(sequential![Affine::new(16), Relu]), Affine::new(3)];
/// let network = Network::<f32>::build([4], block, Seed(1))?;
/// assert!(network.plot().to_svg().contains("272 parameters"));
/// assert!(network.plot().to_dot().starts_with("digraph network {"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct NetworkPlot {
    look: Look,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    place: String,
    /// The layer's name; `None` of an input.
    layer: Option<&'static str>,
    shape: String,
    parameters: usize,
    inputs: Vec<usize>,
}

/// Plots of a [`Network`].
pub trait PlotNetwork {
    /// Makes a plot of the network's graph.
    fn plot(&self) -> NetworkPlot;
}

impl<T: Scalar> PlotNetwork for Network<T> {
    fn plot(&self) -> NetworkPlot {
        let inputs = self.input_shapes().into_iter().map(|shape| Node {
            place: String::new(),
            layer: None,
            shape: shape.to_string(),
            parameters: 0,
            inputs: Vec::new(),
        });
        let summary = self.summary();
        let layers = summary.layers().iter().map(|layer| Node {
            place: layer.place.clone(),
            layer: Some(layer.layer),
            shape: layer.output.to_string(),
            parameters: layer.parameters,
            inputs: layer.inputs.clone(),
        });
        NetworkPlot { look: Look::default(), nodes: inputs.chain(layers).collect() }
    }
}

/// The size of a layer's name and of what is below it, and the height of a box.
const NAME: f64 = 13.0;
const NOTE: f64 = 11.5;
const HIGH: f64 = 42.0;

/// Space between boxes, across and down.
const ACROSS: f64 = 26.0;
const DOWN: f64 = 26.0;

/// A box to be laid out: its width, the width that is kept free for it, and the boxes above that it is connected with,
/// each with the width that is kept free for the edge if it passes other boxes.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) wide: f64,
    pub(crate) room: f64,
    pub(crate) inputs: Vec<(usize, f64)>,
}

/// A place in the layout: a node, or a bend of an edge that passes several ranks.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) node: Option<usize>,
    pub(crate) rank: usize,
    pub(crate) wide: f64,
    /// The width that is kept free for it: that of the widest box in its chain, so that a chain goes straight down.
    pub(crate) room: f64,
    /// The spots above that it is connected with, in the order of a node's inputs.
    pub(crate) above: Vec<usize>,
    pub(crate) x: f64,
}

/// A network laid out: spots by rank, and their places.
pub(crate) struct Layout {
    pub(crate) spots: Vec<Spot>,
    pub(crate) ranks: Vec<Vec<usize>>,
}

impl NetworkPlot {
    /// Writes the graph as text that Graphviz lays out: `dot -Tsvg network.dot`.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph network {\n  node [shape=box, fontname=\"sans-serif\"];\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let (name, note) = self.lines(node);
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let style = if node.layer.is_none() { ", style=rounded" } else { "" };
            let _ = writeln!(dot, "  n{index} [label=\"{}\\n{}\"{style}];", quoted(&name), quoted(&note));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                let _ = writeln!(dot, "  n{input} -> n{index};");
            }
        }
        dot + "}\n"
    }

    /// What is written in a node's box.
    fn lines(&self, node: &Node) -> (String, String) {
        let language = self.look.language;
        let name = match node.layer {
            None => Word::Input.of(language).to_owned(),
            Some(layer) if node.place.is_empty() => layer.to_owned(),
            Some(layer) => format!("{} {layer}", node.place),
        };
        let note = match node.parameters {
            0 => node.shape.clone(),
            count => format!("{} · {} {}", node.shape, grouped(count), Word::Parameters.of(language)),
        };
        (name, note)
    }

    fn layout(&self) -> Layout {
        let item = |node: &Node| {
            let (name, note) = self.lines(node);
            let wide = (1.06 * width(&name, NAME)).max(width(&note, NOTE)) + 24.0;
            Item { wide, room: wide, inputs: node.inputs.iter().map(|&input| (input, 8.0)).collect() }
        };
        Layout::new(&self.nodes.iter().map(item).collect::<Vec<_>>())
    }

    fn own_size(&self) -> (u32, u32) {
        let layout = self.layout();
        let title = if self.look.title.is_some() { 28.0 } else { 0.0 };
        let (left, right) = layout.ends();
        let high = layout.ranks.len() as f64 * (HIGH + DOWN) - DOWN + 28.0 + title;
        ((right - left + 28.0).ceil() as u32, high.ceil() as u32)
    }

    fn draw(&self, canvas: &mut Canvas) {
        let layout = self.layout();
        let (left, right) = layout.ends();
        let area = canvas.area;
        let middle = (area.left + area.right) / 2.0 - (left + right) / 2.0;
        // A chosen size moves ranks apart or together.
        let ranks = layout.ranks.len();
        let apart = if ranks > 1 { ((area.height() - HIGH) / (ranks - 1) as f64).max(HIGH + 12.0) } else { 0.0 };
        let top = |spot: &Spot| area.top + spot.rank as f64 * apart;
        let scene = &mut canvas.scene;
        for spot in &layout.spots {
            let high = if spot.node.is_some() { 0.0 } else { HIGH };
            for above in &spot.above {
                let from = &layout.spots[*above];
                let is_box = from.node.is_some();
                // Edges into one box arrive next to each other.
                let (x0, y0) = (middle + from.x, top(from) + HIGH);
                let (x1, y1) = (middle + spot.x + arrival(spot, *above, &layout), top(spot));
                let start = if is_box { (x0, y0) } else { (x0, y0 - 0.5) };
                connect(scene, start, (x1, y1), spot.node.is_some());
            }
            if high > 0.0 {
                let x = middle + spot.x;
                scene.line([(x, top(spot)), (x, top(spot) + HIGH)], Colour::Muted, 1.4);
            }
        }
        for spot in &layout.spots {
            let Some(node) = spot.node.map(|index| &self.nodes[index]) else { continue };
            let (name, note) = self.lines(node);
            let (x, y) = (middle + spot.x, top(spot));
            let (from, to) = ((x - spot.wide / 2.0, y), (x + spot.wide / 2.0, y + HIGH));
            let fill = match (node.layer, node.parameters) {
                (None, _) => Colour::Page,
                (_, 0) => Colour::Share(0),
                _ => Colour::Region(0),
            };
            scene.fill(from, to, fill);
            scene.outline(from, to, if node.parameters > 0 { Colour::Series(0) } else { Colour::Muted }, 1.3);
            scene.bold(name, (x, y + 14.0), NAME, Colour::Ink, Align::Middle);
            scene.text(note, (x, y + 30.0), NOTE, Colour::Ink, Align::Middle);
        }
    }
}

/// The place at which an edge arrives at a box, from the box's middle.
pub(crate) fn arrival(spot: &Spot, above: usize, layout: &Layout) -> f64 {
    let mut order = spot.above.clone();
    order.sort_by(|a, b| layout.spots[*a].x.total_cmp(&layout.spots[*b].x));
    let place = order.iter().position(|other| *other == above).unwrap_or(0) as f64;
    let apart = (spot.wide / (order.len() + 1) as f64).min(36.0);
    apart * (place - (order.len() as f64 - 1.0) / 2.0)
}

/// Draws an edge: straight down, or down in an S.
fn connect(scene: &mut Scene, from: Point, to: Point, has_head: bool) {
    let end = (to.0, if has_head { to.1 - 6.0 } else { to.1 });
    if (from.0 - end.0).abs() < 0.5 {
        scene.line([from, end], Colour::Muted, 1.4);
    } else {
        let at = |part: f64| {
            let across = part * part * (3.0 - 2.0 * part);
            (from.0 + across * (end.0 - from.0), from.1 + part * (end.1 - from.1))
        };
        scene.line((0..=12).map(|step| at(f64::from(step) / 12.0)), Colour::Muted, 1.4);
    }
    if has_head {
        scene.arrow((to.0, from.1), to, 8.0, Colour::Muted);
    }
}

impl Layout {
    /// Lays boxes out, each below all that it is connected with.
    pub(crate) fn new(items: &[Item]) -> Self {
        let mut rank = vec![0; items.len()];
        for (index, item) in items.iter().enumerate() {
            rank[index] = item.inputs.iter().map(|&(input, _)| rank[input] + 1).max().unwrap_or(0);
        }
        let spot = |(index, item): (usize, &Item)| {
            let Item { wide, room, .. } = *item;
            Spot { node: Some(index), rank: rank[index], wide, room, above: Vec::new(), x: 0.0 }
        };
        let mut spots: Vec<Spot> = items.iter().enumerate().map(spot).collect();
        for (index, item) in items.iter().enumerate() {
            for &(input, room) in &item.inputs {
                let mut from = input;
                for rank in rank[input] + 1..rank[index] {
                    spots.push(Spot { node: None, rank, wide: 8.0, room, above: vec![from], x: 0.0 });
                    from = spots.len() - 1;
                }
                spots[index].above.push(from);
            }
        }
        let count = spots.iter().map(|spot| spot.rank + 1).max().unwrap_or(0);
        let mut ranks: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (index, spot) in spots.iter().enumerate() {
            ranks[spot.rank].push(index);
        }
        let mut layout = Self { spots, ranks };
        layout.arrange();
        layout
    }

    /// Orders the spots of each rank so that edges cross little, and moves each towards those that it is connected with.
    fn arrange(&mut self) {
        let below = self.below();
        let ranks = self.ranks.concat();
        for (spots, is_down) in [(ranks.clone(), true), (ranks.into_iter().rev().collect(), false)] {
            for spot in spots {
                if let Some(other) = self.chained(spot, &below, is_down) {
                    self.spots[spot].room = self.spots[spot].room.max(self.spots[other].room);
                }
            }
        }
        for sweep in 0..8 {
            let is_down = sweep % 2 == 0;
            let count = self.ranks.len();
            for step in 0..count {
                let rank = if is_down { step } else { count - 1 - step };
                self.space(rank);
                let spots = &self.spots;
                let key = |&spot: &usize| {
                    let near = if is_down { &spots[spot].above } else { &below[spot] };
                    mean(near.iter().map(|&other| spots[other].x)).unwrap_or(spots[spot].x)
                };
                let mut order: Vec<(f64, usize)> = self.ranks[rank].iter().map(|spot| (key(spot), *spot)).collect();
                // What only passes by stands to the right of what is computed.
                order.sort_by(|a, b| a.0.total_cmp(&b.0).then(spots[b.1].wide.total_cmp(&spots[a.1].wide)));
                self.ranks[rank] = order.into_iter().map(|(_, spot)| spot).collect();
                self.space(rank);
            }
        }
        // The last sweep goes down.
        for sweep in 0..25 {
            let is_down = sweep % 2 == 0;
            for step in 0..self.ranks.len() {
                let rank = if is_down { step } else { self.ranks.len() - 1 - step };
                let wanted =
                    self.ranks[rank].iter().map(|&spot| self.wanted(spot, &below, is_down)).collect::<Vec<_>>();
                self.settle(rank, &wanted);
            }
        }
        self.straighten(&below);
    }

    /// The spot above or below that a spot is in a chain with: each is all that the other is connected with on that side.
    fn chained(&self, spot: usize, below: &[Vec<usize>], is_down: bool) -> Option<usize> {
        let above = |spot: usize| &self.spots[spot].above[..];
        match (above(spot), &below[spot][..]) {
            (&[other], _) if is_down => Some(other).filter(|&other| below[other].len() == 1),
            (_, &[other]) if !is_down => Some(other).filter(|&other| above(other).len() == 1),
            _ => None,
        }
    }

    /// The place at which a spot should be: below or above the one that it is in a chain with, or else in the middle of
    /// those that it is connected with.
    fn wanted(&self, spot: usize, below: &[Vec<usize>], is_down: bool) -> f64 {
        let near = || self.spots[spot].above.iter().chain(&below[spot]).map(|&other| self.spots[other].x);
        let chained = self.chained(spot, below, is_down).map(|other| self.spots[other].x);
        chained.or_else(|| mean(near())).unwrap_or(self.spots[spot].x)
    }

    /// Puts the bends of an edge that runs along one side of all boxes below each other.
    fn straighten(&mut self, below: &[Vec<usize>]) {
        let is_bend = |spots: &[Spot], spot: usize| spots[spot].node.is_none();
        let starts = (0..self.spots.len()).filter(|&spot| is_bend(&self.spots, spot));
        let starts: Vec<usize> =
            starts.filter(|&spot| !self.spots[spot].above.iter().any(|&above| is_bend(&self.spots, above))).collect();
        for start in starts {
            let next = |&spot: &usize| below[spot].first().copied().filter(|&next| is_bend(&self.spots, next));
            let chain: Vec<usize> = std::iter::successors(Some(start), next).collect();
            let are_at = |end: fn(&[usize]) -> Option<&usize>| {
                chain.iter().all(|spot| end(&self.ranks[self.spots[*spot].rank]) == Some(spot))
            };
            let places = chain.iter().map(|&spot| self.spots[spot].x);
            let x = if are_at(<[usize]>::last) {
                places.fold(f64::NEG_INFINITY, f64::max)
            } else if are_at(<[usize]>::first) {
                places.fold(f64::INFINITY, f64::min)
            } else {
                continue;
            };
            chain.iter().for_each(|&spot| self.spots[spot].x = x);
        }
    }

    fn below(&self) -> Vec<Vec<usize>> {
        let mut below = vec![Vec::new(); self.spots.len()];
        for (index, spot) in self.spots.iter().enumerate() {
            spot.above.iter().for_each(|&above| below[above].push(index));
        }
        below
    }

    /// The least distance of the middles of two spots next to each other.
    fn apart(&self, a: usize, b: usize) -> f64 {
        (self.spots[a].room + self.spots[b].room) / 2.0 + ACROSS
    }

    /// Puts the spots of a rank next to each other around the middle.
    fn space(&mut self, rank: usize) {
        let mut x = 0.0;
        let order = self.ranks[rank].clone();
        for (index, &spot) in order.iter().enumerate() {
            if index > 0 {
                x += self.apart(order[index - 1], spot);
            }
            self.spots[spot].x = x;
        }
        order.iter().for_each(|&spot| self.spots[spot].x -= x / 2.0);
    }

    /// Moves the spots of a rank as near to where they should be as their order and widths allow.
    fn settle(&mut self, rank: usize, wanted: &[f64]) {
        let order = self.ranks[rank].clone();
        let mut offset = 0.0;
        let mut offsets = Vec::new();
        for (index, &spot) in order.iter().enumerate() {
            if index > 0 {
                offset += self.apart(order[index - 1], spot);
            }
            offsets.push(offset);
        }
        // Without the distances it is the nearest sequence that never falls: neighbours that collide share their mean.
        let mut blocks: Vec<(f64, f64)> = Vec::new();
        for (wanted, offset) in wanted.iter().zip(&offsets) {
            let mut block = (wanted - offset, 1.0);
            while let Some(last) = blocks.pop_if(|last| last.0 > block.0) {
                block = ((last.0 * last.1 + block.0 * block.1) / (last.1 + block.1), last.1 + block.1);
            }
            blocks.push(block);
        }
        let flat = blocks.into_iter().flat_map(|(x, count)| std::iter::repeat_n(x, count as usize));
        for ((&spot, x), offset) in order.iter().zip(flat).zip(offsets) {
            self.spots[spot].x = x + offset;
        }
    }

    /// The ends of everything, across.
    fn ends(&self) -> (f64, f64) {
        let ends = self.spots.iter().map(|spot| (spot.x - spot.wide / 2.0, spot.x + spot.wide / 2.0));
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0.0, 0.0))
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

plot!(NetworkPlot, |_| Word::Network, Self::own_size);

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_layers::{Affine, Relu};
    use downhill_network::{Residual, branches, sequential};
    use downhill_tensor::Seed;

    fn network() -> Network<f32> {
        let side = branches![concat 0; Affine::new(6), sequential![Affine::new(4), Relu], Affine::new(2)];
        let block = sequential![Affine::new(12), side, Residual(sequential![Affine::new(12), Relu]), Affine::new(3)];
        Network::build([4], block, Seed(1)).unwrap()
    }

    #[test]
    fn boxes_of_a_rank_stand_apart_and_edges_go_down() {
        let layout = network().plot().layout();
        for rank in &layout.ranks {
            for pair in rank.windows(2) {
                let (a, b) = (&layout.spots[pair[0]], &layout.spots[pair[1]]);
                assert!(b.x - a.x >= (a.wide + b.wide) / 2.0 + ACROSS - 1e-9);
            }
        }
        for spot in &layout.spots {
            assert!(spot.above.iter().all(|&above| layout.spots[above].rank + 1 == spot.rank));
        }
    }

    #[test]
    fn dot_names_each_layer_and_each_edge() {
        let network = network();
        let dot = network.plot().to_dot();
        for layer in network.summary().layers() {
            assert!(dot.contains(&format!("[label=\"{} {}\\n", layer.place, layer.layer)), "{dot}");
        }
        let edges: usize = network.summary().layers().iter().map(|layer| layer.inputs.len()).sum();
        assert_eq!(dot.matches(" -> ").count(), edges);
    }
}
