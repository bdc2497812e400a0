//! Results from sources: the forward pass, and the gradient of the input.

use super::*;

mod across;
mod along;

/// The most channels of a result that are computed together where pixels lie along the vectors.
const MOST: usize = 6;

/// With fewer terms than this, channels never lie along the vectors: it would cost too much to turn the results.
const FEW: usize = 96;

/// With as many terms as this they do unless vectors would be much emptier.
const MANY: usize = 256;

/// The order in which channels of the result are computed together.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    /// The channels of a group.
    group: usize,
    /// Whether channels lie along the vectors, and not pixels.
    across: bool,
    /// The numbers in a register.
    lanes: usize,
}

impl Blocks {
    /// The channels of a range that ends where a block does, a few at a time, and never from two groups:
    /// the first of each block and their number.
    fn of(self, channels: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let mut next = channels.start;
        std::iter::from_fn(move || {
            let first = next;
            let left = self.group - first % self.group;
            next += if self.across {
                left.min(2 * self.lanes)
            } else {
                // No block is much smaller than the others.
                match left.div_ceil(left.div_ceil(MOST)) {
                    3 => 2,
                    count => count,
                }
            };
            (first < channels.end).then_some((first, next - first))
        })
    }

    /// The number of weights of `channels` channels for one term, with zeros for the lanes without a channel.
    fn weights(self, channels: usize) -> usize {
        if self.across { channels.next_multiple_of(self.lanes) } else { channels }
    }

    /// The rows of a block's weights: one for each term, after one for the bias if channels lie along the vectors.
    fn rows(self, terms: usize) -> usize {
        terms + usize::from(self.across)
    }

    /// The start of the weights of the block that begins with a channel.
    fn start(self, channel: usize, terms: usize) -> usize {
        let (group, within) = (channel / self.group, channel % self.group);
        (group * self.weights(self.group) + within) * self.rows(terms)
    }
}

/// The data that all pieces of a pass share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a, T> {
    layout: PlaneLayout,
    groups: usize,
    blocks: Blocks,
    /// For each pair of phases the distances of its taps, for each source of a group.
    table: &'a [u32],
    /// For each pair of phases the weights in the order in which they are used.
    weights: &'a [T],
    /// `None` if channels lie along the vectors: then it is among the weights.
    bias: Option<&'a [T]>,
}

/// Some examples and some channels of the result.
#[derive(Debug)]
pub(super) struct Task<'a, T> {
    pass: Pass<'a, T>,
    x: &'a [T],
    /// For each example those channels.
    y: &'a mut [T],
    channels: Range<usize>,
    /// Room for as many pieces as this is cut into.
    room: &'a mut [T],
}

/// The length of the buffer for results before they are put where they belong.
fn buffer_len(layout: &PlaneLayout) -> usize {
    along::buffer_len(layout).max(across::BUFFER)
}

fn room_len(layout: &PlaneLayout) -> usize {
    layout.len().saturating_add(buffer_len(layout))
}

pub(super) fn scratch_len(of: &Convolution, backward: bool) -> usize {
    let layout = layout(of, backward);
    let (results, sources) = if backward { (of.channels, of.outputs) } else { (of.outputs, of.channels) };
    let lanes = (results / of.groups).saturating_add(SLACK).saturating_mul(of.groups);
    let phases = layout.lines[0].phases().saturating_mul(layout.lines[1].phases());
    let rows = (sources / of.groups).saturating_mul(of.taps()).saturating_add(phases);
    room_len(&layout).saturating_mul(WORKERS).saturating_add(lanes.saturating_mul(rows))
}

pub(super) fn forward<T: Direct>(
    of: &Convolution,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
) {
    let strides = [of.group_sum(), of.taps()];
    run(of, layout(of, false), of.outputs, x, (weight, strides), bias, y, scratch);
}

pub(super) fn input_gradient<T: Direct>(
    of: &Convolution,
    dy: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    dx: &mut [T],
    scratch: &mut [T],
) {
    let strides = [of.taps(), of.group_sum()];
    run(of, layout(of, true), of.channels, dy, (weight, strides), bias, dx, scratch);
}

