//! `hark deploy`.

use clap::Args;

use super::options::ConfigFile;

/// `hark deploy`
#[derive(Debug, Args)]
pub struct Deploy {
    /// The name of the instance. Default: a new UUID
    #[arg(long, value_name = "NAME")]
    pub uuid: Option<String>,
    /// Print the template for CloudFormation, and change nothing in the account
    #[arg(long, required = true)]
    pub dry_run: bool,
    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}
