use downhill_network::Network;
use downhill_tensor::Scalar;

/// The parameters and running statistics that a network had.
#[derive(Debug, Default)]
pub(crate) struct Snapshot<T> {
    parameters: Vec<T>,
    statistics: Vec<T>,
}

impl<T: Scalar> Snapshot<T> {
    pub(crate) fn of(network: &Network<T>) -> Self {
        Self { parameters: network.parameters().to_vec(), statistics: network.statistics().to_vec() }
    }

    #[cfg(feature = "checkpoint")]
    pub(crate) fn new(parameters: Vec<T>, statistics: Vec<T>) -> Self {
        Self { parameters, statistics }
    }

    #[cfg(feature = "checkpoint")]
    pub(crate) fn statistics(&self) -> &[T] {
        &self.statistics
    }

    /// Whether the network still has them.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn is_of(&self, network: &Network<T>) -> bool {
        self.parameters == network.parameters() && self.statistics == network.statistics()
    }

    pub(crate) fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// Whether these are of a network like this one.
    pub(crate) fn fits(&self, network: &Network<T>) -> bool {
        self.parameters.len() == network.parameters().len() && self.statistics.len() == network.statistics().len()
    }

    /// Overwrites what was kept, in the memory that it has.
    pub(crate) fn keep(&mut self, parameters: &[T], statistics: &[T]) {
        self.parameters.clear();
        self.parameters.extend_from_slice(parameters);
        self.statistics.clear();
        self.statistics.extend_from_slice(statistics);
    }

    /// Gives the network back what it had.
    pub(crate) fn put_back(&self, network: &mut Network<T>) {
        network.parameters_mut().copy_from_slice(&self.parameters);
        network.statistics_mut().copy_from_slice(&self.statistics);
    }

    /// Puts the network back, and passes an error on.
    pub(crate) fn after<E>(&self, error: E, network: &mut Network<T>) -> E {
        self.put_back(network);
        error
    }
}
