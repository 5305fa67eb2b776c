//! Tests of the driver on a scripted kernel.

mod ring;
mod soundness;
