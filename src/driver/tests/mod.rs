//! Tests of the driver on a scripted kernel and on the real one.

mod many;
mod real;
mod ring;
mod scripted;
mod soundness;
