use std::ops::ControlFlow;

use downhill_data::Dataset;
use downhill_losses::Loss;
use downhill_network::Network;
use downhill_optim::Segment;
use downhill_tensor::{Scalar, Seed};
use downhill_train::{Callback, EpochEnd, NO_METRICS, RunStart, StepEnd, evaluate};

use crate::PlotError;
use crate::axis::Axis;
use crate::contour::{Grid, Levels};
use crate::descent::PathLine;
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::{Dash, Entry, Marker, Sample};
use crate::text::percent;
use crate::theme::Colour;
use crate::words::Word;

/// An observer of a run that keeps the network's parameters: at the start and after each epoch, or after some steps.
///
/// It holds a copy of all parameters for each: for a large network let it keep few.
///
/// ```
/// use downhill_data::digits;
/// use downhill_layers::{Affine, Relu};
/// use downhill_losses::SoftmaxCrossEntropy;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Adam;
/// use downhill_plot::{Landscape, Trajectory};
/// use downhill_tensor::Seed;
/// use downhill_train::Trainer;
///
/// let data = digits::<f32>()?.select(&Vec::from_iter(0..200))?;
/// let mut network = Network::build([64], sequential![Affine::new(8), Relu, Affine::new(10)], Seed(1))?;
/// let mut trajectory = Trajectory::new();
/// let loss = SoftmaxCrossEntropy::new();
/// Trainer::new(loss.clone(), Adam::new(0.01)).epochs(5).callback(&mut trajectory).fit(&mut network, &data)?;
///
/// let landscape = Landscape::new().resolution(9).along(&network, &data, &loss, &trajectory)?;
/// assert!(landscape.to_svg().contains("principal direction"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trajectory<T> {
    steps: Option<u64>,
    points: Vec<Vec<T>>,
}

impl<T> Default for Trajectory<T> {
    fn default() -> Self {
        Self { steps: None, points: Vec::new() }
    }
}

impl<T: Scalar> Trajectory<T> {
    /// Makes an observer that keeps the parameters at the start and after each epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the parameters after each of this many steps instead.
    #[must_use]
    pub fn every(mut self, steps: u64) -> Self {
        self.steps = Some(steps.max(1));
        self
    }

    /// The parameters that were kept, the earliest first.
    #[must_use]
    pub fn points(&self) -> &[Vec<T>] {
        &self.points
    }
}

impl<T: Scalar> Callback<T> for Trajectory<T> {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        self.points = vec![start.network.parameters().to_vec()];
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        if self.steps.is_some_and(|steps| (end.step + 1).is_multiple_of(steps)) {
            self.points.push(end.network.parameters().to_vec());
        }
        ControlFlow::Continue(())
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, T>) -> ControlFlow<()> {
        if self.steps.is_none() {
            self.points.push(end.network.parameters().to_vec());
        }
        ControlFlow::Continue(())
    }
}

/// A slice through the loss as a function of a network's parameters: J(θ + a δ + b η) over the numbers a and b.
///
/// The directions δ and η are [random](Landscape::random) ones, which show how flat a minimum is, or the
/// [principal ones of a run](Landscape::along), which show its path.
#[derive(Clone, Debug)]
pub struct Landscape {
    resolution: usize,
    reach: f64,
    seed: Seed,
}

impl Default for Landscape {
    fn default() -> Self {
        Self::new()
    }
}

impl Landscape {
    /// Makes a slice of 31 x 31 points, up to 1 in both random directions.
    #[must_use]
    pub fn new() -> Self {
        Self { resolution: 31, reach: 1.0, seed: Seed(0) }
    }

    /// Sets the number of points along each direction, at each of which all data are evaluated.
    #[must_use]
    pub fn resolution(mut self, points: usize) -> Self {
        self.resolution = points.clamp(3, 500);
        self
    }

    /// Sets how far random directions are followed; at 1 a random filter is as long as that of the network.
    #[must_use]
    pub fn reach(mut self, reach: f64) -> Self {
        self.reach = reach;
        self
    }

