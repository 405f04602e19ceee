//! unsup: selfsup
