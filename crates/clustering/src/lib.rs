//! unsup: clustering