    /// Sets the seed of random directions.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Evaluates the loss along two random directions from the network's parameters, each filter of which has the length
    /// of the network's (Li, Xu, Taylor, Studer and Goldstein 2018, "Visualizing the loss landscape of neural nets").
    /// Biases and other vectors stay as they are.
    ///
    /// # Errors
    /// Returns an error if the reach is not above 0, or the data do not fit the network or the loss.
    pub fn random<T: Scalar>(
        &self,
        network: &Network<T>,
        data: &Dataset<T>,
        loss: &impl Loss,
    ) -> Result<LandscapePlot, PlotError> {
        if !(self.reach > 0.0 && self.reach.is_finite()) {
            return Err(PlotError::data(
                "a loss landscape",
                format!("its reach is {}, but must be above 0", self.reach),
            ));
        }
        let directions = [0, 1].map(|key| filter_normalised(network, self.seed.derive(key)));
        let ends = (-self.reach, self.reach);
        let origin = to_f64(network.parameters());
        self.evaluate(network, data, loss, &origin, directions, ends, ends, Vec::new(), [None; 2])
    }

    /// Evaluates the loss in the plane through the end of a run in which it moved most: the first two principal
    /// directions of its points. The path of the run is drawn in it, and the axes say what share of the movement each
    /// direction holds.
    ///
    /// # Errors
    /// Returns an error if the run has fewer than three points or did not move, or the data do not fit the network or
    /// the loss.
    pub fn along<T: Scalar>(
        &self,
        network: &Network<T>,
        data: &Dataset<T>,
        loss: &impl Loss,
        trajectory: &Trajectory<T>,
    ) -> Result<LandscapePlot, PlotError> {
        let what = "a loss landscape along a run";
        let points: Vec<Vec<f64>> = trajectory.points.iter().map(|point| to_f64(point)).collect();
        let Some(origin) = points.last().filter(|_| points.len() > 2) else {
            return Err(PlotError::data(
                what,
                format!("the run has {} points, but 3 are needed: keep more", points.len()),
            ));
        };
        if origin.len() != network.parameters().len() {
            let reason =
                format!("its points have {} parameters, the network {}", origin.len(), network.parameters().len());
            return Err(PlotError::data(what, reason));
        }
        let moved: Vec<Vec<f64>> = points.iter().map(|point| difference(point, origin)).collect();
        let Some((directions, shares)) = principal(&moved) else {
            return Err(PlotError::data(what, "the parameters did not move"));
        };
        let path: Vec<(f64, f64)> =
            moved.iter().map(|point| (dot(point, &directions[0]), dot(point, &directions[1]))).collect();
        let ends = |number: fn(&(f64, f64)) -> f64| {
            let (low, high) =
                path.iter().map(number).fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
            (low, high)
        };
        let (across, up) = (ends(|point| point.0), ends(|point| point.1));
        // Room around the path, as much along both so that a straight one is seen as such.
        let room = 0.25 * (across.1 - across.0).max(up.1 - up.0);
        let [across, up] = [across, up].map(|(low, high)| (low - room, high + room));
        self.evaluate(network, data, loss, origin, directions, across, up, path, shares.map(Some))
    }

    #[expect(clippy::too_many_arguments, reason = "the two doors before this have fewer")]
    fn evaluate<T: Scalar>(
        &self,
        network: &Network<T>,
        data: &Dataset<T>,
        loss: &impl Loss,
        origin: &[f64],
        directions: [Vec<f64>; 2],
        across: (f64, f64),
        up: (f64, f64),
        path: Vec<(f64, f64)>,
        shares: [Option<f64>; 2],
    ) -> Result<LandscapePlot, PlotError> {
        let mut network = network.clone();
        let mut failed = None;
        let grid = Grid::new(self.resolution, self.resolution, |x, y| {
            let (a, b) = (across.0 + x * (across.1 - across.0), up.0 + y * (up.1 - up.0));
            let theta = origin.iter().zip(directions[0].iter().zip(&directions[1]));
            for (parameter, (x, (d, e))) in network.parameters_mut().iter_mut().zip(theta) {
                *parameter = T::from_f64(x + a * d + b * e);
            }
            match evaluate(&network, loss, data, NO_METRICS) {
                Ok(found) => found.loss,
                Err(error) => {
                    failed.get_or_insert(error);
                    f64::NAN
                }
            }
        });
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(LandscapePlot { look: Look::default(), grid, across, up, path, shares }),
        }
    }
}

