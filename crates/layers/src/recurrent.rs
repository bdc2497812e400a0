//! Layers that read a sequence step by step.
//!
//! [`Cell`] is one step of one hidden unit, forward and backward; [`Recurrent`] is everything around it, written once:
//! layers on top of each other, two directions, sequences of different lengths, and the loops over time.

mod cell;
mod gru;
mod lanes;
mod layer;
mod lstm;
mod rnn;
mod time;

pub use cell::{Cell, CellGradient};
pub use gru::{Gru, GruCell};
pub use layer::Recurrent;
pub use lstm::{Lstm, LstmCell};
pub use rnn::{Rnn, RnnCell};
