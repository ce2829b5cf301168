//! Configurations, weights by name, and the T5 network.
