//! Attention: each position looks at all others.

mod multi_head_attention;
mod rotary;

pub use multi_head_attention::MultiHeadAttention;
