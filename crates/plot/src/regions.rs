use downhill_data::Dataset;
use downhill_losses::Target;
use downhill_network::Network;
use downhill_tensor::Scalar;
use ndarray::Array2;

use crate::PlotError;
use crate::axis::Axis;
use crate::contour::Grid;
use crate::frame::Frame;
use crate::look::{Canvas, Look, plot};
use crate::scene::{Entry, Marker, Sample};
use crate::theme::Colour;
use crate::words::Word;

/// What a classifier of two numbers answers over the plane: the region of each class, with the points of a data set, each
/// with the colour and the shape of its true class.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::{Affine, Tanh};
/// use downhill_losses::SoftmaxCrossEntropy;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Adam;
/// use downhill_plot::DecisionRegions;
/// use downhill_tensor::Seed;
/// use downhill_train::Trainer;
/// use ndarray::array;
///
/// let data = Dataset::from_array(array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], vec![0, 1, 1, 0])?;
/// let mut network = Network::build([2], sequential![Affine::new(4), Tanh, Affine::new(2)], Seed(1))?;
/// Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.1)).epochs(50).fit(&mut network, &data)?;
/// let svg = DecisionRegions::of(&network, &data)?.variables("x", "y").to_svg();
/// assert!(svg.contains("class 1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecisionRegions {
    look: Look,
    names: (String, String),
    x: Axis,
    y: Axis,
    classes: Vec<String>,
    /// For each class, by how much its score is above the best of the others.
    leads: Vec<Grid>,
    points: Vec<(f64, f64, usize)>,
}

/// The points along each axis at which a classifier is asked.
const RESOLUTION: usize = 141;

impl DecisionRegions {
    /// Asks a network of two inputs over the plane that the points of a data set span.
    ///
    /// # Errors
    /// Returns an error if the network has other inputs than two numbers, the data have no classes, or the network's
    /// outputs name no class.
    pub fn of<T: Scalar>(network: &Network<T>, data: &Dataset<T>) -> Result<Self, PlotError> {
        let what = "the regions of a classifier";
        let Target::Classes(labels) = data.targets() else {
            return Err(PlotError::data(what, "the data have values as targets, but classes are needed"));
        };
        if data.input_shape().len() != 2 || network.input_shapes().len() != 1 {
            let reason = format!("an example has the shape {}, but must be two numbers", data.input_shape());
            return Err(PlotError::data(what, reason));
        }
        let x = data.inputs();
        let points = x.slice().chunks_exact(2).zip(labels);
        let points = points.map(|(x, &label)| (x[0].to_f64(), x[1].to_f64(), label as usize));
        let count = data.classes().unwrap_or(2).max(2);
        let classes = (0..count).map(|class| data.class_names().get(class).cloned().unwrap_or_default());
        let score = |places: &[(f64, f64)]| -> Result<Vec<Vec<f64>>, PlotError> {
            let x = Array2::from_shape_fn((places.len(), 2), |(row, column)| {
                T::from_f64(if column == 0 { places[row].0 } else { places[row].1 })
            });
            let p = network.probabilities(x).map_err(|error| PlotError::data(what, error.to_string()))?;
            let of = |row: ndarray::ArrayView1<'_, T>| match row.as_slice() {
                Some([yes]) => vec![1.0 - yes.to_f64(), yes.to_f64()],
                _ => row.iter().map(|p| p.to_f64()).collect(),
            };
            Ok(p.rows().into_iter().map(of).collect())
        };
        let names = data.feature_names();
        let name = |index: usize| names.get(index).cloned().unwrap_or_else(|| ["x₁", "x₂"][index].to_owned());
        let mut plot = Self::new(score, points.collect(), classes.collect())?;
        plot.names = (name(0), name(1));
        Ok(plot)
    }

    /// Asks any classifier over the plane that some points span: `scores` gets places, and returns for each a score for
    /// every class, the highest of which wins.
    ///
    /// # Errors
    /// Returns an error if there are no points, a class has no name, a place has not as many scores as there are classes,
    /// or `scores` returns one.
    pub fn new(
        scores: impl Fn(&[(f64, f64)]) -> Result<Vec<Vec<f64>>, PlotError>,
        points: Vec<(f64, f64, usize)>,
        classes: Vec<String>,
    ) -> Result<Self, PlotError> {
        let what = "the regions of a classifier";
        if points.is_empty() {
            return Err(PlotError::data(what, "there are no points to span a plane"));
        }
        if let Some((.., class)) = points.iter().find(|(.., class)| *class >= classes.len()) {
            let reason =
                format!("a point is of class {class}, but there are {} classes, counted from 0", classes.len());
            return Err(PlotError::data(what, reason));
        }
        let x = Axis::around("", points.iter().map(|point| point.0));
        let y = Axis::around("", points.iter().map(|point| point.1));
        let mut places = Vec::new();
        Grid::new(RESOLUTION, RESOLUTION, |across, up| {
            places.push((x.at(across), y.at(up)));
            0.0
        });
        let found = scores(&places)?;
        if found.len() != places.len() || found.iter().any(|scores| scores.len() != classes.len()) {
            let reason = format!("there must be {} scores for each of {} places", classes.len(), places.len());
            return Err(PlotError::data(what, reason));
        }
        let lead = |class: usize| {
            let of = |scores: &Vec<f64>| {
                let others = scores.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, score)| *score);
                scores[class] - others.fold(f64::NEG_INFINITY, f64::max)
            };
            Grid { columns: RESOLUTION, rows: RESOLUTION, values: found.iter().map(of).collect() }
        };
        let leads = (0..classes.len()).map(lead).collect();
        let names = ("x₁".to_owned(), "x₂".to_owned());
        Ok(Self { look: Look::default(), names, x, y, classes, leads, points })
    }

    /// Sets the names of the two numbers, with their units; those of the data's features unless set.
    #[must_use]
    pub fn variables(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        self.names = (x.into(), y.into());
        self
    }

    fn draw(&self, canvas: &mut Canvas) {
        let word = canvas.say(Word::Class);
        let name =
            |(index, name): (usize, &String)| if name.is_empty() { format!("{word} {index}") } else { name.clone() };
        let entry =
            |(index, text)| Entry { text, sample: Sample::Marker(Marker::of(index)), colour: Colour::Series(index) };
        let entries: Vec<Entry> = self.classes.iter().enumerate().map(name).enumerate().map(entry).collect();
        canvas.legend(&entries);
        let (mut x, mut y) = (self.x.clone(), self.y.clone());
        (x.name, y.name) = self.names.clone();
        let frame = Frame::new(x, y, canvas.area);
        let scene = &mut canvas.scene;
        let (from, to) = (frame.place((0.0, 1.0)), frame.place((1.0, 0.0)));
        // What lies between regions shows the first.
        scene.fill(from, to, Colour::Region(0));
        for (class, lead) in self.leads.iter().enumerate().skip(1) {
            lead.fill(scene, &frame, 0.0, Colour::Region(class), 1.0);
        }
        for lead in &self.leads {
            lead.lines(scene, &frame, 0.0, Colour::Ink, 1.2);
        }
        let radius = if self.points.len() > 400 { 2.6 } else { 3.6 };
        for (x, y, class) in &self.points {
            let at = frame.at((*x, *y));
            scene.marker(Marker::of(*class), at, radius + 0.9, Colour::Page);
            scene.marker(Marker::of(*class), at, radius, Colour::Series(*class));
        }
        frame.axes(scene);
    }
}

plot!(DecisionRegions, |_| Word::Decision, |_| (640, 560));
