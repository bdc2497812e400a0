//! Temperature scaling of probabilities.
