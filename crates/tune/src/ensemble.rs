//! Several networks that answer as one.
