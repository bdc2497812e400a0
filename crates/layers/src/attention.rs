//! Attention: each position looks at all others.

mod multi_head_attention;

pub use multi_head_attention::MultiHeadAttention;
