//! A local stand-in of the API.
