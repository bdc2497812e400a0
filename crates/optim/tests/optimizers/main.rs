//! Every optimizer, through one table: recorded gradients, runs in a closed loop, descent, resumption, threads, groups.

mod behaviour;
mod chosen;
mod descent;
mod fixtures;
mod parity;
mod ranges;
mod runs;
mod saved;
mod table;
