use downhill_network::Network;
use downhill_tensor::Scalar;

use crate::PlotError;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::Align;
use crate::text::number;
use crate::theme::Colour;
use crate::words::Word;

/// The filters of a network's first layer as small images: what each unit looks for in its input. One colour stands for
/// positive weights and another for negative ones, both the stronger the larger the weight.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, sequential};
/// use downhill_plot::FiltersPlot;
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([1, 8, 8], sequential![downhill_layers::Flatten, Affine::new(6), Relu], Seed(1))?;
/// let plot = FiltersPlot::of(&network)?;
/// assert_eq!(plot.images(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FiltersPlot {
    look: Look,
    height: usize,
    width: usize,
    images: Vec<Vec<f64>>,
    /// How many images stand next to each other because they belong to one filter.
    channels: usize,
}

/// The most images.
const MOST: usize = 144;

impl FiltersPlot {
    /// Takes the first weight of a network: the kernels of a convolution, an image for each channel that they read, or
    /// the weights of each unit of an affine layer, in the shape of the network's input. An input of a vector is taken
    /// for a square image. Of many images the first 144 are shown.
    ///
    /// # Errors
    /// Returns an error if the network has no such weight, or the numbers of a filter make no image.
    pub fn of<T: Scalar>(network: &Network<T>) -> Result<Self, PlotError> {
        let what = "the filters of the first layer";
        let segment = network.segments().iter().find(|segment| segment.shape.rank() >= 2);
        let segment = segment.ok_or_else(|| PlotError::data(what, "the network has no weight of two axes or more"))?;
        let theta = &network.parameters()[segment.range.clone()];
        match *segment.shape.axes() {
            [_, inputs, height, width] => {
                let images =
                    theta.chunks_exact((height * width).max(1)).map(|image| image.iter().map(|x| x.to_f64()).collect());
                Self::new(height, width, images.collect()).map(|plot| Self { channels: inputs, ..plot })
            }
            [inputs, outputs] if segment.transposed => {
                let shapes = network.input_shapes();
                let square = inputs.isqrt();
                let (height, width, planes) = match shapes.first().map(|shape| shape.axes()) {
                    Some(&[planes, height, width]) if planes * height * width == inputs => (height, width, planes),
                    Some(&[height, width]) if height * width == inputs => (height, width, 1),
                    _ if square * square == inputs => (square, square, 1),
                    _ => return Err(PlotError::data(what, format!("{inputs} weights of a unit make no square image"))),
                };
                let len = height * width;
                let image = |unit: usize, plane: usize| {
                    (plane * len..(plane + 1) * len).map(|input| theta[input * outputs + unit].to_f64()).collect()
                };
                let images = (0..outputs).flat_map(|unit| (0..planes).map(move |plane| (unit, plane)));
                let images = images.take(MOST).map(|(unit, plane)| image(unit, plane)).collect();
                Self::new(height, width, images).map(|plot| Self { channels: planes, ..plot })
            }
            _ => Err(PlotError::data(what, format!("a weight of the shape {} makes no images", segment.shape))),
        }
    }

    /// Makes a plot of images, each row after row.
    ///
    /// # Errors
    /// Returns an error if there is none, or one has another size.
    pub fn new(height: usize, width: usize, images: Vec<Vec<f64>>) -> Result<Self, PlotError> {
        let what = "images of weights";
        if images.is_empty() || height * width == 0 {
            return Err(PlotError::data(what, "there are none"));
        }
        if let Some(image) = images.iter().find(|image| image.len() != height * width) {
            return Err(PlotError::data(what, format!("one has {} numbers, not {height} x {width}", image.len())));
        }
        let images = images.into_iter().take(MOST).collect();
        Ok(Self { look: Look::default(), height, width, images, channels: 1 })
    }

    /// The number of images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// The images in a row: whole filters, if they have several.
    fn columns(&self) -> usize {
        let count = self.images.len();
        let wanted = (1.6 * count as f64).sqrt().ceil().max(1.0) as usize;
        let columns = if self.channels > 1 { self.channels * (wanted / self.channels).max(1) } else { wanted };
        let columns = columns.min(24).min(count);
        // A full last row, if there is one nearby.
        let near = (columns.saturating_sub(2).max(1)..=columns + 1).rev();
        near.filter(|near| near % self.channels == 0).find(|near| count.is_multiple_of(*near)).unwrap_or(columns)
    }

    fn draw(&self, canvas: &mut Canvas) {
        let columns = self.columns();
        let rows = self.images.len().div_ceil(columns);
        let Area { left, top, right, bottom } = Area { right: canvas.area.right - 84.0, ..canvas.area };
        const GAP: f64 = 6.0;
        let pixel = ((right - left + GAP) / columns as f64 - GAP) / self.width as f64;
        let pixel = pixel.min(((bottom - top + GAP) / rows as f64 - GAP) / self.height as f64).max(0.4);
        let (wide, high) = (pixel * self.width as f64 + GAP, pixel * self.height as f64 + GAP);
        let finite = self.images.iter().flatten().filter(|x| x.is_finite());
        let most = finite.map(|x| x.abs()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let scene = &mut canvas.scene;
        for (index, image) in self.images.iter().enumerate() {
            let (x0, y0) = (left + wide * (index % columns) as f64, top + high * (index / columns) as f64);
            let step = |x: f64| Colour::step(if x.is_nan() { 0.5 } else { 0.5 + 0.5 * x / most });
            scene.fill((x0, y0), (x0 + wide - GAP, y0 + high - GAP), Colour::Signed(Colour::STEPS / 2));
            for (row, pixels) in image.chunks(self.width).enumerate() {
                let mut column = 0;
                // Pixels of one colour are one rectangle.
                for run in pixels.chunk_by(|a, b| step(*a) == step(*b)) {
                    let x = |column: usize| x0 + pixel * column as f64;
                    let y = y0 + pixel * row as f64;
                    if step(run[0]) != Colour::STEPS / 2 {
                        scene.fill((x(column), y), (x(column + run.len()), y + pixel), Colour::Signed(step(run[0])));
                    }
                    column += run.len();
                }
            }
            scene.outline((x0, y0), (x0 + wide - GAP, y0 + high - GAP), Colour::Muted, 0.6);
        }
        let left = left + wide * columns as f64 + 10.0;
        let bottom = (top + (bottom - top).min(200.0)).min(top + high * rows as f64 - GAP).max(top + 60.0);
        let steps = Colour::STEPS;
        for step in 0..=steps {
            let y = |step: u8| bottom - (bottom - top) * f64::from(step) / f64::from(steps + 1);
            scene.fill((left, y(step)), (left + 14.0, y(step + 1)), Colour::Signed(step));
        }
        for (y, x) in [(bottom - 6.0, -most), ((top + bottom) / 2.0, 0.0), (top + 6.0, most)] {
            scene.text(number(x, 2), (left + 20.0, y), 11.5, Colour::Muted, Align::Left);
        }
    }
}

plot!(FiltersPlot, |_| Word::FirstLayer, |plot| {
    let columns = plot.columns();
    let rows = plot.images.len().div_ceil(columns);
    // Images of about 64 pixels.
    let pixel = (64 / plot.width.max(plot.height)).max(1);
    ((columns * (plot.width * pixel + 6) + 120) as u32, (rows * (plot.height * pixel + 6) + 24).max(100) as u32)
});
