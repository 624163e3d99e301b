//! Bodies in both encodings.
