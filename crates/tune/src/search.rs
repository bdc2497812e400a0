//! Grid and random search over settings.