/// The loss around a network's parameters, as [`Landscape`] has evaluated it.
#[derive(Clone, Debug)]
pub struct LandscapePlot {
    look: Look,
    grid: Grid,
    across: (f64, f64),
    up: (f64, f64),
    path: Vec<(f64, f64)>,
    shares: [Option<f64>; 2],
}

impl LandscapePlot {
    /// The losses, row after row from the lowest b, and from the lowest a in each.
    #[must_use]
    pub fn losses(&self) -> &[f64] {
        &self.grid.values
    }

    fn draw(&self, canvas: &mut Canvas) {
        let entry = |text: &str, sample, colour| Entry { text: text.to_owned(), sample, colour };
        let mut entries = Vec::new();
        if self.path.is_empty() {
            entries.push(entry(canvas.say(Word::Network), Sample::Marker(Marker::Diamond), Colour::Series(1)));
        } else {
            entries.push(entry(
                canvas.say(Word::Training),
                Sample::Marked(Dash::Solid, Marker::Disc),
                Colour::Series(0),
            ));
            entries.push(entry(canvas.say(Word::Start), Sample::Marker(Marker::Ring), Colour::Ink));
            entries.push(entry(canvas.say(Word::End), Sample::Marker(Marker::Diamond), Colour::Series(1)));
        }
        canvas.legend(&entries);
        let [x, y] = [0, 1].map(|index| match self.shares[index] {
            Some(share) => format!("{} {} ({})", canvas.say(Word::PrincipalDirection), index + 1, percent(share)),
            None => format!("{} {}", canvas.say(Word::Direction), ["δ", "η"][index]),
        });
        let levels = Levels::of(&self.grid.values);
        let name = canvas.say(Word::Loss);
        let area = Area { right: canvas.area.right - levels.width() - 14.0, ..canvas.area };
        let frame = Frame::new(Axis::new(x, self.across.0, self.across.1), Axis::new(y, self.up.0, self.up.1), area);
        let scene = &mut canvas.scene;
        levels.draw(scene, &frame, &self.grid);
        PathLine::default().draw(scene, &frame, &self.path);
        scene.marker(Marker::Diamond, frame.at((0.0, 0.0)), 5.0, Colour::Series(1));
        frame.axes(scene);
        levels.scale(scene, &frame, name);
    }
}

plot!(LandscapePlot, |_| Word::LossLandscape, |_| (720, 540));

