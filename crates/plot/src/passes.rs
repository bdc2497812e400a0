//! A forward and a backward pass over the graph of a network.

use downhill_explain::{Array, Explanation, Node, Targets};

use crate::graph::{Item, Layout, Spot, arrival};
use crate::look::{Canvas, Look, plot};
use crate::scene::{Align, Dash, Entry, Point, Sample, Scene};
use crate::text::{number, width};
use crate::theme::Colour;
use crate::words::{Language, Word};

/// An explanation as a picture: values flow down the graph of the network, gradients back up, and each layer shows its
/// parameters with their gradients.
///
/// Up to four numbers of an array are written, and otherwise its norm.
///
/// ```
/// use downhill_explain::Explain;
/// use downhill_layers::{Affine, Sigmoid};
/// use downhill_losses::{MeanSquaredError, Target};
/// use downhill_network::{Network, sequential};
/// use downhill_plot::PlotPasses;
/// use downhill_tensor::{Batch, Seed};
///
/// let network = Network::<f64>::build([2], sequential![Affine::new(2), Sigmoid], Seed(1))?;
/// let x = Batch::new(&[0.5, -1.0], 1, [2])?;
/// let explanation = network.explain(x, Target::Values(&[1.0, 0.0]), &MeanSquaredError::new())?;
/// let svg = explanation.plot().to_svg();
/// assert!(svg.contains("(0.5, −1)") && svg.contains("MeanSquaredError"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PassesPlot {
    look: Look,
    boxes: Vec<Box>,
}

/// Plots of an [`Explanation`].
pub trait PlotPasses {
    /// Makes a plot of the forward and the backward pass.
    fn plot(&self) -> PassesPlot;
}

/// An input, a layer, or the loss at the end.
#[derive(Clone, Debug, Default)]
struct Box {
    /// What it is called; an input has no name of its own.
    name: Option<String>,
    /// The shape of what it makes, or J.
    note: String,
    /// Each parameter with its gradient.
    parameters: Vec<(String, Few, Few)>,
    /// The targets, if it is the loss.
    targets: Option<Few>,
    wires: Vec<Wire>,
}

/// What a box reads.
#[derive(Clone, Debug)]
struct Wire {
    from: usize,
    values: Few,
    gradient: Few,
}

/// The numbers of an array if they are few, and its norm otherwise.
#[derive(Clone, Debug)]
enum Few {
    Numbers(Vec<f64>),
    Norm(f64),
}

/// The most numbers that are written.
const FEW: usize = 4;

impl Few {
    fn of(array: &Array) -> Self {
        match array.numbers.len() {
            1..=FEW => Self::Numbers(array.numbers.clone()),
            _ => Self::Norm(array.norms.norm),
        }
    }

    fn text(&self, language: Language) -> String {
        match self {
            Self::Numbers(numbers) => {
                let all = numbers.iter().map(|x| number(*x, 4)).collect::<Vec<_>>().join(", ");
                if numbers.len() == 1 { all } else { format!("({all})") }
            }
            Self::Norm(norm) => format!("{} {}", Word::Norm.of(language), number(*norm, 4)),
        }
    }
}

impl PlotPasses for Explanation {
    fn plot(&self) -> PassesPlot {
        let of_node = |node: &Node| Box { note: node.shape.to_string(), ..Box::default() };
        let mut boxes: Vec<Box> = self.nodes.iter().map(of_node).collect();
        let parameter = |index: &usize| {
            let parameter = self.parameters.get(*index)?;
            Some((parameter.short_name().to_owned(), Few::of(&parameter.values), Few::of(&parameter.gradient)))
        };
        for step in &self.steps {
            let Some(made) = boxes.get_mut(step.output) else { continue };
            made.name = Some(format!("{} {}", step.name, step.layer).trim_start().to_owned());
            made.parameters = step.parameters.iter().filter_map(parameter).collect();
            // A file need not be true: nothing is read here that was not made before.
            let read = step.inputs.iter().zip(&step.dx).filter(|(from, _)| **from < step.output);
            made.wires.extend(read.filter_map(|(&from, gradient)| {
                Some(Wire { from, values: Few::of(&self.nodes.get(from)?.values), gradient: Few::of(gradient) })
            }));
        }
        let compared = self.nodes.get(self.loss.node).map(|node| Wire {
            from: self.loss.node,
            values: Few::of(&node.values),
            gradient: Few::of(&node.gradient),
        });
        let targets = match &self.loss.targets {
            Targets::Values(values) => Some(Few::of(values)),
            Targets::Classes(classes) if (1..=FEW).contains(&classes.len()) => {
                Some(Few::Numbers(classes.iter().map(|&class| class.into()).collect()))
            }
            _ => None,
        };
        boxes.push(Box {
            name: Some(self.loss.name.clone()),
            note: format!("J = {}", number(self.loss.value, 4)),
            parameters: Vec::new(),
            targets,
            wires: compared.into_iter().collect(),
        });
        PassesPlot { look: Look::default(), boxes }
    }
}

