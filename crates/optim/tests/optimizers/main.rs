//! Every optimizer, through one table: recorded gradients, runs in a closed loop, descent, resumption, threads, groups.

mod behaviour;
mod descent;
mod fixtures;
mod parity;
mod table;
