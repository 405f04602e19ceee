//! unsup: decomposition