/// The size of a box's name and of its other lines, and the height of a line.
const NAME: f64 = 13.0;
const LINE: f64 = 11.5;
const LEADING: f64 = 16.0;

/// Space between ranks, in which numbers stand next to the edges.
const GAP: f64 = 68.0;

/// How far the two directions of an edge are from its middle, and the numbers next to them.
const LANE: f64 = 4.0;
const BESIDE: f64 = 12.0;

const FORWARD: Colour = Colour::Series(0);
const BACKWARD: Colour = Colour::Series(1);

impl Box {
    /// What is written in it, line by line.
    fn lines(&self, language: Language) -> Vec<String> {
        let say = |word: Word| word.of(language);
        let name = self.name.clone().unwrap_or_else(|| say(Word::Input).to_owned());
        let mut lines = vec![name, self.note.clone()];
        for (name, values, gradient) in &self.parameters {
            lines.push(format!("{name}: {}", values.text(language)));
            lines.push(format!("{}: {}", say(Word::Gradient), gradient.text(language)));
        }
        lines.extend(self.targets.iter().map(|targets| format!("{}: {}", say(Word::True), targets.text(language))));
        lines
    }

    fn height(&self) -> f64 {
        14.0 + LEADING * self.lines(Language::English).len() as f64
    }
}

impl PassesPlot {
    fn layout(&self) -> Layout {
        let language = self.look.language;
        // The numbers of an edge stand to both sides of it, so the wider of the two counts twice.
        let room = |wire: &Wire| {
            let wide = |few: &Few| width(&few.text(language), LINE) + BESIDE;
            2.0 * wide(&wire.values).max(wide(&wire.gradient))
        };
        let mut items: Vec<Item> = Vec::new();
        for one in &self.boxes {
            let lines = one.lines(language);
            let widths = lines.iter().enumerate().map(|(index, line)| match index {
                0 => 1.06 * width(line, NAME),
                _ => width(line, LINE),
            });
            let wide = widths.fold(0.0, f64::max) + 24.0;
            let inputs: Vec<(usize, f64)> = one.wires.iter().map(|wire| (wire.from, room(wire))).collect();
            if let [(from, room)] = inputs[..] {
                items[from].room = items[from].room.max(room);
                items.push(Item { wide, room: wide.max(room), inputs });
            } else {
                for &(from, room) in &inputs {
                    items[from].room = items[from].room.max(room);
                }
                items.push(Item { wide, room: wide, inputs });
            }
        }
        Layout::new(&items)
    }

    /// The height of each rank: that of its highest box.
    fn ranks(&self, layout: &Layout) -> Vec<f64> {
        let height = |&spot: &usize| layout.spots[spot].node.map_or(0.0, |node| self.boxes[node].height());
        layout.ranks.iter().map(|rank| rank.iter().map(height).fold(0.0, f64::max)).collect()
    }

    fn own_size(&self) -> (u32, u32) {
        let layout = self.layout();
        let (left, right) = ends(&layout);
        let title = if self.look.title.is_some() { 28.0 } else { 0.0 };
        // Below the legend, which is one line if there is room for it.
        let wide = (right - left + 28.0).max(380.0);
        (
            wide.ceil() as u32,
            (self.ranks(&layout).iter().map(|high| high + GAP).sum::<f64>() - GAP + 56.0 + title).ceil() as u32,
        )
    }

