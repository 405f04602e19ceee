//! Self-supervision: *which representation can be learned before there are labels?*
//!
//! | part | what it is |
//! | --- | --- |
//! | [`views`] | random views of an image: crops, rotations, noise, …; what makes two images "the same" |
//! | [`loss`] | NT-Xent as a plain function |
//! | [`simclr`] | SimCLR: contrastive pretraining of an encoder |
//! | [`probe`] | a linear classifier on frozen features: what the representation is worth |
//! | [`supervised`] | the same encoder trained on the labels alone: what pretraining must beat |

mod images;
pub mod loss;
pub mod probe;
pub mod simclr;
pub mod supervised;
pub mod views;

pub use probe::{LinearProbe, LinearProbeModel};
pub use simclr::{SimClr, SimClrModel};
pub use supervised::{Supervised, SupervisedModel};
pub use views::{View, Views};
