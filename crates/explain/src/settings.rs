use downhill_layers::Mode;
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

/// What an explanation is asked for.
///
/// By default the pass is that of training step 0, as the first step of a training makes it: what is random is drawn
/// from the network's seed, and statistics are those of the batch. There is no update, since there is no learning rate
/// that suits every network.
///
/// ```
/// use downhill_explain::Settings;
/// use downhill_layers::Mode;
///
/// let settings = Settings::<f64>::new().learning_rate(0.1).mode(Mode::Evaluation).full_up_to(5_000);
/// ```
#[derive(Debug)]
#[must_use]
pub struct Settings<'o, T> {
    pub(crate) mode: Mode,
    pub(crate) updates: Updates<'o, T>,
    pub(crate) full_up_to: usize,
    pub(crate) jacobians_up_to: usize,
}

/// Who makes the update.
#[derive(Debug)]
pub(crate) enum Updates<'o, T> {
    None,
    Rate(f64),
    Optimizer(&'o mut dyn Optimizer<T>),
}

impl<T: Scalar> Default for Settings<'_, T> {
    fn default() -> Self {
        Self { mode: Mode::Training { step: 0 }, updates: Updates::None, full_up_to: 1_000, jacobians_up_to: 10_000 }
    }
}

impl<'o, T: Scalar> Settings<'o, T> {
    /// Explains training step 0 without an update: in full up to 1,000 numbers, with up to 10,000 local derivatives of each layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows the update of plain gradient descent, θ ← θ − η g, with this η.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.updates = Updates::Rate(learning_rate);
        self
    }

    /// Shows the update that this optimizer would make. It is put back as it was before.
    pub fn optimizer(mut self, optimizer: &'o mut dyn Optimizer<T>) -> Self {
        self.updates = Updates::Optimizer(optimizer);
        self
    }

    /// Sets the mode of the pass, such as [`Mode::Evaluation`], in which nothing is dropped.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the most numbers that are shown one by one: the parameters, and what every layer takes and makes for all
    /// examples. Of a pass with more the explanation keeps the norms alone.
    pub fn full_up_to(mut self, numbers: usize) -> Self {
        self.full_up_to = numbers;
        self
    }

    /// Sets the most local derivatives of one layer: those of its equations, of what lies between x and y as well as of y,
    /// or else those of all it makes by all it takes and by all its parameters. A layer whose equations have more shows its
    /// Jacobian, and one whose Jacobian has more shows only its product with dJ/dy.
    pub fn jacobians_up_to(mut self, numbers: usize) -> Self {
        self.jacobians_up_to = numbers;
        self
    }
}
