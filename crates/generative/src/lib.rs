//! unsup: generative
