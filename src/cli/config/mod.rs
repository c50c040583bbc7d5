//! Configuration files: values of options, with profiles.

pub(crate) mod error;
pub(crate) mod layers;
pub(crate) mod location;
pub(crate) mod text;
