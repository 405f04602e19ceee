//! Contrastive losses as plain functions of tensors, usable in any loop.

mod nt_xent;

pub use nt_xent::nt_xent;
