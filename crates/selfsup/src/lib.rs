//! Self-supervision: *which representation can be learned before there are labels?*
//!
//! | part | what it is |
//! | --- | --- |
//! | [`views`] | random views of an image: crops, rotations, noise, …; what makes two images "the same" |
//! | [`probe`] | a linear classifier on frozen features: what the representation is worth |

pub mod probe;
pub mod views;

pub use probe::{LinearProbe, LinearProbeModel};
pub use views::{View, Views};
