//! Options that every pipeline has.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use forecastle::PipelineConfig;

#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// Settings as TOML; the options below override it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Bars ahead [default: 5]
    #[arg(long)]
    horizon: Option<usize>,
    /// Seed of everything random [default: 7]
    #[arg(long)]
    seed: Option<u64>,
    /// Worker threads; the numbers do not depend on it [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
}

impl SettingArgs {
    /// The file's settings, or the defaults, with the options in.
    pub(crate) fn load(&self) -> Result<PipelineConfig> {
        let mut config = match &self.config {
            None => PipelineConfig::default(),
            Some(path) => {
                let cannot = || format!("cannot read {}", path.display());
                let text = fs::read_to_string(path).with_context(cannot)?;
                PipelineConfig::from_toml(&text).with_context(cannot)?
            }
        };
        config.horizon = self.horizon.unwrap_or(config.horizon);
        config.seed = self.seed.unwrap_or(config.seed);
        config.threads = self.threads.or(config.threads);
        Ok(config)
    }
}
