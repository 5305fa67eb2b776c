//! TODO.

#[cfg(test)]
pub(in crate::driver) mod ring;
#[cfg(test)]
pub(in crate::driver) mod soundness;