    fn draw(&self, canvas: &mut Canvas) {
        let language = canvas.language;
        let entry =
            |word, colour| Entry { text: canvas.say(word).to_owned(), sample: Sample::Line(Dash::Solid, 1.8), colour };
        let entries = [entry(Word::ForwardValues, FORWARD), entry(Word::BackwardGradients, BACKWARD)];
        canvas.legend(&entries);
        let layout = self.layout();
        let ranks = self.ranks(&layout);
        let (left, right) = ends(&layout);
        let area = canvas.area;
        let middle = (area.left + area.right) / 2.0 - (left + right) / 2.0;
        let above = |rank: usize| ranks[..rank].iter().map(|high| high + GAP).sum::<f64>();
        let top = |spot: usize| area.top + above(layout.spots[spot].rank);
        let bottom = |spot: usize| {
            let Spot { node, rank, .. } = layout.spots[spot];
            top(spot) + node.map_or(ranks[rank], |node| self.boxes[node].height())
        };
        let scene = &mut canvas.scene;
        for (index, spot) in layout.spots.iter().enumerate() {
            if spot.node.is_none() {
                let x = middle + spot.x;
                both_ways(scene, (x, top(index)), (x, bottom(index)), (false, false), true);
            }
            for (input, &from) in spot.above.iter().enumerate() {
                let (x0, y0) = (middle + layout.spots[from].x, bottom(from));
                let (x1, y1) = (middle + spot.x + arrival(spot, from, &layout), top(index));
                let (is_start, is_end) = (layout.spots[from].node.is_some(), spot.node.is_some());
                // An edge goes straight down where its numbers are: at the end that no other edge shares.
                let is_single = spot.above.len() == 1;
                both_ways(scene, (x0, y0), (x1, y1), (is_start, is_end), is_single);
                // Of a long edge they stand next to its first bend.
                let Some((node, input)) = end(&layout, index, input).filter(|_| is_start) else { continue };
                let wire = &self.boxes[node].wires[input];
                let at = match (is_end, is_single) {
                    (false, _) => (x1, y1 + ranks[spot.rank] / 2.0),
                    (true, _) if (x0 - x1).abs() < 0.5 => (x1, (y0 + y1) / 2.0),
                    (true, true) => (x1, y1 - GAP / 4.0),
                    (true, false) => (x0, y0 + GAP / 4.0),
                };
                scene.text(wire.values.text(language), (at.0 - BESIDE, at.1), LINE, Colour::Ink, Align::Right);
                scene.text(wire.gradient.text(language), (at.0 + BESIDE, at.1), LINE, Colour::Ink, Align::Left);
            }
        }
        for (index, spot) in layout.spots.iter().enumerate() {
            let Some(one) = spot.node.map(|node| &self.boxes[node]) else { continue };
            let (x, y) = (middle + spot.x, top(index));
            let (from, to) = ((x - spot.wide / 2.0, y), (x + spot.wide / 2.0, y + one.height()));
            let fill = if one.parameters.is_empty() { Colour::Share(0) } else { Colour::Region(0) };
            scene.fill(from, to, fill);
            scene.outline(from, to, if one.parameters.is_empty() { Colour::Muted } else { FORWARD }, 1.3);
            for (line, text) in one.lines(language).into_iter().enumerate() {
                let at = (x, y + 15.0 + LEADING * line as f64);
                if line == 0 {
                    scene.bold(text, at, NAME, Colour::Ink, Align::Middle);
                } else {
                    scene.text(text, at, LINE, Colour::Ink, Align::Middle);
                }
            }
        }
    }
}

/// The ends of everything across, with the numbers next to edges.
fn ends(layout: &Layout) -> (f64, f64) {
    let ends = layout.spots.iter().map(|spot| (spot.x - spot.room / 2.0, spot.x + spot.room / 2.0));
    ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0.0, 0.0))
}

/// The box that an edge leads to in the end, and which of its inputs it is.
fn end(layout: &Layout, mut spot: usize, mut input: usize) -> Option<(usize, usize)> {
    while layout.spots[spot].node.is_none() {
        let below = layout.spots.iter().enumerate();
        let mut below =
            below.filter_map(|(index, one)| Some((index, one.above.iter().position(|&above| above == spot)?)));
        (spot, input) = below.next()?;
    }
    layout.spots[spot].node.map(|node| (node, input))
}

/// Draws a piece of an edge down in one colour, and next to it back up in the other; heads are at boxes. It bends in its
/// upper or its lower half.
fn both_ways(scene: &mut Scene, from: Point, to: Point, (is_start, is_end): (bool, bool), bends_above: bool) {
    let piece = |aside: f64, (start, end): (f64, f64)| -> Vec<Point> {
        let at = |part: f64| {
            let bent = (2.0 * part - if bends_above { 0.0 } else { 1.0 }).clamp(0.0, 1.0);
            let across = bent * bent * (3.0 - 2.0 * bent);
            (from.0 + aside + across * (to.0 - from.0), start + part * (end - start))
        };
        let steps = if (from.0 - to.0).abs() < 0.5 { 1 } else { 20 };
        (0..=steps).map(|step| at(f64::from(step) / f64::from(steps))).collect()
    };
    scene.line(piece(-LANE, (from.1, to.1 - if is_end { 7.0 } else { 0.0 })), FORWARD, 1.8);
    scene.line(piece(LANE, (from.1 + if is_start { 7.0 } else { 0.0 }, to.1)), BACKWARD, 1.8);
    if is_end {
        scene.arrow((to.0 - LANE, from.1), (to.0 - LANE, to.1), 8.0, FORWARD);
    }
    if is_start {
        scene.arrow((from.0 + LANE, to.1), (from.0 + LANE, from.1), 8.0, BACKWARD);
    }
}

plot!(PassesPlot, |_| Word::Passes, Self::own_size);
