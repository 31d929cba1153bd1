//! Histogram gradient boosting in pure Rust.
