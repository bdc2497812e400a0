use downhill_network::Network;
use downhill_optim::Optimizer;
use downhill_tensor::Scalar;

/// The other of two points, if an optimizer takes gradients at one and is judged at another: the one that the network
/// does not hold now.
#[derive(Debug)]
pub(crate) struct OtherPoint<T> {
    theta: Vec<T>,
    /// Whether the network is where it is judged, and θ is where it is trained.
    judged: bool,
}

impl<T: Scalar> OtherPoint<T> {
    pub(crate) fn new(network: &Network<T>) -> Self {
        Self { theta: vec![T::ZERO; network.parameters().len()], judged: false }
    }

    /// That of no network.
    pub(crate) fn empty() -> Self {
        Self { theta: Vec::new(), judged: false }
    }

    /// Whether these are parameters of a network like this one.
    pub(crate) fn fits(&self, network: &Network<T>) -> bool {
        self.theta.len() == network.parameters().len()
    }

    /// Returns the point where the network is trained, if it holds another one.
    pub(crate) fn of_training(&self) -> Option<&[T]> {
        self.judged.then_some(&self.theta)
    }

    /// Puts the network where it is judged.
    pub(crate) fn judge(&mut self, network: &mut Network<T>, optimizer: &impl Optimizer<T>) {
        self.judged = optimizer.evaluation_point(network.parameters(), &mut self.theta);
        if self.judged {
            network.parameters_mut().swap_with_slice(&mut self.theta);
        }
    }

    /// Puts the network back where it is trained.
    pub(crate) fn train(&mut self, network: &mut Network<T>) {
        if std::mem::take(&mut self.judged) {
            network.parameters_mut().swap_with_slice(&mut self.theta);
        }
    }

    /// Puts the network back where it is trained at the start of the next run, unless it has been changed since the last
    /// one: that has left it where it was judged, or with the parameters that were `kept`.
    pub(crate) fn go_on(&mut self, network: &mut Network<T>, optimizer: &impl Optimizer<T>, kept: Option<&[T]>) {
        let mut left = vec![T::ZERO; self.theta.len()];
        let is_as_left = |network: &Network<T>, left: &mut [T]| {
            kept == Some(network.parameters())
                || optimizer.evaluation_point(&self.theta, left) && left == network.parameters()
        };
        if self.judged && is_as_left(network, &mut left) {
            network.parameters_mut().copy_from_slice(&self.theta);
        }
        self.judged = false;
    }
}
