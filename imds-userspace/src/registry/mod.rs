//! Instances, their options, and the store behind them.

pub mod directory;