fn to_f64<T: Scalar>(numbers: &[T]) -> Vec<f64> {
    numbers.iter().map(|x| x.to_f64()).collect()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A random direction each filter of which is as long as that of the network.
fn filter_normalised<T: Scalar>(network: &Network<T>, seed: Seed) -> Vec<f64> {
    let theta = to_f64(network.parameters());
    let mut direction = vec![0.0; theta.len()];
    for (key, segment) in network.segments().iter().enumerate() {
        if segment.shape.rank() < 2 || segment.frozen {
            continue;
        }
        let mut stream = seed.stream(key as u64);
        for filter in filters(segment) {
            // Two uniform numbers make a normal one (Box and Muller 1958).
            let mut normal = || {
                let (u, v) = (1.0 - stream.uniform(), stream.uniform());
                (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
            };
            let drawn: Vec<f64> = filter.iter().map(|_| normal()).collect();
            let own: Vec<f64> = filter.iter().map(|&index| theta[index]).collect();
            let scale = (dot(&own, &own) / dot(&drawn, &drawn).max(f64::MIN_POSITIVE)).sqrt();
            for (index, x) in filter.into_iter().zip(drawn) {
                direction[index] = scale * x;
            }
        }
    }
    direction
}

/// The places in θ of the numbers of each filter: what one output of a layer is computed with.
fn filters(segment: &Segment) -> Vec<Vec<usize>> {
    let axes = segment.shape.axes();
    let range = segment.range.clone();
    // In memory the outputs are the last axis of an affine layer's weight, and the first of a convolution's.
    if segment.transposed {
        let outputs = axes.last().copied().unwrap_or(1).max(1);
        (0..outputs).map(|output| range.clone().skip(output).step_by(outputs).collect()).collect()
    } else {
        let outputs = axes.first().copied().unwrap_or(1).max(1);
        let len = (range.len() / outputs).max(1);
        (0..outputs).map(|output| range.clone().skip(output * len).take(len).collect()).collect()
    }
}

/// The first two principal directions of some points, and the share of their spread that each holds.
fn principal(points: &[Vec<f64>]) -> Option<([Vec<f64>; 2], [f64; 2])> {
    let count = points.len() as f64;
    let len = points.first()?.len();
    let mean: Vec<f64> = (0..len).map(|i| points.iter().map(|point| point[i]).sum::<f64>() / count).collect();
    let mut centred: Vec<Vec<f64>> = points.iter().map(|point| difference(point, &mean)).collect();
    let all: f64 = centred.iter().map(|point| dot(point, point)).sum();
    if !(all > 0.0 && all.is_finite()) {
        return None;
    }
    let mut first = |is_second: bool| {
        // The point that is farthest out is no worse a start than any.
        let start = centred.iter().max_by(|a, b| dot(a, a).total_cmp(&dot(b, b)))?;
        let mut direction = start.clone();
        for _ in 0..200 {
            let length = dot(&direction, &direction).sqrt();
            if length <= 1e-12 * all.sqrt() {
                break;
            }
            direction.iter_mut().for_each(|x| *x /= length);
            let mut next = vec![0.0; len];
            for point in &centred {
                let part = dot(point, &direction);
                next.iter_mut().zip(point).for_each(|(x, y)| *x += part * y);
            }
            direction = next;
        }
        let length = dot(&direction, &direction).sqrt();
        if length <= 1e-12 * all {
            // All points lie on a line: any direction across will do.
            return is_second.then(|| (vec![0.0; len], 0.0));
        }
        direction.iter_mut().for_each(|x| *x /= length);
        let share = centred.iter().map(|point| dot(point, &direction).powi(2)).sum::<f64>() / all;
        for point in &mut centred {
            let part = dot(point, &direction);
            point.iter_mut().zip(&direction).for_each(|(x, y)| *x -= part * y);
        }
        Some((direction, share))
    };
    let ((a, share_a), (b, share_b)) = (first(false)?, first(true)?);
    Some(([a, b], [share_a, share_b]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_layers::{Affine, Conv2d, Flatten, Relu};
    use downhill_network::sequential;

    #[test]
    fn principal_directions_are_the_planted_ones() {
        let points: Vec<Vec<f64>> =
            (0..50).map(|i| f64::from(i) / 5.0).map(|t| vec![1.0 + 3.0 * t.cos(), 2.0, 0.5 + t.sin()]).collect();
        let ([a, b], shares) = principal(&points).unwrap();
        assert!(a[0].abs() > 0.999 && b[2].abs() > 0.999, "{a:?} {b:?}");
        assert!((shares[0] + shares[1] - 1.0).abs() < 1e-9 && shares[0] > 0.85, "{shares:?}");
        assert!(principal(&[vec![1.0, 2.0], vec![1.0, 2.0]]).is_none() && principal(&[]).is_none());
        // On a line the second holds nothing.
        let (_, shares) = principal(&[vec![0.0, 0.0], vec![1.0, 1.0], vec![2.0, 2.0]]).unwrap();
        assert!((shares[0] - 1.0).abs() < 1e-12 && shares[1] < 1e-12);
    }

    #[test]
    fn each_random_filter_is_as_long_as_the_network_s_and_biases_stay() {
        let block = sequential![Conv2d::new(3, 3), Relu, Flatten, Affine::new(4)];
        let network = Network::<f64>::build([2, 6, 6], block, Seed(1)).unwrap();
        let theta = to_f64(network.parameters());
        let direction = filter_normalised(&network, Seed(2));
        assert_ne!(direction, filter_normalised(&network, Seed(3)));
        let mut filters_seen = 0;
        for segment in network.segments() {
            if segment.shape.rank() < 2 {
                assert!(segment.range.clone().all(|index| direction[index] == 0.0));
                continue;
            }
            for filter in filters(segment) {
                let length = |of: &[f64]| filter.iter().map(|&i| of[i] * of[i]).sum::<f64>().sqrt();
                assert!((length(&theta) - length(&direction)).abs() < 1e-9 && length(&theta) > 0.0);
                filters_seen += 1;
            }
        }
        assert_eq!(filters_seen, 3 + 4);
    }
}
