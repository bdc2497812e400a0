//! Permutation importance of columns.