/// The kernels of a group lie one channel of the result, and one source, from the next by the strides.
#[expect(clippy::too_many_arguments, reason = "the passes above differ in all of them")]
fn run<T: Direct>(
    of: &Convolution,
    layout: PlaneLayout,
    results: usize,
    x: &[T],
    (weight, [next_channel, next_source]): (&[T], [usize; 2]),
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
) {
    if x.is_empty() {
        return;
    }
    let (table, scratch) = super::table(of, scratch);
    let lanes = super::lanes::<T>();
    let (group, sources) = (results / of.groups, layout.channels / of.groups);
    let terms = sources * of.taps() / layout.phases().count().max(1);
    let blocks = Blocks { group, across: true, lanes };
    // The numbers that vectors hold for each that is a result: results, and the lanes that have none.
    let waste_across = blocks.weights(group) as f64 / group as f64;
    let waste_along = layout.phases().next().map_or(1.0, |phases| along::Walk::new(&layout, phases, lanes).waste());
    let across =
        (terms >= FEW && 1.1 * waste_across < waste_along) || (terms >= MANY && waste_across < 1.1 * waste_along);
    let blocks = Blocks { across, ..blocks };
    let (mut term, mut next) = (0, 0);
    for phases in layout.phases() {
        for source in 0..sources {
            for (distance, _) in layout.taps(phases) {
                table[term] = super::distance(source * layout.channel() + distance);
                term += 1;
            }
        }
        for (first, count) in blocks.of(0..results) {
            let offsets =
                (0..sources).flat_map(|source| layout.taps(phases).map(move |(_, tap)| source * next_source + tap));
            let width = blocks.weights(count);
            let length = blocks.rows(sources * layout.taps(phases).count()) * width;
            let block = &mut scratch[next..][..length];
            next += length;
            block.fill(T::ZERO);
            let mut rows = block.chunks_exact_mut(width).map(|row| &mut row[..count]);
            if across && let (Some(row), Some(bias)) = (rows.next(), bias) {
                row.copy_from_slice(&bias[first..first + count]);
            }
            let kernels = &weight[first / group * (weight.len() / of.groups) + first % group * next_channel..];
            for (row, offset) in rows.zip(offsets) {
                let kernels = kernels[offset..].iter().step_by(next_channel);
                row.iter_mut().zip(kernels).for_each(|(row, &weight)| *row = weight);
            }
        }
    }
    let (weights, room) = scratch.split_at_mut(next);
    let pass = Pass { layout, groups: of.groups, blocks, table, weights, bias };
    let task = Task { pass, x, y, channels: 0..results, room };
    let work = x.len() / layout.source() * weight.len() * of.output_plane();
    task.divide(super::pieces(work));
}

impl<T: Direct> Task<'_, T> {
    fn divide(self, pieces: usize) {
        let Self { pass, x, y, channels, room } = self;
        let left = pieces / 2;
        let examples = x.len() / pass.layout.source();
        // One example is cut between its channels, where a block of them ends.
        let target = channels.start + channels.len() * left / pieces.max(1);
        let mut ends = pass.blocks.of(channels.clone()).map(|(first, count)| first + count);
        let cut = ends.find(|&end| end >= target).unwrap_or(channels.end);
        if pieces < 2 || (examples < 2 && cut == channels.end) {
            return Task { pass, x, y, channels, room }.run();
        }
        let (room0, room1) = room.split_at_mut(room_len(&pass.layout) * left);
        let (x0, x1, y_middle, channels0, channels1) = if examples < 2 {
            let plane = y.len() / channels.len();
            (x, x, (cut - channels.start) * plane, channels.start..cut, cut..channels.end)
        } else {
            let middle = examples * left / pieces;
            let (x0, x1) = x.split_at(middle * pass.layout.source());
            (x0, x1, y.len() / examples * middle, channels.clone(), channels)
        };
        let (y0, y1) = y.split_at_mut(y_middle);
        threads::join(
            || Task { pass, x: x0, y: y0, channels: channels0, room: room0 }.divide(left),
            || Task { pass, x: x1, y: y1, channels: channels1, room: room1 }.divide(pieces - left),
        );
    }

    fn run(self) {
        let Self { pass, x, y, channels, room } = self;
        let layout = pass.layout;
        let (planes, buffer) = room[..room_len(&layout)].split_at_mut(layout.len());
        planes.fill(T::ZERO);
        let [height, width] = layout.lines;
        let result = channels.len() * height.result() * width.result();
        for (x, y) in x.chunks_exact(layout.source()).zip(y.chunks_exact_mut(result)) {
            layout.put(x, planes);
            let (mut table, mut weights) = (pass.table, pass.weights);
            for phases in layout.phases() {
                let terms = height.taps(phases[0]) * width.taps(phases[1]) * (layout.channels / pass.groups);
                let (distances, of_phase);
                (distances, table) = table.split_at(terms);
                (of_phase, weights) = weights.split_at(pass.blocks.start(pass.groups * pass.blocks.group, terms));
                let part = Part {
                    pass,
                    numbers: phases,
                    phases: [height.phase(phases[0]), width.phase(phases[1])],
                    distances,
                    weights: of_phase,
                    planes,
                };
                if pass.blocks.across {
                    part.across(channels.clone(), y, buffer);
                } else {
                    part.along(channels.clone(), y, buffer);
                }
            }
        }
    }
}

/// The results of one example that read the same taps.
struct Part<'a, T> {
    pass: Pass<'a, T>,
    /// Which phases of the height and the width these are.
    numbers: [usize; 2],
    phases: [Phase; 2],
    distances: &'a [u32],
    weights: &'a [T],
    planes: &'a [T],
}
