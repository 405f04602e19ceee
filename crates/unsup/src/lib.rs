//! unsup
